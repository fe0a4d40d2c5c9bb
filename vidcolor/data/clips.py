"""Training clips: random frames and crops of videos, in shuffled batches.

The datasets are those that `data_prep` builds, whose frames are JPEG images;
only the frames that a clip is made of are decoded.
"""

from collections.abc import Mapping, Sequence
import functools
import os
from typing import Any

import cv2
import grain
from jaxtyping import UInt8
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder
from tensorflow_datasets.core import registered
from tensorflow_datasets.core.data_sources import base

from vidcolor import errors


class _KeepEncoded(tfds.decode.SkipDecoding):
  """`SkipDecoding` that works for sequences too, which TFDS's does not."""

  def decode_batch_example_np(self, serialized_example):
    return serialized_example


def open_source(
    name: str, data_dir: str | os.PathLike, split: str = 'train'
) -> base.BaseDataSource:
  """Opens a dataset with every feature left as it is stored.

  Args:
    name: Name of a TFDS dataset, such as 'kinetics' or 'kinetics:1.0.0'.
    data_dir: Folder that it was built in.
    split: Split, or slice of one such as 'train[:90%]'.

  Raises:
    UserError: the dataset or its split is not there.
  """
  data_dir = os.path.expanduser(data_dir)
  try:
    builder = read_only_builder.builder_from_files(name, data_dir=data_dir)
  except registered.DatasetNotFoundError:
    raise errors.UserError(
        f'no dataset {name} in {data_dir}: build it with `python -m'
        f' data_prep.build --dataset={name} --data_dir={data_dir}`'
    ) from None
  # Decoding is for later, when it is known which frames are wanted.
  decoders = {key: _KeepEncoded() for key in builder.info.features}
  try:
    # pyrefly: ignore[bad-argument-type, bad-return]
    return builder.as_data_source(split, decoders=decoders)
  except ValueError as error:
    raise errors.UserError(
        f'no split {split!r} in {builder.data_dir}: {error}'
    ) from error


def training_batches(
    source: base.BaseDataSource | Sequence[Mapping[str, Any]],
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

  A clip is `num_frames` frames of a video, each a random number of frames (the
  same within a clip) after the one before. Every frame of it shows the same
  random square, and all are mirrored or none.

  All processes' batches together are the same for any number of processes and
  workers, but the iterator's saved state goes on only with the same numbers.

  Args:
    source: What `open_source` returns.
    batch_size: Clips in each batch of this process.
    num_frames: Frames in a clip. A video with fewer repeats its last.
    max_frame_step: Longest step between frames; shorter where the video is too
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
      _sample_clip,
      num_frames=num_frames,
      max_frame_step=max_frame_step,
      crop_size=crop_size,
      min_scale=min_scale,
  )
  dataset = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
  # Sharing out comes last: no two processes draw the same random numbers.
  dataset = dataset.random_map(sample)[process_index::process_count]
  if num_workers:
    dataset = dataset.to_iter_dataset(grain.ReadOptions(1, 2)).mp_prefetch(
        grain.MultiprocessingOptions(
            num_workers,
            per_worker_buffer_size=-(-2 * batch_size // num_workers),
        )
    )
  else:
    dataset = dataset.to_iter_dataset(
        grain.ReadOptions(os.cpu_count() or 1, 2 * batch_size)
    )
  # Workers hand over clips, so that batches are the same for any number.
  return iter(dataset.batch(batch_size, drop_remainder=True))


def _sample_clip(
    example, rng, *, num_frames, max_frame_step, crop_size, min_scale
):
  encoded = example['frames']
  indices = _sample_indices(len(encoded), rng, num_frames, max_frame_step)
  frames = [decode_frame(encoded[index]) for index in indices]
  height, width = frames[0].shape[:2]
  side = round(min(height, width) * rng.uniform(min_scale, 1))
  top = rng.integers(height - side, endpoint=True)
  left = rng.integers(width - side, endpoint=True)
  mirrored = rng.random() < 0.5

  def transform(frame):
    square = frame[top : top + side, left : left + side]
    size = (crop_size, crop_size)
    square = cv2.resize(square, size, interpolation=cv2.INTER_AREA)
    return cv2.flip(square, 1) if mirrored else square

  return {
      'frames': np.stack([transform(frame) for frame in frames]),
      'name': example['name'].decode(),
  }


def _sample_indices(length, rng, num_frames, max_frame_step):
  """Returns evenly spaced frames, the last repeated if there are too few."""
  longest_step = max(1, (length - 1) // max(1, num_frames - 1))
  step = rng.integers(1, min(max_frame_step, longest_step), endpoint=True)
  span = step * (num_frames - 1)
  start = rng.integers(max(0, length - 1 - span), endpoint=True)
  return np.minimum(start + step * np.arange(num_frames), length - 1)


def decode_frame(data: bytes) -> UInt8[np.ndarray, 'height width 3']:
  """Decodes an encoded picture as RGB.

  Raises:
    OSError: it is none.
  """
  frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
  if frame is None:
    raise OSError('the dataset holds a frame that is no picture')
  return frame
