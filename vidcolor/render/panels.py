"""Films of panels that play side by side, and strips of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
import os
from typing import NamedTuple

import cv2
from jaxtyping import UInt8
import numpy as np

from vidcolor import files
from vidcolor.render import overlay
from vidcolor.video import video_source

Picture = UInt8[np.ndarray, 'height width 3']

_MAX_COLUMNS = 3
_THUMBNAIL_HEIGHT = 135  # Pixels.


class Moment(NamedTuple):
  """What is shown at once.

  Attributes:
    seconds: When, as in the video.
    panels: Pictures of one size, by title.
  """

  seconds: float
  panels: Mapping[str, Picture]


def film(
    moments: Iterable[Moment],
    wanted: Collection[int],
    thumbnails: list[list[Picture]],
) -> Iterator[video_source.VideoFrame]:
  """Yields the frames of a film, for `mp4.write_like`.

  Args:
    moments: The film.
    wanted: Numbers of those that a strip is to show.
    thumbnails: To which the panels of these are added, made small.
  """
  for index, moment in enumerate(moments):
    pictures = list(moment.panels.values())
    if index in wanted:
      thumbnails.append(
          [
              overlay.thumbnail(picture, _THUMBNAIL_HEIGHT)
              for picture in pictures
          ]
      )
    yield video_source.VideoFrame(
        _grid(pictures, list(moment.panels)), moment.seconds
    )


def write_strip(
    path: str | os.PathLike[str], rows: Iterable[Sequence[Picture]]
) -> None:
  """Writes a picture of rows of pictures; it is there only once complete."""
  picture = overlay.stacked([overlay.side_by_side(row) for row in rows])
  with files.atomic_write(path) as temporary:
    cv2.imwrite(str(temporary), picture[..., ::-1])


def _grid(pictures, titles):
  """Sets as many as three in a row, more in two rows."""
  columns = len(pictures)
  if columns > _MAX_COLUMNS:
    columns = -(-columns // 2)
  return overlay.stacked(overlay.in_rows(pictures, titles, columns))
