"""Tracks objects and points through a video.

import vidcolor

tracker = vidcolor.load_pretrained()
result = tracker.track('clip.mp4', boxes=[(120, 80, 310, 260)])
result.masks, result.position, result.visible, result.confidence

session = tracker.start(frame, boxes=[(120, 80, 310, 260)])
found = session.step(next_frame)
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
from vidcolor import prompts_over_time
from vidcolor import sessions
from vidcolor import tracking
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


class TrackResult(NamedTuple):
  """The tracked objects or points in all frames of a video.

  Attributes:
    numbers: As in `sessions.TrackedFrame`.
    masks: One mask per frame, or None if points are tracked. Masks that
      `track_output.write_tracking` wrote are read from files when used.
    position: As in `sessions.TrackedFrame`, for each frame.
    visible: As in `sessions.TrackedFrame`, for each frame.
    confidence: As in `sessions.TrackedFrame`, for each frame.
    begins: The first frame of each object or point. Before it, there is no
      result: an object is not visible there, its confidence is 0, and its
      position is NaN.
  """

  numbers: Int[np.ndarray, ' tracked']
  masks: (
      UInt8[np.ndarray, 'time height width'] | lazy_sequence.LazySequence | None
  )
  position: Float[np.ndarray, 'time tracked 2']
  visible: Bool[np.ndarray, 'time tracked']
  confidence: Float[np.ndarray, 'time tracked']
  begins: Int[np.ndarray, ' tracked']

  @property
  def has_begun(self) -> Bool[np.ndarray, 'time tracked']:
    """Whether each object or point has begun, for each frame."""
    return np.arange(len(self.visible))[:, None] >= self.begins


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
    prompt = sessions.only_prompt(masks=masks, points=points, boxes=boxes)
    tracked = video_source.ReadablePart(self.stream(video, prompt, query_frame))
    result = collect(tracked)
    if tracked.fault:
      warnings.warn(str(tracked.fault), stacklevel=2)
    return result

  def start(
      self,
      frame: np.ndarray,
      *,
      masks: npt.ArrayLike | None = None,
      points: npt.ArrayLike | None = None,
      boxes: npt.ArrayLike | None = None,
  ) -> sessions.Session:
    """Starts to track what one of `masks`, `points` and `boxes` marks.

    The session takes frames one by one, as from a camera. It holds no more
    memory for more frames. Its objects can be corrected, and new ones added.

    Args:
      frame: The first frame: RGB, uint8 [height width 3].
      masks: As in `track`, as are `points` and `boxes`.
      points: Points in the first frame.
      boxes: Boxes in the first frame.

    Raises:
      UserError: As `track`.
    """
    prompt = sessions.only_prompt(masks=masks, points=points, boxes=boxes)
    sessions.require_rgb(frame)
    given = sessions.locate(self.propagator, frame, prompt, frame.shape[:2])
    return sessions.Session(self.propagator, [frame], given)

  def stream(
      self,
      video: Video,
      prompt: prompts.Prompt | prompts_over_time.PromptsOverTime,
      query_frame: int = 0,
  ) -> Iterator[sessions.TrackedFrame]:
    """Yields the result of each frame, and keeps none of them.

    The query frame and the frames after it come first, then the frames before
    it, the last one first.

    Args:
      video: As in `track`.
      prompt: What is tracked. Prompts over time start with their first frame,
        which is the query frame. Those of later frames begin or correct objects
        from there on. A frame has the numbers of the objects that have begun.
      query_frame: As in `track`. Prompts over time ignore it.

    Raises:
      UserError: As `track`, or as `PromptsOverTime.at`. It is a
        `PartlyReadError`, after all other frames, if the video cannot be read
        to its end.
    """
    if query_frame < 0:
      raise errors.UserError(
          f'there is no query frame {query_frame}: the first frame is 0'
      )
    video = open_video(video)
    later = []
    if isinstance(prompt, prompts_over_time.PromptsOverTime):
      query_frame, *later = prompt.frames
      _check_over_time(video, prompt)
      if later:
        sessions.require_correctable(self.propagator)
    readable = video_source.ReadablePart(
        itertools.islice(_forward(video), query_frame, None)
    )
    frames = iter(readable)
    first = _first_of(frames, video, query_frame)
    given = self._locate_first(video, prompt, query_frame, first)
    forward = sessions.Session(
        self.propagator, itertools.chain([first], frames), given
    )
    for number, found in enumerate(forward.results(), query_frame):
      if number in later:
        objects = self._locate_at(
            video, prompt, number, forward.frame, found.mask
        )
        found = forward.give(objects) if objects else found
      yield found._replace(frame=number)
    if query_frame:
      backward = sessions.Session(
          self.propagator, _backward(video, query_frame + 1), given
      )
      results = itertools.islice(backward.results(), 1, None)
      for number, found in enumerate(results, 1):
        yield found._replace(frame=query_frame - number)
    if readable.fault:
      raise readable.fault

  def _locate_first(self, video, prompt, number, frame):
    """Returns the points or the mask that is tracked from the query frame."""
    if isinstance(prompt, prompts_over_time.PromptsOverTime):
      objects = self._locate_at(video, prompt, number, frame)
      return sessions.merge(objects, prompt.name)
    size = prompt_size(video, prompt)
    return sessions.locate(self.propagator, frame, prompt, size)

  def _locate_at(self, video, over_time, number, frame, mask=None):
    """Returns the mask of each object that has a prompt in a frame."""
    objects = {}
    for n, prompt in over_time.at(number).items():
      objects[n] = sessions.locate_object(
          self.propagator,
          frame,
          prompt,
          prompt_size(video, prompt),
          None if mask is None else mask == n,
      )
      if not objects[n].any():  # Clicks beside an object that is lost.
        warnings.warn(
            f'{prompt.name}: nothing is left of the object, so that it stays as'
            ' it was: give a click on it',
            stacklevel=3,
        )
        del objects[n]
    return objects


def _first_of(frames, video, query_frame):
  first = next(frames, None)
  if first is None:
    count = sum(1 for _ in _forward(video))
    raise errors.UserError(
        f'there is no query frame {query_frame}: the video has {count} frames,'
        ' the first one is 0'
    )
  return first


def _check_over_time(video, over_time):
  """Raises a `UserError` if a prompt is not valid."""
  last = over_time.frames[-1]
  is_source = isinstance(video, video_source.VideoSource)
  if not is_source:
    count = len(video)
  elif not video.is_film and video.num_frames is not None:
    count = video.num_frames
  else:
    count = video.frame(last)[0] + 1
  if last >= count:
    raise errors.UserError(
        f'{over_time.name}: there is no frame {last}: the video has {count}'
        ' frames, the first one is 0'
    )
  size = video.size if is_source else video.shape[1:3]
  for frame in over_time.frames:
    for prompt in over_time.at(frame).values():
      prompt.in_frame(prompt_size(video, prompt), size)


def _with_numbers(found, numbers):
  """Returns a result with more objects, which have not begun."""
  at = np.searchsorted(numbers, found.numbers)

  def spread(values, fill):
    every = np.full((len(numbers), *values.shape[1:]), fill, values.dtype)
    every[at] = values
    return every

  return found._replace(
      numbers=numbers,
      position=spread(found.position, np.nan),
      visible=spread(found.visible, False),
      confidence=spread(found.confidence, 0),
  )


def collect(tracked: Iterable[sessions.TrackedFrame]) -> TrackResult:
  """Joins the results of all frames, sorted by their numbers."""
  frames = sorted(tracked, key=lambda frame: frame.frame)
  numbers = np.unique(np.concatenate([frame.numbers for frame in frames]))
  has_begun = [np.isin(numbers, frame.numbers) for frame in frames]
  frames = [_with_numbers(frame, numbers) for frame in frames]
  masks = [frame.mask for frame in frames if frame.mask is not None]
  return TrackResult(
      numbers,
      np.stack(masks) if masks else None,
      np.stack([frame.position for frame in frames]),
      np.stack([frame.visible for frame in frames]),
      np.stack([frame.confidence for frame in frames]),
      np.argmax(has_begun, axis=0),
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


def prompt_size(
    video: video_source.VideoSource | np.ndarray,
    prompt: prompts.Prompt | prompts.ObjectPrompt,
) -> prompts.Size:
  """Returns the size of the frames in which a prompt was made."""
  if not isinstance(video, video_source.VideoSource):
    return video.shape[1:3]
  if isinstance(prompt, prompts.MaskPrompt):
    size = np.shape(prompt.mask)[-2:]
    if size in video.shown_sizes:
      return size
  return video.full_size
