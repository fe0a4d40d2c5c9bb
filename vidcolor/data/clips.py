"""Training clips: random frames and crops of videos, in shuffled batches.

The datasets are those that `data_prep` builds, whose frames are JPEG images. Of
a record only the frames that a clip is made of are copied and decoded.
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
from vidcolor.data import record_format
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
  name, encoded, shots = record_format.parse(record)
  indices = _sample_indices(
      shots, len(encoded), rng, num_frames, max_frame_step
  )
  scale = rng.uniform(min_scale, 1)
  y, x = rng.random(2)
  mirrored = rng.random() < 0.5
  clip = np.empty((num_frames, crop_size, crop_size, 3), np.uint8)
  for index, target in zip(indices, clip, strict=True):
    try:
      frame = images.decode(encoded[index])
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
