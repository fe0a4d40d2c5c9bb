"""Reads pictures: a single one, a folder of them, or a file of several."""

from collections.abc import Iterator
import contextlib
import functools
import math
import os
import pathlib
import re
from typing import NamedTuple
import warnings

import cv2
from jaxtyping import UInt8
import numpy as np
from PIL import Image
from PIL import ImageOps

from vidcolor import errors
from vidcolor import files

SUFFIXES = (
    '.jpg .jpeg .png .apng .webp .avif .gif .bmp .tif .tiff .ppm .pgm'.split()
)
# Pillow's names of the formats whose files may hold several pictures. It also
# counts the depth map of a phone's photograph (MPO), which is no frame.
_ANIMATED = ('WEBP', 'PNG', 'AVIF', 'GIF', 'TIFF')
_UNREADABLE = 'cannot read the picture {}: restore it, or remove it'
_JPEG = ('.jpg', '.jpeg')
_ORIENTATION = 0x0112  # Exif's tag.
# Seconds. Browsers show frames whose duration is at most the first for the
# second.
_MIN_DURATION, _DEFAULT_DURATION = 0.01, 0.1
_MAX_8_BIT = np.iinfo(np.uint8).max
_MAX_16_BIT = np.iinfo(np.uint16).max
# OpenCV prints its reasons on lines of their own, beside our one line.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

Rgb = UInt8[np.ndarray, 'height width 3']


class PictureSequence:
  """The pictures of a folder in the order of their names, or those of a file.

  A file of several pictures is an animated WebP, PNG, GIF or AVIF, or a TIFF
  stack. An animation has its own times. Names are sorted by the numbers in
  them: frame2 comes before frame10.

  Pictures are upright 8-bit RGB. What is transparent is black. Pictures of more
  than 8 bits are scaled by the range of their values in the whole sequence, and
  a warning says so. Those that use more than half of 16 bits just lose their
  lower bits.
  """

  def __init__(self, path: str | os.PathLike, frames_per_second: float):
    """Looks at the pictures.

    Args:
      path: The folder or the file.
      frames_per_second: The rate at which pictures without times are shown.

    Raises:
      UserError: There is no picture, a file in the folder holds several, or it
        is unclear which pictures are frames.
    """
    self._path = pathlib.Path(path)
    self._period = 1 / frames_per_second
    is_folder = self._path.is_dir()
    paths = _frames_of(self._path) if is_folder else [self._path]
    self._headers = {path: _header(path) for path in paths}
    for path, header in self._headers.items():
      _require_right_count(path, header.num_pages, is_folder)
    self._levels = _find_levels(self._path, self._headers)

  @property
  def has_times(self) -> bool:
    """Whether this is an animation, which says when its pictures are shown."""
    header = self._headers.get(self._path)
    return header is not None and header.has_times

  def count(self, start: float, end: float) -> int | None:
    """Returns the number of pictures in a range of time, None if unknown."""
    if self._path.is_dir():
      times = (k * self._period for k in range(len(self._headers)))
      return sum(start <= time < end for time in times)
    is_whole = start <= 0 and end == math.inf
    return self._headers[self._path].num_pages if is_whole else None

  def paths(self, start: float, end: float) -> list[pathlib.Path] | None:
    """Returns the paths of a folder's pictures in a range of time.

    The pictures of a file have none.
    """
    if not self._path.is_dir():
      return None
    return [
        path
        for k, path in enumerate(self._headers)
        if start <= k * self._period < end
    ]

  def read(self, start: float, end: float) -> Iterator[tuple[float, Rgb]]:
    """Yields the time in seconds and the picture, for times in a range.

    Args:
      start: Pictures before this time are skipped.
      end: Pictures from this time on are skipped.

    Raises:
      UserError: (while iterating) A picture cannot be read, or it has another
        size than the one before.
    """
    header = self._headers.get(self._path)
    if header is None or header.is_wide:
      timed = self._at_one_rate()
    else:
      timed = self._at_own_times(header)
    shape = None
    for seconds, path, read_one in timed:
      if seconds >= end:
        return
      if seconds < start:
        continue
      rgb = read_one()
      shape = shape or rgb.shape
      if rgb.shape != shape:
        raise errors.UserError(
            f'{path} is {rgb.shape[1]}x{rgb.shape[0]}, but the pictures before'
            f' it are {shape[1]}x{shape[0]}: make all of one size'
        )
      yield seconds, rgb

  def _at_one_rate(self):
    pages = (
        (path, page, header)
        for path, header in self._headers.items()
        for page in range(max(1, header.num_pages))
    )
    for number, place in enumerate(pages):
      read_one = functools.partial(_read_page, *place, self._levels)
      yield number * self._period, place[0], read_one

  def _at_own_times(self, header):
    seconds = 0.0
    with _readable(self._path), Image.open(self._path) as picture:
      for page in range(header.num_pages):
        picture.seek(page)
        picture.load()  # Only now does Pillow know its duration.
        yield seconds, self._path, functools.partial(_to_rgb, picture)
        seconds += _duration(picture) or self._period


def read_picture(path: str | os.PathLike) -> Rgb:
  """Reads a picture, as a sequence of one: see `PictureSequence`.

  Raises:
    UserError: The file is missing, is no picture, or holds several.
  """
  path = pathlib.Path(path)
  header = _header(path)
  if header.num_pages > 1:
    raise errors.UserError(
        f'{path} holds {header.num_pages} pictures: give a file of one'
    )
  return _read_page(path, 0, header, _find_levels(path, {path: header}))


def is_picture_file(path: str | os.PathLike) -> bool:
  """Returns whether a path is a file that is named like a picture."""
  path = pathlib.Path(path)
  return path.is_file() and path.suffix.lower() in SUFFIXES


class _Header(NamedTuple):
  """What is known of a file before its pictures are decoded.

  Attributes:
    num_pages: The number of pictures. 0 if it is none.
    is_wide: Whether values may have more than 8 bits.
    orientation: Exif's number.
    has_times: Whether the pictures have times of their own.
  """

  num_pages: int
  is_wide: bool
  orientation: int = 1
  has_times: bool = False


def _header(path):
  try:
    with warnings.catch_warnings(), Image.open(path) as picture:
      warnings.simplefilter('ignore')  # Of damaged Exif data.
      # To look for Exif data behind the pixels of a PNG, Pillow decodes them.
      has_exif = picture.format != 'PNG' or 'exif' in picture.info
      exif = picture.getexif() if has_exif else {}
      orientation = exif.get(_ORIENTATION, 1)
      is_animated = picture.format in _ANIMATED
      num_pages = getattr(picture, 'n_frames', 1) if is_animated else 1
      is_wide = _is_wide(picture)
      has_times = is_animated and not is_wide and picture.format != 'TIFF'
      return _Header(num_pages, is_wide, orientation, has_times)
  except Image.UnidentifiedImageError:
    # OpenCV reads some more TIFF files.
    is_tiff = path.suffix.lower() in ('.tif', '.tiff')
    count = cv2.imcount(str(path)) if is_tiff else 0
    return _Header(count, count > 0)
  except Exception:  # As in `_readable`.
    return _Header(0, False)


def _is_wide(picture):
  arguments = str([tile[3] for tile in picture.tile])
  return picture.mode[0] in 'IF' or bool(re.search(';16|65535', arguments))


def _frames_of(folder):
  """Returns the paths of a folder's frames, in the order of their names."""
  paths = sorted(files.visible(folder, SUFFIXES), key=_natural)
  if not paths:
    raise errors.UserError(
        f'there is no picture in the folder {folder}: give one that holds'
        f' {", ".join(SUFFIXES)}'
    )
  by_number = {}
  for path in paths:
    by_number.setdefault(_number(path), []).append(path)
  several = [group for group in by_number.values() if len(group) > 1]
  if not several:
    return paths
  # JPEG changes numbers: no tool writes masks so.
  jpeg = lambda group: [p for p in group if p.suffix.lower() in _JPEG]
  if any(len(jpeg(group)) != 1 for group in several):
    first, second, *_ = several[0]
    raise errors.UserError(
        f'{first} and {second.name} have the same number, so it is unclear'
        ' which is a frame: give a folder that holds only the frames'
    )
  left_out = [p for group in several for p in group if p not in jpeg(group)]
  warnings.warn(
      f'{folder}: only the JPEG files are read as frames; {len(left_out)} other'
      f' pictures with the same numbers are not, such as {left_out[0].name}',
      stacklevel=2,
  )
  return [path for path in paths if path not in set(left_out)]


def _natural(path):
  """Returns a sort key that puts frame2 before frame10."""
  parts = re.split(r'([0-9]+)', path.name)
  return [
      int(part) if index % 2 else part for index, part in enumerate(parts)
  ], path.name


def _number(path):
  """Returns the numbers in a name, or the name if it has none."""
  return tuple(map(int, re.findall('[0-9]+', path.stem))) or path.stem


def _require_right_count(path, count, is_in_folder):
  if is_in_folder and count > 1:
    raise errors.UserError(
        f'{path} holds {count} pictures: give this file by itself, or move it'
        ' out of the folder'
    )
  if not is_in_folder and not count:
    raise errors.UserError(_UNREADABLE.format(path))
  if not is_in_folder and count == 1:
    raise errors.UserError(
        f'{path} is one picture: give a video, or a folder of pictures'
    )


def _find_levels(path, headers):
  """Returns the values that become black and white; None if all have 8 bits."""
  low, high, kinds = math.inf, -math.inf, set()
  for one, header in headers.items():
    for page in range(header.num_pages if header.is_wide else 0):
      with contextlib.suppress(errors.UserError):  # It is told when it is read.
        values, kind = _read_wide(one, page)
        finite = values[np.isfinite(values)]
        if finite.size:
          low, high = min(low, finite.min()), max(high, finite.max())
        kinds.add(kind)
  if low > high:
    return None
  if kinds == {np.dtype(np.uint8)}:
    return 0, _MAX_8_BIT
  low, high = float(low), float(high)
  if kinds == {np.dtype(np.uint16)} and high - low > _MAX_16_BIT / 2:
    return 0, _MAX_16_BIT
  warnings.warn(
      f'{path} has more than 8 bits: the values {low:g} to {high:g} are shown'
      ' as black to white',
      stacklevel=2,
  )
  return low, high


def _read_wide(path, page):
  """Returns grey or BGR values, black where transparent, and their type."""
  with _readable(path):
    _, pages = cv2.imreadmulti(str(path), page, 1, flags=cv2.IMREAD_UNCHANGED)
    (values,) = pages
  kind = values.dtype
  if values.shape[2:] == (4,):
    opaque = 1 if kind.kind == 'f' else np.iinfo(kind.name).max
    values = values[..., :3] * (values[..., 3:] / opaque)
  return values, kind


def _read_page(path, page, header, levels):
  """Returns the upright 8-bit RGB picture of a file."""
  if not header.is_wide:
    with _readable(path), Image.open(path) as picture:
      return _to_rgb(picture)
  values, _ = _read_wide(path, page)
  low, high = levels or (0, 1)  # There is no level if no value is finite.
  finite = np.nan_to_num(values.astype(np.float64), True, low, high, low)
  scaled = (finite - low) * (_MAX_8_BIT / (high - low or 1))
  grey_or_bgr = scaled.round().clip(0, _MAX_8_BIT).astype(np.uint8)
  rgb = grey_or_bgr[..., ::-1] if grey_or_bgr.ndim == 3 else grey_or_bgr
  picture = Image.fromarray(np.ascontiguousarray(rgb))
  picture.getexif()[_ORIENTATION] = header.orientation
  return _to_rgb(picture)


def _to_rgb(picture):
  upright = ImageOps.exif_transpose(picture)
  if upright.has_transparency_data:
    # What a transparent pixel holds was never meant to be seen.
    upright = upright.convert('RGBA')
    black = Image.new('RGBA', upright.size, 'black')
    upright = Image.alpha_composite(black, upright)
  return np.asarray(upright.convert('RGB'))


def _duration(picture):
  """Returns the seconds that a frame of an animation is shown, or None."""
  if picture.format == 'TIFF':
    return None
  seconds = picture.info.get('duration', 0) / 1000
  # As browsers do.
  return seconds if seconds > _MIN_DURATION else _DEFAULT_DURATION


@contextlib.contextmanager
def _readable(path):
  """Turns an error of the libraries into a `UserError`."""
  try:
    yield
  # Of damaged files, Pillow and OpenCV raise errors of any type.
  except Exception as error:
    raise errors.UserError(_UNREADABLE.format(path)) from error
