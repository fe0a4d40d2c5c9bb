"""Draws heat maps over grey frames, and query points on frames."""

import cv2
from jaxtyping import Float, UInt8
import numpy as np

from vidcolor.render import text

Frame = UInt8[np.ndarray, 'height width 3']

# The scale is logarithmic, from 1/1000 to 1. On a linear scale, most of an
# affinity map would be too dark to see.
_DECADES = 3
_FRAME_BRIGHTNESS = 0.5
# The lowest level of the color map that is used. Lower ones are too dark to see
# on the frame.
_MIN_LEVEL = 110
_MARK_COLOR, _EDGE_COLOR = (0, 230, 255), (0, 0, 0)


def draw_affinity(
    frame: Frame,
    affinity: Float[np.ndarray, 'rows columns'],
    best: Float[np.ndarray, '2'],
) -> Frame:
  """Draws an affinity map over the grey frame, on a logarithmic scale.

  Args:
    frame: RGB.
    affinity: The affinity map. Values of 1 and more are white, lower ones
      yellow to red. Values below 1/1000 are not drawn.
    best: (x, y) in pixels of the best match, which gets a ring.

  Returns:
    A new frame.
  """
  height, width = frame.shape[:2]
  logarithm = np.log10(np.maximum(affinity, 10.0**-_DECADES))
  heat = np.clip(1 + logarithm / _DECADES, 0, 1).astype(np.float32)
  heat = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
  level = np.round(_MIN_LEVEL + (255 - _MIN_LEVEL) * heat).astype(np.uint8)
  hot = cv2.applyColorMap(level, cv2.COLORMAP_HOT)[..., ::-1]
  grey = _FRAME_BRIGHTNESS * cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
  drawn = grey[..., None] + heat[..., None] * (hot - grey[..., None])
  drawn = np.round(drawn).astype(np.uint8)
  radius = max(4, round(min(height, width) / 36))
  for color, line in _lines(drawn):
    cv2.circle(drawn, _pixel(best), radius, color, line, cv2.LINE_AA)
  return drawn


def mark_points(frame: Frame, points: Float[np.ndarray, 'points 2']) -> Frame:
  """Draws a cross at each point. Several points are numbered from 1.

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
    for color, line in _lines(drawn):
      cross = cv2.MARKER_CROSS, 2 * arm, line, cv2.LINE_AA
      cv2.drawMarker(drawn, (x, y), color, *cross)
    if len(points) > 1:
      # Without room at the right, the number goes to the left.
      right = x + 4 * arm < frame.shape[1]
      beside = x + 2 * arm if right else x - 2 * arm, y - 3 * arm // 2
      text.write_centred(drawn, str(number), beside, 2 * arm, _MARK_COLOR)
  return drawn


def _lines(frame):
  """Returns colors and widths of a mark: first its black edge, then itself."""
  width = max(1, round(min(frame.shape[:2]) / 200))
  return (_EDGE_COLOR, width + 3), (_MARK_COLOR, width)


def _pixel(point):
  x, y = np.round(point).astype(int).tolist()
  return x, y
