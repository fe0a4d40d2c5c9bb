"""Reads masks off coarse labels, along the edges of the frame.

The label of an object is fitted to the colors around each position by a linear
function (He et al. 2010, Guided Image Filtering), on a grid of two samples a
cell (He and Sun 2015, Fast Guided Filter). The function is then applied to the
pixels. Before, the label is sharpened: each copy averages over a few matches,
so that thin parts fade.

The copied labels stay as they are: with refined masks in the memory, J fell by
up to 0.2. `experiments/README.md` says what refining gains.
"""

from collections.abc import Callable

import cv2
from jaxtyping import Float, UInt8
import numpy as np

# Samples in a cell, along each side, at which the function is fitted.
_SAMPLES = 2
# Radius of the windows in which it is fitted, in samples.
_RADIUS = 4
# Regularizes the function: edges whose variance is below it are not followed.
# Colors are 0 to 1.
_EPSILON = 3e-4
# The blur, in cells, whose difference from the label is added to it.
_BLUR = 2.0

_Plane = Float[np.ndarray, '_ _']


def mask_along_edges(
    labels: Float[np.ndarray, 'rows columns num_labels'],
    frame: UInt8[np.ndarray, 'height width 3'],
) -> UInt8[np.ndarray, 'height width']:
  """Returns the most likely label of each pixel.

  Args:
    labels: Copied labels. They add up to 1 at each cell; the first one is that
      of the background.
    frame: The RGB frame.
  """
  refine = _refiner(frame, labels.shape[:2])
  refined = [refine(labels[..., i]) for i in range(1, labels.shape[-1])]
  mask = np.zeros(frame.shape[:2], np.uint8)
  best = np.ones(mask.shape, np.float32)
  for label in refined:
    best -= label
  for number, label in enumerate(refined, 1):
    np.copyto(mask, np.uint8(number), where=label > best)
    np.maximum(best, label, out=best)
  return mask


def _refiner(frame, grid) -> Callable[[_Plane], _Plane]:
  """Returns a function that brings a label from the grid to the frame."""
  size = grid[1] * _SAMPLES, grid[0] * _SAMPLES
  shrunk = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
  colors = [np.float32(color) / 255 for color in cv2.split(shrunk)]
  means = [_mean(color) for color in colors]
  covariance = {
      (i, j): _mean(colors[i] * colors[j]) - means[i] * means[j]
      for i in range(3)
      for j in range(i + 1)
  }
  for i in range(3):
    covariance[i, i] += _EPSILON
  pixels = [np.float32(color) / 255 for color in cv2.split(frame)]

  def refine(label):
    label = np.asarray(label, np.float32)
    label = 2 * label - cv2.GaussianBlur(label, (0, 0), _BLUR)
    label = cv2.resize(label, size)
    mean = _mean(label)
    slopes = _solve(
        covariance,
        [_mean(label * colors[i]) - mean * means[i] for i in range(3)],
    )
    offset = mean - sum(slopes[i] * means[i] for i in range(3))
    enlarged = lambda x: cv2.resize(_mean(x), frame.shape[1::-1])
    refined = enlarged(offset)
    for slope, color in zip(slopes, pixels, strict=True):
      refined += enlarged(slope) * color
    return refined

  return refine


def _solve(matrix, vector):
  """Solves a symmetric 3 x 3 system at each position, by elimination."""
  matrix, vector = dict(matrix), list(vector)
  for i in range(3):
    for j in range(i + 1, 3):
      factor = matrix[j, i] / matrix[i, i]
      vector[j] = vector[j] - factor * vector[i]
      for k in range(j, 3):
        matrix[k, j] = matrix[k, j] - factor * matrix[k, i]
  for i in reversed(range(3)):
    for j in range(i + 1, 3):
      vector[i] = vector[i] - matrix[j, i] * vector[j]
    vector[i] = vector[i] / matrix[i, i]
  return vector


def _mean(plane):
  side = 2 * _RADIUS + 1
  return cv2.boxFilter(plane, -1, (side, side), borderType=cv2.BORDER_REFLECT)
