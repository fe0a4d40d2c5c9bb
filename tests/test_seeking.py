"""Single frames of a film, sought or counted: those of an iteration."""

import io

import av
import numpy as np
import pytest

from tests import odd_videos
from vidcolor.video import decoding
from vidcolor.video import video_source

_TEXTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
_FRAMES = [np.roll(_TEXTURE, 2 * index, 1) for index in range(30)]
_GROUPS = {'g': '9', 'keyint_min': '9'}
_OPEN = _GROUPS | {'x264-params': 'open-gop=1:bframes=3:b-pyramid=normal'}
_VP9 = {'cpu-used': '8', 'g': '9', 'auto-alt-ref': '1', 'lag-in-frames': '8'}
_VARYING = {'times_ms': list(np.cumsum([40, 80, 20] * 10))}
# Whether the frames of such a file are sought.
_FILES = {
    'open_groups.mp4': (True, {'options': _OPEN}),
    'open_groups.mkv': (True, {'options': _OPEN}),
    'varying.mov': (True, {'options': _OPEN} | _VARYING),
    'intra_refresh.mp4': (None, {'options': {'intra-refresh': '1', 'g': '9'}}),
    'no_b_frames.m4v': (True, {'options': _GROUPS | {'bf': '0'}}),
    'stills.mov': (True, {'codec': 'mjpeg', 'pix_fmt': 'yuvj420p'}),
    'hidden.webm': (True, {'codec': 'libvpx-vp9', 'options': _VP9}),
    'hidden_too.webm': (False, {'codec': 'libvpx', 'options': _VP9}),
    'no_times.avi': (False, {'codec': 'mpeg4', 'options': {'bf': '2'}}),
    'no_index.ts': (False, {'options': _OPEN}),
    'no_index.h264': (False, {'options': _OPEN}),
}


def _assert_same(source, expected, numbers):
  for number in numbers:
    found, frame = source.frame(number)
    assert found == min(number, len(expected) - 1)
    np.testing.assert_array_equal(frame.rgb, expected[found].rgb)
    assert frame.seconds == pytest.approx(expected[found].seconds)


@pytest.mark.parametrize('name', _FILES)
def test_single_frames_are_those_of_an_iteration(tmp_path, monkeypatch, name):
  is_sought, kind = _FILES[name]
  odd_videos.write(tmp_path / name, _FRAMES, **kind)
  source = video_source.VideoSource(tmp_path / name, max_short_side=32)
  expected = list(source)
  numbers = (1, 9, 17, 18, 28, 99)
  if is_sought:
    # Nothing is left to count with.
    monkeypatch.delattr(video_source, '_last')
  elif is_sought is False:
    assert decoding.frame_times(source.path) is None
  _assert_same(source, expected, numbers)


def test_single_frames_of_a_part(tmp_path):
  odd_videos.write(tmp_path / 'a.mp4', _FRAMES, options=_OPEN)
  source = video_source.VideoSource(tmp_path / 'a.mp4', start=0.5, end=2.0)
  _assert_same(source, list(source), (0, 1, 2, 11, 18, 40))


@pytest.mark.parametrize(
    'write',
    [
        lambda path: odd_videos.write_interlaced(path, 12),
        lambda path: odd_videos.write_rotated(path, 90),
        lambda path: odd_videos.write_rotated(path, 180, hflip=True),
        lambda path: odd_videos.write_wide_pixels(path, '4/3'),
        lambda path: odd_videos.write_hdr(path, 120),
        lambda path: _write_cut(path),
    ],
    ids='interlaced turned flipped wide hdr cut'.split(),
)
@pytest.mark.filterwarnings('ignore:.*not square')
def test_single_frames_of_odd_files(tmp_path, write):
  write(tmp_path / 'a.mp4')
  source = video_source.VideoSource(tmp_path / 'a.mp4')
  expected = list(source)
  _assert_same(source, expected, range(len(expected) + 1))


@pytest.mark.parametrize(
    'stamps', [[0, 40, 80, 20_080, 20_120], [0, 40, 80, 90, 5000, 5040, 5080]]
)
def test_single_frames_beside_clock_errors_and_pauses(tmp_path, stamps):
  odd_videos.write_clock(tmp_path / 'a.mkv', stamps)
  source = video_source.VideoSource(tmp_path / 'a.mkv')
  _assert_same(source, list(source), range(len(stamps)))


def _write_cut(path):
  """Cuts a film within a group, as tools do that do not encode anew."""
  whole = io.BytesIO()
  odd_videos.write(whole, _FRAMES, options=_OPEN, file_format='mp4')
  whole.seek(0)
  with av.open(whole) as source, av.open(path, 'w') as target:
    stream = target.add_stream_from_template(source.streams.video[0])
    packets = [packet for packet in source.demux() if packet.size]
    for packet in packets[4:]:
      packet.stream = stream
      target.mux(packet)


def test_pictures_are_counted(tmp_path):
  odd_videos.write(tmp_path / 'a.gif', codec='gif', pix_fmt='rgb8')
  source = video_source.VideoSource(tmp_path / 'a.gif')
  expected = list(source)
  _assert_same(source, expected, range(len(expected) + 1))


@pytest.mark.parametrize('name', ['a.webm', 'a.mkv', 'a.h264', 'a.mjpeg'])
def test_files_that_tell_no_length_are_counted(tmp_path, name):
  codec = {'a.webm': 'libvpx', 'a.mjpeg': 'mjpeg'}.get(name, 'libx264')
  pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
  live = {'live': '1'} if name in ('a.webm', 'a.mkv') else {}
  odd_videos.write(
      tmp_path / name, _FRAMES, codec=codec, pix_fmt=pix_fmt, container=live
  )
  assert video_source.VideoSource(tmp_path / name).num_frames == 30
  if live:
    half = video_source.VideoSource(tmp_path / name, start=0.4, end=1.2)
    assert half.num_frames == 10
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(0.8 * len(data))])
    assert 0 < video_source.VideoSource(tmp_path / name).num_frames < 30
