"""Writes what videos in the wild are like: odd ones and damaged ones."""

from collections.abc import Iterable, Sequence
import fractions
import io
import pathlib
import random
import struct
import tempfile

import av
from av.video import reformatter
import numpy as np

LEVELS = tuple(range(40, 200, 20))
# Of what `write` writes, in frames a second.
RATE = 12.5
_TICK = fractions.Fraction(1, 1000)
_BT709, _UNTAGGED, _BT601 = 1, 2, 6


def picture(level, height=48, width=64):
  """Returns RGB: bright at the top left, dark at the top right, else `level`.

  So it tells how it is turned and flipped, and which frame it is.
  """
  rgb = np.full((height, width, 3), level, np.uint8)
  rgb[: height // 2, : width // 2] = 235
  rgb[: height // 2, width // 2 :] = 0
  return rgb


def level_of(rgb):
  """Returns the level of an upright `picture`; fails for one that is not."""
  height, width = (side // 2 for side in rgb.shape[:2])
  assert rgb[: height - 3, : width - 3].mean() > 225
  assert rgb[: height - 3, width + 3 :].mean() < 20
  return int(round(rgb[height + 3 :].mean(), -1))


def write(
    path: str | pathlib.Path | io.BytesIO,
    frames: Iterable[np.ndarray] | None = None,
    *,
    codec: str = 'libx264',
    pix_fmt: str = 'yuv420p',
    times_ms: Sequence[int] | None = None,
    container: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    set_up=lambda stream: None,
    edit=lambda frame: frame,
    file_format: str | None = None,
):
  """Writes frames, by default one of each of `LEVELS` at `RATE`.

  Args:
    path: File, whose suffix tells the format if `file_format` does not.
    frames: RGB.
    codec: Encoder.
    pix_fmt: Pixel format.
    times_ms: Times of the frames in ms; by default one every 80 ms.
    container: Options of the format.
    options: Options of the encoder.
    set_up: Called with the stream before anything is written.
    edit: Called with each frame in the pixel format; gives the one to encode.
    file_format: Name of the format.
  """
  frames = [picture(level) for level in LEVELS] if frames is None else frames
  frames = list(frames)
  times_ms = times_ms or [80 * i for i in range(len(frames))]
  if codec == 'libx264':
    # What it writes with them varies from run to run.
    options = {'mbtree': '0', **(options or {})}
  # Otherwise Matroska gets a random name.
  container = {'fflags': 'bitexact', **(container or {})}
  with av.open(
      path, 'w', format=file_format, container_options=container
  ) as file:
    rate = fractions.Fraction(RATE)
    stream = file.add_stream(codec, rate=rate, options=options or {})
    stream.height, stream.width = frames[0].shape[:2]
    stream.pix_fmt = pix_fmt
    stream.codec_context.time_base = _TICK
    stream.codec_context.thread_count = 1
    set_up(stream)
    for time, rgb in zip(times_ms, frames, strict=True):
      frame = av.VideoFrame.from_ndarray(rgb, format='rgb24')
      frame = edit(frame.reformat(format=pix_fmt))
      frame.pts, frame.time_base = time, _TICK
      file.mux(stream.encode(frame))
    file.mux(stream.encode())


def write_rotated(path, degrees, hflip=False, vflip=False):
  """Writes frames that are upright once turned back as the header says."""

  def set_up(stream):
    stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)

  def lay(rgb):
    # A player turns counterclockwise first, then flips.
    rgb = rgb[:, ::-1] if hflip else rgb
    rgb = rgb[::-1] if vflip else rgb
    return np.ascontiguousarray(np.rot90(rgb, -degrees // 90))

  write(path, [lay(picture(level)) for level in LEVELS], set_up=set_up)


def interlaced_frame(index, height=48, width=64):
  """Returns two fields: a bar that moves on from the bottom to the top one."""
  rgb = np.full((height, width, 3), 30, np.uint8)
  for first_line, time in ((1, 2 * index), (0, 2 * index + 1)):
    rgb[first_line::2, 4 * time : 4 * time + 12] = 200
  return rgb


def write_interlaced(path, num_frames=6):
  """Writes fields of a moving bar, the bottom ones first."""
  frames = [interlaced_frame(i) for i in range(num_frames)]
  write(path, frames, options={'x264-params': 'bff=1:qp=4'})


def write_hdr(path, level):
  """Writes 10-bit HDR10 frames, of PQ's code `level` of 255."""

  def set_up(stream):
    context = stream.codec_context
    context.colorspace, context.color_range = reformatter.Colorspace.BT2020, 1
    context.color_trc = reformatter.ColorTrc.SMPTE2084
    context.color_primaries = reformatter.ColorPrimaries.BT2020

  def edit(frame):
    frame.colorspace, frame.color_range = reformatter.Colorspace.BT2020, 1
    frame.color_trc = reformatter.ColorTrc.SMPTE2084
    frame.color_primaries = reformatter.ColorPrimaries.BT2020
    return frame

  grey = np.full((48, 64, 3), level, np.uint8)
  write(
      path,
      [grey] * 4,
      codec='libx265',
      pix_fmt='yuv420p10le',
      options={'x265-params': 'log-level=none'},
      set_up=set_up,
      edit=edit,
  )


def write_colored(
    path, rgb, *, is_bt709, is_full, is_tagged=True, height=48, width=64
):
  """Writes frames of one color, by the given matrix and range."""
  matrix = (_BT709 if is_bt709 else _BT601) if is_tagged else _UNTAGGED
  color_range = 2 if is_full else 1
  yuv = _yuv(rgb, is_bt709, is_full)

  def set_up(stream):
    stream.codec_context.colorspace = matrix
    stream.codec_context.color_range = color_range

  def edit(frame):
    for plane, value in zip(frame.planes, yuv, strict=True):
      plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range = matrix, color_range
    return frame

  frames = [np.zeros((height, width, 3), np.uint8)] * 3
  options = {'qp': '4'}
  write(path, frames, set_up=set_up, edit=edit, options=options)


def _yuv(rgb, is_bt709, is_full):
  red, green, blue = (value / 255 for value in rgb)
  of_red, of_blue = (0.2126, 0.0722) if is_bt709 else (0.299, 0.114)
  luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
  chroma = (blue - luma) / (1 - of_blue) / 2, (red - luma) / (1 - of_red) / 2
  if is_full:
    return [round(255 * luma), *(round(128 + 255 * part) for part in chroma)]
  return [round(16 + 219 * luma), *(round(128 + 224 * part) for part in chroma)]


def write_wide_pixels(path, ratio):
  """Writes frames of pixels that are `ratio` times as wide as they are high."""

  def set_up(stream):
    stream.codec_context.sample_aspect_ratio = fractions.Fraction(ratio)

  write(path, set_up=set_up)


def write_changing_size(path, sizes):
  """Writes H.264 of one size after the other, as it comes from a network."""
  parts = []
  for height, width in sizes:
    part = io.BytesIO()
    frames = [picture(level, height, width) for level in LEVELS]
    write(part, frames, file_format='h264')
    parts.append(part.getvalue())
  pathlib.Path(path).write_bytes(b''.join(parts))


def write_clock(path, stamps_ms, *, codec='libx264', empty=()):
  """Writes frames stamped so, sensibly or not, into NUT or Matroska.

  Args:
    path: File.
    stamps_ms: Time of each frame in ms.
    codec: Encoder.
    empty: Indices of frames of which nothing is written but the time.
  """
  part = io.BytesIO()
  frames = [picture(level) for level in LEVELS[: len(stamps_ms)]]
  # No frame refers to a later one, so packets come in the order of frames.
  options = {'bf': '0'}
  write(part, frames, codec=codec, options=options, file_format='nut')
  part.seek(0)
  with av.open(part) as source, av.open(path, 'w') as target:
    stream = target.add_stream_from_template(source.streams.video[0])
    packets = [packet for packet in source.demux() if packet.size]
    for index, stamp in enumerate(stamps_ms):
      packet = av.Packet(b'') if index in empty else packets[index]
      packet.stream = stream
      packet.time_base = _TICK
      packet.pts = packet.dts = stamp
      target.mux(packet)


def write_clock_set_back(path):
  """Writes MPEG-TS twice over, as recorders do that start anew."""
  part = io.BytesIO()
  write(part, file_format='mpegts')
  pathlib.Path(path).write_bytes(2 * part.getvalue())


def write_claiming_size(path, height, width):
  """Writes small VP8 frames under IVF headers that claim others."""
  write(path, codec='libvpx', file_format='ivf')
  data = pathlib.Path(path).read_bytes()
  true, claim = struct.pack('<HH', 64, 48), struct.pack('<HH', width, height)
  pathlib.Path(path).write_bytes(data.replace(true, claim))


def write_audio(path):
  """Writes sound only."""
  with av.open(path, 'w') as file:
    _encode_silence(file, file.add_stream('aac', rate=44100))


def _encode_silence(file, stream):
  silence = np.zeros((1, 1024), np.float32)
  sound = av.AudioFrame.from_ndarray(silence, format='fltp', layout='mono')
  sound.sample_rate = 44100
  file.mux(stream.encode(sound))
  file.mux(stream.encode())


def write_two_streams(path):
  """Writes two videos into one file: the first is the smaller one."""
  with av.open(path, 'w') as file:
    streams = []
    for height, width in ((24, 32), (48, 64)):
      stream = file.add_stream('libx264', rate=fractions.Fraction(RATE))
      stream.height, stream.width, stream.pix_fmt = height, width, 'yuv420p'
      streams.append(stream)
    for level in LEVELS:
      for stream in streams:
        rgb = picture(level, stream.height, stream.width)
        frame = av.VideoFrame.from_ndarray(rgb, format='rgb24')
        file.mux(stream.encode(frame))
    for stream in streams:
      file.mux(stream.encode())


def write_cover(path):
  """Writes sound with a picture of its album, which is no video."""
  with av.open(path, 'w') as file:
    cover = file.add_stream('mjpeg', rate=25)
    cover.height, cover.width, cover.pix_fmt = 48, 64, 'yuvj420p'
    cover.disposition = av.stream.Disposition.attached_pic
    sound = file.add_stream('aac', rate=44100)
    frame = av.VideoFrame.from_ndarray(picture(100), format='rgb24')
    file.mux(cover.encode(frame.reformat(format='yuvj420p')))
    file.mux(cover.encode())
    _encode_silence(file, sound)


# How files get damaged. Each takes the bytes and a random generator.


def _flip_bits(data, rng, rate, start=0):
  damaged = bytearray(data)
  for _ in range(max(1, int(rate * len(data)))):
    damaged[rng.randrange(start, len(data))] ^= 1 << rng.randrange(8)
  return bytes(damaged)


def _flip_header(data, rng):
  return _flip_bits(data[:600], rng, 0.01) + data[600:]


def _flip_trailer(data, rng):
  return data[:-600] + _flip_bits(data[-600:], rng, 0.01)


def _cut(data, rng):
  return data[: rng.randrange(1, len(data))]


def _cut_start(data, rng):
  return data[rng.randrange(1, len(data)) :]


def _cut_out(data, rng):
  start = rng.randrange(len(data) - 1)
  return data[:start] + data[start + rng.randrange(1, 2000) :]


def _zero_block(data, rng):
  start, size = rng.randrange(len(data) - 1), rng.randrange(1, 4096)
  size = min(size, len(data) - start)
  return data[:start] + bytes(size) + data[start + size :]


def _swap_blocks(data, rng):
  size = len(data) // 4
  first, second = sorted(rng.sample(range(len(data) - 2 * size), 2))
  second += size
  return b''.join(
      [
          data[:first],
          data[second : second + size],
          data[first + size : second],
          data[first : first + size],
          data[second + size :],
      ]
  )


def _append_noise(data, rng):
  return data + rng.randbytes(rng.randrange(1, 5000))


def _insert_noise(data, rng):
  start = rng.randrange(len(data))
  return data[:start] + rng.randbytes(rng.randrange(1, 500)) + data[start:]


def _rename_box(data, rng):
  """Makes a part that players need unknown: its name is of four letters."""
  name = rng.choice([b'moov', b'mdat', b'stbl', b'stco', b'avcC', b'movi'])
  return data.replace(name, b'free')


def _enlarge_sizes(data, rng):
  """Overwrites a number near the start or the end by a huge one."""
  at = rng.choice([rng.randrange(1000), len(data) - 4 - rng.randrange(1000)])
  return data[:at] + b'\x7f\xff\xff\xff' + data[at + 4 :]


DAMAGES = (
    lambda data, rng: _flip_bits(data, rng, 1e-5),
    lambda data, rng: _flip_bits(data, rng, 1e-4),
    lambda data, rng: _flip_bits(data, rng, 1e-3),
    lambda data, rng: _flip_bits(data, rng, 1e-2),
    _flip_header,
    _flip_trailer,
    _cut,
    _cut_start,
    _cut_out,
    _zero_block,
    _swap_blocks,
    _append_noise,
    _insert_noise,
    _rename_box,
    _enlarge_sizes,
)

_HTML = b'<!DOCTYPE html><html><body><h1>404 Not Found</h1></body></html>'
_PLAYLIST = b'#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n%s\n'
_FOREIGN = {
    'empty.mp4': b'',
    'one_byte.mp4': b'\x00',
    'zeros.mp4': bytes(50_000),
    'page.mp4': _HTML,
    'text.mkv': b'This video is no longer available.\n' * 99,
    'playlist.mp4': _PLAYLIST % b'0000_whole.mp4',
    'address.mp4': _PLAYLIST % b'http://127.0.0.1:9/a.ts',
    'list.avi': b'ffconcat version 1.0\nfile 0000_whole.mp4\n',
    'subtitles.mkv': b'1\n00:00:01,000 --> 00:00:02,000\nHello\n\n' * 9,
    'huge.avi': b'YUV4MPEG2 W16384 H16384 F25:1 Ip A1:1 C420\nFRAME\n',
    'archive.mp4': b'PK\x03\x04' + bytes(range(256)) * 20,
    'partial.mp4': b'\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1',
}


def write_damaged(
    folder: pathlib.Path, count: int, seed: int = 0
) -> list[pathlib.Path]:
  """Writes damaged and odd files; the same ones for the same seed.

  The first `len(_FOREIGN)` are no videos at all.
  """
  rng = random.Random(seed)
  whole = _whole_videos()
  paths = []
  for index in range(count):
    if index < len(_FOREIGN):
      name, data = list(_FOREIGN.items())[index]
    elif index % 20 == 0:
      name, data = 'noise.mp4', rng.randbytes(20_000)
    elif index % 20 == 1:
      name = 'renamed' + rng.choice(['.mp4', '.avi', '.webm', '.mkv'])
      data = rng.choice(list(whole.values()))
    else:
      name, data = list(whole.items())[index % len(whole)]
      # Of another period, so that every damage meets every format.
      data = DAMAGES[(index // len(whole)) % len(DAMAGES)](data, rng)
    paths.append(folder / f'{index:04d}_{name}')
    paths[-1].write_bytes(data)
  return paths


def _whole_videos():
  """Returns files by name, of a texture that moves, so that data matter."""
  generator = np.random.default_rng(0)
  texture = generator.integers(0, 255, (40, 40, 3), np.uint8)
  texture = texture.repeat(6, 0).repeat(6, 1)
  frames = [texture[2 * i : 2 * i + 64, 3 * i : 3 * i + 80] for i in range(30)]
  frames = [np.ascontiguousarray(frame) for frame in frames]
  kinds = {
      'h264.mp4': {},
      'faststart.mp4': {'container': {'movflags': 'faststart'}},
      'fragments.mp4': {'container': {'movflags': 'frag_keyframe+empty_moov'}},
      'hevc.mp4': {
          'codec': 'libx265',
          'options': {'x265-params': 'log-level=none'},
      },
      'h264.mkv': {},
      'vp8.webm': {'codec': 'libvpx'},
      'vp9.webm': {'codec': 'libvpx-vp9', 'options': {'cpu-used': '8'}},
      'mpeg4.avi': {'codec': 'mpeg4', 'options': {'bf': '2'}},
      'h264.ts': {},
      'h264.flv': {},
      'mpeg4.mov': {'codec': 'mpeg4'},
  }
  whole = {}
  with tempfile.TemporaryDirectory() as folder:
    for name, options in kinds.items():
      path = pathlib.Path(folder) / name
      write(path, frames, **options)
      whole[name] = path.read_bytes()
  return whole
