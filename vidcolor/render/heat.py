"""Heat maps over greyed frames, and marks on frames."""

import cv2
from jaxtyping import Float, UInt8
import numpy as np

Frame = UInt8[np.ndarray, 'height width 3']

# The faintest that is drawn is a thousandth of the brightest: colour by colour
# an affinity falls by far more than eyes could tell on a linear scale.
_DECADES = 3
_DIMMED = 0.5
# Where the colour map begins: what is darker would be lost on the frame.
_DARKEST = 110
_MARK, _EDGE = (0, 230, 255), (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(
    frame: Frame,
    affinity: Float[np.ndarray, 'rows columns'],
    best: Float[np.ndarray, '2'],
) -> Frame:
  """Draws an affinity over the frame in grey, on a logarithmic scale.

  Args:
    frame: RGB.
    affinity: 1 and more is drawn white, less in yellow to red, and what is
      below a thousandth not at all.
    best: Where a ring is drawn, (x, y) in pixels.
  """
  height, width = frame.shape[:2]
  logarithm = np.log10(np.maximum(affinity, 10.0**-_DECADES))
  heat = np.clip(1 + logarithm / _DECADES, 0, 1).astype(np.float32)
  heat = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
  level = np.round(_DARKEST + (255 - _DARKEST) * heat).astype(np.uint8)
  hot = cv2.applyColorMap(level, cv2.COLORMAP_HOT)[..., ::-1]
  grey = _DIMMED * cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
  drawn = grey[..., None] + heat[..., None] * (hot - grey[..., None])
  drawn = np.round(drawn).astype(np.uint8)
  radius = max(4, round(min(height, width) / 36))
  for colour, line in _lines(drawn):
    cv2.circle(drawn, _pixel(best), radius, colour, line, cv2.LINE_AA)
  return drawn


def mark(frame: Frame, points: Float[np.ndarray, 'points 2']) -> Frame:
  """Draws a cross at each point, with its number, from 1, where there are more.

  Args:
    frame: RGB.
    points: (x, y) in pixels.

  Returns:
    A new frame.
  """
  drawn = frame.copy()
  arm = max(4, round(min(frame.shape[:2]) / 36))
  for number, point in enumerate(points, 1):
    x, y = _pixel(point)
    for colour, line in _lines(drawn):
      cross = cv2.MARKER_CROSS, 2 * arm, line, cv2.LINE_AA
      cv2.drawMarker(drawn, (x, y), colour, *cross)
    if len(points) > 1:
      # A number that would not fit to the right stands to the left.
      right = x + 4 * arm < frame.shape[1]
      origin = x + arm if right else x - 3 * arm, max(y - arm // 2, 2 * arm)
      _write(drawn, str(number), origin, arm / 11)
  return drawn


def _write(frame, text, origin, size):
  """Writes text with an edge, which OpenCV's thickness does not give."""
  x, y = origin
  _, (_, width) = _lines(frame)
  style = 2 * width, cv2.LINE_AA
  for dx, dy in (-1, -1), (-1, 1), (1, -1), (1, 1):
    place = x + dx * width, y + dy * width
    cv2.putText(frame, text, place, _FONT, size, _EDGE, *style)
  cv2.putText(frame, text, origin, _FONT, size, _MARK, *style)


def _lines(frame):
  """Colours and widths of a mark: black under the colour keeps it apart."""
  width = max(1, round(min(frame.shape[:2]) / 200))
  return (_EDGE, width + 3), (_MARK, width)


def _pixel(point):
  x, y = np.round(point).astype(int).tolist()
  return x, y
