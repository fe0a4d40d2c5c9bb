"""Builds Kinetics, or any folder of videos, as a TFDS dataset."""

from collections.abc import Iterator, Sequence
import os
from typing import Any, NamedTuple

import fsspec
import numpy as np
import tensorflow_datasets as tfds

from data_prep import clip_builder
from data_prep import clip_marks
from data_prep import shots
from data_prep.kinetics import clip_finder
from data_prep.kinetics import frame_folders
from vidcolor import errors
from vidcolor.data import images
from vidcolor.data import records as records_lib
from vidcolor.video import decoding

_FRAMES_PER_SECOND = 6.0
_MAX_FRAMES = 120  # In a record: 20 seconds. Clips of Kinetics have 10.
_SHORT_SIDE = 256
_JPEG_QUALITY = 90


class Kinetics(clip_builder.ClipBuilder):
  """Videos as JPEG frames, six a second, with a short side of 256 pixels.

  Smaller videos are not enlarged. Videos with fewer than two frames are left
  out. Videos longer than twenty seconds are split into records of twenty
  seconds.
  """

  VERSION = tfds.core.Version('2.0.0')
  RELEASE_NOTES = {
      '2.0.0': 'Shots, notes of content, records of at most twenty seconds.',
      '1.0.0': 'Initial release.',
  }
  SOURCE = 'the folder of its videos, or the URL of one'
  INDEX = records_lib.INDEX

  def __init__(
      self,
      *,
      annotations: Sequence[str | os.PathLike] = (),
      frames_per_second: float = 25.0,
      **kwargs,
  ):
    """Initializes the builder.

    Args:
      annotations: The official CSV files; see `clip_finder.find_clips`.
      frames_per_second: Rate of the videos that are folders of frames.
      **kwargs: Arguments of `ClipBuilder`.
    """
    super().__init__(**kwargs)
    self._annotations = annotations
    self._frames_per_second = frames_per_second

  def _info(self):
    return tfds.core.DatasetInfo(
        builder=self,
        description=self.__doc__,
        features=tfds.features.FeaturesDict(records_lib.features()),
        homepage='https://github.com/cvdfoundation/kinetics-dataset',
    )

  def list_clips(self):
    """See base class."""
    rate = self._frames_per_second
    splits, faults = clip_finder.find_clips(
        self.source_dir(), self._annotations, rate
    )
    count = sum(
        'frames_per_second' in clip
        for clips in splits.values()
        for clip in clips
    )
    if count:
      print(
          f'folders of frames: {count}, read at {rate:g} frames a second;'
          ' --frames_per_second gives another rate'
      )
    return splits, faults

  @staticmethod
  def read_clip(clip):
    """See base class."""
    num_frames = 0
    try:
      for frames in _batches(_read_frames(clip)):
        # Training needs at least two frames.
        if len(frames) > 1:
          yield _example(clip, num_frames / _FRAMES_PER_SECOND, frames)
        num_frames += len(frames)
    except errors.UserError:
      system, path = fsspec.url_to_fs(clip['path'])
      if not system.exists(path):  # Not the video's fault: stop the build.
        raise FileNotFoundError(f'{clip["path"]} has disappeared') from None
      raise
    if num_frames < 2:
      raise errors.UserError(
          f'{clip["path"]} is too short: it shows {num_frames} frames at'
          f' {_FRAMES_PER_SECOND:g} a second'
      )


class _Frame(NamedTuple):
  """A frame of a record.

  Attributes:
    jpeg: The frame as JPEG.
    thumbnail: Thumbnail of the frame.
    shot: Number of its shot in the video.
    index: Index of the frame in the video.
    time: Time in the video, in seconds.
  """

  jpeg: bytes
  thumbnail: np.ndarray
  shot: int
  index: int
  time: float


def _decode_frames(clip):
  if rate := clip.get('frames_per_second'):
    return frame_folders.decode_frames(clip['path'], rate)
  return decoding.decode_frames(clip['path'])


def _read_frames(clip) -> Iterator[_Frame]:
  """Yields the frame that the video shows at each sixth of a second."""
  converter = decoding.Converter()

  def with_thumbnails():
    for index, frame in enumerate(_decode_frames(clip)):
      thumbnail = converter.thumbnail(frame)
      yield (frame, (index, thumbnail)), thumbnail

  def in_shots():
    shot = 0
    for (frame, details), cut in shots.mark_cuts(with_thumbnails()):
      shot += cut
      yield frame, (details, shot)

  previous = None
  for frame, ((index, thumbnail), shot) in decoding.sample(
      in_shots(), _FRAMES_PER_SECOND
  ):
    if previous is None or previous.index != index:
      rgb = converter.rgb(frame, short_side=_SHORT_SIDE)
      jpeg = images.encode_jpeg(rgb, _JPEG_QUALITY)
      previous = _Frame(jpeg, thumbnail, shot, index, frame.time)
    yield previous


def _batches(frames):
  """Yields lists of frames; before an error, the frames that were read."""
  batch = []
  try:
    for frame in frames:
      batch.append(frame)
      if len(batch) == _MAX_FRAMES:
        yield batch
        batch = []
  except errors.UserError:
    yield batch
    raise
  yield batch


def _example(clip, start, frames) -> dict[str, Any]:
  """Returns the features of a record."""
  first, last = frames[0], frames[-1]
  cuts = np.flatnonzero(np.diff([frame.shot for frame in frames])) + 1
  return clip_marks.mark([frame.thumbnail for frame in frames]) | {
      'name': clip['name'],
      'label': clip['label'],
      'start': start,
      'frames_per_second': _FRAMES_PER_SECOND,
      'source_frames_per_second': (
          (last.index - first.index) / max(last.time - first.time, 1e-3)
      ),
      'frames': [frame.jpeg for frame in frames],
      'shots': np.array([0, *cuts], np.int32),
  }
