"""The base of our TFDS builders: parallel, resumable and deterministic.

TFDS itself writes a dataset in one process, and from the start again if it is
stopped. Here `shards` says what is written where, `local_runner` and
`beam_runner` bring in the processes, and what they wrote waits in a folder
`<version>.partial` till all is there.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence
import contextlib
import fcntl
import json
import os
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_builder

from data_prep import local_runner
from data_prep import manifest
from data_prep import shards as shards_lib
from vidcolor import errors
from vidcolor import files


class ClipBuilder(dataset_builder.FileReaderBuilder, skip_registration=True):
  """Builds ArrayRecord files of clips, each read from its `ClipSpec`.

  Beside them, `manifest.json` tells what is there and what is not, and why;
  `index.npz` holds what is to be known of records without reading them.

  Attributes:
    SOURCE: What --source_dir is to be; empty if there is none.
    INDEX: Names of scalar or fixed-size features for the index.
    SHUFFLED: Whether records come in an order drawn by the clips' names, not in
      that of `list_clips`.
    MAY_SKIP: Whether it is of use without the clips that cannot be read.
  """

  SOURCE: str
  INDEX: Sequence[str] = ()
  SHUFFLED = True
  MAY_SKIP = True

  def __init__(
      self,
      *,
      source_dir: str | os.PathLike | None = None,
      num_workers: int | None = None,
      max_shard_bytes: int = 1 << 30,
      max_seconds: float = 300,
      beam_options: Sequence[str] | None = None,
      **kwargs,
  ):
    """Initialises the builder.

    Args:
      source_dir: What clips are read from; needed to build.
      num_workers: Processes of this machine; by default one a core.
      max_shard_bytes: Size of a file, unless a single record is larger.
      max_seconds: That reading a clip may take.
      beam_options: If given, Apache Beam's: it writes the dataset, by these.
      **kwargs: Those of any TFDS builder, such as `data_dir`.
    """
    super().__init__(file_format='array_record', **kwargs)
    self._source_dir = None
    if source_dir is not None:
      self._source_dir = _absolute(os.fspath(source_dir))
    self._num_workers = num_workers or os.cpu_count() or 1
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
      FileNotFoundError: it is not there any more: the build stops.
    """

  def source_dir(self) -> str:
    """The folder to build from, absolute, or its URL.

    Raises:
      UserError: none was given.
    """
    if self._source_dir is None:
      raise errors.UserError(
          f'to build {self.name}, name {self.SOURCE}: --source_dir'
      )
    return self._source_dir

  # pyrefly: ignore[bad-override]
  def download_and_prepare(self) -> None:
    """Builds the dataset, or what is missing of it.

    TFDS's own would write it in a folder that is removed at any error.

    Raises:
      UserError: there is nothing to build from, or no way to write.
    """
    if self._is_built():
      return
    work_dir = self.data_path.parent / f'{self.version}.partial' / 'work'
    work_dir.mkdir(parents=True, exist_ok=True)
    with _locked(work_dir):
      if not (work_dir / 'names.json').exists():
        self._write(work_dir)
      self._finish(work_dir)
    self._is_built()  # What was left to finish may be of another source.
    self.info.read_from_directory(self.data_dir)

  def _download_and_prepare(self, dl_manager, download_config=None):
    """What TFDS's own would call; every builder must have it."""
    raise NotImplementedError

  def _is_built(self):
    """Whether it is; from another source it must not be taken for this one."""
    if not (self.data_path / 'dataset_info.json').exists():
      return False
    _remove(self.data_path / 'work')  # If it was killed when all was done.
    text = (self.data_path / 'manifest.json').read_text()
    source = json.loads(text)['source']
    if self._source_dir not in (None, source):
      raise errors.UserError(
          f'{self.data_path} is built from {source}: give another --data_dir'
      )
    return True

  def _write(self, work_dir):
    """Writes everything, but under names of its own."""
    clips, missing = self.list_clips()
    shards = shards_lib.plan(clips, os.fspath(work_dir), self.SHUFFLED)
    reports = self._write_shards(shards)
    faults = sorted([*missing, *(f for r in reports for f in r.faults)])
    if faults and not self.MAY_SKIP:
      for shard, report in zip(shards, reports, strict=True):
        if report.faults:  # Its files are to be mended, and read again.
          shards_lib.remove_report(shard)
      raise errors.UserError(f'{faults[0].name}: {faults[0].reason}')
    reports = [report for report in reports if report.parts]
    if not reports:
      _remove(work_dir.parent)
      raise errors.UserError(
          f'none of the {len(faults)} clips can be read; the first,'
          f' {faults[0].name}: {faults[0].reason}'
      )
    splits, names = [], {}
    for split, of_split in manifest.by_split(reports).items():
      parts = [part for report in of_split for part in report.parts]
      splits.append(self._split_info(split, parts))
      for part, path in zip(parts, splits[-1].filepaths, strict=True):
        names[os.path.basename(part.path)] = os.path.basename(path)
    self.info.set_splits(tfds.core.SplitDict(splits))
    self.info.write_to_directory(work_dir)
    manifest.write(work_dir, reports, faults, self._source_dir)
    others = 'manifest.json', 'index.npz', 'features.json', 'dataset_info.json'
    names.update(zip(others, others, strict=True))
    files.write_json(work_dir / 'names.json', names)

  def _write_shards(self, shards):
    """Writes the shards that are not there; returns the reports of all."""
    missing = [
        shard
        for shard in shards
        if shards_lib.read_report(shard, self._recipe) is None
    ]
    if missing and self._beam_options is None:
      local_runner.run(missing, self._recipe, self._num_workers)
    elif missing:
      # Only who uses it needs to have it installed.
      from data_prep import beam_runner

      beam_runner.run(missing, self._recipe, self._beam_options or ())
    reports = []
    for shard in shards:
      report = shards_lib.read_report(shard, self._recipe)
      if report is None:
        raise errors.UserError(
            f'{shard.path} was not written, or cannot be seen from here: all'
            ' workers must share --data_dir'
        )
      reports.append(report)
    return reports

  def _split_info(self, split, parts):
    template = tfds.core.ShardedFileTemplate(
        data_dir=self.data_path,
        dataset_name=self.name,
        split=split,
        filetype_suffix='array_record',
    )
    return tfds.core.SplitInfo(
        name=split,
        shard_lengths=[part.num_records for part in parts],
        num_bytes=sum(part.num_bytes for part in parts),
        filename_template=template,
    )

  def _finish(self, work_dir):
    """Gives the files their names; may be stopped, and done again, anywhere."""
    names = json.loads((work_dir / 'names.json').read_text())
    in_bucket = files.is_url(work_dir)
    # A folder on a disk is renamed at once. In a bucket there is no such thing:
    # there the dataset is what has a dataset_info.json, which comes last.
    folder = self.data_path if in_bucket else work_dir.parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, final_name in names.items():
      if (work_dir / name).exists():
        (work_dir / name).replace(folder / final_name)
    if not in_bucket:
      folder.rename(self.data_path)
      _remove(self.data_path / 'work')
    else:
      _remove(work_dir.parent)


def _absolute(path):
  if files.is_url(path):
    return path.rstrip('/')
  return os.path.abspath(os.path.expanduser(path))


def _remove(folder):
  """Removes a folder as far as possible, for it does no harm."""
  with contextlib.suppress(OSError):
    folder.rmtree()


@contextlib.contextmanager
def _locked(folder):
  """Keeps a second build out, but of a bucket."""
  if files.is_url(folder):
    yield
    return
  with open(folder / 'lock', 'w') as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      raise errors.UserError(
          f'another build is at work in {folder}: wait for it, or stop it'
      ) from None
    yield
