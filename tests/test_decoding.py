import fractions

import av
import numpy as np
import pytest

from vidcolor import errors
from vidcolor.video import decoding
from vidcolor.video import mp4


def _grey(level, height=48, width=64):
  return np.full((height, width, 3), level, np.uint8)


def _write(path, times_ms, frames, codec='libx264', rotation=0):
  """Writes frames at the given, maybe uneven, times in milliseconds."""
  with av.open(path, 'w') as container:
    stream = container.add_stream(codec, rate=25)
    stream.height, stream.width = frames[0].shape[:2]
    stream.pix_fmt = 'yuv420p'
    stream.codec_context.time_base = fractions.Fraction(1, 1000)
    if rotation:
      stream.set_display_rotation(rotation)
    for time, frame in zip(times_ms, frames, strict=True):
      picture = av.VideoFrame.from_ndarray(frame, format='rgb24')
      picture.pts, picture.time_base = time, fractions.Fraction(1, 1000)
      container.mux(stream.encode(picture))
    container.mux(stream.encode())


def _levels(frames):
  return [int(round(frame.mean(), -1)) for frame in frames]


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv'])
def test_varying_rate_is_sampled_by_time(tmp_path, name):
  # Ten frames a second, then one long frame, then ten a second again.
  times = [0, 100, 200, 300, 900, 1000, 1100]
  frames = [_grey(level) for level in (20, 40, 60, 80, 100, 120, 140)]
  _write(tmp_path / name, times, frames)
  read = list(decoding.read_frames(tmp_path / name, frames_per_second=5.0))
  #     time:              0  .2  .4  .6  .8   1.
  assert _levels(read)[:6] == [20, 60, 80, 80, 80, 120]
  assert _levels(decoding.read_frames(tmp_path / name)) == _levels(frames)


def test_rounded_times_sample_every_frame(tmp_path):
  # Matroska stores 66.67 ms as 67: sampled at 15 a second, none is shown twice.
  levels = list(range(20, 180, 10))
  times = [round(1000 * i / 15) for i in range(len(levels))]
  _write(tmp_path / 'a.mkv', times, [_grey(level) for level in levels])
  read = decoding.read_frames(tmp_path / 'a.mkv', frames_per_second=15.0)
  assert _levels(read) == levels


def test_avi_holds_no_times(tmp_path):
  levels = list(range(20, 180, 10))
  times = [40 * i for i in range(len(levels))]
  _write(tmp_path / 'a.avi', times, [_grey(level) for level in levels])
  read = decoding.read_frames(tmp_path / 'a.avi', frames_per_second=12.5)
  assert _levels(read) == levels[::2]


def test_short_side(tmp_path):
  stripes = _grey(0)
  stripes[:, ::2] = 200
  mp4.write(tmp_path / 'a.mp4', [stripes] * 2, 10.0)
  small = next(decoding.read_frames(tmp_path / 'a.mp4', short_side=24))
  assert small.shape == (24, 32, 3)
  np.testing.assert_allclose(small.mean((0, 2)), 100, atol=8)
  large = next(decoding.read_frames(tmp_path / 'a.mp4', short_side=96))
  assert large.shape == (48, 64, 3)


def test_rotated_video_is_upright(tmp_path):
  frame = _grey(20)
  frame[:, 32:] = 200  # The right half is bright.
  _write(tmp_path / 'a.mp4', [0, 100], [frame] * 2, rotation=90)
  read = next(decoding.read_frames(tmp_path / 'a.mp4', short_side=24))
  assert read.shape == (32, 24, 3)
  # Turned counterclockwise, the right comes to the top.
  assert read[:12].mean() > 180 and read[-12:].mean() < 40


def test_frames_are_decoded_as_they_are_asked_for(tmp_path):
  mp4.write(tmp_path / 'a.mp4', [_grey(50)] * 99, 10.0)
  whole = (tmp_path / 'a.mp4').read_bytes()
  (tmp_path / 'a.mp4').write_bytes(whole[:-50])
  frames = decoding.read_frames(tmp_path / 'a.mp4')
  for _ in range(9):
    next(frames)
  frames.close()


def _audio(path):
  with av.open(path, 'w') as container:
    stream = container.add_stream('aac', rate=44100)
    sound = av.AudioFrame.from_ndarray(
        np.zeros((1, 1024), np.float32), format='fltp', layout='mono'
    )
    sound.sample_rate = 44100
    container.mux(stream.encode(sound))
    container.mux(stream.encode())


def test_unreadable_files(tmp_path):
  def read(name):
    return list(decoding.read_frames(tmp_path / name))

  with pytest.raises(errors.UserError, match='cannot read .*missing.mp4: No s'):
    read('missing.mp4')
  (tmp_path / 'empty.mp4').touch()
  with pytest.raises(errors.UserError, match='cannot read .*empty.mp4: Inval'):
    read('empty.mp4')
  _audio(tmp_path / 'audio.mp4')
  with pytest.raises(errors.UserError, match='audio.mp4: it holds no video'):
    read('audio.mp4')
  mp4.write(tmp_path / 'whole.mp4', [_grey(50)] * 9, 10.0)
  whole = (tmp_path / 'whole.mp4').read_bytes()
  (tmp_path / 'cut.mp4').write_bytes(whole[: len(whole) * 2 // 3])
  with pytest.raises(errors.UserError, match='cut.mp4'):
    read('cut.mp4')
