"""A video file or a folder of pictures, read as often as one likes."""

import array
from collections.abc import Iterator
import contextlib
import itertools
import math
import os
import pathlib
import re
import tempfile
from typing import NamedTuple

import cv2
from jaxtyping import UInt8
import numpy as np
from PIL import Image
from PIL import ImageOps

from vidcolor import errors
from vidcolor.video import decoding

_SUFFIXES = '.jpg .jpeg .png .webp .bmp .tif .tiff .ppm .pgm'.split()
# In seconds: times are rounded in files.
_SLACK = 1e-3
# At 480p it takes 0.2 MB and 15 ms a frame to write and read, and is off by a
# quarter of a level on average. PNG takes 0.6 MB and 110 ms; a minute of bare
# values at 1080p fills 9 GB.
_JPEG = [
    *(cv2.IMWRITE_JPEG_QUALITY, 98),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]


class VideoFrame(NamedTuple):
  """A frame of a video.

  Attributes:
    rgb: The picture.
    seconds: When it comes on, from the first frame that is read.
  """

  rgb: UInt8[np.ndarray, 'height width 3']
  seconds: float


class VideoSource:
  """A video file, or a folder of pictures in the order of their names.

  It yields frames, upright, in memory that does not grow with their number,
  whenever it is iterated. Numbers in names count: frame2 is before frame10.

  Attributes:
    path: The file or folder.
    start: When the first frame comes on, in seconds of the file.
    scale: By which frames are shrunk.
    size: Height and width of the frames in pixels.
    full_size: The same before they are shrunk.
    num_frames: About how many there are (of a folder exactly), None if the file
      does not tell.
  """

  def __init__(
      self,
      path: str | os.PathLike,
      *,
      start: float = 0.0,
      end: float | None = None,
      scale: float = 1.0,
      frames_per_second: float = 25.0,
  ):
    """Opens it and reads the first frame.

    Args:
      path: Video file that `decoding.decode` reads, or folder of pictures.
      start: Frames before this time, in seconds of the file, are left out.
      end: Those from this time on are left out, too.
      scale: Shrinks frames by averaging areas; in (0, 1].
      frames_per_second: Rate of a folder's pictures.

    Raises:
      UserError: there is no such file or folder, no frame that can be read,
        none between start and end, or the scale is out of range. Iterating
        raises it at a frame that is damaged or, in folders, of another size.
    """
    self.path, self.scale, self.start = pathlib.Path(path), scale, start
    self._end = math.inf if end is None else end
    self._check(frames_per_second)
    # Of a folder, with their times.
    self._pictures = []
    if self.path.is_dir():
      paths = _find_pictures(self.path)
      timed = ((k / frames_per_second, path) for k, path in enumerate(paths))
      self._pictures = [pair for pair in timed if self._is_within(pair[0])]
    # Of the frames' short side, in pixels.
    self._limit = None
    self.start, rgb = self._first()
    self.full_size = rgb.shape[:2]
    if scale < 1:
      self._limit = max(1, round(min(self.full_size) * scale))
      _, rgb = self._first()
    self.size = rgb.shape[:2]
    self.num_frames = self._estimate_num_frames()

  def __iter__(self) -> Iterator[VideoFrame]:
    """Yields the frames, first to last."""
    for seconds, rgb in self._read():
      yield VideoFrame(rgb, seconds - self.start)

  @property
  def name(self) -> str:
    """The folder's name, or the file's without its suffix."""
    path = self.path.resolve()
    return path.name if path.is_dir() else path.stem

  def backward(self, count: int) -> Iterator[VideoFrame]:
    """Yields the first `count` frames, last to first.

    They wait in a temporary folder on disk as good JPEG, so they differ by a
    quarter of a level, on average, from what iterating yields.

    Raises:
      UserError: (while iterating) as for iterating, or the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix='vidcolor_') as folder:
      name = lambda index: os.path.join(folder, f'{index}.jpg')
      times = array.array('d')
      for frame in itertools.islice(self, count):
        _write_jpeg(name(len(times)), frame.rgb)
        times.append(frame.seconds)
      for index in reversed(range(len(times))):
        yield VideoFrame(_read_picture(name(index)), times[index])
        os.remove(name(index))

  def _check(self, frames_per_second):
    if not self.path.exists():
      raise errors.UserError(
          f'there is no file or folder {self.path}: give a video, or a folder'
          ' of pictures'
      )
    if self.path.is_file() and self.path.suffix.lower() in _SUFFIXES:
      raise errors.UserError(
          f'{self.path} is one picture: give a video, or a folder of pictures'
      )
    if not 0 < self.scale <= 1:
      raise errors.UserError(
          f'cannot scale {self.path} by {self.scale:g}: give a scale above 0'
          ' and at most 1'
      )
    if not 0 <= self.start < self._end:
      raise errors.UserError(
          f'cannot read {self.path} from {self.start:g} s to {self._end:g} s:'
          ' start at 0 s or later, and end after that'
      )
    if not frames_per_second > 0:
      raise errors.UserError(
          f'cannot show {self.path} at {frames_per_second:g} frames a second:'
          ' give a rate above 0'
      )

  def _first(self):
    with contextlib.closing(self._read()) as frames:
      first = next(frames, None)
    if first is None:
      until = '' if self._end == math.inf else f' to {self._end:g} s'
      raise errors.UserError(
          f'{self.path} has no frame from {self.start:g} s{until}: start'
          ' earlier, or end later'
      )
    return first

  def _estimate_num_frames(self):
    if self.path.is_dir():
      return len(self._pictures)
    end = None if self._end == math.inf else self._end
    return decoding.estimate_num_frames(self.path, self.start, end)

  def _is_within(self, seconds):
    return self.start - _SLACK <= seconds <= self._end - _SLACK

  def _read(self):
    """Yields times, in seconds of the file, and frames."""
    return self._read_folder() if self.path.is_dir() else self._read_file()

  def _read_file(self):
    converter = decoding.Converter()
    frames = decoding.decode(self.path, self.start)
    for frame in itertools.takewhile(lambda f: self._is_within(f.time), frames):
      yield frame.time, converter.rgb(frame, self._limit)

  def _read_folder(self):
    shape = None
    for seconds, path in self._pictures:
      rgb = _read_picture(path)
      shape = shape or rgb.shape
      if rgb.shape != shape:
        raise errors.UserError(
            f'{path} is {rgb.shape[1]}x{rgb.shape[0]}, but those before it are'
            f' {shape[1]}x{shape[0]}: make all of one size'
        )
      yield seconds, _shrunk(rgb, self._limit)


def _find_pictures(folder):
  """Returns the paths of a folder's pictures, in the order of their names."""
  paths = [
      path
      for path in folder.iterdir()
      if path.suffix.lower() in _SUFFIXES and not path.name.startswith('.')
  ]
  if not paths:
    raise errors.UserError(
        f'there is no picture in the folder {folder}: give one that holds'
        f' {", ".join(_SUFFIXES)}'
    )
  return sorted(paths, key=_natural)


def _natural(path):
  """Returns a key by which frame2 is before frame10."""
  parts = re.split(r'([0-9]+)', path.name)
  return [
      int(part) if index % 2 else part for index, part in enumerate(parts)
  ], path.name


def _read_picture(path):
  try:
    with Image.open(path) as picture:
      upright = ImageOps.exif_transpose(picture)
      if upright.mode.startswith('I;16'):
        # Pillow would cut it off at 255.
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
      return np.asarray(upright.convert('RGB'))
  except (OSError, SyntaxError, ValueError) as error:
    raise errors.UserError(
        f'cannot read the picture {path}: restore it, or take it away'
    ) from error


def _shrunk(rgb, limit):
  height, width = rgb.shape[:2]
  scale = min(1, (limit or math.inf) / min(height, width))
  if scale == 1:
    return rgb
  size = round(width * scale), round(height * scale)
  return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def _write_jpeg(path, rgb):
  _, data = cv2.imencode('.jpg', rgb[..., ::-1], _JPEG)
  try:
    with open(path, 'wb') as file:
      file.write(data.tobytes())
  except OSError as error:
    raise errors.UserError(
        f'cannot keep frames in {os.path.dirname(path)} ({error.strerror}):'
        ' free disk space, or set TMPDIR to a folder on another disk'
    ) from error
