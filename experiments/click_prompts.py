"""Prompts that a person gives in one frame, click by click."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Bool, Float, UInt8
import numpy as np

from vidcolor import prompts
from vidcolor.render import overlay
from vidcolor.tracking import box_to_mask
from vidcolor.video import video_source

Frame = UInt8[np.ndarray, 'height width 3']
Embed = Callable[[Frame], Float[Array, 'rows columns dim']]


class ClickPrompt(NamedTuple):
  """Points, one click each; or boxes around objects, two clicks each.

  Attributes:
    frame: RGB, the frame that the person clicks on.
    is_boxes: Whether clicks make boxes.
    positions: (x, y) of each point, or (x0, y0, x1, y1) of each box, in pixels.
    masks: The mask of the object in each box.
    first_corner: (x, y) of the first click of a box that has no second one yet.
  """

  frame: Frame
  is_boxes: bool
  positions: tuple[tuple[float, ...], ...] = ()
  masks: tuple[Bool[np.ndarray, 'height width'], ...] = ()
  first_corner: tuple[float, ...] | None = None

  def click(self, x: float, y: float, embed: Embed) -> 'ClickPrompt':
    """Returns the prompt after one more click.

    Args:
      x: Pixels from the left. A click outside of the frame moves to its edge.
      y: Pixels from the top.
      embed: Embeds a frame, to find the object in a box.
    """
    height, width = self.frame.shape[:2]
    position = min(max(0, x), width - 1), min(max(0, y), height - 1)
    if not self.is_boxes:
      return self._replace(positions=(*self.positions, position))
    if self.first_corner is None:
      return self._replace(first_corner=position)
    corners = zip(self.first_corner, position, strict=True)
    (x0, x1), (y0, y1) = map(sorted, corners)
    if min(x1 - x0, y1 - y0) < prompts.MIN_BOX_SIDE:
      return self  # A double click.
    box = x0, y0, x1, y1
    mask = box_to_mask.from_box(embed, self.frame, np.array(box))
    return self._replace(
        positions=(*self.positions, box),
        masks=(*self.masks, mask),
        first_corner=None,
    )

  def undo(self) -> 'ClickPrompt':
    """Returns the prompt without the last point, box or first corner."""
    if self.first_corner is not None:
      return self._replace(first_corner=None)
    return self._replace(positions=self.positions[:-1], masks=self.masks[:-1])

  def hint(self) -> str:
    """Returns Markdown that says what to do next."""
    if self.first_corner:
      return '**Now click the opposite corner**, so that it is all in the box.'
    what, place = (
        ('object', 'beside a corner of an object')
        if self.is_boxes
        else ('point', 'on something to track')
    )
    if not self.positions:
      return f'**Click {place}.**'
    count = len(self.positions)
    marked = f'{count} {what}' if count == 1 else f'{count} {what}s'
    hint = f'{marked}. **Click Track**, or {place} for one more.'
    if self.is_boxes and box_to_mask.is_whole(
        self.masks[-1], self.positions[-1]
    ):
      hint += (
          ' The last box was taken whole: no outline was found in it. Unless'
          ' the object fills it, undo it, or choose another frame.'
      )
    return hint

  def draw(self) -> Frame:
    """Returns the frame with the prompt drawn over it, as films show it."""
    mask = np.zeros(self.frame.shape[:2], np.uint8)
    for index in box_to_mask.largest_first(self.masks):
      mask[self.masks[index]] = index + 1
    points = self.positions
    if self.is_boxes:
      points = () if self.first_corner is None else (self.first_corner,)
    colors = overlay.contrasting_colors(self.frame, mask)
    frame = overlay.draw_masks(self.frame, mask, colors=colors)
    if len(self.masks) > 1:
      frame = overlay.draw_numbers(frame, mask, range(1, len(self.masks) + 1))
    if not points:
      return frame
    return overlay.draw_points(
        frame,
        np.array(points, np.float32)[:, None],
        np.ones(len(points), bool),
        overlay.color_wheel(len(points)),
    )

  def to_prompt(
      self, video: video_source.VideoSource
  ) -> prompts.PointPrompt | prompts.BoxPrompt:
    """Returns the prompt in pixels of the video before it is shrunk.

    Args:
      video: The video of the frame.
    """
    scale = np.divide(video.size, video.full_size)[::-1]
    positions = (np.reshape(self.positions, (-1, 2)) + 0.5) / scale - 0.5
    if self.is_boxes:
      return prompts.BoxPrompt(positions.reshape(-1, 4))
    return prompts.PointPrompt(positions)
