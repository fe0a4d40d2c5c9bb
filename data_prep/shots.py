"""Finds hard cuts in a stream of thumbnails.

Two frames of one shot show the same things at slightly different places. So the
distance of two frames is how far the colours of one lie outside the range of
the other's colours nearby. A shot begins at a frame if this frame and the next
one are far from both frames before, and much farther than successive frames
shortly before and after. A flash of one or two frames is therefore no cut, nor
are fast motion, fades and dissolves, in which all distances are large.
"""

import collections
from collections.abc import Iterable, Iterator
import dataclasses
import itertools
from typing import Any, TypeVar

import cv2
from jaxtyping import UInt8
import numpy as np

_T = TypeVar('_T')

# At a cut, the distance is at least _DISTANCE plus _RATIO times the greatest
# distance around. The four constants were set together on one half (by origin)
# of 497 real clips: random parts of them were joined, at 15 frames a second, at
# 6 and at 60, letterboxed, darkened, and with flashes and fades.
_DISTANCE = 0.025
_RATIO = 2.5
_FRAMES_BEFORE = 4
_FRAMES_AFTER = 2

# Side of the pictures in which distances are measured. Motion of up to two
# pixels, a twelfth of the picture, does not count.
_SIDE = 24
_NEIGHBOURHOOD = np.ones((5, 5), np.uint8)

# Grey levels that are added to the brightness, to which distances are relative.
# Without them, noise in the dark would be a cut.
_DARK = 16.0


@dataclasses.dataclass(frozen=True)
class _Frame:
  """A frame and its distances from the frames before.

  Attributes:
    picture: RGB picture with sides of `_SIDE` pixels.
    low: Minimum of each channel in each pixel's neighbourhood.
    high: Maximum of each channel in each pixel's neighbourhood.
    total: Sum of the picture.
    distances: Distances to the last frame, the one before it and the one before
      that. There are fewer at the start of the video.
  """

  picture: UInt8[np.ndarray, 'side side 3']
  low: UInt8[np.ndarray, 'side side 3']
  high: UInt8[np.ndarray, 'side side 3']
  total: float
  distances: list[float]


def mark_cuts(
    frames: Iterable[tuple[_T, UInt8[np.ndarray, '48 48 3']]],
) -> Iterator[tuple[_T, bool]]:
  """Marks the frames of a video at which a new shot begins.

  Only hard cuts count. Of several cuts less than five frames apart, it finds
  one at most.

  Args:
    frames: Pairs of any item and the RGB thumbnail of its frame, for every
      frame of the video in order. The frame rate does not matter.

  Yields:
    Each item, and whether a new shot begins at its frame. A shot begins at the
    first frame. The output is two frames behind the input.
  """
  waiting: collections.deque[Any] = collections.deque()
  window: collections.deque[_Frame | None] = collections.deque(
      [None] * (_FRAMES_BEFORE + 1 + _FRAMES_AFTER),
      maxlen=_FRAMES_BEFORE + 1 + _FRAMES_AFTER,
  )
  for item, thumbnail in itertools.chain(
      frames, [(None, None)] * _FRAMES_AFTER
  ):
    waiting.append(item)
    window.append(None if thumbnail is None else _measure(thumbnail, window))
    if window[_FRAMES_BEFORE]:
      yield waiting.popleft(), _begins_shot(window)


def _measure(thumbnail, window) -> _Frame:
  picture = cv2.resize(thumbnail, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
  low = cv2.erode(picture, _NEIGHBOURHOOD)
  high = cv2.dilate(picture, _NEIGHBOURHOOD)
  total = cv2.norm(picture, cv2.NORM_L1)
  frame = _Frame(picture, low, high, total, [])
  before = [window[-1], window[-2], window[-3]]
  frame.distances.extend(_distance(frame, other) for other in before if other)
  return frame


def _distance(a: _Frame, b: _Frame) -> float:
  """Returns how different two frames are, relative to their brightness.

  A pixel counts by how far it is outside of the range of its neighbourhood in
  the other frame.
  """
  excess = max(_excess(a, b), _excess(b, a))
  return excess / (max(a.total, b.total) + _DARK * a.picture.size)


def _excess(a, b):
  above = cv2.norm(cv2.subtract(a.picture, b.high), cv2.NORM_L1)
  below = cv2.norm(cv2.subtract(b.low, a.picture), cv2.NORM_L1)
  return above + below


def _begins_shot(window) -> bool:
  """Returns whether a shot begins at the frame in the middle of the window."""
  before, now, following = itertools.islice(
      window, _FRAMES_BEFORE - 1, _FRAMES_BEFORE + 2
  )
  if before is None:
    return True
  across = now.distances[:2] + (following.distances[1:] if following else [])
  within = [
      frame.distances[0]
      for frame in window
      if frame and frame.distances and frame is not now
  ]
  return min(across) > _DISTANCE + _RATIO * max(within, default=0.0)
