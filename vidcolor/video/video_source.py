"""Reads a video file, or a folder of pictures, any number of times."""

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
from vidcolor import files
from vidcolor.video import decoding

_SUFFIXES = '.jpg .jpeg .png .webp .bmp .tif .tiff .ppm .pgm'.split()
# Seconds. Files store rounded times.
_SLACK = 1e-3
# A 480p frame takes 0.2 MB and 15 ms to write and read back. Its mean error is
# a quarter of a grey level. PNG takes 0.6 MB and 110 ms. A minute of raw 1080p
# frames takes 9 GB.
_JPEG = [
    *(cv2.IMWRITE_JPEG_QUALITY, 98),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]


class VideoFrame(NamedTuple):
  """A frame of a video.

  Attributes:
    rgb: The picture.
    seconds: The time at which it is shown. The first frame is at 0.
  """

  rgb: UInt8[np.ndarray, 'height width 3']
  seconds: float


class VideoSource:
  """A video file, or a folder of pictures in the order of their names.

  Each iteration reads the upright frames again, one at a time. Names are sorted
  by the numbers in them: frame2 comes before frame10.

  Attributes:
    path: The file or folder.
    start: Time of the first frame, in seconds of the file.
    size: Height and width of the frames in pixels.
    full_size: Height and width of the frames before they are shrunk.
    num_frames: Number of frames: exact for a folder, estimated for a file,
      None if the file does not tell.
  """

  def __init__(
      self,
      path: str | os.PathLike,
      *,
      start: float = 0.0,
      end: float | None = None,
      scale: float = 1.0,
      max_short_side: int | None = None,
      frames_per_second: float = 25.0,
  ):
    """Opens the video and reads its first frame.

    Args:
      path: A folder of pictures, or a video file that
        `decoding.decode_frames` reads.
      start: Frames before this time, in seconds of the file, are skipped.
      end: Frames from this time on are skipped. None reads to the end.
      scale: Factor in (0, 1] by which frames are shrunk, by averaging areas.
      max_short_side: Frames whose short side is longer, in pixels, are shrunk
        to it.
      frames_per_second: Rate at which a folder's pictures are shown.

    Raises:
      UserError: There is no such file or folder, it has no readable frame from
        start to end, or the scale is out of range. Iteration raises it at a
        damaged frame, and at a picture of another size than the first.
    """
    self.path, self.start = pathlib.Path(path), start
    self._end = math.inf if end is None else end
    self._check(scale, frames_per_second)
    # The pictures of a folder, with their times.
    self._pictures = []
    if self.path.is_dir():
      paths = _find_pictures(self.path)
      timed = ((k / frames_per_second, path) for k, path in enumerate(paths))
      self._pictures = [pair for pair in timed if self._is_within(pair[0])]
    # The longest short side of a frame, in pixels.
    self._limit = None
    self.start, rgb = self._first()
    self.full_size = rgb.shape[:2]
    short_side = min(self.full_size)
    limit = max(1, round(short_side * scale))
    limit = min(limit, max_short_side or limit)
    if limit < short_side:
      self._limit = limit
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

    A temporary folder holds them as JPEG files of high quality. So they differ
    from the frames of an iteration, by a quarter of a grey level on average.

    Raises:
      UserError: (while iterating) As an iteration, or the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix='vidcolor_') as folder:
      name = lambda index: os.path.join(folder, f'{index}.jpg')
      times = array.array('d')
      for frame in itertools.islice(self, count):
        _write_jpeg(name(len(times)), frame.rgb)
        times.append(frame.seconds)
      for index in reversed(range(len(times))):
        yield VideoFrame(read_picture(name(index)), times[index])
        os.remove(name(index))

  def _check(self, scale, frames_per_second):
    if not self.path.exists():
      raise errors.UserError(
          f'there is no file or folder {self.path}: give a video, or a folder'
          ' of pictures'
      )
    if self.path.is_file() and self.path.suffix.lower() in _SUFFIXES:
      raise errors.UserError(
          f'{self.path} is one picture: give a video, or a folder of pictures'
      )
    if not 0 < scale <= 1:
      raise errors.UserError(
          f'cannot scale {self.path} by {scale:g}: give a scale above 0'
          ' and at most 1'
      )
    if not 0 <= self.start < self._end:
      raise errors.UserError(
          f'cannot read {self.path} from {self.start:g} s to {self._end:g} s:'
          ' start at 0 s or later, and end after that'
      )
    if not frames_per_second > 0:
      raise errors.UserError(
          f'cannot play {self.path} at {frames_per_second:g} frames a second:'
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
    frames = decoding.decode_frames(self.path, self.start)
    for frame in itertools.takewhile(lambda f: self._is_within(f.time), frames):
      yield frame.time, converter.rgb(frame, self._limit)

  def _read_folder(self):
    shape = None
    for seconds, path in self._pictures:
      rgb = read_picture(path)
      shape = shape or rgb.shape
      if rgb.shape != shape:
        raise errors.UserError(
            f'{path} is {rgb.shape[1]}x{rgb.shape[0]}, but the pictures before'
            f' it are {shape[1]}x{shape[0]}: make all of one size'
        )
      yield seconds, _shrunk(rgb, self._limit)


def _find_pictures(folder):
  """Returns the paths of a folder's pictures, in the order of their names."""
  paths = files.visible(folder, _SUFFIXES)
  if not paths:
    raise errors.UserError(
        f'there is no picture in the folder {folder}: give one that holds'
        f' {", ".join(_SUFFIXES)}'
    )
  return sorted(paths, key=_natural)


def _natural(path):
  """Returns a sort key that puts frame2 before frame10."""
  parts = re.split(r'([0-9]+)', path.name)
  return [
      int(part) if index % 2 else part for index, part in enumerate(parts)
  ], path.name


def read_picture(
    path: str | os.PathLike,
) -> UInt8[np.ndarray, 'height width 3']:
  """Reads an upright RGB picture.

  Raises:
    UserError: The file is missing, or it is no picture.
  """
  try:
    with Image.open(path) as picture:
      upright = ImageOps.exif_transpose(picture)
      if upright.mode.startswith('I;16'):
        # Pillow would clip the values at 255.
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
      return np.asarray(upright.convert('RGB'))
  except (OSError, SyntaxError, ValueError) as error:
    raise errors.UserError(
        f'cannot read the picture {path}: restore it, or remove it'
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
