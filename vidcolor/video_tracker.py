"""Follows through a video what is given in one frame: vidcolor's front door.

import vidcolor

tracker = vidcolor.load_pretrained()
result = tracker.track('clip.mp4', boxes=[(120, 80, 310, 260)])
result.masks, result.position, result.visible, result.confidence
"""

from collections.abc import Iterable, Iterator, Sequence
import itertools
import os
from typing import Any, Generic, NamedTuple, TypeVar

from jaxtyping import Bool, Float, Int, UInt8
import numpy as np

from vidcolor import errors
from vidcolor import lazy_sequence
from vidcolor import prompts
from vidcolor import tracking
from vidcolor.tracking import box_to_mask
from vidcolor.tracking import confidence
from vidcolor.video import video_source

# A file or a folder of pictures; one of them in part; or RGB frames, UInt8
# [time height width 3] or one by one.
Video = (
    str
    | os.PathLike
    | video_source.VideoSource
    | np.ndarray
    | Sequence[np.ndarray]
)

# Above it a point is taken for visible: see `tracking.labels.Points`.
_VISIBLE = 0.5


class TrackedFrame(NamedTuple):
  """What was followed, in one frame.

  Attributes:
    frame: The frame's number.
    numbers: Of the objects, as in the mask; or of the points, from 0 on.
    mask: 0 or the number of an object; None where points are followed.
    position: (x, y) in pixels, whose centres have whole coordinates: of a
      point, or the mean over an object's pixels, NaN if it has none.
    visible: Whether it is taken for visible; else it is hidden or lost.
    confidence: In 0 to 1: of a point, or the mean over an object's pixels of
      the probability that they are right.
  """

  frame: int
  numbers: Int[np.ndarray, ' followed']
  mask: UInt8[np.ndarray, 'height width'] | None
  position: Float[np.ndarray, 'followed 2']
  visible: Bool[np.ndarray, ' followed']
  confidence: Float[np.ndarray, ' followed']


class TrackResult(NamedTuple):
  """What was followed, in all frames, as in `TrackedFrame`.

  Where masks lie in files (`results.write`), they are read when asked for.
  """

  numbers: Int[np.ndarray, ' followed']
  masks: (
      UInt8[np.ndarray, 'time height width'] | lazy_sequence.LazySequence | None
  )
  position: Float[np.ndarray, 'time followed 2']
  visible: Bool[np.ndarray, 'time followed']
  confidence: Float[np.ndarray, 'time followed']


_Propagator = TypeVar(
    '_Propagator',
    bound=(
        tracking.MaskTracker | tracking.ObjectTracker | tracking.PointTracker
    ),
)


class VideoTracker(Generic[_Propagator]):
  """Tracks objects and points through videos.

  Attributes:
    propagator: Tracks them through frames in memory: a `LabelPropagator`, a
      baseline, or anything else that is a `MaskTracker` or a `PointTracker`.
  """

  def __init__(self, propagator: _Propagator):
    self.propagator = propagator

  def track(
      self,
      video: Video,
      *,
      masks: Any = None,
      points: Any = None,
      boxes: Any = None,
      query_frame: int = 0,
  ) -> TrackResult:
    """Follows what one of `masks`, `points` and `boxes` gives.

    Args:
      video: A file, a folder of pictures, a `video_source.VideoSource`, or RGB frames,
        UInt8[np.ndarray, 'time height width 3'], which may be a list.
      masks: [height width], 0 or the number of an object, 1 to 254, or only 0
        and 255 for one object; or bool [objects height width], of which later
        ones lie over earlier ones.
      points: [points 2], (x, y) in pixels.
      boxes: [boxes 4], (x0, y0, x1, y1) in pixels; the object in each is found
        by its embeddings (`tracking.regions`), and followed as a mask, the
        smaller one on top where they overlap.
      query_frame: The number of the frame where they are given, from which
        they are followed to both ends of the video.

    Returns:
      What was found, in as many frames as the video has. `stream` holds one
      frame at a time.

    Raises:
      UserError: the video cannot be read, or lacks what is given.
    """
    given: list[prompts.Prompt] = []
    if masks is not None:
      given.append(prompts.MaskPrompt(masks))
    if points is not None:
      given.append(prompts.PointPrompt(points))
    if boxes is not None:
      given.append(prompts.BoxPrompt(boxes))
    if len(given) != 1:
      only = 'only ' if given else ''
      raise errors.UserError(f'give {only}one of masks, points and boxes')
    return collect(self.stream(video, given[0], query_frame))

  def stream(
      self, video: Video, prompt: prompts.Prompt, query_frame: int = 0
  ) -> Iterator[TrackedFrame]:
    """Yields what is found, in memory that does not grow with the video.

    Args:
      video: As in `track`.
      prompt: What is given.
      query_frame: As in `track`. It comes first and the frames after it follow;
        then come those before it, the last one first.

    Raises:
      UserError: as `track`.
    """
    if query_frame < 0:
      raise errors.UserError(
          f'query frame {query_frame} is none: frames count from 0 on'
      )
    video = as_frames(video)
    frames = itertools.islice(_forward(video), query_frame, None)
    first = next(frames, None)
    if first is None:
      count = sum(1 for _ in _forward(video))
      raise errors.UserError(
          f'query frame {query_frame} is beyond the end: the video has'
          f' {count} frames, from 0 on'
      )
    follow = self._follower(first, prompt, _full_size(video))
    forward = follow(itertools.chain([first], frames))
    for number, found in enumerate(forward, query_frame):
      yield TrackedFrame(number, *found)
    backward = follow(_backward(video, query_frame + 1))
    for number, found in enumerate(itertools.islice(backward, 1, None), 1):
      yield TrackedFrame(query_frame - number, *found)

  def _follower(self, frame, prompt, full_size):
    """Returns a function that tracks through frames; the first is `frame`."""
    given = prompt.at(full_size, frame.shape[:2])
    if isinstance(prompt, prompts.PointPrompt):
      tracker = _require(self.propagator, tracking.PointTracker, 'points')
      return lambda frames: _track_points(tracker, frames, given)
    if isinstance(prompt, prompts.BoxPrompt):
      embedder = _require(self.propagator, tracking.Embedder, 'boxes')
      found = [
          box_to_mask.from_box(embedder.embed, frame, box) for box in given
      ]
      order = box_to_mask.largest_first(found)
      given = prompts.paint(found, prompt.name, order).astype(np.uint8)
    if isinstance(self.propagator, tracking.ObjectTracker):
      tracker = self.propagator
    else:
      tracker = _Certain(
          _require(self.propagator, tracking.MaskTracker, 'masks')
      )
    return lambda frames: _track_objects(tracker, frames, given)


def _require(tracker: Any, protocol: Any, given: str) -> Any:
  """Returns the tracker, which must have the protocol's methods."""
  if not isinstance(tracker, protocol):
    raise errors.UserError(
        f'{type(tracker).__name__} cannot track {given}: it is no'
        f' tracking.{protocol.__name__}'
    )
  return tracker


class _Certain:
  """A tracker without confidence: an object is certain where it has pixels."""

  def __init__(self, tracker: tracking.MaskTracker):
    self._tracker = tracker

  def track_objects(self, frames, first_mask):
    num_objects = int(first_mask.max())
    for mask in self._tracker.track(frames, first_mask):
      area = np.bincount(mask.ravel(), minlength=num_objects + 1)[1:]
      confidence_map = np.ones(mask.shape, np.float32)
      yield tracking.TrackedObjects(
          mask, confidence_map, (area > 0).astype(float)
      )


def _track_objects(tracker, frames, mask):
  numbers = np.setdiff1d(mask, [0]).astype(int)
  # Labels are copied for every number up to the highest.
  dense = np.searchsorted([0, *numbers], mask).astype(np.uint8)
  original = np.array([0, *numbers], np.uint8)
  for objects in tracker.track_objects(frames, dense):
    visible = objects.by_object > confidence.LOST
    position = _centres(objects.mask, len(numbers))
    mask = original[objects.mask]
    yield numbers, mask, position, visible, objects.by_object


def _track_points(tracker, frames, points):
  numbers = np.arange(len(points))
  for position, certainty in tracker.track_points(frames, points):
    yield numbers, None, position, certainty > _VISIBLE, certainty


def collect(found: Iterable[TrackedFrame]) -> TrackResult:
  """Joins what was found in frames, and puts them in their order."""
  found = sorted(found, key=lambda one: one.frame)
  masks = [f.mask for f in found if f.mask is not None]
  return TrackResult(
      found[0].numbers,
      np.stack(masks) if masks else None,
      np.stack([f.position for f in found]),
      np.stack([f.visible for f in found]),
      np.stack([f.confidence for f in found]),
  )


def as_frames(video):
  """The video as `Footage`, or as an array of RGB frames."""
  if isinstance(video, (str, os.PathLike)):
    return video_source.VideoSource(video)
  if isinstance(video, video_source.VideoSource):
    return video
  try:
    frames = np.asarray(video)
  except ValueError as error:
    raise errors.UserError('the frames are not all of one size') from error
  if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
    raise errors.UserError(
        f'the frames are {frames.dtype} {list(frames.shape)}: give RGB, uint8'
        ' [time height width 3]'
    )
  return frames


def _forward(video):
  if isinstance(video, video_source.VideoSource):
    return (frame.rgb for frame in video)
  return iter(video)


def _backward(video, count):
  if isinstance(video, video_source.VideoSource):
    return (frame.rgb for frame in video.backward(count))
  return iter(video[count - 1 :: -1])


def _full_size(video):
  is_footage = isinstance(video, video_source.VideoSource)
  return video.full_size if is_footage else video.shape[1:3]


def _centres(mask, num_objects):
  """The mean (x, y) of each object's pixels; NaN of one that has none."""
  rows, columns = mask.shape
  count = lambda weights: np.bincount(
      mask.ravel(), weights, minlength=num_objects + 1
  )[1:]
  area = count(None)
  x = np.broadcast_to(np.arange(columns), mask.shape).ravel()
  y = np.broadcast_to(np.arange(rows)[:, None], mask.shape).ravel()
  with np.errstate(invalid='ignore'):
    return np.stack([count(x), count(y)], axis=-1) / area[:, None]
