"""Opens TFDS datasets, such as those that `data_prep` builds.

`open_records` opens a dataset for training: its records stay serialized until
`record_format.parse` reads them. `open_source` opens any dataset, with encoded
features left encoded.
"""

from collections.abc import Sequence
import dataclasses
import os

from etils import epath
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder
from tensorflow_datasets.core import registered
from tensorflow_datasets.core.data_sources import base

from vidcolor import errors


class _KeepEncoded(tfds.decode.SkipDecoding):
  """Skips decoding, also in sequences, where TFDS's own class fails."""

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
class Records(Sequence[bytes]):
  """Records to train on, as serialized tf.Examples. Each is read on access.

  Attributes:
    folder: Folder of the dataset.
    source: All records of the split.
    indices: Indices of the selected records in `source`.
  """

  folder: epath.Path
  source: base.BaseDataSource
  indices: Sequence[int] | np.ndarray

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


def open_records(
    name: str,
    data_dir: str | os.PathLike,
    split: str = 'train',
    leave_out: Sequence[str] = (),
) -> Records:
  """Opens a dataset for training.

  Args:
    name: Name of a TFDS dataset, as in `open_source`.
    data_dir: Folder that the dataset was built in.
    split: Split, or a slice of one.
    leave_out: Marks in the dataset's index, such as 'grey'. Clips with one of
      these marks are left out, and their records are not read.

  Raises:
    UserError: The dataset or its split does not exist, or has no shots, no
      index or no such mark, or all clips are left out.
  """
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
  return Records(builder.data_path, source, indices)


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


def _marked(builder, split, columns):
  """Returns for each record of a split whether it has one of the marks."""
  path = builder.data_path / 'index.npz'
  if not path.exists():
    raise errors.UserError(
        f'no {path}, which config.dataset.leave_out reads: build the dataset'
        ' again, or leave nothing out'
    )
  parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(
      builder.info.splits
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
        for p in parts
    ]
  return np.concatenate([np.any(part, axis=0) for part in marks])
