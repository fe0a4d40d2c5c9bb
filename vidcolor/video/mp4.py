"""Writes MP4 files that browsers play: H.264, and the sound of a source."""

from collections.abc import Iterable
import contextlib
import fractions
import io
import itertools
import os

import av
import av.filter
from jaxtyping import UInt8
import numpy as np

from vidcolor import errors
from vidcolor import files
from vidcolor.video import decoding
from vidcolor.video import video_source

# In seconds; whole ones of it make the usual frame rates, 30000/1001 as well.
_TICK = fractions.Fraction(1, 90_000)
# A third of the time of the encoder's own preset, for files as large and good.
_ENCODER = {'preset': 'veryfast', 'crf': '21'}
# FFmpeg's names of the codecs that MP4 holds and browsers play.
_COPIED_SOUND = ('aac', 'mp3', 'opus')
_SOUND_RATE = 48_000
# Values of FFmpeg's AVColorSpace, with its kin, and AVColorRange.
_BT709, _LIMITED_RANGE = 1, 1
# In seconds: how long an only frame is shown.
_USUAL_STEP = 1 / 25


def write(
    path: str | os.PathLike,
    frames: Iterable[UInt8[np.ndarray, 'height width 3']],
    frames_per_second: float,
) -> None:
  """Writes RGB frames as an H.264 file that browsers play.

  The encoder wants even sides: an odd last row or column is repeated.

  Args:
    path: File to write; it is there only once complete.
    frames: Frames of one size.
    frames_per_second: Playing rate.

  Raises:
    UserError: there are no frames, or the file cannot be written.
  """
  timed = (
      video_source.VideoFrame(rgb, index / frames_per_second)
      for index, rgb in enumerate(frames)
  )
  _write(path, timed, None, 1 / frames_per_second)


def write_like(
    path: str | os.PathLike,
    frames: Iterable[video_source.VideoFrame],
    source: video_source.VideoSource,
) -> str | None:
  """Writes frames at their own times, with the sound of what they were made of.

  The sound is that of the source's file from its first frame to the end of the
  last one written. It is copied where browsers play it, else encoded as AAC.

  Args:
    path: File to write; it is there only once complete.
    frames: Frames of one size (see `write`), at times as of the source's.
    source: What they were made of; a folder has no sound.

  Returns:
    A line for the user if sound was left out, as it is damaged; else None.

  Raises:
    UserError: there are no frames, or the file cannot be written.
  """
  return _write(path, frames, source, _USUAL_STEP)


def _write(path, frames, source, usual_step):
  frames = iter(frames)
  first = next(frames, None)
  if first is None:
    raise errors.UserError(f'no frames to write to {path}')
  try:
    with files.atomic_write(path) as temporary:
      return _encode(temporary, first, frames, source, usual_step)
  except (av.FFmpegError, OSError) as error:
    raise errors.UserError(f'cannot write {path}: {error.strerror}') from error


def _encode(path, first, rest, source, usual_step):
  """Encodes frames and sound as they come, so that neither piles up."""
  options = {'movflags': 'faststart'}
  with av.open(path, 'w', format='mp4', options=options) as container:
    film = _Film(container, first.rgb, usual_step)
    sound = _Sound(container, source)
    with contextlib.closing(sound):
      for frame in itertools.chain([first], rest):
        sound.write_until(frame.seconds)
        film.write(frame)
      film.close()
      sound.write_until(film.end)
  return sound.fault


class _Film:
  """The frames of a file, padded to even sides."""

  def __init__(self, container, first, usual_step):
    height, width = first.shape[:2]
    self._container = container
    self._padding = ((0, height % 2), (0, width % 2), (0, 0))
    self._stream = container.add_stream('libx264', options=_ENCODER)
    self._stream.height = height + height % 2
    self._stream.width = width + width % 2
    self._stream.pix_fmt = 'yuv420p'
    codec = self._stream.codec_context
    codec.time_base = _TICK
    # Untagged colours are taken for others in large video than in small.
    codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
    codec.color_range = _LIMITED_RANGE
    self._last, self._step = -1, round(usual_step / _TICK)

  @property
  def end(self):
    """When the last frame ends, in seconds, if it is as long as that before."""
    return float((self._last + self._step) * _TICK)

  def write(self, frame):
    rgb = np.pad(frame.rgb, self._padding, 'edge')
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
      # The encoder knows no time at which the last one ends.
      packet.duration = self._step
      self._container.mux(packet)


class _Sound:
  """The sound of a file, but for what is damaged; `fault` is a line on that."""

  def __init__(self, container, source):
    self.fault = None
    self._container = container
    self._packets = self._read(source)
    # Now, since a file's streams are to be known before anything is written.
    self._next = next(self._packets, None)

  def write_until(self, seconds):
    while self._next and self._next.pts * self._next.time_base < seconds:
      self._container.mux(self._next)
      self._next = next(self._packets, None)

  def close(self):
    self._packets.close()

  def _read(self, source):
    if source is None or source.path.is_dir():
      return
    try:
      packets = decoding.demux_sound(source.path, source.start)
      decoded = self._decoded(packets, source.path)
      first = next(decoded, None)
      if first is None:
        return
      decoded = itertools.chain([first], decoded)
      is_copied = _is_taken(first[0])
      yield from (self._copied if is_copied else self._encoded)(decoded)
    except errors.UserError as error:
      self.fault = str(error)
    except av.FFmpegError:
      self.fault = f'some sound of {source.path} is left out: it is damaged'

  def _decoded(self, packets, path):
    """Yields the packets that decode, each with its frames."""
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


def _is_taken(packet):
  """Whether browsers play sound of the kind, and MP4 takes it as it is."""
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
  """Iterates over sound from time 0 on, silence where there is a gap."""
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
