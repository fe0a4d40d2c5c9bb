"""A frame to mark by mouse or finger: points, or boxes around objects."""

import pathlib

import anywidget
import cv2
from jaxtyping import UInt8
import numpy as np
import traitlets

from vidcolor import errors
from vidcolor import prompts

_JPEG_QUALITY = 92


class Clicks(anywidget.AnyWidget):
  """A picture: a click sets a point, dragging draws a box.

  Either kind takes the place of the other. Positions are in pixels of the
  video, whose centres have whole coordinates.

  Attributes:
    points: (x, y) of each; to be set as well.
    boxes: (x0, y0, x1, y1) of each; to be set as well.
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
    """Makes it; a cell that ends with it shows it.

    Args:
      frame: RGB.
      full_size: Height and width of the video, if the frame was shrunk.
      **kwargs: `points` or `boxes` to begin with.
    """
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, jpeg = cv2.imencode('.jpg', frame[..., ::-1], quality)
    height, width = full_size or frame.shape[:2]
    super().__init__(
        picture=jpeg.tobytes(), height=height, width=width, **kwargs
    )

  def prompt(self) -> prompts.PointPrompt | prompts.BoxPrompt:
    """What is marked, as `Tracker.stream` takes it.

    Raises:
      UserError: nothing is.
    """
    if self.boxes:
      return prompts.BoxPrompt(self.boxes, 'your boxes')
    if self.points:
      return prompts.PointPrompt(self.points, 'your points')
    raise errors.UserError(
        'nothing is marked: click points or drag a box on the picture above,'
        ' then run this cell again'
    )
