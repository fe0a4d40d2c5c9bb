"""Draws confidence over time: a row per object, from left to right."""

from collections.abc import Collection, Mapping, Sequence

import cv2
from jaxtyping import Bool, Float, UInt8
import numpy as np

from vidcolor.render import text

_WIDTH, _ROW, _GAP = 640, 26, 4  # Pixels.
_GROUND, _SURE, _LOST = (228, 231, 236), (72, 132, 188), (214, 40, 40)
_LOST_GROUND = 247, 190, 186
_MARK, _SHOWN = (20, 20, 20), (0, 0, 0)


def draw_confidence(
    confidence: Float[np.ndarray, 'time objects'],
    visible: Bool[np.ndarray, 'time objects'],
    begins: Sequence[int],
    marked: Mapping[int, Collection[int]],
    shown: int | None = None,
    names: Sequence[str] = (),
) -> UInt8[np.ndarray, 'height width 3']:
  """Returns the picture, in RGB.

  A bar is as high as the object's confidence in its frame. It is red where the
  object is likely lost. A black dot is where it is marked. A black line is at
  the frame that is shown.

  Args:
    confidence: In 0 to 1.
    visible: Whether each object is visible. Otherwise it is likely lost.
    begins: The first frame of each object, before which its row is empty.
    marked: The frames with marks of each object, by its index.
    shown: The number of the frame that is shown, if one is.
    names: What is written on the rows. May be empty.
  """
  count, num_objects = confidence.shape
  picture = np.full((num_objects * (_ROW + _GAP) - _GAP, _WIDTH, 3), 255)
  frames = np.arange(_WIDTH) * count // _WIDTH
  for index in range(num_objects):
    row = picture[index * (_ROW + _GAP) :][:_ROW]
    begun = frames >= begins[index]
    lost = ~visible[frames, index] & begun
    row[:] = np.where(lost[:, None], _LOST_GROUND, _GROUND)
    height = np.round(_ROW * confidence[frames, index]).astype(int)
    is_bar = (np.arange(_ROW)[:, None] >= _ROW - height) & begun
    colors = np.broadcast_to(np.where(lost[:, None], _LOST, _SURE), row.shape)
    row[is_bar] = colors[is_bar]
  picture = picture.astype(np.uint8)
  middle = lambda frame: round((frame + 0.5) * _WIDTH / count)
  if shown is not None:
    picture[:, max(0, middle(shown) - 1) : middle(shown) + 1] = _SHOWN
  for index, numbers in marked.items():
    y = index * (_ROW + _GAP) + 5
    for frame in numbers:
      cv2.circle(picture, (middle(frame), y), 4, (255,) * 3, -1, cv2.LINE_AA)
      cv2.circle(picture, (middle(frame), y), 3, _MARK, -1, cv2.LINE_AA)
  for index, name in enumerate(names):
    # Centred at the left edge, it moves into the picture.
    at = 0, index * (_ROW + _GAP) + _ROW // 2
    text.write_centred(picture, name, at, 12, (255,) * 3)
  return picture


def frame_at(x: int | float, count: int) -> int:
  """Returns the number of the frame at a place of the picture.

  Args:
    x: Pixels from the left.
    count: Number of frames.
  """
  return min(max(0, int(x) * count // _WIDTH), count - 1)
