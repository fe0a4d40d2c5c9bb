"""Training clips: random frames and crops of videos, in shuffled batches.

The datasets are those that `data_prep` builds, whose frames are JPEG images. Of
a record only the frames that a clip is made of are copied and decoded.
"""

from collections.abc import Sequence
import dataclasses
import functools
import os
import sys
import threading
from typing import Any

import cv2
from etils import epath
import grain
from jaxtyping import UInt8
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder
from tensorflow_datasets.core import registered
from tensorflow_datasets.core.data_sources import base
from tensorflow_datasets.proto import tf_example_pb2

from vidcolor import errors
from vidcolor.data import workers

_LOWEST_PRIORITY = 19


class _KeepEncoded(tfds.decode.SkipDecoding):
  """`SkipDecoding` that works for sequences too, which TFDS's does not."""

  def decode_batch_example_np(self, serialized_example):
    return serialized_example


def open_source(
    name: str, data_dir: str | os.PathLike, split: str = 'train'
) -> base.BaseDataSource:
  """Opens a dataset with every feature left as it is stored.

  Args:
    name: Name of a TFDS dataset, such as 'kinetics' or 'kinetics:2.0.0'.
    data_dir: Folder that it was built in.
    split: Split, or slice of one such as 'train[:90%]'.

  Raises:
    UserError: the dataset or its split is not there.
  """
  builder = _require_builder(name, data_dir)
  # Decoding is for later, when it is known which frames are wanted.
  decoders = {key: _KeepEncoded() for key in builder.info.features}
  return _open_split(builder, split, decoders=decoders)


@dataclasses.dataclass(frozen=True, eq=False)
class Records(Sequence[bytes]):
  """Clips to train on: serialized tf.Examples, each read when asked for.

  Attributes:
    folder: Of the dataset.
    source: All its records.
    indices: Which of them these are.
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
  """Opens a dataset to train on.

  Args:
    name: As for `open_source`.
    data_dir: As for `open_source`.
    split: As for `open_source`.
    leave_out: Marks of clips in the dataset's index, such as 'grey'; those that
      have one of them are left out. No record is read for it.

  Raises:
    UserError: the dataset or its split is not there, or has no shots, no index
      or no such mark, or nothing is left.
  """
  builder = _require_builder(name, data_dir)
  if 'shots' not in builder.info.features:
    raise errors.UserError(
        f'{builder.data_path} has no shots, so it is not for training, or of an'
        ' older version: build it again by `python -m data_prep.build`'
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
  """Returns what TFDS knows of the dataset of a name in a folder, if any."""
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
  """Returns whether each record of a split has one of the marks."""
  path = builder.data_path / 'index.npz'
  if not path.exists():
    raise errors.UserError(
        f'no {path}, which config.dataset.leave_out goes by: build the dataset'
        ' again, or leave nothing out'
    )
  parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(
      builder.info.splits
  )
  with path.open('rb') as file, np.load(file) as index:
    known = {key.split('/')[1] for key in index if index[key].dtype == bool}
    if unknown := set(columns) - known:
      raise errors.UserError(
          f'config.dataset.leave_out: {path} has no {min(unknown)!r}, but'
          f' {", ".join(sorted(known))}'
      )
    marks = [
        [index[f'{p.splitname}/{column}'][p.from_ : p.to] for column in columns]
        for p in parts
    ]
  return np.concatenate([np.any(part, axis=0) for part in marks])


def training_batches(
    records: Sequence[bytes],
    *,
    batch_size: int,
    num_frames: int,
    max_frame_step: int,
    crop_size: int,
    min_scale: float,
    num_workers: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
) -> grain.DatasetIterator[dict[str, np.ndarray]]:
  """Returns endless shuffled batches of clips, the same for the same seed.

  A clip is `num_frames` frames of one shot of a video, each a random number of
  frames (the same within a clip) after the one before. Every frame of it shows
  the same random square, and all are mirrored or none.

  All processes' batches together are the same for any number of processes and
  workers, but the iterator's saved state goes on only with the same numbers.

  Args:
    records: What `open_records` returns.
    batch_size: Clips in each batch of this process.
    num_frames: Frames in a clip. Where every shot has fewer, the longest one's
      last is repeated.
    max_frame_step: Longest step between frames; shorter where the shot is too
      short for it.
    crop_size: Side, in pixels, that squares are resized to.
    min_scale: Smallest side of a square, as a fraction of a frame's short side;
      the largest is all of it.
    num_workers: Processes to decode in, or 0 for threads of this one.
    seed: Seed of order, frames, crops and mirroring.
    process_index: Index of this JAX process; each yields other clips.
    process_count: Number of JAX processes.

  Yields:
    'frames', uint8 [batch, time, height, width, 3], and 'name', their videos.
  """
  sample = functools.partial(
      _sample_in_background,
      num_frames=num_frames,
      max_frame_step=max_frame_step,
      crop_size=crop_size,
      min_scale=min_scale,
  )
  dataset = grain.MapDataset.source(records).seed(seed).shuffle().repeat()
  # Sharing out comes last: no two processes draw the same random numbers.
  dataset = dataset.random_map(sample)[process_index::process_count]
  # A thread or worker makes whole batches, which are thus the same for any
  # number of them, and hands each over at once.
  dataset = dataset.batch(batch_size)
  if not num_workers:
    threads = os.cpu_count() or 1
    options = grain.ReadOptions(threads, prefetch_buffer_size=threads)
    return iter(dataset.to_iter_dataset(options))
  dataset = dataset.to_iter_dataset(grain.ReadOptions(1, 1))
  return workers.Workers(dataset, num_workers)


def _sample_in_background(record, rng, **options):
  """`sample_clip` in a thread that gives way to the training step.

  On a CPU the step uses the same cores, and waits for the last of its own
  threads; what it leaves idle is enough for the data.
  """
  in_background = threading.current_thread() is not threading.main_thread()
  if in_background and sys.platform == 'linux':  # Elsewhere of processes only.
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, _LOWEST_PRIORITY)
  return sample_clip(record, rng, **options)


def sample_clip(
    record: bytes,
    rng: np.random.Generator,
    *,
    num_frames: int,
    max_frame_step: int,
    crop_size: int,
    min_scale: float,
) -> dict[str, Any]:
  """Returns a random clip of a record, as `training_batches` has it.

  Raises:
    UserError: a frame of it cannot be decoded.
  """
  name, encoded, shots = parse(record)
  indices = _sample_indices(
      shots, len(encoded), rng, num_frames, max_frame_step
  )
  scale = rng.uniform(min_scale, 1)
  y, x = rng.random(2)
  mirrored = rng.random() < 0.5
  clip = np.empty((num_frames, crop_size, crop_size, 3), np.uint8)
  for index, target in zip(indices, clip, strict=True):
    try:
      frame = decode_frame(encoded[index])
    except (OSError, cv2.error) as error:
      raise errors.UserError(
          f'frame {index} of clip {name!r} cannot be decoded ({error}): build'
          ' the dataset again'
      ) from error
    height, width = frame.shape[:2]
    side = round(min(height, width) * scale)
    top, left = int(y * (height - side + 1)), int(x * (width - side + 1))
    square = frame[top : top + side, left : left + side]
    if side != crop_size:
      # Up to a half, bilinear leaves no pixel out, and is far quicker.
      linear = side <= 2 * crop_size
      method = cv2.INTER_LINEAR if linear else cv2.INTER_AREA
      square = cv2.resize(square, (crop_size,) * 2, interpolation=method)
    target[:] = cv2.flip(square, 1) if mirrored else square
  return {'frames': clip, 'name': name}


def parse(record: bytes) -> tuple[str, Sequence[bytes], Sequence[int]]:
  """Returns a record's name, encoded frames and first frame of each shot.

  Frames are copied only when they are taken from the sequence: TFDS's own
  parser copies all, twice.
  """
  # pyrefly: ignore[missing-attribute]
  features = tf_example_pb2.Example.FromString(record).features.feature
  return (
      features['name'].bytes_list.value[0].decode(),
      features['frames'].bytes_list.value,
      features['shots'].int64_list.value,
  )


def _sample_indices(shots, length, rng, num_frames, max_frame_step):
  """Returns evenly spaced frames of a shot, its last repeated if too few."""
  lengths = np.diff([*shots, length])
  # A shot is drawn as often as it has frames that a clip can begin with.
  weights = np.maximum(lengths - num_frames + 1, 0)
  if not weights.any():
    weights = lengths == lengths.max()
  shot = rng.choice(len(lengths), p=weights / weights.sum())
  last = lengths[shot] - 1
  longest_step = max(1, last // max(1, num_frames - 1))
  step = rng.integers(1, min(max_frame_step, longest_step), endpoint=True)
  start = rng.integers(max(0, last - step * (num_frames - 1)), endpoint=True)
  return shots[shot] + np.minimum(start + step * np.arange(num_frames), last)


def decode_frame(data: bytes) -> UInt8[np.ndarray, 'height width 3']:
  """Decodes an encoded picture as RGB.

  Raises:
    OSError: it is none.
  """
  frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
  if frame is None:
    raise OSError('the dataset holds a frame that is no picture')
  return frame
