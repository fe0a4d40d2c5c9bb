"""A widget to mark points or boxes in a frame, by mouse or finger."""

import pathlib

import anywidget
import cv2
from jaxtyping import UInt8
import numpy as np
import traitlets

from vidcolor import errors
from vidcolor import prompts

_JPEG_QUALITY = 92


class ClickWidget(anywidget.AnyWidget):
  """A picture of a frame: a click sets a point, a drag draws a box.

  A new point removes all boxes, and a new box removes all points. Positions are
  in pixels of the video. Pixel centres have whole coordinates.

  Attributes:
    points: (x, y) of each point. Code may set it, too.
    boxes: (x0, y0, x1, y1) of each box. Code may set it, too.
  """

  _esm = pathlib.Path(__file__).with_name('clicks.js')
  picture = traitlets.Bytes().tag(sync=True)
  width = traitlets.Int().tag(sync=True)
  height = traitlets.Int().tag(sync=True)
  points = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
  boxes = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)

  def __init__(
      self,
      frame: UInt8[np.ndarray, 'height width 3'],
      full_size: tuple[int, int] | None = None,
      **kwargs,
  ):
    """Makes the widget. A cell that ends with it shows it.

    Args:
      frame: RGB.
      full_size: Height and width of the video, if the frame was shrunk.
      **kwargs: The first `points` or `boxes`.
    """
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, jpeg = cv2.imencode('.jpg', frame[..., ::-1], quality)
    height, width = full_size or frame.shape[:2]
    super().__init__(
        picture=jpeg.tobytes(), height=height, width=width, **kwargs
    )

  def prompt(self) -> prompts.PointPrompt | prompts.BoxPrompt:
    """Returns the marked points or boxes, for `VideoTracker.stream`.

    Raises:
      UserError: Nothing is marked.
    """
    if self.boxes:
      return prompts.BoxPrompt(self.boxes, 'your boxes')
    if self.points:
      return prompts.PointPrompt(self.points, 'your points')
    raise errors.UserError(
        'nothing is marked: click points or drag a box on the picture above,'
        ' then run this cell again'
    )
