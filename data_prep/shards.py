"""Writes clips to shards, the files of records that TFDS reads.

Which clips go into which shard is settled before any is read, so that shards
are the same however many processes write them and wherever they run. What is
finished is on disk: first each clip, in a folder beside its shard, then the
shard. Whoever writes it again, after whatever happened, goes on from there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
from typing import Any

from array_record.python import array_record_module
from etils import epath
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from data_prep import isolation
from vidcolor import errors
from vidcolor import files

# What is known of a clip before it is read: its 'name', unique in its split,
# and whatever else reading it takes, as JSON values.
ClipSpec = Mapping[str, Any]

_MIN_CLIPS = 32  # In a shard, so that few clips keep many processes busy.
_MAX_SHARDS = 4096  # In a split, before it is known how large they become.


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How clips become records.

  Attributes:
    read_clip: Yields the examples that a clip gives; see `ClipBuilder`.
    features: How TFDS stores an example.
    index: Those features that are wanted without reading records.
    max_shard_bytes: Size of a file, unless a single record is larger.
    max_seconds: That a clip may take.
  """

  read_clip: Callable[[ClipSpec], Iterator[Mapping[str, Any]]]
  features: tfds.features.FeaturesDict
  index: Sequence[str]
  max_shard_bytes: int
  max_seconds: float


@dataclasses.dataclass(frozen=True)
class Shard:
  """Clips to be written together.

  Attributes:
    path: Where to; files of records have the path and a number.
    split: Of the dataset.
    clips: In the order of their records.
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
  """A clip that is left out, or cut short.

  Attributes:
    split: Of the dataset.
    name: Of the clip.
    reason: Why.
    num_records: That are kept of it.
  """

  split: str
  name: str
  reason: str
  num_records: int = 0


@dataclasses.dataclass(frozen=True)
class Report:
  """What became of a shard's clips.

  Attributes:
    split: Of the dataset.
    parts: Its files; none if there are no records.
    columns: For each record its `num_bytes` and `num_frames`, and the features
      of the index.
    faults: Of the clips that were left out, or cut short.
  """

  split: str
  parts: Sequence[Part]
  columns: Mapping[str, Sequence[Any]]
  faults: Sequence[Fault]


def plan(
    clips: Mapping[str, Sequence[ClipSpec]],
    folder: str | os.PathLike,
    shuffled: bool,
) -> list[Shard]:
  """Deals the clips of each split out to shards.

  Args:
    clips: Of each split.
    folder: Where the shards are to be.
    shuffled: Whether their order is drawn by the clips' names.
  """
  shards = []
  for split, specs in clips.items():
    if shuffled:
      specs = sorted(specs, key=lambda clip: _digest(clip['name']))
    size = _MIN_CLIPS
    while size * _MAX_SHARDS < len(specs):
      size *= 2
    for start in range(0, len(specs), size):
      path = os.path.join(folder, f'{split}-{start // size:05d}')
      shards.append(Shard(path, split, specs[start : start + size]))
  return shards


def write(
    shard: Shard,
    recipe: Recipe,
    process: isolation.Process,
    count: Callable[[], object] = lambda: None,
) -> None:
  """Writes a shard, or what is missing of it, and then its report.

  Args:
    shard: What to write where.
    recipe: How.
    process: Reads and writes; this function only says what.
    count: Is called for every clip that is done.

  Raises:
    UserError: a file cannot be written.
  """
  folder = epath.Path(f'{shard.path}.clips')
  paths = [folder / _digest(json.dumps(clip)) for clip in shard.clips]
  try:
    folder.mkdir(parents=True, exist_ok=True)
    for clip, path in zip(shard.clips, paths, strict=True):
      if not _report_path(path).exists():
        _write_clip_apart(clip, path, recipe, process)
      count()
    process.run(_join, shard, paths, recipe.max_shard_bytes)
  except (OSError, RuntimeError) as error:
    raise errors.UserError(
        f'cannot write {shard.path}: {error}; mend it and run the same again to'
        ' go on'
    ) from error
  folder.rmtree()


def read_report(shard: Shard, recipe: Recipe) -> Report | None:
  """Returns the report of a shard, or None if it is yet to be written."""
  with contextlib.suppress(FileNotFoundError):
    saved = json.loads(_report_path(shard.path).read_text())
    # Clips may have been added since, or another size of shards asked for.
    if saved['plan'] == _plan_digest(shard, recipe.max_shard_bytes):
      report = Report(
          shard.split,
          [Part(**part) for part in saved['parts']],
          saved['columns'],
          [Fault(**fault) for fault in saved['faults']],
      )
      # After a power failure files may be shorter than they were.
      if all(_num_bytes(p.path) == p.num_bytes for p in report.parts):
        return report
  return None


def _digest(text):
  return hashlib.sha256(text.encode()).hexdigest()


def _plan_digest(shard, max_shard_bytes):
  return _digest(json.dumps([shard.clips, max_shard_bytes]))


def _report_path(path):
  return epath.Path(f'{path}.json')


def _num_bytes(path):
  return epath.Path(path).stat().length


def _write_report(path, content):
  with files.written_whole(_report_path(path)) as temporary:
    temporary.write_text(json.dumps(content))


def _write_clip_apart(clip, path, recipe, process):
  """Writes a clip, however the process that reads it may fail."""
  reason = None
  for _ in range(2):  # What crashes may have been the victim of another.
    try:
      process.run(_write_clip, clip, path, recipe, timeout=recipe.max_seconds)
      return
    except isolation.FailedError as error:
      reason = str(error)
      if reason.startswith('took'):
        break
  _write_report(path, {'reason': reason, 'columns': {}})


def _write_clip(clip, path, recipe):
  """Writes a file of a clip's records, and beside it what it holds."""
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
  _write_report(path, {'reason': reason, 'columns': columns})


def _next(examples):
  """Returns the next example or None, and why there is none."""
  try:
    return next(examples, None), None
  except errors.UserError as error:
    return None, str(error)
  # Libraries raise whatever they like when they are fed with rubbish.
  except Exception as error:  # pylint: disable=broad-exception-caught
    return None, f'{type(error).__name__}: {error}'


@contextlib.contextmanager
def _open(path):
  """Yields a writer of a file that is there only once complete."""
  with files.written_whole(path) as temporary:
    # Compressing what holds compressed images would only slow reading down.
    writer = array_record_module.ArrayRecordWriter(
        str(temporary), 'group_size:1,uncompressed'
    )
    yield writer
    writer.close()


def _join(shard, paths, max_shard_bytes):
  """Writes the files of a shard from those of its clips, and its report."""
  columns, faults = {}, []
  for clip, path in zip(shard.clips, paths, strict=True):
    report = json.loads(_report_path(path).read_text())
    for key, values in report['columns'].items():
      columns.setdefault(key, []).extend(values)
    if report['reason'] is not None:
      num_records = len(report['columns'].get('num_bytes', []))
      fault = Fault(shard.split, clip['name'], report['reason'], num_records)
      faults.append(dataclasses.asdict(fault))
  parts = _write_parts(
      shard.path,
      _read_records(path for path in paths if path.exists()),
      _split_sizes(columns.get('num_bytes', []), max_shard_bytes),
  )
  content = {
      'plan': _plan_digest(shard, max_shard_bytes),
      'parts': [dataclasses.asdict(part) for part in parts],
      'columns': columns,
      'faults': faults,
  }
  _write_report(shard.path, content)


def _write_parts(path, records, counts):
  """Deals records out to files."""
  parts = []
  for number, num_records in enumerate(counts):
    part = f'{path}-{number:03d}'
    with _open(part) as writer:
      for record in itertools.islice(records, num_records):
        writer.write(record)
    parts.append(Part(part, num_records, _num_bytes(part)))
  return parts


def _read_records(paths):
  for path in paths:
    with files.local_copy(path) as copy:
      reader = array_record_module.ArrayRecordReader(str(copy))
      for index in range(reader.num_records()):
        yield reader.read([index])[0]
      reader.close()


def _split_sizes(sizes, max_size):
  """Returns how many items, in order, go together without exceeding a size."""
  counts, total = [], 0
  for size in sizes:
    if not counts or total + size > max_size:
      counts.append(0)
      total = 0
    counts[-1] += 1
    total += size
  return counts
