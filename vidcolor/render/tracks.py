"""Draws what was followed: objects, points or joints."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
from jaxtyping import Bool, Float, Int, UInt8
import numpy as np

from vidcolor.render import overlay

_TRAIL = 12  # Frames.
_STILL_HEIGHT, _STILLS_IN_ROW = 240, 4

Frame = UInt8[np.ndarray, 'height width 3']


def painter(
    *,
    numbers: Int[np.ndarray, ' followed'],
    masks: Sequence[Any] | UInt8[np.ndarray, 'time height width'] | None,
    position: Float[np.ndarray, 'time followed 2'],
    visible: Bool[np.ndarray, 'time followed'],
    limbs: Sequence[tuple[int, int]] = (),
) -> Callable[[int, Frame], Frame]:
  """A function that draws over the frame of a number.

  Objects are tinted, and only outlined where they are lost; points are discs
  with a trail, and rings where they are hidden.

  Args:
    numbers: Of the objects, as in the masks.
    masks: Of each frame, UInt8[np.ndarray, 'height width'], may be read when
      asked for; None to draw points.
    position: (x, y) of points in pixels.
    visible: Whether each is taken for visible.
    limbs: Pairs of points, to draw as a skeleton.
  """
  colours = overlay.wheel(len(numbers))

  def draw(index, frame):
    seen = visible[index]
    if masks is not None:
      mask = masks[index]
      is_lost = np.isin(mask, numbers[~seen])
      frame = overlay.draw_masks(frame, np.where(is_lost, mask, 0), 0.0)
      return overlay.draw_masks(frame, np.where(is_lost, 0, mask))
    if limbs:
      joints = np.where(seen[:, None], position[index], np.nan)
      return overlay.draw_joints(frame, joints, limbs)
    trails = position[max(0, index - _TRAIL) : index + 1].swapaxes(0, 1)
    trails = np.ascontiguousarray(trails)  # As OpenCV wants it.
    return overlay.draw_points(frame, trails, seen, colours)

  return draw


def strip(
    frames: Sequence[Frame], titles: Sequence[str]
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Frames in rows of four, shrunk to 240 rows each, with titles."""
  scale = min(1, _STILL_HEIGHT / len(frames[0]))
  stills = [
      cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
      for frame in frames
  ]
  columns = min(len(stills), _STILLS_IN_ROW)
  return np.vstack(overlay.in_rows(stills, titles, columns))
