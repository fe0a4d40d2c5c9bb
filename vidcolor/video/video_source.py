"""Reads a video file, or a folder of pictures, any number of times."""

import array
import collections
from collections.abc import Iterable, Iterator
import contextlib
import fractions
import itertools
import math
import os
import pathlib
import tempfile
from typing import Generic, NamedTuple, TypeVar
import warnings

import cv2
from jaxtyping import UInt8
import numpy as np

from vidcolor import errors
from vidcolor import files
from vidcolor.video import decoding
from vidcolor.video import pictures

# Seconds. Files store rounded times.
_SLACK = 1e-3
_ROUNDING = 1e-6  # Seconds, of a time that is computed in two ways.
_PICTURE_RATE = 25.0  # Frames a second, of pictures without times.
# A 480p frame takes 0.2 MB and 15 ms to write and read back. Its mean error is
# a quarter of a grey level. PNG takes 0.6 MB and 110 ms. A minute of raw 1080p
# frames takes 9 GB.
_JPEG = [
    *(cv2.IMWRITE_JPEG_QUALITY, 98),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]

_T = TypeVar('_T')


class VideoFrame(NamedTuple):
  """A frame of a video.

  Attributes:
    rgb: The picture.
    seconds: The time at which it is shown. The first frame is at 0.
  """

  rgb: UInt8[np.ndarray, 'height width 3']
  seconds: float


def check_part(
    name: str | os.PathLike[str], start: float, end: float, scale: float
) -> None:
  """Checks which part of a video, or of what a camera sees, is to be read.

  Args:
    name: The name in error messages.
    start: Seconds that are left out.
    end: The second at which reading stops.
    scale: Factor by which frames are shrunk.

  Raises:
    UserError: A number is out of range.
  """
  if not 0 < scale <= 1:
    raise errors.UserError(
        f'cannot scale {name} by {scale:g}: give a scale above 0 and at most 1'
    )
  if not 0 <= start < end:
    raise errors.UserError(
        f'cannot read {name} from {start:g} s to {end:g} s: start at 0 s or'
        ' later, and end after that'
    )


class VideoSource:
  """A video file, or the pictures of a folder or of one file.

  Each iteration reads the upright frames again, one at a time.
  `pictures.PictureSequence` says which pictures are read, and how.

  A film may have pixels that are not square. Its frames keep the size that the
  file has, in which most tools draw masks. A warning says so.

  Attributes:
    path: The file or folder.
    start: Time of the first frame, in seconds of the file.
    size: Height and width of the frames in pixels.
    full_size: Height and width of the frames before they are shrunk.
    pixel_aspect: How many times as wide as high a pixel is.
    num_frames: Number of frames: exact for a folder, estimated for a file by
      its header or its packets, None if it has none.
  """

  def __init__(
      self,
      path: str | os.PathLike,
      *,
      start: float = 0.0,
      end: float | None = None,
      scale: float = 1.0,
      max_short_side: int | None = None,
      frames_per_second: float | None = None,
  ):
    """Opens the video and reads its first frame.

    Args:
      path: A folder of pictures, a file of several pictures, or a video file
        that `decoding.decode_frames` reads.
      start: Frames before this time, in seconds of the file, are skipped.
      end: Frames from this time on are skipped. None reads to the end.
      scale: Factor in (0, 1] by which frames are shrunk, by averaging areas.
      max_short_side: Frames whose short side is longer, in pixels, are shrunk
        to it.
      frames_per_second: Rate at which pictures without times are shown.
        Default: 25. A film or an animation has times of its own.

    Raises:
      UserError: There is no such file or folder, it has no readable frame from
        start to end, its pictures differ in size, the scale is out of range, or
        a rate is given for a video that has times of its own.
        Iteration raises `PartlyReadError` after the last frame that can be
        read, if that is not the end.
    """
    if files.is_url(path):
      raise errors.UserError(
          f'{path} is a URL: download the file, and give its path'
      )
    self.path, self.start = pathlib.Path(path).expanduser(), start
    self._end = math.inf if end is None else end
    rate = _PICTURE_RATE if frames_per_second is None else frames_per_second
    self._check(scale, rate)
    self._pictures: pictures.PictureSequence | None = None
    if self.path.is_dir() or pictures.is_picture_file(self.path):
      self._pictures = pictures.PictureSequence(self.path, rate)
    # The longest short side of a frame, in pixels.
    self._limit = None
    self.start, rgb = self._first()
    has_times = self._pictures is None or self._pictures.has_times
    if has_times and frames_per_second is not None:
      raise errors.UserError(
          f'{self.path} has times of its own: leave out the rate (--fps)'
      )
    self.full_size = rgb.shape[:2]
    short_side = min(self.full_size)
    limit = max(1, round(short_side * scale))
    limit = min(limit, max_short_side or limit)
    if limit < short_side:
      self._limit = limit
      _, rgb = self._first()
    self.size = rgb.shape[:2]
    self.num_frames = self._estimate_num_frames()
    self.pixel_aspect = fractions.Fraction(1)
    if self.is_film:
      self.pixel_aspect = decoding.pixel_aspect(self.path)
    if self.pixel_aspect != 1:
      self._tell_of_aspect()

  def __iter__(self) -> Iterator[VideoFrame]:
    """Yields the frames, first to last."""
    for seconds, rgb in self._read():
      yield VideoFrame(rgb, seconds - self.start)

  def frame(self, number: int) -> tuple[int, VideoFrame]:
    """Returns a frame of an iteration, and its number.

    It is the last frame if there are fewer. Where a file tells the times of its
    frames, it is read from the keyframe before, else from its start.

    Args:
      number: The number of the frame, from 0.

    Raises:
      UserError: The video cannot be read up to this frame.
    """
    if not self.is_film:
      return _last(enumerate(itertools.islice(self, number + 1)))
    frames = enumerate(itertools.islice(self._decoded(), number + 1))
    number, frame = self._seek(number) or _last(frames)
    rgb = decoding.Converter().rgb(frame, self._limit)
    return number, VideoFrame(rgb, frame.time - self.start)

  @property
  def is_film(self) -> bool:
    """Whether this is a film, which may have sound, and not pictures."""
    return self._pictures is None

  @property
  def frame_paths(self) -> list[pathlib.Path] | None:
    """The paths of a folder's pictures. Frames of others have none."""
    if not self._pictures:
      return None
    return self._pictures.paths(self.start - _SLACK, self._end - _SLACK)

  @property
  def frame_names(self) -> list[str] | None:
    """The names of a folder's pictures without suffix. Others have no names."""
    paths = self.frame_paths
    return None if paths is None else [path.stem for path in paths]

  @property
  def shown_sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
    """The heights and widths of a full frame whose pixels are made square.

    Players make it wider or higher. Both are `full_size` if pixels are square.
    """
    (height, width), aspect = self.full_size, self.pixel_aspect
    return (height, round(width * aspect)), (round(height / aspect), width)

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
        yield VideoFrame(pictures.read_picture(name(index)), times[index])
        os.remove(name(index))

  def _check(self, scale, frames_per_second):
    if not self.path.exists():
      raise errors.UserError(
          f'there is no file or folder {self.path}: give a video, or a folder'
          ' of pictures'
      )
    check_part(self.path, self.start, self._end, scale)
    if not 0 < frames_per_second < math.inf:
      raise errors.UserError(
          f'cannot play {self.path} at {frames_per_second:g} frames a second:'
          ' give a rate above 0, such as 25'
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

  def _tell_of_aspect(self):
    height, width = self.full_size
    shown = self.shown_sizes[self.pixel_aspect < 1]
    warnings.warn(
        f'{self.path} has pixels that are not square: frames, boxes and points'
        f' are in its own {width} x {height} pixels, and players show'
        f' {shown[1]} x {shown[0]}; masks may have either size',
        stacklevel=3,
    )

  def _estimate_num_frames(self):
    if self._pictures:
      return self._pictures.count(self.start - _SLACK, self._end - _SLACK)
    end = None if self._end == math.inf else self._end
    return decoding.estimate_num_frames(self.path, self.start, end)

  def _seek(self, number):
    """Returns the number and the decoded frame, or None if it must be counted.

    If there are fewer frames, it is the last one.
    """
    times = decoding.frame_times(self.path)
    end = self._end - _SLACK
    times = [t for t in times or [] if self.start - _SLACK <= t < end]
    if not times:
      return None
    number = min(number, len(times) - 1)
    # Interlaced frames are mixed from their neighbours.
    times = times[max(0, number - 2) : number + 1]
    frames = decoding.decode_frames(self.path, times[0], as_stored=True)
    found = list(itertools.islice(frames, len(times)))
    if len(found) < len(times) or any(
        abs(frame.time - time) > _ROUNDING
        for frame, time in zip(found, times, strict=True)
    ):
      return None
    frame = found[-1]
    if {frame.height, frame.width} != set(self.full_size):
      return None  # Files may change their size. Iterations keep the first one.
    return number, frame

  def _read(self):
    """Yields times, in seconds of the file, and frames."""
    is_started = False
    try:
      for frame in self._timed():
        yield frame
        is_started = True
    except errors.UserError as error:
      if is_started:
        raise errors.PartlyReadError(str(error)) from error
      raise

  def _timed(self):
    if self._pictures:
      start, end = self.start - _SLACK, self._end - _SLACK
      for seconds, rgb in self._pictures.read(start, end):
        yield seconds, _shrunk(rgb, self._limit)
      return
    converter = decoding.Converter()
    for frame in self._decoded():
      yield frame.time, converter.rgb(frame, self._limit)

  def _decoded(self):
    start, end = self.start - _SLACK, self._end - _SLACK
    frames = decoding.decode_frames(self.path, self.start, as_stored=True)
    frames = itertools.takewhile(lambda frame: frame.time < end, frames)
    return (frame for frame in frames if frame.time >= start)


class ReadablePart(Generic[_T]):
  """Iterates over what can be read, and then ends without an error.

  If nothing can be read, the error is raised.

  Attributes:
    fault: The error that ended the last iteration, or None.
  """

  def __init__(self, items: Iterable[_T]):
    self.fault: errors.PartlyReadError | None = None
    self._items = items

  def __iter__(self) -> Iterator[_T]:
    self.fault = None
    is_started = False
    try:
      for item in self._items:
        is_started = True
        yield item
    except errors.PartlyReadError as error:
      if not is_started:
        raise
      self.fault = error

  def describe(self, num_frames: int) -> str | None:
    """Returns a line that says why results end early, or None."""
    if self.fault is None:
      return None
    return f'{self.fault}: the results hold the {num_frames} frames before it'


def _last(items):
  (last,) = collections.deque(items, maxlen=1)
  return last


def _shrunk(rgb, limit):
  height, width = rgb.shape[:2]
  scale = min(1, (limit or math.inf) / min(height, width))
  if scale == 1:
    return rgb
  size = round(width * scale), round(height * scale)
  return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def _write_jpeg(path, rgb):
  is_encoded, data = cv2.imencode('.jpg', rgb[..., ::-1], _JPEG)
  if not is_encoded:
    raise errors.UserError(
        f'frames of {rgb.shape[1]} x {rgb.shape[0]} pixels cannot be kept: mark'
        ' the first frame, or shrink them'
    )
  try:
    with open(path, 'wb') as file:
      file.write(data.tobytes())
  except OSError as error:
    raise errors.UserError(
        f'cannot keep frames in {os.path.dirname(path)} ({error.strerror}):'
        ' free disk space, or set TMPDIR to a folder on another disk'
    ) from error
