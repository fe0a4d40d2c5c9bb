"""Grids of points to track, over a frame or over objects.

grid = vidcolor.grids.over_frame(frame.shape[:2], 20)
result = tracker.track('clip.mp4', points=grid)
"""

import cv2
from jaxtyping import Float, UInt8
import numpy as np

from vidcolor import prompts


def over_frame(size: prompts.Size, count: int) -> Float[np.ndarray, 'points 2']:
  """Returns points that are equally far apart in both directions.

  Args:
    size: Height and width in pixels.
    count: Number of points along the longer side. It is as many as the side has
      pixels at most.

  Returns:
    (x, y) in pixels, row by row.
  """
  step = max(1, max(size) / count)
  y, x = (_places(side, step) for side in size)
  return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def over_objects(
    mask: UInt8[np.ndarray, 'height width'], count: int
) -> dict[int, Float[np.ndarray, '_ 2']]:
  """Returns the points of a grid that lie on each object, by its number.

  An object that is too thin for all points of its grid has one point, as far
  from its edge as can be.

  Args:
    mask: 0 or the number of an object.
    count: Number of points along the longer side of the box around an object.
  """
  return {
      int(number): _over_object(mask == number, count)
      for number in np.setdiff1d(mask, 0)
  }


def _over_object(is_object, count):
  pixels = is_object.view(np.uint8)
  left, top, width, height = cv2.boundingRect(pixels)
  points = over_frame((height, width), count) + (left, top)
  columns, rows = points.round().astype(int).T
  on_object = points[is_object[rows, columns]]
  if len(on_object):
    return on_object
  depth = cv2.distanceTransform(np.pad(pixels, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
  row, column = np.unravel_index(depth.argmax(), depth.shape)
  return np.array([[column, row]], float)


def _places(side, step):
  """Returns places a step apart, with the same room at both ends."""
  count = max(1, round(side / step))
  return (np.arange(count) - (count - 1) / 2) * step + (side - 1) / 2
