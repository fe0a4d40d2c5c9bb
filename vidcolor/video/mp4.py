"""Writes MP4 files that browsers play: H.264 video, and a source's sound."""

from collections.abc import Iterable
import contextlib
import fractions
import io
import itertools
import os
import warnings

import av
import av.filter
import cv2
from jaxtyping import UInt8
import numpy as np

from vidcolor import errors
from vidcolor import files
from vidcolor.video import decoding
from vidcolor.video import video_source

# Seconds. Common frame periods, even 1001/30000, are a whole number of ticks.
_TICK = fractions.Fraction(1, 90_000)
# As good and as large as x264's default preset, in a third of the time.
_ENCODER = {'preset': 'veryfast', 'crf': '21'}
_MAX_SIDE = 16_384  # Pixels that x264 takes.
# FFmpeg's names of the audio codecs that MP4 can hold and browsers play.
_COPIED_SOUND = ('aac', 'mp3', 'opus')
_SOUND_RATE = 48_000
# Values of FFmpeg's AVColorSpace (also AVColorPrimaries and so on) and
# AVColorRange.
_BT709, _LIMITED_RANGE = 1, 1
# Seconds that a film of one frame lasts.
_DEFAULT_STEP = 1 / 25


def write(
    path: str | os.PathLike,
    frames: Iterable[UInt8[np.ndarray, 'height width 3']],
    frames_per_second: float,
) -> None:
  """Writes RGB frames as an H.264 file that browsers play.

  The encoder needs even sides. If a side is odd, the last row or column is
  repeated. Frames with a side over 16,384 pixels are shrunk, with a warning.

  Args:
    path: The file to write, in one atomic step.
    frames: Frames of one size.
    frames_per_second: The frame rate.

  Raises:
    UserError: There are no frames, or the file cannot be written.
  """
  timed = (
      video_source.VideoFrame(rgb, index / frames_per_second)
      for index, rgb in enumerate(frames)
  )
  _write(path, timed, None, 1 / frames_per_second)


def write_like(
    path: str | os.PathLike,
    frames: Iterable[video_source.VideoFrame],
    source: video_source.VideoSource | None,
) -> str | None:
  """Writes frames at their own times, with the sound of their source.

  The film's pixels have the shape of the source's.

  The sound goes from the source's first frame to the end of the last written
  frame. It is copied if browsers play it, else encoded as AAC.

  Args:
    path: The file to write, in one atomic step.
    frames: Frames of one size (see `write`), with times of the source.
    source: The video that the frames come from. A folder has no sound. None is
      a camera, with square pixels and without sound.

  Returns:
    A line that says which damaged sound is left out, or None.

  Raises:
    UserError: There are no frames, or the file cannot be written.
  """
  return _write(path, frames, source, _DEFAULT_STEP)


def _write(path, frames, source, default_step):
  frames = iter(frames)
  first = next(frames, None)
  if first is None:
    raise errors.UserError(f'no frames to write to {path}')
  try:
    with files.atomic_write(path) as temporary:
      return _encode(temporary, first, frames, source, default_step)
  except (av.FFmpegError, OSError) as error:
    raise errors.UserError(f'cannot write {path}: {error.strerror}') from error


def _encode(path, first, rest, source, default_step):
  """Encodes frames and sound by turns, so that memory holds few of them."""
  options = {'movflags': 'faststart'}
  # Without `file:`, FFmpeg takes a name with a colon for a URL.
  name = f'file:{path}'
  with av.open(name, 'w', format='mp4', options=options) as container:
    aspect = source.pixel_aspect if source else fractions.Fraction(1)
    film = _VideoStream(container, first.rgb, default_step, aspect)
    sound = _AudioStream(container, source)
    with contextlib.closing(sound):
      for frame in itertools.chain([first], rest):
        sound.write_until(frame.seconds)
        film.write(frame)
      film.close()
      sound.write_until(film.end)
  return sound.fault


class _VideoStream:
  """Writes the frames of a file, padded to even sides, shrunk if too large."""

  def __init__(self, container, first, default_step, pixel_aspect):
    height, width = first.shape[:2]
    self._size = None
    if max(height, width) > _MAX_SIDE:
      scale = _MAX_SIDE / max(height, width)
      height, width = (max(1, round(side * scale)) for side in (height, width))
      self._size = width, height
      warnings.warn(
          f'the film is shrunk to {width} x {height} pixels: H.264 takes no'
          f' side over {_MAX_SIDE}',
          stacklevel=2,
      )
    self._container = container
    self._padding = ((0, height % 2), (0, width % 2), (0, 0))
    self._stream = container.add_stream('libx264', options=_ENCODER)
    self._stream.height = height + height % 2
    self._stream.width = width + width % 2
    self._stream.pix_fmt = 'yuv420p'
    codec = self._stream.codec_context
    codec.time_base = _TICK
    codec.sample_aspect_ratio = pixel_aspect
    # Players guess the matrix of untagged colors from the size of the video.
    codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
    codec.color_range = _LIMITED_RANGE
    self._last, self._step = -1, round(default_step / _TICK)

  @property
  def end(self):
    """The time in seconds at which the written video ends.

    The file does not say how long its last frame lasts. It is taken to last as
    long as the frame before it.
    """
    return float((self._last + self._step) * _TICK)

  def write(self, frame):
    rgb = frame.rgb
    if self._size:
      rgb = cv2.resize(rgb, self._size, interpolation=cv2.INTER_AREA)
    rgb = np.pad(rgb, self._padding, 'edge')
    picture = av.VideoFrame.from_ndarray(rgb, format='rgb24').reformat(
        format='yuv420p', dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE
    )
    time = max(round(frame.seconds / _TICK), self._last + 1)
    if self._last >= 0:
      self._step = time - self._last
    self._last = picture.pts = time
    picture.time_base = _TICK
    self._container.mux(self._stream.encode(picture))

  def close(self):
    for packet in self._stream.encode():
      # The encoder does not know how long the last frame lasts.
      packet.duration = self._step
      self._container.mux(packet)


class _AudioStream:
  """Writes the sound of a file without its damaged parts.

  Attributes:
    fault: A line that says which sound is left out, or None.
  """

  def __init__(self, container, source):
    self.fault = None
    self._container = container
    self._packets = self._read(source)
    # All streams must be known before the first packet is written. So the first
    # packet is read here.
    self._next = next(self._packets, None)

  def write_until(self, seconds):
    while self._next and self._next.pts * self._next.time_base < seconds:
      self._container.mux(self._next)
      self._next = next(self._packets, None)

  def close(self):
    self._packets.close()

  def _read(self, source):
    if source is None or not source.is_film:
      return
    try:
      packets = decoding.demux_sound(source.path, source.start)
      decoded = self._decoded(packets, source.path)
      first = next(decoded, None)
      if first is None:
        return
      decoded = itertools.chain([first], decoded)
      is_copied = _can_copy(first[0])
      yield from (self._copied if is_copied else self._encoded)(decoded)
    except errors.UserError as error:
      self.fault = str(error)
    except av.FFmpegError:
      self.fault = f'some sound of {source.path} is left out: it is damaged'

  def _decoded(self, packets, path):
    """Yields the packets that can be decoded, each with its frames."""
    for packet in packets:
      try:
        yield packet, packet.decode()
      except av.FFmpegError:
        self.fault = f'some sound of {path} is left out: it is damaged'

  def _copied(self, packets):
    stream = None
    for packet, _ in packets:
      stream = stream or self._container.add_stream_from_template(packet.stream)
      packet.stream = stream
      yield packet

  def _encoded(self, packets):
    frames = itertools.chain.from_iterable(frames for _, frames in packets)
    first = next(frames, None)
    if first is None:
      return
    layout = 'mono' if first.layout.nb_channels == 1 else 'stereo'
    stream = self._container.add_stream('aac', rate=_SOUND_RATE, layout=layout)
    resampled = _resampled(itertools.chain([first], frames), first, layout)
    for frame in itertools.chain(resampled, [None]):
      yield from stream.encode(frame)


def _can_copy(packet):
  """Returns whether an MP4 can take the sound without encoding it again.

  MP4 must be able to hold it, and browsers must be able to play it. `packet` is
  the first of the sound.
  """
  stream = packet.stream
  if stream.codec_context.codec.canonical_name not in _COPIED_SOUND:
    return False
  try:
    with av.open(io.BytesIO(), 'w', format='mp4') as trial:
      copy = av.Packet(bytes(packet))
      copy.stream = trial.add_stream_from_template(stream)
      copy.pts, copy.dts, copy.time_base = 0, 0, packet.time_base
      trial.mux(copy)
  except av.FFmpegError:
    return False
  return True


def _resampled(frames, like, layout):
  """Yields sound at one rate from time 0 on, with silence in gaps."""
  graph = av.filter.Graph()
  graph.link_nodes(
      graph.add_abuffer(
          sample_rate=like.sample_rate,
          format=like.format,
          layout=like.layout,
          time_base=like.time_base,
      ),
      graph.add('aresample', f'{_SOUND_RATE}:async=1:first_pts=0'),
      graph.add('aformat', f'sample_fmts=fltp:channel_layouts={layout}'),
      graph.add('abuffersink'),
  ).configure()
  return decoding.filtered(frames, graph)
