"""Lays pictures out beside and below one another, with titles."""

from collections.abc import Mapping, Sequence
import os

import cv2
from jaxtyping import UInt8
import numpy as np

from vidcolor import files

Picture = UInt8[np.ndarray, 'height width 3']

_GAP = 4  # Pixels.
_TEXT_COLOR = (32, 33, 36)
_BACKGROUND = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MAX_COLUMNS = 3
_STILL_HEIGHT = 240  # Pixels.
_MAX_STILL_WIDTH = 640  # Pixels.
_STILLS_PER_ROW = 4


def hstack(
    panels: Sequence[UInt8[np.ndarray, 'height _ 3']],
    titles: Sequence[str] | None = None,
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Lays pictures of one height side by side, with gaps between them.

  Args:
    panels: The pictures, from left to right.
    titles: Text above each picture. None leaves no room for it.
  """
  gap = np.full((len(panels[0]), _GAP, 3), _BACKGROUND, np.uint8)
  row = [panels[0]]
  for panel in panels[1:]:
    row.extend([gap, panel])
  if titles is None:
    return np.hstack(row)
  font_scale = max(0.35, min(panels[0].shape[:2]) / 480)
  bars = [
      _title_bar(title, font_scale, panel.shape[1])
      for title, panel in zip(titles, panels, strict=True)
  ]
  return np.vstack([hstack(bars), np.hstack(row)])


def vstack(
    rows: Sequence[UInt8[np.ndarray, '_ width 3']],
) -> UInt8[np.ndarray, 'height width 3']:
  """Lays pictures of one width below one another, with gaps between them."""
  gap = np.full_like(rows[0][:_GAP], 255)
  return np.vstack([rows[0], *(x for row in rows[1:] for x in (gap, row))])


def grid(
    panels: Sequence[Picture], titles: Sequence[str], columns: int
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Lays pictures of one size out in rows, with titles above them.

  White pictures fill the last row.

  Args:
    panels: The pictures, row by row.
    titles: The title of each picture.
    columns: The number of pictures in a row.
  """
  missing = -len(panels) % columns
  panels = [*panels, *missing * [np.full_like(panels[0], 255)]]
  titles = [*titles, *missing * ['']]
  rows = [
      slice(start, start + columns) for start in range(0, len(panels), columns)
  ]
  return vstack([hstack(panels[row], titles[row]) for row in rows])


def film_frame(
    panels: Mapping[str, Picture],
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Lays out panels of one size, by title, in one row or (from four) in two."""
  columns = len(panels)
  if columns > _MAX_COLUMNS:
    columns = -(-columns // 2)
  return grid(list(panels.values()), list(panels), columns)


def sample_grid(
    columns: Mapping[str, UInt8[np.ndarray, 'samples height width 3']],
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Lays out one row per sample, such as its grey, true and copied colors.

  Args:
    columns: For each title, from left to right, one picture per sample.
  """
  titles = list(columns)
  rows = []
  for panels in zip(*columns.values(), strict=True):
    rows.append(hstack(panels, titles))
    titles = None  # Only the first row has titles.
  return vstack(rows)


def film_strip(
    frames: Sequence[np.ndarray] | UInt8[np.ndarray, 'time height width 3'],
    count: int,
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Lays `count` evenly spaced frames, from first to last, side by side."""
  chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
  return hstack([frames[index] for index in chosen])


def still_grid(
    frames: Sequence[Picture], titles: Sequence[str]
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Lays frames out in rows of four, shrunk to at most 640 x 240 pixels."""
  height = min(_STILL_HEIGHT, len(frames[0]))
  stills = [thumbnail(frame, height) for frame in frames]
  return grid(stills, titles, min(len(stills), _STILLS_PER_ROW))


def thumbnail(
    picture: UInt8[np.ndarray, 'rows columns 3'], height: int
) -> UInt8[np.ndarray, '_ _ 3']:
  """Resizes a picture to a height in pixels and keeps its aspect ratio.

  A picture that would be wider than 640 pixels becomes lower.
  """
  rows, columns, _ = picture.shape
  scale = min(height / rows, _MAX_STILL_WIDTH / columns)
  size = max(1, round(columns * scale)), max(1, round(rows * scale))
  return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def write_picture(path: str | os.PathLike[str], picture: Picture) -> None:
  """Writes an RGB picture in one atomic step; its suffix gives the format.

  Raises:
    OSError: The file cannot be written.
    ValueError: The format cannot hold so large a picture.
  """
  suffix = os.path.splitext(path)[1]
  is_encoded, data = cv2.imencode(suffix, picture[..., ::-1])
  if not is_encoded:
    raise ValueError(f'{path} cannot hold a picture of {picture.shape}')
  # OpenCV writes nothing and says nothing if the disk is full.
  with files.atomic_write(path) as temporary:
    temporary.write_bytes(data.tobytes())


def _title_bar(title, font_scale, width):
  """Returns a bar with the title, `width` pixels wide."""
  height = round(34 * font_scale) + 2
  bar = np.full((height, width, 3), _BACKGROUND, np.uint8)
  (text_width, _), _ = cv2.getTextSize(title, _FONT, font_scale, 1)
  # A title that is too long is written smaller, so that it is not cut off.
  font_scale *= min(1, max(1, width - 2 * _GAP) / max(text_width, 1))
  origin = _GAP, round(0.7 * height)
  return cv2.putText(
      bar, title, origin, _FONT, font_scale, _TEXT_COLOR, 1, cv2.LINE_AA
  )
