"""Clicks that a person would make to correct a mask, from the true mask."""

import cv2
from jaxtyping import Bool, Float
import numpy as np


def three_clicks(
    truth: Bool[np.ndarray, 'height width'],
    found: Bool[np.ndarray, 'height width'],
) -> Float[np.ndarray, '3 3']:
  """Returns two clicks (x, y, 1) on the object, and one (x, y, 0) beside it.

  The first click is in the middle of the largest part that was missed, the
  second on the object far from the first, and the third in the middle of the
  largest part that was wrongly found.

  Args:
    truth: The true mask.
    found: The tracked mask.
  """
  missed, wrong = truth & ~found, found & ~truth
  first = _innermost(missed if missed.any() else truth)
  depth = cv2.distanceTransform(truth.view(np.uint8), cv2.DIST_L2, 5)
  y, x = np.indices(truth.shape)
  away = np.hypot(x - first[0], y - first[1])
  # Deep in the object, and far from the first click.
  second = np.unravel_index((depth * np.sqrt(away)).argmax(), truth.shape)[::-1]
  beside = _innermost(wrong if wrong.any() else ~truth)
  return np.array([[*first, 1], [*second, 1], [*beside, 0]], np.float32)


def _innermost(mask):
  """Returns (x, y) of the innermost pixel of a mask's largest piece."""
  _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8))
  largest = 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
  piece = np.pad((pieces == largest).astype(np.uint8), 1)
  depth = cv2.distanceTransform(piece, cv2.DIST_L2, 5)[1:-1, 1:-1]
  return np.unravel_index(depth.argmax(), depth.shape)[::-1]
