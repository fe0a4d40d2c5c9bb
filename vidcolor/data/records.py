"""Training records: their format, and the TFDS datasets that hold them.

A record is a serialized tf.Example of one video clip. `data_prep` writes
records with `features`. `open_records` opens datasets for training: their
records stay serialized until `parse` reads them. `open_source` opens any
dataset, with encoded features left encoded.
"""

import bisect
from collections.abc import Mapping, Sequence
import dataclasses
import itertools
import os
from typing import Any

from etils import epath
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder
from tensorflow_datasets.core import registered
from tensorflow_datasets.core.data_sources import base
from tensorflow_datasets.proto import tf_example_pb2

from vidcolor import errors

# Features that a dataset's index.npz repeats, so that no record must be read
# for them.
INDEX = (
    'frames_per_second',
    'source_frames_per_second',
    'grey',
    'still',
    'signature',
)


def features() -> dict[str, Any]:
  """Returns the TFDS features of a training record by name."""
  scalar, tensor = tfds.features.Scalar, tfds.features.Tensor
  return {
      'name': tfds.features.Text(doc='Path of the video in its folder.'),
      'label': tfds.features.Text(doc='Action shown; empty if unknown.'),
      'start': scalar(
          np.float32, doc='Seconds from the first frame of the video.'
      ),
      'frames_per_second': np.float32,
      'source_frames_per_second': scalar(
          np.float32, doc='Of the video, on average.'
      ),
      'frames': tfds.features.Sequence(
          tfds.features.Image(shape=(None, None, 3), encoding_format='jpeg')
      ),
      'shots': tensor(
          shape=(None,),
          dtype=np.int32,
          doc='First frame of each shot; between shots there is a cut.',
      ),
      'grey': scalar(np.bool_, doc='No colours to learn from.'),
      'still': scalar(np.bool_, doc='Nothing moves.'),
      'signature': tensor(
          shape=(4,),
          dtype=np.int64,
          doc='Bits, nearly the same for copies of a clip.',
      ),
  }


def parse(record: bytes) -> tuple[str, Sequence[bytes], Sequence[int]]:
  """Parses the features of a record that training uses.

  A frame is copied only when it is taken from the sequence. TFDS's own parser
  copies all frames, twice.

  Returns:
    The clip's name, its encoded frames and the first frame of each shot.
  """
  # pyrefly: ignore[missing-attribute]
  values = tf_example_pb2.Example.FromString(record).features.feature
  return (
      values['name'].bytes_list.value[0].decode(),
      values['frames'].bytes_list.value,
      values['shots'].int64_list.value,
  )


class _KeepEncoded(tfds.decode.SkipDecoding):
  """Leaves pictures encoded, also in a `Sequence`, unlike TFDS's own class."""

  def decode_batch_example_np(self, serialized_example):
    return serialized_example


def open_source(
    name: str, data_dir: str | os.PathLike, split: str = 'train'
) -> base.BaseDataSource:
  """Opens a dataset and leaves every feature as it is stored.

  Args:
    name: Name of a TFDS dataset, such as 'kinetics' or 'kinetics:2.0.0'.
    data_dir: Folder that the dataset was built in.
    split: Split, or a slice of one such as 'train[:90%]'.

  Raises:
    UserError: The dataset or its split does not exist.
  """
  builder = _require_builder(name, data_dir)
  # The caller decodes only the frames that it uses.
  decoders = {key: _KeepEncoded() for key in builder.info.features}
  return _open_split(builder, split, decoders=decoders)


@dataclasses.dataclass(frozen=True, eq=False)
class _Part(Sequence[bytes]):
  """Selected records of one dataset. The attributes are as in `Records`."""

  folder: epath.Path
  source: base.BaseDataSource
  indices: Sequence[int] | np.ndarray
  identity: Mapping[str, str | int]

  def __len__(self):
    return len(self.indices)

  def __getitem__(self, index):
    record = self.indices[index]
    try:
      return self.source[record]
    except RuntimeError as error:
      raise errors.UserError(
          f'record {record} of {self.folder} cannot be read ({error}): restore'
          ' its file, or build the dataset again'
      ) from error


class Records(Sequence[bytes]):
  """Records to train on, as serialized tf.Examples. Each is read on access.

  Those of several datasets follow one another.

  Attributes:
    folder: Folder of the first dataset, whose palette a new run takes.
    identity: What these records are, wherever the datasets are: name and
      version, the split, the marks that are left out, and the numbers of
      selected records and of bytes in the split. Where there are several
      datasets, ' + ' joins their values.
    summary: Numbers of records of each dataset, if there are several.
  """

  def __init__(self, parts: Sequence[_Part]):
    self._parts = parts
    self._ends = list(itertools.accumulate(map(len, parts)))
    self.folder = parts[0].folder
    self.identity = parts[0].identity
    self.summary = ''
    if len(parts) > 1:
      self.identity = dict(self.identity) | {
          key: ' + '.join(str(part.identity[key]) for part in parts)
          for key in ('name', 'split', 'records', 'bytes')
      }
      self.summary = ', '.join(
          f'{part.folder} ({len(part)} records, {len(part) / len(self):.0%})'
          for part in parts
      )

  def __len__(self):
    return self._ends[-1]

  def __getitem__(self, index):
    index = range(len(self))[index]
    part = bisect.bisect(self._ends, index)
    return self._parts[part][index - self._ends[part] + len(self._parts[part])]


def open_records(
    name: str | Sequence[str],
    data_dir: str | os.PathLike | Sequence[str | os.PathLike],
    split: str | Sequence[str] = 'train',
    leave_out: Sequence[str] = (),
) -> Records:
  """Opens one or several datasets for training.

  Each of `name`, `data_dir` and `split` is one value for all datasets, or one
  for each: a sequence, or a text with commas. A dataset may be given twice,
  which doubles its share.

  Args:
    name: Name of a TFDS dataset, as in `open_source`.
    data_dir: Folder that the dataset was built in.
    split: Split, or a slice of one.
    leave_out: Marks in the dataset's index, such as 'grey'. Clips with one of
      these marks are left out, and their records are not read.

  Raises:
    UserError: A dataset or its split does not exist, or has no shots, no
      index or no such mark, or all its clips are left out. Or the numbers of
      names, folders and splits differ.
  """
  given = {'name': name, 'data_dir': data_dir, 'split': split}
  values = {field: _as_list(value) for field, value in given.items()}
  count = max(map(len, values.values()))
  for field, of_field in values.items():
    if len(of_field) not in (1, count):
      raise errors.UserError(
          f'config.dataset.{field} has {len(of_field)} values, but another'
          f' field of config.dataset has {count}: give one value for all'
          ' datasets, or one for each'
      )
  columns = [v * count if len(v) == 1 else v for v in values.values()]
  rows = zip(*columns, strict=True)
  return Records([_open_part(leave_out, *row) for row in rows])


def _as_list(value):
  if isinstance(value, str):
    return [item.strip() for item in value.split(',')]
  return [value] if isinstance(value, os.PathLike) else list(value)


def _open_part(leave_out, name, data_dir, split):
  builder = _require_builder(name, data_dir)
  if 'shots' not in builder.info.features:
    raise errors.UserError(
        f'{builder.data_path} has no shots: it is not a training dataset, or an'
        ' old version. Build it again with `python -m data_prep.build`'
    )
  source = _open_split(
      builder,
      split,
      deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
  )
  indices = range(len(source))
  if leave_out:
    indices = np.flatnonzero(~_marked(builder, split, leave_out))
    if not len(indices):
      raise errors.UserError(
          f'config.dataset.leave_out={tuple(leave_out)} leaves out all'
          f' {len(source)} clips of {name} {split}'
      )
  parts = _parts(builder, split)
  identity = {
      'name': builder.info.full_name,
      'split': '+'.join(f'{p.splitname}[{p.from_}:{p.to}]' for p in parts),
      'leave_out': ','.join(sorted(set(leave_out))),
      'records': len(indices),
      'bytes': sum(builder.info.splits[p.splitname].num_bytes for p in parts),
  }
  return _Part(builder.data_path, source, indices, identity)


def find_builder(
    name: str, data_dir: str | os.PathLike
) -> tfds.core.DatasetBuilder | None:
  """Returns the TFDS builder of a dataset in a folder, or None if missing."""
  data_dir = os.path.expanduser(data_dir)
  try:
    return read_only_builder.builder_from_files(name, data_dir=data_dir)
  except registered.DatasetNotFoundError:
    return None


def _require_builder(name, data_dir):
  builder = find_builder(name, data_dir)
  if builder is None:
    data_dir = os.path.expanduser(data_dir)
    raise errors.UserError(
        f'no dataset {name} in {data_dir}: build it with `python -m'
        f' data_prep.build --dataset={name} --data_dir={data_dir}`'
    )
  return builder


def _open_split(builder, split, **options):
  try:
    return builder.as_data_source(split, **options)
  except ValueError as error:
    raise errors.UserError(
        f'no split {split!r} in {builder.data_dir}: {error}'
    ) from error


def _parts(builder, split):
  """Returns the records of a split such as 'train[:90%]+test'.

  Each item names a complete split and a range of its records.
  """
  instruction = tfds.core.ReadInstruction.from_spec(split)
  return instruction.to_absolute(builder.info.splits)


def _marked(builder, split, columns):
  """Returns for each record of a split whether it has one of the marks."""
  path = builder.data_path / 'index.npz'
  if not path.exists():
    raise errors.UserError(
        f'no {path}, which config.dataset.leave_out reads: build the dataset'
        ' again, or leave nothing out'
    )
  with path.open('rb') as file, np.load(file) as index:
    known = {key.split('/')[1] for key in index if index[key].dtype == bool}
    if unknown := set(columns) - known:
      raise errors.UserError(
          f'config.dataset.leave_out: {path} has no {min(unknown)!r}: give some'
          f' of {", ".join(sorted(known))}'
      )
    marks = [
        [index[f'{p.splitname}/{column}'][p.from_ : p.to] for column in columns]
        for p in _parts(builder, split)
    ]
  return np.concatenate([np.any(part, axis=0) for part in marks])
