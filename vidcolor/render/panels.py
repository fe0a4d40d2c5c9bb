"""Films of panels that play side by side, and strips of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
import os
from typing import NamedTuple

import cv2
from jaxtyping import UInt8
import numpy as np

from vidcolor import files
from vidcolor.data import footage
from vidcolor.render import overlay

Picture = UInt8[np.ndarray, 'height width 3']

_GAP = 4  # Pixels.
_MAX_COLUMNS = 3
_THUMBNAIL_HEIGHT = 135


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
) -> Iterator[footage.Frame]:
  """Yields the frames of a film, for `mp4.write_like`.

  Args:
    moments: The film.
    wanted: Numbers of those that a strip is to show.
    thumbnails: To which the panels of these are added, made small.
  """
  for index, moment in enumerate(moments):
    pictures = list(moment.panels.values())
    if index in wanted:
      thumbnails.append([_thumbnail(picture) for picture in pictures])
    yield footage.Frame(_grid(pictures, list(moment.panels)), moment.seconds)


def write_strip(
    path: str | os.PathLike[str], rows: Iterable[Sequence[Picture]]
) -> None:
  """Writes a picture of rows of pictures; it is there only once complete."""
  picture = _stacked([overlay.side_by_side(row) for row in rows])
  with files.written_whole(path) as temporary:
    cv2.imwrite(str(temporary), picture[..., ::-1])


def _grid(pictures, titles):
  """Sets as many as three in a row, more in two rows."""
  columns = len(pictures)
  if columns > _MAX_COLUMNS:
    columns = -(-columns // 2)
  missing = -len(pictures) % columns
  pictures = [*pictures, *missing * [np.full_like(pictures[0], 255)]]
  titles = [*titles, *missing * ['']]
  parts = [
      slice(start, start + columns)
      for start in range(0, len(pictures), columns)
  ]
  return _stacked(
      [overlay.side_by_side(pictures[part], titles[part]) for part in parts]
  )


def _stacked(rows):
  gap = np.full_like(rows[0][:_GAP], 255)
  return np.vstack([rows[0], *(x for row in rows[1:] for x in (gap, row))])


def _thumbnail(picture):
  height, width = picture.shape[:2]
  size = max(1, round(width * _THUMBNAIL_HEIGHT / height)), _THUMBNAIL_HEIGHT
  return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
