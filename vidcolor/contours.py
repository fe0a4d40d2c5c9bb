"""Finds the outlines of masks."""

import contourpy
from jaxtyping import Bool, Float
import numpy as np


def find_contours(
    mask: Bool[np.ndarray, 'rows columns'],
) -> list[Float[np.ndarray, 'points 2']]:
  """Returns the outlines of all parts and holes of a mask.

  They run midway between the pixels of the mask and those beside them. So the
  mask has the pixels whose centres lie within an odd number of outlines: within
  a part, but not within a hole of it.

  Args:
    mask: Where the object is.

  Returns:
    The corners (x, y) of each outline, in pixels. Pixel centres have whole
    coordinates. The last corner is joined to the first one.
  """
  padded = np.pad(mask, 1).astype(float)  # Outlines close at the frame's edge.
  lines = contourpy.contour_generator(z=padded).lines(0.5)
  return [_corners(np.asarray(line)) - 1 for line in lines]


def _corners(line):
  """Returns a closed line as its corners, the first one only once."""
  steps = np.diff(line, axis=0)
  before = np.roll(steps, 1, axis=0)
  turns = steps[:, 0] * before[:, 1] - steps[:, 1] * before[:, 0]
  return line[:-1][turns != 0]
