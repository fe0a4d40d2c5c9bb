"""Writes clips to shards, the files of records that TFDS reads.

Which clips go into which shard is settled before any is read. So the shards are
the same for any number of processes on any machines. Finished work is on disk:
first each clip, in a folder beside its shard, then the shard. After any
interruption, writing the shard again continues from there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

from array_record.python import array_record_module
from etils import epath
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from data_prep import isolated_process
from vidcolor import errors
from vidcolor import files

# Describes a clip before it is read: its 'name', which is unique in its split,
# and all other values that reading it needs, as JSON values.
ClipSpec = Mapping[str, Any]

# Number of shards in a split: enough for many processes, but not too many files
# for file systems.
_MIN_SHARDS, _MAX_SHARDS = 16, 4096
_USUAL_CLIPS = 32  # Clips in a shard, within these limits.


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How clips become records.

  Attributes:
    read_clip: Function that yields the examples of a clip; see `ClipBuilder`.
    features: TFDS features of an example.
    index: Names of the features that go to the index.
    max_shard_bytes: Largest size of a file, unless one record is larger.
    max_seconds: Longest time that a clip may take.
  """

  read_clip: Callable[[ClipSpec], Iterator[Mapping[str, Any]]]
  features: tfds.features.FeaturesDict
  index: Sequence[str]
  max_shard_bytes: int
  max_seconds: float


@dataclasses.dataclass(frozen=True)
class Shard:
  """Clips that are written together.

  Attributes:
    path: Path of the files, which append a number.
    split: Split of the dataset.
    clips: Clips in the order of their records.
  """

  path: str
  split: str
  clips: Sequence[ClipSpec]


@dataclasses.dataclass(frozen=True)
class Part:
  """A file of records."""

  path: str
  num_records: int
  num_bytes: int


@dataclasses.dataclass(frozen=True, order=True)
class Fault:
  """A clip that is left out or cut short.

  Attributes:
    split: Split of the dataset.
    name: Name of the clip.
    reason: Why it is left out or cut short.
    num_records: Number of its records that are kept.
  """

  split: str
  name: str
  reason: str
  num_records: int = 0


@dataclasses.dataclass(frozen=True)
class Report:
  """The result of writing a shard.

  Attributes:
    split: Split of the dataset.
    parts: Files of the shard; empty if there are no records.
    columns: Arrays with a value for each record: `num_bytes`, `num_frames` and
      the features of the index.
    faults: Clips that were left out or cut short.
  """

  split: str
  parts: Sequence[Part]
  columns: Mapping[str, np.ndarray]
  faults: Sequence[Fault]


def plan(
    clips: Mapping[str, Sequence[ClipSpec]],
    folder: str | os.PathLike,
) -> list[Shard]:
  """Distributes the clips of each split over shards, in pseudorandom order.

  A hash of the clips' names gives the order.

  Args:
    clips: Clips of each split.
    folder: Folder of the shards.
  """
  shards = []
  for split, specs in clips.items():
    specs = sorted(specs, key=lambda clip: _digest(clip['name']))
    size = min(_USUAL_CLIPS, max(1, len(specs) // _MIN_SHARDS))
    while size * _MAX_SHARDS < len(specs):
      size *= 2
    for start in range(0, len(specs), size):
      path = os.path.join(folder, f'{split}-{start // size:05d}')
      shards.append(Shard(path, split, specs[start : start + size]))
  return shards


def write_plan(shard: Shard) -> str:
  """Writes the description of a shard; returns its path for `read_plan`."""
  path = f'{shard.path}.plan.json'
  with files.atomic_write(path) as temporary:
    temporary.write_text(json.dumps(dataclasses.asdict(shard)))
  return path


def read_plan(path: str) -> Shard:
  """Reads a description that `write_plan` wrote."""
  return Shard(**json.loads(epath.Path(path).read_text()))


def write(
    shard: Shard,
    recipe: Recipe,
    process: isolated_process.IsolatedProcess,
    count: Callable[[], object] = lambda: None,
) -> None:
  """Writes a shard, or the missing part of it, and then its report.

  In a bucket, an unfinished shard starts from the beginning, because its clips
  are on the disk of the worker that read them.

  Args:
    shard: Shard to write.
    recipe: How clips become records.
    process: Process that reads and writes.
    count: Function that is called after each clip.

  Raises:
    UserError: A file cannot be written.
  """
  if read_report(shard, recipe) is not None:
    return
  try:
    with _clips_folder(shard.path) as folder:
      paths = [folder / _digest(json.dumps(clip)) for clip in shard.clips]
      for clip, path in zip(shard.clips, paths, strict=True):
        if _read_clip_report(path) is None:
          _write_clip_isolated(clip, path, recipe, process)
        count()
      process.run(_join, shard, paths, recipe.max_shard_bytes)
  except (OSError, RuntimeError, isolated_process.CrashedError) as error:
    raise errors.UserError(
        f'cannot write {shard.path}: {error}; fix that, then run the same'
        ' command again to continue'
    ) from error


def read_report(shard: Shard, recipe: Recipe) -> Report | None:
  """Returns the report of a shard, or None if the shard is not finished."""
  saved = _read_json(_report_path(shard.path))
  # The clips or the size of files may have changed.
  if not saved or saved['plan'] != _plan_digest(shard, recipe.max_shard_bytes):
    return None
  parts = [Part(**part) for part in saved['parts']]
  if not all(_has_bytes(part.path, part.num_bytes) for part in parts):
    return None
  return Report(
      shard.split,
      parts,
      {key: np.array(values) for key, values in saved['columns'].items()},
      [Fault(**fault) for fault in saved['faults']],
  )


def _digest(text):
  return hashlib.sha256(text.encode()).hexdigest()


def _plan_digest(shard, max_shard_bytes):
  return _digest(json.dumps([shard.clips, max_shard_bytes]))


def _report_path(path):
  return epath.Path(f'{path}.json')


def _num_bytes(path):
  return epath.Path(path).stat().length


def _has_bytes(path, num_bytes):
  """Returns whether a file has its full size; a power failure truncates it."""
  try:
    return _num_bytes(path) == num_bytes
  except FileNotFoundError:
    return False


def _read_json(path):
  """Reads JSON; returns None if the file is missing or truncated."""
  try:
    return json.loads(epath.Path(path).read_text())
  except (FileNotFoundError, ValueError):
    return None


def _read_clip_report(path):
  """Returns the report of a clip, or None if the clip is not finished."""
  report = _read_json(_report_path(path))
  if not report or not report['columns']['num_bytes']:
    return report
  return report if _has_bytes(path, report['file_bytes']) else None


def _write_report(path, content):
  with files.atomic_write(_report_path(path)) as temporary:
    temporary.write_text(json.dumps(content))
    _sync(temporary)


def _sync(path):
  """Flushes a file to disk, in case the power fails after it is renamed."""
  with open(path, 'rb') as file:
    os.fsync(file.fileno())


def _write_clip_isolated(clip, path, recipe, process):
  """Writes a clip; if the process fails, writes a report with the reason."""
  reason = None
  for _ in range(2):  # Another program may have caused the first crash.
    try:
      process.run(_write_clip, clip, path, recipe, timeout=recipe.max_seconds)
      return
    except isolated_process.CrashedError as error:
      reason = str(error)
    except isolated_process.TimedOutError as error:
      reason = str(error)
      break
  report = {'reason': reason, 'columns': {'num_bytes': []}, 'file_bytes': None}
  _write_report(path, report)


def _write_clip(clip, path, recipe):
  """Writes a file with the records of a clip, and then the clip's report."""
  serializer = example_serializer.ExampleSerializer(
      recipe.features.get_serialized_info()
  )
  columns = {key: [] for key in ('num_bytes', 'num_frames', *recipe.index)}
  examples = iter(recipe.read_clip(clip))
  with _open(path) as writer:
    while True:
      example, reason = _next(examples)
      if example is None:
        break
      proto = serializer.get_tf_example(recipe.features.encode_example(example))
      # By default the order of the features varies between processes.
      record = proto.SerializeToString(deterministic=True)
      writer.write(record)
      columns['num_bytes'].append(len(record))
      columns['num_frames'].append(len(example['frames']))
      for key in recipe.index:
        columns[key].append(np.asarray(example[key]).tolist())
  if not columns['num_bytes'] and reason is None:
    reason = 'it has no examples'
  report = {
      'reason': reason,
      'columns': columns,
      'file_bytes': _num_bytes(path),
  }
  _write_report(path, report)


def _next(examples):
  """Returns the next example, or None and the reason."""
  try:
    return next(examples, None), None
  except errors.UserError as error:
    return None, str(error)
  except FileNotFoundError:
    raise  # The file was listed before: a disk or a network failed.
  # Libraries raise all kinds of errors for broken input.
  except Exception as error:  # pylint: disable=broad-exception-caught
    return None, f'{type(error).__name__}: {error}'


@contextlib.contextmanager
def _open(path):
  """Yields a writer of a file, which gets its name when it is complete."""
  with files.atomic_write(path) as temporary:
    # Records hold compressed images; compressing them again only costs time.
    writer = array_record_module.ArrayRecordWriter(
        str(temporary), 'group_size:1,uncompressed'
    )
    yield writer
    writer.close()
    _sync(temporary)


def _join(shard, paths, max_shard_bytes):
  """Joins the files of clips to the files of a shard; writes its report."""
  columns, faults, of_records = {'num_bytes': []}, [], []
  for clip, path in zip(shard.clips, paths, strict=True):
    report = _read_clip_report(path)
    if report is None:
      raise OSError(f'{path} has disappeared')
    num_records = len(report['columns']['num_bytes'])
    if num_records:
      of_records.append(path)
      for key, values in report['columns'].items():
        columns.setdefault(key, []).extend(values)
    if report['reason'] is not None:
      fault = Fault(shard.split, clip['name'], report['reason'], num_records)
      faults.append(dataclasses.asdict(fault))
  parts = _write_parts(
      shard.path,
      _read_records(of_records),
      _split_sizes(columns['num_bytes'], max_shard_bytes),
  )
  content = {
      'plan': _plan_digest(shard, max_shard_bytes),
      'parts': [dataclasses.asdict(part) for part in parts],
      'columns': columns,
      'faults': faults,
  }
  _write_report(shard.path, content)


def _write_parts(path, records, counts):
  """Writes `counts` records to each file."""
  parts = []
  for number, num_records in enumerate(counts):
    part = f'{path}-{number:03d}'
    with _open(part) as writer:
      for _ in range(num_records):
        writer.write(next(records))
    parts.append(Part(part, num_records, _num_bytes(part)))
  return parts


def _read_records(paths):
  for path in paths:
    reader = array_record_module.ArrayRecordReader(str(path))
    for index in range(reader.num_records()):
      yield reader.read([index])[0]
    reader.close()


def _split_sizes(sizes, max_size):
  """Splits items, in order, into groups of a maximal size; returns counts."""
  counts, total = [], 0
  for size in sizes:
    if not counts or total + size > max_size:
      counts.append(0)
      total = 0
    counts[-1] += 1
    total += size
  return counts


@contextlib.contextmanager
def _clips_folder(path):
  """Yields the folder of a shard's finished clips."""
  if files.is_url(path):
    with tempfile.TemporaryDirectory() as folder:
      yield pathlib.Path(folder)
    return
  folder = pathlib.Path(f'{path}.clips')
  folder.mkdir(parents=True, exist_ok=True)
  yield folder
  shutil.rmtree(folder)
