"""What a person marks in a frame, click by click."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Bool, UInt8
import numpy as np

from vidcolor import prompts
from vidcolor.render import overlay
from vidcolor.tracking import box_to_mask
from vidcolor.video import video_source


class Marks(NamedTuple):
  """Points; or objects in boxes, each of which takes two clicks.

  Attributes:
    frame: RGB, where they are marked.
    is_boxes: Whether boxes are.
    given: (x, y) of points, or (x0, y0, x1, y1) of boxes, in pixels.
    regions: Of each box, where the object is.
    corner: (x, y), the first one of a box that is yet to come.
  """

  frame: UInt8[np.ndarray, 'height width 3']
  is_boxes: bool
  given: tuple[tuple[float, ...], ...] = ()
  regions: tuple[Bool[np.ndarray, 'height width'], ...] = ()
  corner: tuple[float, ...] | None = None

  def click(self, x: float, y: float, embed: Callable[[Any], Any]) -> 'Marks':
    """The marks with a point, a corner or, at the second one, a box more.

    Args:
      x: In pixels; outside of the frame it is taken to its edge.
      y: The same.
      embed: As `box_to_mask.from_box` takes it.
    """
    height, width = self.frame.shape[:2]
    place = min(max(0, x), width - 1), min(max(0, y), height - 1)
    if not self.is_boxes:
      return self._replace(given=(*self.given, place))
    if self.corner is None:
      return self._replace(corner=place)
    (x0, x1), (y0, y1) = map(sorted, zip(self.corner, place, strict=True))
    if min(x1 - x0, y1 - y0) < prompts.LEAST_SIDE:
      return self  # A double click.
    box = x0, y0, x1, y1
    region = box_to_mask.from_box(embed, self.frame, np.array(box))
    given, found = (*self.given, box), (*self.regions, region)
    return self._replace(given=given, regions=found, corner=None)

  def undo(self) -> 'Marks':
    """The marks without the last one, or without the corner of one."""
    if self.corner is not None:
      return self._replace(corner=None)
    return self._replace(given=self.given[:-1], regions=self.regions[:-1])

  def hint(self) -> str:
    """What to do next, in Markdown."""
    if self.corner:
      return '**Now click the opposite corner**, so that it is all in the box.'
    what, place = (
        ('object', 'beside a corner of an object')
        if self.is_boxes
        else ('point', 'on something to follow')
    )
    if not self.given:
      return f'**Click {place}.**'
    count = len(self.given)
    marked = f'{count} {what}' if count == 1 else f'{count} {what}s'
    return f'{marked}. **Click Track**, or {place} for one more.'

  def draw(self) -> UInt8[np.ndarray, 'height width 3']:
    """The frame with the marks over it, coloured as they will be followed."""
    mask = np.zeros(self.frame.shape[:2], np.uint8)
    for index in box_to_mask.largest_first(self.regions):
      mask[self.regions[index]] = index + 1
    points = self.given
    if self.is_boxes:
      points = () if self.corner is None else (self.corner,)
    frame = overlay.draw_masks(self.frame, mask)
    if not points:
      return frame
    return overlay.draw_points(
        frame,
        np.array(points, np.float32)[:, None],
        np.ones(len(points), bool),
        overlay.wheel(len(points)),
    )

  def prompt(self, video: video_source.VideoSource) -> prompts.Prompt:
    """What is marked, to be followed in the video that the frame is of."""
    scale = np.divide(video.size, video.full_size)[::-1]
    place = (np.reshape(self.given, (-1, 2)) + 0.5) / scale - 0.5
    if self.is_boxes:
      return prompts.BoxPrompt(place.reshape(-1, 4))
    return prompts.PointPrompt(place)
