"""Decodes video files, one frame at a time."""

from collections.abc import Iterable, Iterator
import contextlib
import fractions
import functools
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

# FFmpeg also reads playlists, which open other files and URLs, pictures, and
# text as animations. Only these video formats are allowed.
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
# FFmpeg's names of the formats that have an index of times, for seeking.
_INDEXED = ('mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm')
# FFmpeg's names of the codecs whose packets are one shown frame each. Others
# have packets that show none, such as the alternative references of VP8.
_ONE_FRAME_A_PACKET = 'h264', 'hevc', 'vp9', 'av1', 'mjpeg', 'prores'
# FFmpeg's name of AVI, which stores no presentation times.
_WITHOUT_PTS = 'avi'
# Values of FFmpeg's AVColorSpace: the matrices that swscale converts, and the
# values that mean "untagged".
_MATRICES = (0, 1, 4, 5, 6, 7, 9)
_UNTAGGED = (2, 3)
_BT709, _BT601 = 1, 6
# No codec puts more B-frames in a row than this.
_MAX_B_FRAMES = 16
_B_FRAME = 3  # FFmpeg's AV_PICTURE_TYPE_B.
# Seconds. A longer step between frames, or a step back, is a clock error. The
# second is for times that are not those of a clock.
_MAX_STEP, _MAX_PAUSE = 10.0, 86_400.0
# FFmpeg's names of the formats whose times are those of a clock.
_CLOCKED = ('mpegts', 'mpegtsraw', 'mpeg')
# Seconds. Files may end this much before their headers say.
_END_SLACK = 0.1
# Seconds. Matroska rounds times to a millisecond, so a frame may be that late.
_TIME_SLACK = 1e-3
# Frames per second. No camera has a rate outside of this range. If a header
# says so, it is wrong.
_MIN_RATE, _MAX_RATE = 1, 240
_DEFAULT_RATE = fractions.Fraction(25)
# Seconds. Sound may be stored this much earlier than the frames of its time.
_SOUND_LEAD = 2.0
# The signs of a display matrix that does not turn or flip the frames.
_IDENTITY = (1, 0, 0, 1)
# A header with pixels longer than this is wrong. Pixels that are square up to
# the tolerance are square: their sides were rounded.
_MAX_PIXEL_ASPECT = 4
_ASPECT_TOLERANCE = 0.02


def read_frames(
    path: str | os.PathLike,
    *,
    frames_per_second: float | None = None,
    short_side: int | None = None,
) -> Iterator[UInt8[np.ndarray, 'height width 3']]:
  """Yields the upright RGB frames of a video, in constant memory.

  Args:
    path: A video file or URL, as `decode_frames` takes it.
    frames_per_second: The rate of the yielded frames: the frame that is shown
      at each time k / rate, counted from the first frame. The file's own rate
      may vary. Default: every frame once.
    short_side: Frames whose short side is longer, in pixels, are shrunk to it
      by averaging areas.

  Raises:
    UserError: (while iterating) As `decode_frames`.
  """
  frames = decode_frames(path)
  if frames_per_second:
    pairs = sample(zip(frames, itertools.repeat(None)), frames_per_second)
    frames = (frame for frame, _ in pairs)
  converter = Converter()
  # Sampling above the file's rate repeats frames. Each is converted once.
  for frame, repeats in itertools.groupby(frames):
    rgb = converter.rgb(frame, short_side)
    for _ in repeats:
      yield rgb


def decode_frames(
    path: str | os.PathLike, start: float = 0.0, *, as_stored: bool = False
) -> Iterator[av.VideoFrame]:
  """Yields every frame of a video in presentation order.

  The `time` of the first frame is 0. Times increase by at most ten seconds. A
  longer step, or a step back, is a clock error: that frame comes one frame
  period after the frame before.

  All frames have one size, square pixels (the longer side of a pixel is
  shrunk), a known color matrix, and no interlacing. They may still be turned:
  `Converter` makes them upright.

  With `as_stored`, frames keep the shape of their pixels, and pauses of up to a
  day, as in a time-lapse, unless the times are those of a clock (MPEG). And a
  file that ends before its header says is damaged there.

  Args:
    path: A video file in a common format, or a URL that fsspec opens, such as
      gs://bucket/a.mp4. If it holds several videos, the largest is read.
    start: Frames before this time, in seconds, are skipped. MP4 and Matroska
      files are read from the last keyframe before this time. So if the clock
      has errors before it, the times can differ from those of a full read.
    as_stored: See above.

  Raises:
    UserError: (while iterating) There is no such file, it holds no video that
      decodes, frames are larger than 8192 x 8192 pixels, or the file is
      damaged. In the last case, the frames before the damage come first.
  """
  seconds = None
  try:
    with _open(path) as file, _open_container(file) as container:
      stream = _choose_stream(container)
      origin = _seek(container, stream, start) if start > 0 else None
      frames = _undamaged(container.demux(stream))
      aspect, longest = _pixel_aspect(stream), _MAX_STEP
      if as_stored:
        frames, aspect = _to_the_end(frames, _stated_end(stream)), 1
        longest = _longest_pause(container)
      frames = _retimed(frames, stream, origin, longest)
      for frame in _uniform(_deinterlaced(frames), aspect):
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

  Times of packets increase. Time 0 is the time `start` of `decode_frames`. The
  first packet contains time 0 and may begin before it.

  Args:
    path: A video file, as `decode_frames` takes it.
    start: The time of the first sound, in seconds.

  Raises:
    UserError: (while iterating) The file cannot be read, or it is damaged here.
  """
  try:
    origin = _first_time(path) + start
    with _open(path) as file, _open_container(file) as container:
      stream = container.streams.best('audio')
      if stream is None or stream.codec_context is None:
        return
      if start and container.format.name in _INDEXED:
        container.seek(int((origin - _SOUND_LEAD) * av.time_base))
      longest = _longest_pause(container)
      yield from _shifted(container.demux(stream), origin, longest)
  except _READ_ERRORS as error:
    raise errors.UserError(
        f'cannot read the sound of {path}: {_reason(error)}'
    ) from error


def estimate_num_frames(
    path: str | os.PathLike, start: float = 0.0, end: float | None = None
) -> int | None:
  """Estimates the number of frames in a range of time.

  The file's header tells. If it does not, as where a browser recorded the file,
  the file is read, but not decoded.

  Args:
    path: A video file, as `decode_frames` takes it.
    start: The start of the range, in seconds.
    end: The end of the range, in seconds. None is the end of the file.

  Returns:
    The number of frames, or None if the file has none.

  Raises:
    UserError: The file cannot be read.
  """
  try:
    with _open(path) as file, _open_container(file) as container:
      stream = _choose_stream(container)
      length = (container.duration or 0) / av.time_base
      if stream.duration:
        length = float(stream.duration * stream.time_base)
      count = stream.frames or length * (stream.average_rate or 0)
      if not length or not count:
        length, count = _count(container.demux(stream), stream)
  except _READ_ERRORS as error:
    raise errors.UserError(f'cannot read {path}: {_reason(error)}') from error
  if not count:
    return None
  share = (min(length, end or length) - start) / length if length else 1
  return max(1, round(count * share))


def frame_times(path: str | os.PathLike) -> list[float] | None:
  """Returns the times of all frames that `decode_frames` yields as stored.

  The file is read, but only its first frame is decoded.

  Args:
    path: A video file, as `decode_frames` takes it.

  Returns:
    Seconds, in increasing order. None if the file cannot be read from a time
    on, or is damaged, or if its packets do not tell which frames they show.
  """
  try:
    first = _first_time(path)
    with _open(path) as file, _open_container(file) as container:
      stream = _choose_stream(container)
      if (
          container.format.name not in _INDEXED
          or stream.codec_context.name not in _ONE_FRAME_A_PACKET
      ):
        return None
      stamps = [
          None if packet.is_discard or packet.is_corrupt else packet.pts
          for packet in container.demux(stream)
          if packet.size
      ]
      tick = stream.time_base
  except _READ_ERRORS:  # Whoever reads all frames meets the damage.
    return None
  known = sorted(stamp for stamp in stamps if stamp is not None)
  if not known or len(known) < len(stamps):
    return None
  steps = np.diff(known)
  has_clock_error = not (0 < steps).all() or (steps > _MAX_STEP / tick).any()
  # Frames that cannot be decoded at the start are left out.
  if has_clock_error or first != float(known[0] * tick):
    return None
  return [float((stamp - known[0]) * tick) for stamp in known]


def pixel_aspect(path: str | os.PathLike) -> fractions.Fraction:
  """Returns how many times as wide as high a pixel of an upright frame is.

  Args:
    path: A video file, as `decode_frames` takes it.

  Raises:
    UserError: The file cannot be read.
  """
  try:
    with _open(path) as file, _open_container(file) as container:
      stream = _choose_stream(container)
      aspect = _pixel_aspect(stream)
      if aspect == 1:
        return aspect
      first = next(_undamaged(container.demux(stream)), None)
      is_on_its_side = first is not None and first.rotation % 180
      return 1 / aspect if is_on_its_side else aspect
  except _READ_ERRORS as error:
    raise errors.UserError(f'cannot read {path}: {_reason(error)}') from error


def sample(
    pairs: Iterable[tuple[av.VideoFrame, _T]], frames_per_second: float
) -> Iterator[tuple[av.VideoFrame, _T]]:
  """Yields the frame that is shown at each time k / rate, from 0 on.

  Args:
    pairs: Frames of `decode_frames`, each with any object of the caller.
    frames_per_second: The rate. A pair is repeated if its frame is shown at
      several of these times.
  """
  count = 0
  for pair, end in _with_ends(pairs):
    while count / frames_per_second < end - _TIME_SLACK:
      yield pair
      count += 1


def filtered(
    frames: Iterable[av.VideoFrame | av.AudioFrame], graph: av.filter.Graph
) -> Iterator[Any]:
  """Yields the frames that a filter graph with one source outputs."""
  for frame in itertools.chain(frames, [None]):
    graph.push(frame)
    try:
      while True:
        yield graph.pull()
    except (av.BlockingIOError, av.EOFError):
      pass


class Converter:
  """Converts the frames of one video to upright RGB arrays.

  It caches the tables of the conversion. To make them takes far longer than to
  convert a frame.
  """

  def __init__(self):
    self._rgb = reformatter.VideoReformatter()
    self._thumbnail = reformatter.VideoReformatter()
    self._matrix = None

  def rgb(
      self, frame: av.VideoFrame, short_side: int | None = None
  ) -> UInt8[np.ndarray, 'height width 3']:
    """Converts a frame. PQ high dynamic range is clipped at reference white.

    Args:
      frame: The frame.
      short_side: A longer short side, in pixels, is shrunk to it by averaging
        areas.
    """
    scale = min(1, (short_side or np.inf) / min(frame.width, frame.height))
    size = round(frame.width * scale), round(frame.height * scale)
    return self._upright(_to_rgb(self._rgb, frame, *size), frame)

  def thumbnail(self, frame: av.VideoFrame) -> UInt8[np.ndarray, '48 48 3']:
    """Converts a frame to a small square, by averaging areas."""
    size = THUMBNAIL_SIDE, THUMBNAIL_SIDE
    return self._upright(_to_rgb(self._thumbnail, frame, *size), frame)

  def _upright(self, rgb, frame):
    if self._matrix is None:
      # PyAV frees a frame late once its side data was read. So only that of
      # the first frame is read.
      self._matrix = _display_matrix(frame)
    return rgb if self._matrix == _IDENTITY else _turned(rgb, *self._matrix)


class _UnreadableError(Exception):
  """The reason why a video cannot be read."""


# PyAV raises IndexError if a damaged file contains an unknown stream.
_READ_ERRORS = (av.FFmpegError, OSError, IndexError, _UnreadableError)


def _reason(error):
  if isinstance(error, IndexError):
    return 'it is damaged'
  if isinstance(error, av.InvalidDataError):
    return f'{error.strerror} (it is damaged, or its end is missing)'
  return getattr(error, 'strerror', None) or error


def _open(path):
  """Returns a context manager that gives what PyAV opens.

  That is the name of a local file, or else an open file.
  """
  path = os.fspath(path)
  if not files.is_url(path):
    return contextlib.nullcontext(f'file:{path}')
  try:
    return fsspec.open(path, 'rb')
  except (ValueError, ImportError) as error:
    raise _UnreadableError(error) from error


def _open_container(file):
  try:
    # Titles may contain bytes that are not valid text.
    return av.open(file, 'r', options=_OPTIONS, metadata_errors='replace')
  except av.ArgumentError as error:
    raise _UnreadableError('it is not a video file') from error


def _choose_stream(container):
  """Returns the largest video stream of a file, ready to decode."""
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
  # More threads slow small videos down, and process pools use all cores anyway.
  stream.codec_context.thread_count = 1
  stream.codec_context.options = {'max_pixels': str(_MAX_PIXELS)}
  return stream


def _pixel_aspect(stream):
  """Returns the aspect ratio of a stored pixel, or 1 if the header is wrong."""
  aspect = stream.sample_aspect_ratio or 1
  is_sane = 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT
  is_square = not is_sane or _is_close(aspect, 1)
  return fractions.Fraction(1 if is_square else aspect)


def _stated_end(stream):
  """Returns when the stream ends by its header, in its ticks, or None."""
  container = stream.container
  if container.format.name not in _INDEXED:
    return None
  length = stream.duration
  if not length and 'DURATION' in stream.metadata:  # Of Matroska.
    hours, minutes, seconds = stream.metadata['DURATION'].split(':')
    seconds = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    length = seconds / stream.time_base
  elif not length and container.duration and len(container.streams) == 1:
    length = container.duration / av.time_base / stream.time_base
  return length and (stream.start_time or 0) + length


def _to_the_end(frames, end):
  """Yields the frames; raises an error if the last one is long before `end`."""
  latest = None
  for frame in frames:
    if frame.pts is not None:
      period = frame.duration or 0
      slack = max(_END_SLACK / frame.time_base, 1.5 * period)
      latest = frame.pts + period + slack
    yield frame
  if end and latest is not None and latest < end:
    raise _UnreadableError('the rest of the file is missing')


def _is_close(shape, other):
  return math.isclose(shape, other, rel_tol=_ASPECT_TOLERANCE)


def _undamaged(packets):
  """Yields the frames before the first damage, then raises its error.

  A clip that was cut out of a longer video starts with frames that refer to
  missing frames. So before the first good frame, nothing counts as damage.
  """
  started, pending = False, []
  for packet in packets:
    if packet.size == 0 and packet.dts is not None:
      # The packet repeats the last picture. The decoder would take the empty
      # packet for the end of the stream.
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
      # A B-frame refers to a later frame. It is good only if that one is.
      pending.append(frame)
      if frame.pict_type != _B_FRAME or len(pending) > _MAX_B_FRAMES:
        yield from pending
        pending.clear()
  yield from pending


def _seek(container, stream, start):
  """Seeks a keyframe before a time; returns the file's first timestamp."""
  if container.format.name not in _INDEXED:
    return None
  first = next(_undamaged(container.demux(stream)), None)
  origin = first and first.pts
  target = origin + int(start / stream.time_base) if origin is not None else 0
  container.seek(target, stream=stream)
  return origin


def _count(packets, stream):
  """Returns the length, in seconds, and the number of a stream's packets."""
  start = end = stream.start_time or 0
  count = 0
  with contextlib.suppress(av.FFmpegError):  # Frames before damage count.
    for packet in packets:
      if packet.size:
        count += 1
        end = max(end, (packet.pts or 0) + (packet.duration or 0))
  return float((end - start) * stream.time_base), count


def _first_time(path):
  """Returns the timestamp of the first frame in the file, in seconds.

  `decode_frames` counts its times from there.
  """
  with _open(path) as file, _open_container(file) as container:
    stream = _choose_stream(container)
    first = next(_undamaged(container.demux(stream)), None)
    if not first or not first.pts or container.format.name == _WITHOUT_PTS:
      return 0.0
    return float(first.pts * stream.time_base)


def _longest_pause(container):
  """Returns the longest step, in seconds, that is no clock error."""
  return _MAX_STEP if container.format.name in _CLOCKED else _MAX_PAUSE


def _shifted(packets, origin, longest):
  """Corrects packet times as `_retimed` does. Time 0 is `origin` in seconds."""
  time, last, period = None, 0, 0
  for packet in packets:
    stamp = packet.dts if packet.pts is None else packet.pts
    if stamp is None or not packet.size:
      continue
    if time is None:
      time = stamp - round(origin / packet.time_base)
    else:
      step = (stamp - last) * packet.time_base
      time += stamp - last if 0 < step <= longest else period
    last, period = stamp, packet.duration or 1
    if time + period > 0:
      packet.pts = packet.dts = time
      yield packet


def _retimed(frames, stream, origin, longest):
  """Corrects the times of frames: 0 at `origin`, and no clock errors.

  A step back, or one of more than `longest` seconds, is a clock error.
  """
  tick = stream.time_base
  rate = stream.guessed_rate or _DEFAULT_RATE
  if not _MIN_RATE <= rate <= _MAX_RATE:
    rate = _DEFAULT_RATE
  period, longest = max(1, round(1 / (rate * tick))), int(longest / tick)
  # Without presentation times, frames are shown in the order of their packets.
  has_pts = stream.container.format.name != _WITHOUT_PTS
  time = last = None
  for frame in frames:
    stamp = frame.pts if has_pts else frame.dts
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
  """Deinterlaces the frames that are interlaced; their number stays."""
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


def _uniform(frames, pixel_aspect):
  """Gives all frames one size, square pixels and a color matrix."""
  first = next(frames, None)
  if first is None:
    return
  shape, rotation = first.width / first.height, first.rotation
  width = round(first.width * min(1, pixel_aspect))
  height = round(first.height / max(1, pixel_aspect))
  scaler = reformatter.VideoReformatter()
  for frame in itertools.chain([first], frames):
    if frame.rotation != rotation or not _is_close(
        frame.width / frame.height, shape
    ):
      raise _UnreadableError('its picture changes shape')
    if frame.colorspace in _UNTAGGED:
      # Players make the same guess.
      is_hd = frame.width >= 1280 or frame.height > 576
      frame.colorspace = _BT709 if is_hd else _BT601
    elif frame.colorspace not in _MATRICES:
      raise _UnreadableError(f'its color matrix is {frame.colorspace}')
    if (frame.width, frame.height) != (width, height):
      frame = scaler.reformat(
          frame, width, height, interpolation='AREA', threads=1
      )
    yield frame


def _with_ends(pairs):
  """Adds to each pair the time at which its frame ends."""
  for pair, following in itertools.pairwise(itertools.chain(pairs, [None])):
    if following is not None:
      end = following[0].time
    else:
      frame = pair[0]
      duration = float((frame.duration or 0) * frame.time_base)
      end = frame.time + min(max(duration, 2 * _TIME_SLACK), _MAX_STEP)
    yield pair, end


def _to_rgb(converter, frame, width, height):
  has_alpha = any(component.is_alpha for component in frame.format.components)
  rgb = converter.reformat(
      frame,
      width=width,
      height=height,
      format='rgba' if has_alpha else 'rgb24',
      interpolation='AREA',
      threads=1,
  ).to_ndarray()
  if has_alpha:
    # What a transparent pixel holds was never meant to be seen.
    opaque = rgb[..., 3:] / np.float32(255)
    rgb = (rgb[..., :3] * opaque).round().astype(np.uint8)
  if frame.color_trc == reformatter.ColorTrc.SMPTE2084:
    rgb = _pq_to_gamma()[rgb]
  return rgb


def _display_matrix(frame):
  """Returns the signs of (a, b, c, d) in x' = a x + c y, y' = b x + d y."""
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


@functools.cache
def _pq_to_gamma():
  """Returns a table from 8-bit PQ (SMPTE ST 2084) to 8-bit SDR (ITU-R BT.1886).

  Reference white, 203 cd/m2 in ITU-R BT.2408, becomes white.
  """
  root = (np.arange(256) / 255) ** (1 / 78.84375)
  root = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
  luminance = 10_000 * root ** (1 / 0.1593017578125)
  gamma = np.clip(luminance / 203, 0, 1) ** (1 / 2.4)
  return np.round(255 * gamma).astype(np.uint8)
