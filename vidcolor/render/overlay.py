"""Masks, joints and points drawn over frames, and frames set side by side."""

from collections.abc import Sequence

import cv2
from jaxtyping import Bool, Float, UInt8
import numpy as np

from vidcolor import masks

_GAP = 4
_INK = (32, 33, 36)
_PAPER = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FARTHEST = 2.0**15  # Pixels; what is farther is drawn as if it were there.

Frame = UInt8[np.ndarray, 'height width 3']


def draw_masks(
    frame: Frame,
    mask: UInt8[np.ndarray, 'height width'],
    opacity: float = 0.5,
) -> Frame:
  """Tints each object in its colour and outlines it in a brighter one.

  Args:
    frame: RGB.
    mask: 0 and 255 (nobody can tell) are left as they are, other numbers are
      objects.
    opacity: Of the tint, in 0 to 1.

  Returns:
    A new frame.
  """
  is_object = (mask != 0) & (mask != masks.VOID)
  # Contours lie inside the objects, as wide as it takes to see them.
  kernel = np.ones(2 * [2 * max(1, round(len(mask) / 240)) + 1], np.uint8)
  is_contour = cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)
  colours = masks.palette()
  tinted = cv2.addWeighted(frame, 1 - opacity, colours[mask], opacity, 0)
  drawn = frame.copy()
  np.copyto(drawn, tinted, where=is_object[..., None])
  bright = colours // 2 + 128
  is_contour &= is_object
  drawn[is_contour] = bright[mask[is_contour]]
  return drawn


def draw_joints(
    frame: Frame,
    joints: Float[np.ndarray, 'joints 2'],
    limbs: Sequence[tuple[int, int]],
) -> Frame:
  """Draws a skeleton, each joint and the limb that leads to it in a colour.

  Args:
    frame: RGB.
    joints: (x, y) in pixels, whose centres have whole coordinates; with a
      negative or no finite one where a joint is lost, which is not drawn.
    limbs: Pairs of joints' numbers, a line from the first to the second.

  Returns:
    A new frame.
  """
  drawn = frame.copy()
  colours = wheel(len(joints)).tolist()
  is_found = np.all((joints >= 0) & np.isfinite(joints), axis=-1)
  ends = _sixteenths(joints).tolist()
  width = max(1, round(min(frame.shape[:2]) / 160))
  for first, second in limbs:
    if is_found[first] and is_found[second]:
      # Black under the colour keeps it apart from any picture.
      for colour, edge in ((0, 0, 0), 2), (colours[second], 0):
        line = ends[first], ends[second], colour, width + edge
        cv2.line(drawn, *line, cv2.LINE_AA, 4)
  for joint in np.flatnonzero(is_found):
    disc = ends[joint], 24 * width, colours[joint], cv2.FILLED
    cv2.circle(drawn, *disc, cv2.LINE_AA, 4)
  return drawn


def draw_points(
    frame: Frame,
    trails: Float[np.ndarray, 'points time 2'],
    visible: Bool[np.ndarray, ' points'],
    colours: UInt8[np.ndarray, 'points 3'],
) -> Frame:
  """Draws points, as discs where they are visible, else rings, and trails.

  Args:
    frame: RGB.
    trails: (x, y) in pixels, whose centres have whole coordinates, in some of
      the frames before, the oldest first, and in this one. A point that is
      not finite in one of them is not drawn.
    visible: Whether they are, in this frame.
    colours: RGB of each point.

  Returns:
    A new frame.
  """
  drawn = frame.copy()
  width = max(1, round(min(frame.shape[:2]) / 256))
  lines = _sixteenths(trails)
  for index in np.flatnonzero(np.isfinite(trails).all(axis=(1, 2))):
    colour, line = colours[index].tolist(), lines[index]
    cv2.polylines(drawn, [line], False, colour, width, cv2.LINE_AA, 4)
    thickness = cv2.FILLED if visible[index] else width
    disc = line[-1].tolist(), 48 * width
    cv2.circle(drawn, *disc, colour, thickness, cv2.LINE_AA, 4)
  return drawn


def _sixteenths(position):
  """Positions in sixteenths of a pixel, as OpenCV takes them."""
  position = np.nan_to_num(position).clip(-_FARTHEST, _FARTHEST)
  return (16 * position).round().astype(np.int32)


def wheel(count: int) -> UInt8[np.ndarray, 'count 3']:
  """As many RGB colours, from blue over green to red."""
  values = np.linspace(25, 230, count).astype(np.uint8)[:, None]
  return cv2.applyColorMap(values, cv2.COLORMAP_TURBO)[:, 0, ::-1]


def side_by_side(
    panels: Sequence[UInt8[np.ndarray, 'height _ 3']],
    titles: Sequence[str] | None = None,
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Sets frames of one height in a row, maybe with titles above them."""
  gap = np.full((len(panels[0]), _GAP, 3), _PAPER, np.uint8)
  row = [panels[0]]
  for panel in panels[1:]:
    row.extend([gap, panel])
  if titles is None:
    return np.hstack(row)
  size = max(0.35, min(panels[0].shape[:2]) / 480)
  bars = [
      _bar(title, size, panel.shape[1])
      for title, panel in zip(titles, panels, strict=True)
  ]
  return np.vstack([side_by_side(bars), np.hstack(row)])


def in_rows(
    panels: Sequence[Frame], titles: Sequence[str], columns: int
) -> list[UInt8[np.ndarray, 'row_height row_width 3']]:
  """Sets frames of one size in rows of so many, with titles above them.

  Blank ones fill the last row up.
  """
  missing = -len(panels) % columns
  panels = [*panels, *missing * [np.full_like(panels[0], 255)]]
  titles = [*titles, *missing * ['']]
  parts = [
      slice(start, start + columns) for start in range(0, len(panels), columns)
  ]
  return [side_by_side(panels[part], titles[part]) for part in parts]


def stacked(
    rows: Sequence[UInt8[np.ndarray, '_ width 3']],
) -> UInt8[np.ndarray, 'height width 3']:
  """Sets pictures of one width below one another, with gaps between them."""
  gap = np.full_like(rows[0][:_GAP], 255)
  return np.vstack([rows[0], *(x for row in rows[1:] for x in (gap, row))])


def thumbnail(
    picture: UInt8[np.ndarray, 'rows columns 3'], height: int
) -> UInt8[np.ndarray, '{height} width 3']:
  """A picture brought to a height in pixels; its shape stays."""
  rows, columns, _ = picture.shape
  size = max(1, round(columns * height / rows)), height
  return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _bar(title, size, width):
  """A strip of paper, `width` pixels wide, with the title."""
  height = round(34 * size) + 2
  bar = np.full((height, width, 3), _PAPER, np.uint8)
  (text_width, _), _ = cv2.getTextSize(title, _FONT, size, 1)
  # A title too long for its panel is set smaller, not cut.
  size *= min(1, (width - 2 * _GAP) / max(text_width, 1))
  origin = _GAP, round(0.7 * height)
  return cv2.putText(bar, title, origin, _FONT, size, _INK, 1, cv2.LINE_AA)
