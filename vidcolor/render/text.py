"""Writes short texts that are readable on any picture."""

import cv2
from jaxtyping import UInt8
import numpy as np

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DIGIT = 21  # Height of a digit of size 1, in pixels.
_EDGE_COLOR = 0, 0, 0

Color = tuple[int, int, int]


def write_centred(
    frame: UInt8[np.ndarray, 'height width 3'],
    text: str,
    centre: tuple[int, int],
    height: int,
    color: Color,
) -> None:
  """Writes text with a black outline, in place, wholly within the frame.

  Args:
    frame: RGB, which is changed.
    text: The text: digits, or letters without descenders.
    centre: (x, y) of the middle of the text, in pixels.
    height: The height of the text, in pixels.
    color: RGB.
  """
  size, line = height / _DIGIT, max(1, round(height / 9))
  edge = max(1, round(height / 12))
  (width, _), _ = cv2.getTextSize(text, _FONT, size, line)
  limits = np.subtract(frame.shape[1::-1], (width + edge, edge))
  corner = np.subtract(centre, (width / 2, -height / 2)).round()
  corner = np.maximum(np.minimum(corner, limits), (edge, height + edge))
  # A thicker stroke is no outline: OpenCV draws some fonts by their shapes.
  shifts = [(x, y) for x in (-edge, 0, edge) for y in (-edge, 0, edge)]
  strokes = [(shift, _EDGE_COLOR) for shift in shifts] + [((0, 0), color)]
  for shift, stroke in strokes:
    place = (corner + shift).astype(int).tolist()
    cv2.putText(frame, text, place, _FONT, size, stroke, line, cv2.LINE_AA)
