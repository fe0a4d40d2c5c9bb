"""Draws masks, joints, points and tracks over frames.

Positions are (x, y) in pixels. Pixel centres have whole coordinates.
"""

from collections.abc import Mapping, Sequence
import functools

import cv2
from jaxtyping import Bool, Float, Int, UInt8
import numpy as np

from vidcolor import masks as masks_lib
from vidcolor.render import text

TRAIL_LENGTH = 12  # Frames that a point's trail goes back.

# Pixels. OpenCV draws nothing for points farther away than this.
_MAX_COORDINATE = 2.0**15
_MAX_SAMPLES = 500  # Number of pixels that a color is compared with.
_LUMINANCE = 0.42  # Of colors to draw with, at least.
_MIN_DIGIT = 9  # Height in pixels.

Frame = UInt8[np.ndarray, 'height width 3']
Colors = UInt8[np.ndarray, '256 3']


@functools.cache
def object_colors() -> Colors:
  """Returns a vivid RGB color for each object number, close ones far apart.

  The colors of mask files, those of PASCAL VOC, are too dark to draw over
  video.
  """
  numbers = np.arange(256)
  golden_ratio = (5**0.5 - 1) / 2
  hue = (0.5 + golden_ratio * (numbers - 1)) % 1  # Object 1 is cyan.
  saturation, value = 1 - numbers // 8 % 3 / 5, 1 - numbers // 24 % 3 / 8
  hsv = np.stack([360 * hue, saturation, value], axis=-1).astype(np.float32)
  rgb = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
  # Blue and red are darker than the others: white makes up for it.
  luminance = rgb @ np.array([0.2126, 0.7152, 0.0722], np.float32)[:, None]
  white = np.maximum(0, _LUMINANCE - luminance) / (1 - luminance + 1e-6)
  return (255 * (rgb + white * (1 - rgb))).round().astype(np.uint8)


def contrasting_colors(
    frame: Frame, mask: UInt8[np.ndarray, 'height width']
) -> Colors:
  """Returns colors that stand out from each object, and from one another.

  Args:
    frame: RGB.
    mask: Object numbers. Objects that it lacks keep their `object_colors`.

  Returns:
    The RGB color of each object number.
  """
  colors = object_colors().copy()
  candidates = _to_lab(object_colors()[1:])
  reach = 2 * max(1, round(min(mask.shape) / 48)) + 1
  chosen = []
  for number in np.setdiff1d(mask, [0, masks_lib.VOID]):
    # Its outline is drawn over what is beside it.
    near = cv2.dilate((mask == number).view(np.uint8), np.ones((reach, reach)))
    pixels = frame[near > 0]
    pixels = _to_lab(pixels[:: 1 + len(pixels) // _MAX_SAMPLES])
    # A quarter of what is there may be like the color.
    contrast = np.percentile(_distances(candidates, pixels), 25, axis=1)
    if chosen:
      others = _distances(candidates, candidates[chosen]).min(axis=1)
      contrast = np.minimum(contrast, others)
    chosen.append(np.argmax(contrast))
    colors[number] = object_colors()[1:][chosen[-1]]
  return colors


def draw_masks(
    frame: Frame,
    mask: UInt8[np.ndarray, 'height width'],
    opacity: float = 0.5,
    *,
    colors: Colors | None = None,
) -> Frame:
  """Tints each object in its color and outlines it.

  Args:
    frame: RGB.
    mask: Object numbers. 0 (background) and 255 (void) are not drawn.
    opacity: Opacity of the tint, in 0 to 1.
    colors: The RGB color of each object number. Default: `object_colors`.

  Returns:
    A new frame.
  """
  is_object = (mask != 0) & (mask != masks_lib.VOID)
  # Contours lie inside the objects. Their width is 1/240 of the height.
  kernel = np.ones(2 * [2 * max(1, round(len(mask) / 240)) + 1], np.uint8)
  is_contour = cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)
  colors = object_colors() if colors is None else colors
  tinted = cv2.addWeighted(frame, 1 - opacity, colors[mask], opacity, 0)
  drawn = frame.copy()
  np.copyto(drawn, tinted, where=is_object[..., None])
  is_contour &= is_object
  drawn[is_contour] = colors[mask[is_contour]]
  return drawn


def draw_names(
    frame: Frame,
    mask: UInt8[np.ndarray, 'height width'],
    names: Mapping[int, str],
) -> Frame:
  """Writes names on their objects, or beside them if they are small.

  Args:
    frame: RGB.
    mask: Object numbers.
    names: The text for each object number. Objects without pixels are left out.

  Returns:
    A new frame.
  """
  drawn = frame.copy()
  height = max(_MIN_DIGIT, len(frame) // 24)
  for number, name in names.items():
    x, y, width, rows = cv2.boundingRect((mask == number).view(np.uint8))
    if not width:
      continue
    crop = mask[y : y + rows, x : x + width] == number
    crop = np.pad(crop, 1).view(np.uint8)
    depth = cv2.distanceTransform(crop, cv2.DIST_L2, 3)
    at_y, at_x = np.unravel_index(np.argmax(depth), depth.shape)
    if depth.max() < 0.75 * height:
      _, pieces = cv2.connectedComponents(crop)
      is_piece = pieces == pieces[at_y, at_x]
      top, bottom = np.flatnonzero(is_piece.any(axis=1))[[0, -1]]
      is_room_above = y + top >= 2 * height
      at_y = top - height if is_room_above else bottom + height
    centre = int(x + at_x - 1), int(y + at_y - 1)
    text.write_centred(drawn, name, centre, height, (255, 255, 255))
  return drawn


def draw_joints(
    frame: Frame,
    joints: Float[np.ndarray, 'joints 2'],
    limbs: Sequence[tuple[int, int]],
) -> Frame:
  """Draws a skeleton. A limb has the color of its second joint.

  Args:
    frame: RGB.
    joints: (x, y) of each joint. A joint with a negative, infinite or NaN
      coordinate counts as lost and is not drawn.
    limbs: Pairs of joint indices. A line joins the two joints.

  Returns:
    A new frame.
  """
  drawn = frame.copy()
  colors = color_wheel(len(joints)).tolist()
  is_found = np.all((joints >= 0) & np.isfinite(joints), axis=-1)
  ends = _to_sixteenths(joints).tolist()
  width = max(1, round(min(frame.shape[:2]) / 160))
  for first, second in limbs:
    if is_found[first] and is_found[second]:
      # A black edge makes the line stand out on any picture.
      for color, edge in ((0, 0, 0), 2), (colors[second], 0):
        line = ends[first], ends[second], color, width + edge
        cv2.line(drawn, *line, cv2.LINE_AA, 4)
  for joint in np.flatnonzero(is_found):
    disc = ends[joint], 24 * width, colors[joint], cv2.FILLED
    cv2.circle(drawn, *disc, cv2.LINE_AA, 4)
  return drawn


def draw_points(
    frame: Frame,
    trails: Float[np.ndarray, 'points time 2'],
    visible: Bool[np.ndarray, ' points'],
    colors: UInt8[np.ndarray, 'points 3'],
) -> Frame:
  """Draws points with trails: visible ones as discs, hidden ones as rings.

  Args:
    frame: RGB.
    trails: (x, y) of each point in the last frames, oldest first. The last
      position is that in this frame. A point with an infinite or NaN
      coordinate in its trail is not drawn.
    visible: Whether each point is visible in this frame.
    colors: RGB of each point.

  Returns:
    A new frame.
  """
  drawn = frame.copy()
  width = max(1, round(min(frame.shape[:2]) / 256))
  lines = _to_sixteenths(trails)
  for index in np.flatnonzero(np.isfinite(trails).all(axis=(1, 2))):
    color, line = colors[index].tolist(), lines[index]
    cv2.polylines(drawn, [line], False, color, width, cv2.LINE_AA, 4)
    thickness = cv2.FILLED if visible[index] else width
    disc = line[-1].tolist(), 48 * width
    cv2.circle(drawn, *disc, color, thickness, cv2.LINE_AA, 4)
  return drawn


def draw_tracks(
    frame: Frame,
    index: int,
    *,
    numbers: Int[np.ndarray, ' tracked'],
    masks: Sequence[np.ndarray] | UInt8[np.ndarray, 'time height width'] | None,
    position: Float[np.ndarray, 'time tracked 2'],
    visible: Bool[np.ndarray, 'time tracked'],
    limbs: Sequence[tuple[int, int]] = (),
    colors: Colors | None = None,
    names: Mapping[int, str] = {},
) -> Frame:
  """Draws what was tracked: objects, points, or joints if there are limbs.

  An object is tinted, a lost one only outlined. If there are several, or names,
  each has its name on it, or else its number. A point is a disc with a trail, a
  hidden one a ring.

  Args:
    frame: RGB.
    index: The number of the frame in the video.
    numbers: The number of each object in the masks.
    masks: One mask per frame, UInt8[np.ndarray, 'height width'], or None to
      draw points or joints.
    position: (x, y) of each point.
    visible: Whether each object or point is visible.
    limbs: Pairs of point indices, to draw as a skeleton.
    colors: The RGB color of each object number. Default: `object_colors`.
    names: The name of each object number. They may be missing.

  Returns:
    A new frame.
  """
  is_seen = visible[index]
  if masks is not None:
    mask = masks[index]
    is_lost = np.isin(mask, numbers[~is_seen])
    frame = draw_masks(frame, np.where(is_lost, mask, 0), 0.0, colors=colors)
    frame = draw_masks(frame, np.where(is_lost, 0, mask), colors=colors)
    if len(numbers) > 1 or names:
      every = {number: str(number) for number in numbers.tolist()}
      frame = draw_names(frame, mask, {**every, **names})
    return frame
  if limbs:
    joints = np.where(is_seen[:, None], position[index], np.nan)
    return draw_joints(frame, joints, limbs)
  trails = position[max(0, index - TRAIL_LENGTH) : index + 1].swapaxes(0, 1)
  trails = np.ascontiguousarray(trails)  # OpenCV needs it.
  return draw_points(frame, trails, is_seen, color_wheel(len(numbers)))


def color_wheel(count: int) -> UInt8[np.ndarray, 'count 3']:
  """Returns `count` RGB colors, from blue over green to red."""
  values = np.linspace(25, 230, count).astype(np.uint8)[:, None]
  return cv2.applyColorMap(values, cv2.COLORMAP_TURBO)[:, 0, ::-1]


def _to_sixteenths(position):
  """Converts positions to sixteenths of a pixel, OpenCV's fixed-point unit."""
  position = np.nan_to_num(position).clip(-_MAX_COORDINATE, _MAX_COORDINATE)
  return (16 * position).round().astype(np.int32)


def _to_lab(colors):
  """Converts RGB colors [count, 3] to Lab."""
  return cv2.cvtColor(colors[None] / np.float32(255), cv2.COLOR_RGB2LAB)[0]


def _distances(colors, others):
  return np.linalg.norm(colors[:, None] - others, axis=-1)
