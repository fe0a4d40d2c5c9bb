"""Samples training clips: random frames and crops of videos, in batches.

Only the frames that a clip consists of are copied from a record and decoded.
"""

from collections.abc import Sequence
import functools
import os
import sys
import threading
from typing import Any

import cv2
import grain
import numpy as np

from vidcolor import errors
from vidcolor.data import images
from vidcolor.data import records as records_lib
from vidcolor.data import workers

_LOWEST_PRIORITY = 19


def training_batches(
    records: Sequence[bytes],
    *,
    batch_size: int,
    num_frames: int,
    max_frame_step: int,
    crop_size: int,
    min_scale: float,
    max_shift: float = 0.0,
    num_workers: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
) -> grain.DatasetIterator[dict[str, np.ndarray]]:
  """Returns endless shuffled batches of clips, the same for the same seed.

  A clip consists of `num_frames` frames of one shot, with equal random steps
  between them. All of its frames are mirrored together or not at all, and
  cropped to the same random square. With `max_shift`, the square of each frame
  is moved, so that a network cannot find colors by their position alone.

  The batches of all processes together are the same for any number of processes
  and workers. But an iterator's state can be restored only with the same number
  of each.

  Args:
    records: Records from `records.open_records`.
    batch_size: Clips in each batch of this process.
    num_frames: Frames in a clip. If every shot is shorter, the last frame of
      the longest shot is repeated.
    max_frame_step: Largest step between frames. It is smaller in shots that are
      too short for it.
    crop_size: Side of a clip's frames in pixels, to which crops are resized.
    min_scale: Smallest side of a crop, as a fraction of the frame's short side.
      The largest side is the short side.
    max_shift: Largest distance that two frames' crops are moved apart, in rows
      and in columns, as a fraction of the crop's side. Crops stay within the
      frame, so `min_scale` must be below 1 for any move of rows.
    num_workers: Number of processes that decode. With 0, threads decode.
    seed: Seed of the order, frames, crops and mirroring.
    process_index: Index of this JAX process. Each process yields other clips.
    process_count: Number of JAX processes.

  Yields:
    'frames', uint8 [batch, time, height, width, 3], and 'name', the names of
    the videos.
  """
  sample = functools.partial(
      _sample_in_background,
      num_frames=num_frames,
      max_frame_step=max_frame_step,
      crop_size=crop_size,
      min_scale=min_scale,
      max_shift=max_shift,
  )
  dataset = grain.MapDataset.source(records).seed(seed).shuffle().repeat()
  # The slice comes after random_map, so that each process draws other numbers.
  dataset = dataset.random_map(sample)[process_index::process_count]
  # Each thread or worker makes whole batches, so that batches are the same for
  # any number of workers.
  dataset = dataset.batch(batch_size)
  if not num_workers:
    threads = os.cpu_count() or 1
    options = grain.ReadOptions(threads, prefetch_buffer_size=threads)
    return iter(dataset.to_iter_dataset(options))
  dataset = dataset.to_iter_dataset(grain.ReadOptions(1, 1))
  return workers.WorkerIterator(dataset, num_workers)


def _sample_in_background(record, rng, **options):
  """Calls `sample_clip` in a thread of low priority.

  On a CPU, the training step uses the same cores and is as slow as the slowest
  of its threads. The time that it leaves idle is enough for the data.
  """
  in_background = threading.current_thread() is not threading.main_thread()
  # Other systems have priorities of processes only.
  if in_background and sys.platform == 'linux':
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
    max_shift: float = 0.0,
) -> dict[str, Any]:
  """Samples a random clip of a record, as described in `training_batches`.

  Raises:
    UserError: A frame of the clip cannot be decoded.
  """
  name, encoded, shots = records_lib.parse(record)
  indices = _sample_indices(
      shots, len(encoded), rng, num_frames, max_frame_step
  )
  scale = rng.uniform(min_scale, 1)
  y, x = rng.random(2)
  mirrored = rng.random() < 0.5
  shifts = max_shift * (rng.random((num_frames, 2)) - 0.5)
  clip = np.empty((num_frames, crop_size, crop_size, 3), np.uint8)
  for index, shift, target in zip(indices, shifts, clip, strict=True):
    try:
      frame = images.decode(encoded[index])
    except (OSError, cv2.error) as error:
      raise errors.UserError(
          f'frame {index} of clip {name!r} cannot be decoded ({error}): build'
          ' the dataset again'
      ) from error
    height, width = frame.shape[:2]
    side = round(min(height, width) * scale)
    room = np.array([height, width]) - side
    corner = np.floor([y, x] * (room + 1)) + np.rint(shift * side)
    top, left = np.clip(corner, 0, room).astype(int)
    square = frame[top : top + side, left : left + side]
    if side != crop_size:
      # Down to half the size, bilinear interpolation uses every pixel, and it
      # is far faster.
      linear = side <= 2 * crop_size
      method = cv2.INTER_LINEAR if linear else cv2.INTER_AREA
      square = cv2.resize(square, (crop_size,) * 2, interpolation=method)
    target[:] = cv2.flip(square, 1) if mirrored else square
  return {'frames': clip, 'name': name}


def _sample_indices(shots, length, rng, num_frames, max_frame_step):
  """Samples evenly spaced frames of a shot; repeats the last if too few."""
  lengths = np.diff([*shots, length])
  # The weight of a shot is the number of frames that a clip can start with.
  weights = np.maximum(lengths - num_frames + 1, 0)
  if not weights.any():
    weights = lengths == lengths.max()
  shot = rng.choice(len(lengths), p=weights / weights.sum())
  last = lengths[shot] - 1
  longest_step = max(1, last // max(1, num_frames - 1))
  step = rng.integers(1, min(max_frame_step, longest_step), endpoint=True)
  start = rng.integers(max(0, last - step * (num_frames - 1)), endpoint=True)
  return shots[shot] + np.minimum(start + step * np.arange(num_frames), last)
