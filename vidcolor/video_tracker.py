"""Tracks objects and points through a video, from one given frame.

import vidcolor

tracker = vidcolor.load_pretrained()
result = tracker.track('clip.mp4', boxes=[(120, 80, 310, 260)])
result.masks, result.position, result.visible, result.confidence
"""

from collections.abc import Iterable, Iterator, Sequence
import itertools
import os
from typing import Generic, NamedTuple, TypeVar
import warnings

from jaxtyping import Bool, Float, Int, UInt8
import numpy as np
from numpy import typing as npt

from vidcolor import errors
from vidcolor import lazy_sequence
from vidcolor import prompts
from vidcolor import tracking
from vidcolor.tracking import box_to_mask
from vidcolor.tracking import confidence
from vidcolor.video import video_source

# A video file or a folder of pictures, by its path or opened; or RGB frames,
# UInt8[np.ndarray, 'time height width 3'], or a list of such frames.
Video = (
    str
    | os.PathLike
    | video_source.VideoSource
    | np.ndarray
    | Sequence[np.ndarray]
)

# A point with a higher confidence counts as visible (`TrackedPoints`).
_VISIBLE = 0.5

_Tracker = TypeVar('_Tracker')


class TrackedFrame(NamedTuple):
  """The tracked objects or points in one frame.

  Attributes:
    frame: The number of the frame.
    numbers: The number of each object in the mask, or of each point, from 0.
    mask: 0 or the number of an object. None if points are tracked.
    position: (x, y) of a point, or the mean over the pixels of an object (NaN
      without pixels), in pixels. Pixel centres have whole coordinates.
    visible: Whether each is visible. Otherwise it is hidden or lost.
    confidence: In 0 to 1. The confidence of a point, or the mean over an
      object's pixels of the probability that they are right.
  """

  frame: int
  numbers: Int[np.ndarray, ' tracked']
  mask: UInt8[np.ndarray, 'height width'] | None
  position: Float[np.ndarray, 'tracked 2']
  visible: Bool[np.ndarray, ' tracked']
  confidence: Float[np.ndarray, ' tracked']


class TrackResult(NamedTuple):
  """The tracked objects or points in all frames of a video.

  Attributes:
    numbers: As in `TrackedFrame`.
    masks: One mask per frame, or None if points are tracked. Masks that
      `track_output.write_tracking` wrote are read from files when used.
    position: As in `TrackedFrame`, for each frame.
    visible: As in `TrackedFrame`, for each frame.
    confidence: As in `TrackedFrame`, for each frame.
  """

  numbers: Int[np.ndarray, ' tracked']
  masks: (
      UInt8[np.ndarray, 'time height width'] | lazy_sequence.LazySequence | None
  )
  position: Float[np.ndarray, 'time tracked 2']
  visible: Bool[np.ndarray, 'time tracked']
  confidence: Float[np.ndarray, 'time tracked']


_Propagator = TypeVar(
    '_Propagator',
    bound=(
        tracking.MaskTracker | tracking.ObjectTracker | tracking.PointTracker
    ),
)


class VideoTracker(Generic[_Propagator]):
  """Tracks objects and points through videos.

  Attributes:
    propagator: The tracker of arrays: a `LabelPropagator`, a baseline, or any
      other `MaskTracker` or `PointTracker`. Boxes also need an `Embedder`.
  """

  def __init__(self, propagator: _Propagator):
    self.propagator = propagator

  def track(
      self,
      video: Video,
      *,
      masks: npt.ArrayLike | None = None,
      points: npt.ArrayLike | None = None,
      boxes: npt.ArrayLike | None = None,
      query_frame: int = 0,
  ) -> TrackResult:
    """Tracks what one of `masks`, `points` and `boxes` marks in a frame.

    Args:
      video: A video file or a folder of pictures, by its path or as a
        `video_source.VideoSource`; or RGB frames, UInt8[np.ndarray, 'time
        height width 3'], or a list of such frames.
      masks: [height width], 0 or the number of an object, 1 to 254; or only 0
        and 255 for one object; or bool [objects height width], where later
        objects cover earlier ones.
      points: [points 2], (x, y) in pixels.
      boxes: [boxes 4], (x0, y0, x1, y1) in pixels. `tracking.box_to_mask` finds
        the object in each box, which is then tracked as a mask, and warns
        where it takes a box whole. Where two objects overlap, the smaller one
        is on top.
      query_frame: The number of the marked frame. Tracking goes from there to
        both ends of the video.

    Returns:
      The result for all frames, in memory. `stream` holds one frame at a time.
      If the video cannot be read to its end, the result ends there, and a
      warning says so.

    Raises:
      UserError: The video cannot be read, a mark is not valid or not in the
        frame, or the propagator cannot track it.
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
    tracked = video_source.ReadablePart(
        self.stream(video, given[0], query_frame)
    )
    result = collect(tracked)
    if tracked.fault:
      warnings.warn(str(tracked.fault), stacklevel=2)
    return result

  def stream(
      self, video: Video, prompt: prompts.Prompt, query_frame: int = 0
  ) -> Iterator[TrackedFrame]:
    """Yields the result of each frame, and keeps none of them.

    The query frame and the frames after it come first, then the frames before
    it, the last one first.

    Args:
      video: As in `track`.
      prompt: What is tracked.
      query_frame: As in `track`.

    Raises:
      UserError: As `track`. It is a `PartlyReadError`, after all other frames,
        if the video cannot be read to its end.
    """
    if query_frame < 0:
      raise errors.UserError(
          f'there is no query frame {query_frame}: the first frame is 0'
      )
    video = open_video(video)
    readable = video_source.ReadablePart(
        itertools.islice(_forward(video), query_frame, None)
    )
    frames = iter(readable)
    first = next(frames, None)
    if first is None:
      count = sum(1 for _ in _forward(video))
      raise errors.UserError(
          f'there is no query frame {query_frame}: the video has {count}'
          ' frames, the first one is 0'
      )
    track = self._make_track(first, prompt, _full_size(video, prompt))
    forward = track(itertools.chain([first], frames))
    for number, tracked in enumerate(forward, query_frame):
      yield TrackedFrame(number, *tracked)
    backward = track(_backward(video, query_frame + 1)) if query_frame else ()
    for number, tracked in enumerate(itertools.islice(backward, 1, None), 1):
      yield TrackedFrame(query_frame - number, *tracked)
    if readable.fault:
      raise readable.fault

  def _make_track(self, frame, prompt, full_size):
    """Returns a function that tracks through frames, of which `frame` is first.

    The function yields the fields of `TrackedFrame`, but for the number.
    """
    given = prompt.in_frame(full_size, frame.shape[:2])
    if isinstance(prompt, prompts.PointPrompt):
      tracker = _require(self.propagator, tracking.PointTracker, 'points')
      return lambda frames: _track_points(tracker, frames, given)
    if isinstance(prompt, prompts.BoxPrompt):
      embedder = _require(self.propagator, tracking.Embedder, 'boxes')
      objects = [
          box_to_mask.from_box(embedder.embed, frame, box) for box in given
      ]
      order = box_to_mask.largest_first(objects)
      given = prompts.paint(objects, prompt.name, order).astype(np.uint8)
    if isinstance(self.propagator, tracking.ObjectTracker):
      tracker = self.propagator
    else:
      tracker = _Certain(
          _require(self.propagator, tracking.MaskTracker, 'masks')
      )
    return lambda frames: _track_objects(tracker, frames, given)


def _require(tracker: object, protocol: type[_Tracker], given: str) -> _Tracker:
  """Returns the tracker, which must have the methods of the protocol."""
  if not isinstance(tracker, protocol):
    raise errors.UserError(
        f'{type(tracker).__name__} cannot track {given}: it lacks the methods'
        f' of tracking.{protocol.__name__}'
    )
  return tracker


class _Certain:
  """Gives a tracker of masks confidence 1 in every object that has pixels."""

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
  # The tracker makes a label for every number up to the highest.
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


def collect(tracked: Iterable[TrackedFrame]) -> TrackResult:
  """Joins the results of all frames, sorted by their numbers."""
  frames = sorted(tracked, key=lambda frame: frame.frame)
  masks = [frame.mask for frame in frames if frame.mask is not None]
  return TrackResult(
      frames[0].numbers,
      np.stack(masks) if masks else None,
      np.stack([frame.position for frame in frames]),
      np.stack([frame.visible for frame in frames]),
      np.stack([frame.confidence for frame in frames]),
  )


def open_video(
    video: Video,
) -> video_source.VideoSource | UInt8[np.ndarray, 'time height width 3']:
  """Opens a path; turns frames in memory into one array.

  Raises:
    UserError: The path cannot be read, or the frames are not RGB, uint8 and of
      one size.
  """
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


def _full_size(video, prompt):
  """Returns the size of the frames in which the prompt was made."""
  if not isinstance(video, video_source.VideoSource):
    return video.shape[1:3]
  if isinstance(prompt, prompts.MaskPrompt):
    size = np.shape(prompt.mask)[-2:]
    if size in video.shown_sizes:
      return size
  return video.full_size


def _centres(mask, num_objects):
  """Returns the mean (x, y) of each object's pixels; NaN without pixels."""
  rows, columns = mask.shape
  total = lambda weights: np.bincount(
      mask.ravel(), weights, minlength=num_objects + 1
  )[1:]
  area = total(None)
  x = np.broadcast_to(np.arange(columns), mask.shape).ravel()
  y = np.broadcast_to(np.arange(rows)[:, None], mask.shape).ravel()
  with np.errstate(invalid='ignore'):
    return np.stack([total(x), total(y)], axis=-1) / area[:, None]
