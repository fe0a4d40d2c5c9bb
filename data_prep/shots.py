"""Finds hard cuts in a stream of thumbnails.

Two frames of one shot show the same things, a little moved; so the distance of
two frames is how far the colours of one lie outside the range of the colours
that the other has nearby. A shot begins at a frame if it and the next one are
far from both of the two frames before, much farther than successive frames are
just before and after. So neither flashes of one or two frames nor fast motion,
fades and dissolves, where all distances are large, are cuts.
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

# How far frames are at a cut: at least this and this many times the greatest of
# the distances around. The four constants were set together, on random parts of
# one half (by origin) of 497 real clips, one after another: 15 frames a second,
# thinned to 6 and repeated to 60; boxed; darkened; with flashes and fades.
_DISTANCE = 0.025
_RATIO = 2.5
_FRAMES_BEFORE = 4
_FRAMES_AFTER = 2

# Distances are measured on pictures this small, in which things may move by
# a twelfth of the picture (two pixels) at no cost.
_SIDE = 24
_NEIGHBOURHOOD = np.ones((5, 5), np.uint8)

# Grey levels added to the brightness that distances are relative to, so that
# noise in the dark is no cut.
_DARK = 16.0


@dataclasses.dataclass(frozen=True)
class _Frame:
  """A frame and how far it is from those right before it.

  Attributes:
    picture: Of `_SIDE` pixels a side, RGB.
    low: Least value of each channel in each pixel's neighbourhood.
    high: Greatest value likewise.
    total: Sum of the picture.
    distances: To the frame before, the one before that and the one before
      that, as far as there are any.
  """

  picture: UInt8[np.ndarray, 'side side 3']
  low: UInt8[np.ndarray, 'side side 3']
  high: UInt8[np.ndarray, 'side side 3']
  total: float
  distances: list[float]


def mark_cuts(
    frames: Iterable[tuple[_T, UInt8[np.ndarray, '48 48 3']]],
) -> Iterator[tuple[_T, bool]]:
  """Tells at which frames of a video a new shot begins.

  Only hard cuts count. Of cuts less than five frames apart at most one is
  found.

  Args:
    frames: Anything, and the RGB thumbnail of the frame that it stands for;
      every frame of the video in order, whatever its rate.

  Yields:
    What came with each thumbnail, and whether a new shot begins there, as it
    does at the first frame. Runs two frames behind `frames`.
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
  """Mean excess over the other's range, as a part of the mean brightness."""
  excess = max(_excess(a, b), _excess(b, a))
  return excess / (max(a.total, b.total) + _DARK * a.picture.size)


def _excess(a, b):
  above = cv2.norm(cv2.subtract(a.picture, b.high), cv2.NORM_L1)
  below = cv2.norm(cv2.subtract(b.low, a.picture), cv2.NORM_L1)
  return above + below


def _begins_shot(window) -> bool:
  """Whether a shot begins at the frame in the middle of the window."""
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
