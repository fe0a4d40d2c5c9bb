"""The base class of our TFDS builders: parallel, resumable, deterministic.

TFDS itself writes a dataset in one process, and starts from the beginning if it
was stopped. Here, `shards` decides which clips go to which file, `local_runner`
and `beam_runner` start the processes, and their files stay in a folder
`<version>.partial` until all are written.
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

  It also writes `manifest.json`, which lists what the dataset contains and what
  was left out and why, and `index.npz`, which holds some features of all
  records.

  Attributes:
    SOURCE: Description of --source_dir; empty if there is none.
    INDEX: Names of scalar or fixed-size features for the index.
  """

  SOURCE: str
  INDEX: Sequence[str] = ()

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
    """Initializes the builder.

    Args:
      source_dir: Folder of the source files; required to build.
      num_workers: Number of local processes. Default: one for each core.
      max_shard_bytes: Largest size of a file, unless one record is larger.
      max_seconds: Longest time that reading a clip may take.
      beam_options: Options of Apache Beam. If given, Beam writes the dataset.
      **kwargs: Arguments of any TFDS builder, such as `data_dir`.
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
    """Returns the clips of each split, and clips that are known to be missing.

    Raises:
      UserError: There are no clips.
    """

  @staticmethod
  @abc.abstractmethod
  def read_clip(clip: shards_lib.ClipSpec) -> Iterator[Mapping[str, Any]]:
    """Yields the examples of a clip. It runs in another process.

    Raises:
      UserError: The rest of the clip cannot be read. The examples so far are
        kept.
      FileNotFoundError: The clip no longer exists. This stops the build.
    """

  def source_dir(self) -> str:
    """Returns the absolute path or the URL of the source folder.

    Raises:
      UserError: No folder was given.
    """
    if self._source_dir is None:
      raise errors.UserError(
          f'--source_dir is missing: to build {self.name}, give {self.SOURCE}'
      )
    return self._source_dir

  # pyrefly: ignore[bad-override]
  def download_and_prepare(self) -> None:
    """Builds the dataset, or the missing part of it.

    It replaces the method of TFDS, which writes to a folder that it deletes
    after any error.

    Raises:
      UserError: There is no source, or files cannot be written.
    """
    if self._is_built():
      return
    work_dir = self.data_path.parent / f'{self.version}.partial' / 'work'
    work_dir.mkdir(parents=True, exist_ok=True)
    with _locked(work_dir):
      if not (work_dir / 'names.json').exists():
        self._write(work_dir)
      self._finish(work_dir)
    self._is_built()  # The finished files may come from another source.
    self.info.read_from_directory(self.data_dir)

  def _download_and_prepare(self, dl_manager, download_config=None):
    """Not used, but every TFDS builder must define it."""
    raise NotImplementedError

  def _is_built(self):
    """Returns whether the dataset is built; checks that its source is ours."""
    if not (self.data_path / 'dataset_info.json').exists():
      return False
    _remove(self.data_path / 'work')  # A killed build may have left it.
    text = (self.data_path / 'manifest.json').read_text()
    source = json.loads(text)['source']
    if self._source_dir not in (None, source):
      raise errors.UserError(
          f'{self.data_path} is built from {source}: give another --data_dir'
      )
    return True

  def _write(self, work_dir):
    """Writes all files under temporary names."""
    clips, missing = self.list_clips()
    shards = shards_lib.plan(clips, os.fspath(work_dir))
    reports = self._write_shards(shards)
    faults = sorted([*missing, *(f for r in reports for f in r.faults)])
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
    """Writes the missing shards; returns the reports of all shards."""
    missing = [
        shard
        for shard in shards
        if shards_lib.read_report(shard, self._recipe) is None
    ]
    if missing and self._beam_options is None:
      local_runner.run(missing, self._recipe, self._num_workers)
    elif missing:
      # Imported late, because Apache Beam is an optional dependency.
      from data_prep import beam_runner

      beam_runner.run(missing, self._recipe, self._beam_options or ())
    reports = []
    for shard in shards:
      report = shards_lib.read_report(shard, self._recipe)
      if report is None:
        raise errors.UserError(
            f'{shard.path} was not written, or is not visible here: all workers'
            ' must share --data_dir'
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
    """Renames the files. It can be stopped and repeated at any point."""
    names = json.loads((work_dir / 'names.json').read_text())
    in_bucket = files.is_url(work_dir)
    # On a disk, renaming the folder is atomic. In a bucket it is not: there, a
    # dataset is finished when it has dataset_info.json, which is written last.
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
  """Removes a folder, and ignores errors, because leftovers do no harm."""
  with contextlib.suppress(OSError):
    folder.rmtree()


@contextlib.contextmanager
def _locked(folder):
  """Prevents a second build in the same folder, except in a bucket."""
  if files.is_url(folder):
    yield
    return
  with open(folder / 'lock', 'w') as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      raise errors.UserError(
          f'another build is running in {folder}: wait for it, or stop it'
      ) from None
    yield
