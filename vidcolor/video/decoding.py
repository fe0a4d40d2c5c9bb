"""Reads video files, a frame at a time."""

from collections.abc import Iterable, Iterator
import contextlib
import fractions
import itertools
import math
import os
from typing import Any, TypeVar

import av
import av.filter
import av.stream
from av.video import reformatter
import fsspec
from jaxtyping import UInt8
import numpy as np

from vidcolor import errors
from vidcolor import files

THUMBNAIL_SIDE = 48

_T = TypeVar('_T')

# FFmpeg reads more than video: playlists, which open other files and addresses,
# pictures, and text as if it were animated.
_FORMATS = (
    'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpegtsraw,mpeg,'
    'mpegvideo,m4v,h261,h263,h264,hevc,vvc,av1,obu,ivf,vc1,dirac,flv,live_flv,'
    'asf,asf_o,ogg,gif,mjpeg,mpjpeg,mxf,dv,gxf,nut,rm,wtv,nsv,nuv,pva,ty,dhav,'
    'amv,swf,yuv4mpegpipe'
)
_MAX_PIXELS = 8192 * 8192
_OPTIONS = {
    'format_whitelist': _FORMATS,
    'protocol_whitelist': 'file',
    'max_pixels': str(_MAX_PIXELS),
}
# FFmpeg's names of the formats that say where which time is.
_INDEXED = ('mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm')
# FFmpeg's name of AVI, which holds no times of presentation.
_CLOCKLESS = 'avi'
# Values of FFmpeg's AVColorSpace: those swscale converts, and those of no tag.
_MATRICES = (0, 1, 4, 5, 6, 7, 9)
_UNTAGGED = (2, 3)
_BT709, _BT601 = 1, 6
# More than the frames between which any codec lays frames that refer to both.
_MAX_HELD = 16
_B_FRAME = 3
# In seconds. A longer step, or one back, is a fault of the clock.
_LONGEST_STEP = 10.0
# Matroska rounds times to a millisecond: a frame due within it counts as shown.
_TIME_SLACK = 1e-3
# Headers claim rates beyond these, in frames a second, that no camera has.
_SLOWEST, _FASTEST = 1, 240
_USUAL_RATE = fractions.Fraction(25)
# In seconds: sound is laid among the frames less closely than that.
_SOUND_BEFORE = 2.0
# Of a display matrix that leaves frames as they are.
_IDENTITY = (1, 0, 0, 1)
# Pixels of other shapes are a fault of the header, or rounded squares.
_LONGEST_PIXEL = 4
_SAME_SHAPE = 0.02


def read_frames(
    path: str | os.PathLike,
    *,
    frames_per_second: float | None = None,
    short_side: int | None = None,
) -> Iterator[UInt8[np.ndarray, 'height width 3']]:
  """Yields the RGB frames of a video, upright, in constant memory.

  Args:
    path: Video file, or its URL, of any format that `decode` reads.
    frames_per_second: If given, yields the frame on show at each time k / rate
      from the first frame on, whatever the file's own (maybe varying) rate;
      otherwise every frame.
    short_side: If given, frames whose short side is longer are shrunk to it by
      averaging areas.

  Raises:
    UserError: (while iterating) as for `decode`.
  """
  frames = decode(path)
  if frames_per_second:
    pairs = sample(zip(frames, itertools.repeat(None)), frames_per_second)
    frames = (frame for frame, _ in pairs)
  converter = Converter()
  # Sampling above the file's rate repeats frames: each is converted once.
  for frame, repeats in itertools.groupby(frames):
    rgb = converter.rgb(frame, short_side)
    for _ in repeats:
      yield rgb


def decode(
    path: str | os.PathLike, start: float = 0.0
) -> Iterator[av.VideoFrame]:
  """Yields every frame of a video in the order of presentation.

  Whatever the file holds, `time` of the frames starts at 0 and grows by at most
  ten seconds: a longer step, or one back, is taken for a fault of the clock,
  and the frame follows at the file's frame rate. Frames are of one size, of
  square pixels (shrunk to it along their longer side), deinterlaced where
  they are interlaced, and of known colours; `Converter` turns them upright.

  Args:
    path: Video file in one of the usual formats, or a URL that fsspec opens,
      such as gs://bucket/a.mp4. Of several videos in it, the largest is read.
    start: Frames before this time, in seconds, are left out. MP4 and Matroska
      are read from the last keyframe before it on, so of a clock with faults
      the time there may be another than if all were read.

  Raises:
    UserError: (while iterating) no such file, no video that decodes in it, over
      8192 x 8192 pixels, or damaged: the frames before the damage come first.
  """
  seconds = None
  try:
    with _open(path) as file, _open_container(file) as container:
      stream = _choose_stream(container)
      origin = _seek(container, stream, start) if start > 0 else None
      frames = _retimed(_undamaged(container.demux(stream)), stream, origin)
      for frame in _uniform(_deinterlaced(frames), _pixel_shape(stream)):
        seconds = frame.time
        if seconds >= start - _TIME_SLACK:
          yield frame
    if seconds is None:
      raise _UnreadableError('no frame decodes')
  except _READ_ERRORS as error:
    place = '' if seconds is None else f' beyond {seconds:.1f} s'
    raise errors.UserError(
        f'cannot read {path}{place}: {_reason(error)}'
    ) from error


def demux_sound(
    path: str | os.PathLike, start: float = 0.0
) -> Iterator[av.Packet]:
  """Yields the packets of a video's sound, if it has any, from a time on.

  Their times grow, and are 0 where `decode` says `start`: the first packet, on
  at that time, may come on before it.

  Args:
    path: Video file, as for `decode`.
    start: Time in seconds.

  Raises:
    UserError: (while iterating) the file cannot be read, or no further.
  """
  try:
    origin = _first_time(path) + start
    with _open(path) as file, _open_container(file) as container:
      stream = container.streams.best('audio')
      if stream is None or stream.codec_context is None:
        return
      if start and container.format.name in _INDEXED:
        container.seek(int((origin - _SOUND_BEFORE) * av.time_base))
      yield from _shifted(container.demux(stream), origin)
  except _READ_ERRORS as error:
    raise errors.UserError(
        f'cannot read the sound of {path}: {_reason(error)}'
    ) from error


def estimate_num_frames(
    path: str | os.PathLike, start: float = 0.0, end: float | None = None
) -> int | None:
  """Returns about how many frames there are from a time to another, in seconds.

  Args:
    path: Video file, as for `decode`.
    start: Time of the first one.
    end: Time of the one after the last, or None for the end of the file.

  Returns:
    What the header says; None if it does not.

  Raises:
    UserError: the file cannot be read.
  """
  try:
    with _open(path) as file, _open_container(file) as container:
      stream = _choose_stream(container)
      length = (container.duration or 0) / av.time_base
      if stream.duration:
        length = float(stream.duration * stream.time_base)
      count = stream.frames or length * (stream.average_rate or 0)
  except _READ_ERRORS as error:
    raise errors.UserError(f'cannot read {path}: {_reason(error)}') from error
  if not length or not count:
    return None
  return max(1, round(count * (min(length, end or length) - start) / length))


def sample(
    pairs: Iterable[tuple[av.VideoFrame, _T]], frames_per_second: float
) -> Iterator[tuple[av.VideoFrame, _T]]:
  """Yields the frame on show at each time k / rate, from 0 on.

  Args:
    pairs: Frames from `decode`, each with something of the caller's.
    frames_per_second: The rate; a pair is yielded as often as it is due.
  """
  count = 0
  for pair, end in _with_ends(pairs):
    while count / frames_per_second < end - _TIME_SLACK:
      yield pair
      count += 1


def filtered(
    frames: Iterable[av.VideoFrame | av.AudioFrame], graph: av.filter.Graph
) -> Iterator[Any]:
  """Yields all frames that a filter graph, of one source, makes of others."""
  for frame in itertools.chain(frames, [None]):
    graph.push(frame)
    try:
      while True:
        yield graph.pull()
    except (av.BlockingIOError, av.EOFError):
      pass


class Converter:
  """Turns the frames of one video into upright RGB arrays.

  It caches the conversions' tables, which cost far more than a conversion.
  """

  def __init__(self):
    self._rgb = reformatter.VideoReformatter()
    self._thumbnail = reformatter.VideoReformatter()
    self._matrix = None

  def rgb(
      self, frame: av.VideoFrame, short_side: int | None = None
  ) -> UInt8[np.ndarray, 'height width 3']:
    """Returns a frame, shrunk by averaging areas if its short side is longer.

    High dynamic range of the PQ kind is cut off above reference white.
    """
    scale = min(1, (short_side or np.inf) / min(frame.width, frame.height))
    size = round(frame.width * scale), round(frame.height * scale)
    return self._upright(_to_rgb(self._rgb, frame, *size), frame)

  def thumbnail(self, frame: av.VideoFrame) -> UInt8[np.ndarray, '48 48 3']:
    """Returns a frame squashed to a small square by averaging areas."""
    size = THUMBNAIL_SIDE, THUMBNAIL_SIDE
    return self._upright(_to_rgb(self._thumbnail, frame, *size), frame)

  def _upright(self, rgb, frame):
    if self._matrix is None:
      # A frame asked for it is freed late, so only the first one is.
      self._matrix = _display_matrix(frame)
    return rgb if self._matrix == _IDENTITY else _turned(rgb, *self._matrix)


class _UnreadableError(Exception):
  """Why a video cannot be read, or no further."""


# PyAV raises IndexError where a damaged file brings on another stream.
_READ_ERRORS = (av.FFmpegError, OSError, IndexError, _UnreadableError)


def _reason(error):
  if isinstance(error, IndexError):
    return 'it is damaged'
  return getattr(error, 'strerror', None) or error


def _open(path):
  """Returns what FFmpeg opens: a name that is no address, or an open file."""
  path = os.fspath(path)
  if not files.is_url(path):
    return contextlib.nullcontext(f'file:{path}')
  try:
    return fsspec.open(path, 'rb')
  except (ValueError, ImportError) as error:
    raise _UnreadableError(error) from error


def _open_container(file):
  try:
    # Any bytes may stand in a file's title; they are no reason to refuse it.
    return av.open(file, 'r', options=_OPTIONS, metadata_errors='replace')
  except av.ArgumentError as error:
    raise _UnreadableError('it is a file of another kind') from error


def _choose_stream(container):
  """Returns the largest video of a file, ready to decode."""
  cover = av.stream.Disposition.attached_pic
  streams = [s for s in container.streams.video if not s.disposition & cover]
  if not streams:
    raise _UnreadableError('it holds no video')
  decodable = [stream for stream in streams if stream.codec_context]
  if not decodable:
    raise _UnreadableError('there is no decoder for its video')
  stream = max(decodable, key=lambda s: s.width * s.height)
  if stream.width * stream.height > _MAX_PIXELS:
    raise _UnreadableError(
        f'it claims {stream.width} x {stream.height} pixels, over 8192 x 8192'
    )
  # More threads only slow small video down, and pools use every core anyway.
  stream.codec_context.thread_count = 1
  stream.codec_context.options = {'max_pixels': str(_MAX_PIXELS)}
  return stream


def _pixel_shape(stream):
  """Returns the width of a pixel by its height; 1 if that makes no sense."""
  shape = float(stream.sample_aspect_ratio or 1)
  is_sane = 1 / _LONGEST_PIXEL <= shape <= _LONGEST_PIXEL
  return shape if is_sane and not _is_close(shape, 1) else 1.0


def _is_close(shape, other):
  return math.isclose(shape, other, rel_tol=_SAME_SHAPE)


def _undamaged(packets):
  """Yields the frames before the first damage, then raises what it is.

  What was cut out of a longer video starts with frames that refer to absent
  ones: until the first good frame nothing counts as damage.
  """
  started, held = False, []
  for packet in packets:
    if packet.size == 0 and packet.dts is not None:
      # The picture stays as it is; the decoder would take it for the end.
      continue
    try:
      frames = packet.decode()
    except av.FFmpegError:
      if started:
        raise
      continue
    for frame in frames:
      if frame.is_corrupt:
        if started:
          raise _UnreadableError('it is damaged')
        continue
      started = True
      # A frame may refer to a later one: it is good only if that one is.
      held.append(frame)
      if frame.pict_type != _B_FRAME or len(held) > _MAX_HELD:
        yield from held
        held.clear()
  yield from held


def _seek(container, stream, start):
  """Goes to a keyframe before a time, and returns the first frame's stamp."""
  if container.format.name not in _INDEXED:
    return None
  first = next(_undamaged(container.demux(stream)), None)
  origin = first and first.pts
  target = origin + int(start / stream.time_base) if origin is not None else 0
  container.seek(target, stream=stream)
  return origin


def _first_time(path):
  """Returns what the file's clock shows, in seconds, where `decode` says 0."""
  with _open(path) as file, _open_container(file) as container:
    stream = _choose_stream(container)
    first = next(_undamaged(container.demux(stream)), None)
    if not first or not first.pts or container.format.name == _CLOCKLESS:
      return 0.0
    return float(first.pts * stream.time_base)


def _shifted(packets, origin):
  """Gives packets times from `origin` on, in steps as `_retimed` does."""
  time, last, period = None, 0, 0
  for packet in packets:
    stamp = packet.dts if packet.pts is None else packet.pts
    if stamp is None or not packet.size:
      continue
    longest = _LONGEST_STEP / packet.time_base
    if time is None:
      time = stamp - round(origin / packet.time_base)
    else:
      time += stamp - last if 0 < stamp - last <= longest else period
    last, period = stamp, packet.duration or 1
    if time + period > 0:
      packet.pts = packet.dts = time
      yield packet


def _retimed(frames, stream, origin):
  """Gives frames times from 0 at the origin on, in steps that a clock makes."""
  tick = stream.time_base
  rate = stream.guessed_rate or _USUAL_RATE
  if not _SLOWEST <= rate <= _FASTEST:
    rate = _USUAL_RATE
  period, longest = max(1, round(1 / (rate * tick))), int(_LONGEST_STEP / tick)
  # Its frames come as their packets do.
  is_clockless = stream.container.format.name == _CLOCKLESS
  time = last = None
  for frame in frames:
    stamp = frame.dts if is_clockless else frame.pts
    step = None if stamp is None or last is None else stamp - last
    if time is None:
      time = 0 if None in (origin, stamp) else stamp - origin
    elif step is not None and 0 < step <= longest:
      time += step
    else:
      time += period
    last = stamp
    frame.pts, frame.time_base = time, tick
    yield frame


def _deinterlaced(frames):
  """Yields as many frames, those that are interlaced without the comb."""
  kind = lambda f: (f.interlaced_frame, f.width, f.height, f.format.name)
  for (is_interlaced, *_), run in itertools.groupby(frames, kind):
    if is_interlaced:
      first = next(run)
      run = filtered(itertools.chain([first], run), _deinterlacer(first))
    yield from run


def _deinterlacer(like):
  graph = av.filter.Graph()
  graph.threads = 1
  graph.link_nodes(
      graph.add_buffer(template=like),
      graph.add('bwdif', 'mode=send_frame'),
      graph.add('buffersink'),
  ).configure()
  return graph


def _uniform(frames, pixel_shape):
  """Gives frames one size, of square pixels, and a colour matrix."""
  first = next(frames, None)
  if first is None:
    return
  shape, rotation = first.width / first.height, first.rotation
  width = round(first.width * min(1, pixel_shape))
  height = round(first.height / max(1, pixel_shape))
  scaler = reformatter.VideoReformatter()
  for frame in itertools.chain([first], frames):
    if frame.rotation != rotation or not _is_close(
        frame.width / frame.height, shape
    ):
      raise _UnreadableError('its picture changes shape')
    if frame.colorspace in _UNTAGGED:
      # As players do.
      is_hd = frame.width >= 1280 or frame.height > 576
      frame.colorspace = _BT709 if is_hd else _BT601
    elif frame.colorspace not in _MATRICES:
      raise _UnreadableError(f'its colour matrix is {frame.colorspace}')
    if (frame.width, frame.height) != (width, height):
      frame = scaler.reformat(
          frame, width, height, interpolation='AREA', threads=1
      )
    yield frame


def _with_ends(pairs):
  """Adds the time at which the next frame takes over."""
  for pair, following in itertools.pairwise(itertools.chain(pairs, [None])):
    if following is not None:
      end = following[0].time
    else:
      frame = pair[0]
      duration = float((frame.duration or 0) * frame.time_base)
      end = frame.time + min(max(duration, 2 * _TIME_SLACK), _LONGEST_STEP)
    yield pair, end


def _to_rgb(converter, frame, width, height):
  rgb = converter.reformat(
      frame,
      width=width,
      height=height,
      format='rgb24',
      interpolation='AREA',
      threads=1,
  ).to_ndarray()
  if frame.color_trc == reformatter.ColorTrc.SMPTE2084:
    rgb = _PQ_TO_GAMMA[rgb]
  return rgb


def _display_matrix(frame):
  """Returns the signs of QuickTime's x' = a x + c y, y' = b x + d y."""
  data = frame.side_data.get('DISPLAYMATRIX')
  if data is None:
    return _IDENTITY
  a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
  nearest_quarter = (0, b, c, 0) if abs(b) > abs(a) else (a, 0, 0, d)
  return tuple(np.sign(nearest_quarter).tolist())


def _turned(rgb, a, b, c, d):
  if b:
    rgb, a, d = rgb.swapaxes(0, 1), c, b
  return np.ascontiguousarray(rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _pq_to_gamma():
  """Returns SDR's 8-bit values of PQ's (SMPTE ST 2084), by ITU-R BT.1886.

  Reference white, 203 cd/m2 by ITU-R BT.2408, becomes white.
  """
  root = (np.arange(256) / 255) ** (1 / 78.84375)
  root = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
  luminance = 10_000 * root ** (1 / 0.1593017578125)
  gamma = np.clip(luminance / 203, 0, 1) ** (1 / 2.4)
  return np.round(255 * gamma).astype(np.uint8)


_PQ_TO_GAMMA = _pq_to_gamma()
