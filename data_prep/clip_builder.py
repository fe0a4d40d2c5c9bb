"""The base of our TFDS builders: parallel, resumable and deterministic.

TFDS itself writes a dataset in one process, and from the start again if it is
stopped. Here `shards` says what is written where, `local_runner` and
`beam_runner` bring in the processes, and what they wrote waits in a folder
`<version>.partial` till all is there.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence
import os
from typing import Any

from etils import epath
import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_builder

from data_prep import local_runner
from data_prep import manifest
from data_prep import shards as shards_lib
from vidcolor import errors


class ClipBuilder(dataset_builder.FileReaderBuilder, skip_registration=True):
  """Builds ArrayRecord files of clips, each read from its `ClipSpec`.

  Beside them, `manifest.json` tells what is there and what is not, and why;
  `index.npz` holds what is to be known of records without reading them.

  Attributes:
    INDEX: Names of scalar or fixed-size features for the index.
    SHUFFLED: Whether records come in an order drawn by the clips' names, not in
      that of `list_clips`.
    MAY_SKIP: Whether it is of use without the clips that cannot be read.
  """

  INDEX: Sequence[str] = ()
  SHUFFLED = True
  MAY_SKIP = True

  def __init__(
      self,
      *,
      num_workers: int | None = None,
      max_shard_bytes: int = 1 << 30,
      max_seconds: float = 300,
      beam_options: Sequence[str] | None = None,
      **kwargs,
  ):
    """Initialises the builder.

    Args:
      num_workers: Processes of this machine; by default one a core.
      max_shard_bytes: Size of a file, unless a single record is larger.
      max_seconds: That reading a clip may take.
      beam_options: If given, Apache Beam's: it writes the dataset, by these.
      **kwargs: Those of any TFDS builder, such as `data_dir`.
    """
    super().__init__(file_format='array_record', **kwargs)
    self._num_workers = num_workers or len(os.sched_getaffinity(0))
    self._recipe = shards_lib.Recipe(
        self.read_clip,
        self.info.features,
        self.INDEX,
        max_shard_bytes=max_shard_bytes,
        max_seconds=max_seconds,
    )
    self._beam_options = beam_options

  @abc.abstractmethod
  def list_clips(
      self,
  ) -> tuple[
      Mapping[str, Sequence[shards_lib.ClipSpec]], Sequence[shards_lib.Fault]
  ]:
    """Returns the clips of each split, and those known not to be there.

    Raises:
      UserError: there are no clips.
    """

  @staticmethod
  @abc.abstractmethod
  def read_clip(clip: shards_lib.ClipSpec) -> Iterator[Mapping[str, Any]]:
    """Yields the examples that a clip gives; it runs in another process.

    Raises:
      UserError: the clip cannot be read on: what it gave so far is kept.
    """

  def _download_and_prepare(self, dl_manager, download_config=None):
    del dl_manager, download_config
    _remove_leftovers(self.data_path, self.version)
    clips, missing = self.list_clips()
    # TFDS works in a folder of another name each time: stay beside it.
    partial_dir = self.data_path.parent / f'{self.version}.partial'
    partial_dir.mkdir(exist_ok=True)
    reports = self._write_shards(
        shards_lib.plan(clips, partial_dir, self.SHUFFLED)
    )
    faults = sorted([*missing, *(f for r in reports for f in r.faults)])
    if faults and not self.MAY_SKIP:
      partial_dir.rmtree()  # Mended files are to be read again.
      raise errors.UserError(f'{faults[0].name}: {faults[0].reason}')
    reports = [report for report in reports if report.parts]
    if not reports:
      partial_dir.rmtree()
      raise errors.UserError(
          f'none of the {len(faults)} clips can be read; the first,'
          f' {faults[0].name}: {faults[0].reason}'
      )
    splits = [
        self._place(split, [p for r in of_split for p in r.parts])
        for split, of_split in manifest.by_split(reports).items()
    ]
    self.info.set_splits(tfds.core.SplitDict(splits))
    manifest.write(self.data_path, reports, faults)
    partial_dir.rmtree()

  def _write_shards(self, shards):
    """Writes the shards that are not there; returns the reports of all."""
    missing = [
        s for s in shards if shards_lib.read_report(s, self._recipe) is None
    ]
    if not missing:
      pass
    elif self._beam_options is None:
      local_runner.run(missing, self._recipe, self._num_workers)
    else:
      # Only who uses it needs to have it installed.
      from data_prep import beam_runner

      beam_runner.run(missing, self._recipe, self._beam_options)
    reports = [shards_lib.read_report(s, self._recipe) for s in shards]
    return [report for report in reports if report is not None]

  def _place(self, split, parts):
    """Puts a split's files where TFDS looks for them."""
    template = tfds.core.ShardedFileTemplate(
        data_dir=self.data_path,
        dataset_name=self.name,
        split=split,
        filetype_suffix='array_record',
    )
    paths = template.sharded_filepaths(len(parts))
    for part, path in zip(parts, paths, strict=True):
      _link(part.path, path)
    return tfds.core.SplitInfo(
        name=split,
        shard_lengths=[part.num_records for part in parts],
        num_bytes=sum(part.num_bytes for part in parts),
        filename_template=template,
    )


def _remove_leftovers(data_path, version):
  """Removes the folders of TFDS's that killed builds left behind."""
  for path in data_path.parent.glob(f'incomplete.*_{version}'):
    if path != data_path:
      path.rmtree()


def _link(path, other):
  """Gives a file a second name: a killed build finds it under the first."""
  try:
    os.link(path, other)
  except OSError:  # Not every file system can, and no bucket.
    epath.Path(path).replace(other)
