import fractions
import itertools
import random

import av
import numpy as np
import pytest

from tests import odd_videos
from vidcolor import errors
from vidcolor.video import decoding
from vidcolor.video import mp4
from vidcolor.video import video_source

_RATE = 48_000
_SECONDS = 4


def _grey(level, height=48, width=64):
  return np.full((height, width, 3), level, np.uint8)


def _tone(second):
  """The pitch of a second of the sound, in Hz."""
  return 400 + 200 * second


def _write_talkie(path, codec, layout='stereo'):
  """Writes frames at uneven times, and sound whose pitch tells the second."""
  times = np.arange(_RATE * _SECONDS) / _RATE
  wave = 0.3 * np.sin(2 * np.pi * _tone(times // 1) * times)
  channels = 1 if layout == 'mono' else 2
  wave = np.tile(wave.astype(np.float32), (channels, 1))
  with av.open(path, 'w') as file:
    film = file.add_stream('libx264', rate=25)
    film.height, film.width, film.pix_fmt = 48, 64, 'yuv420p'
    film.codec_context.time_base = fractions.Fraction(1, 1000)
    sound = file.add_stream(codec, rate=_RATE, layout=layout)
    for index in range(25 * _SECONDS):
      picture = odd_videos.picture(40 + 20 * (index % 8))
      picture = av.VideoFrame.from_ndarray(picture, format='rgb24')
      picture.pts = 40 * index + (13 if index % 3 else 0)
      picture.time_base = fractions.Fraction(1, 1000)
      file.mux(film.encode(picture))
      part = slice(index * _RATE // 25, (index + 1) * _RATE // 25)
      part = np.ascontiguousarray(wave[:, part])
      samples = av.AudioFrame.from_ndarray(part, format='fltp', layout=layout)
      samples.sample_rate, samples.pts = _RATE, index * _RATE // 25
      samples.time_base = fractions.Fraction(1, _RATE)
      file.mux(sound.encode(samples))
    file.mux(film.encode())
    file.mux(sound.encode())


def _read_sound(path):
  """Returns the codec, and the pitch of each tenth of a second."""
  with av.open(path) as file:
    resampler = av.AudioResampler('fltp', 'mono', _RATE)
    frames = file.decode(audio=0)
    first = next(frames)
    assert abs(first.time) < 0.03
    wave = np.hstack(
        [
            part.to_ndarray()[0]
            for frame in itertools.chain([first], frames)
            for part in resampler.resample(frame)
        ]
    )
    codec = file.streams.audio[0].codec_context.codec.canonical_name
  tenths = wave[: wave.size // 4800 * 4800].reshape(-1, 4800)
  spectra = np.abs(np.fft.rfft(tenths * np.hanning(4800)))
  return codec, 10 * spectra.argmax(1)


def _times(path):
  return [frame.time for frame in decoding.decode_frames(path)]


def test_write_then_read(tmp_path):
  ramp = np.linspace(0, 255, 64, dtype=np.uint8)
  frames = [
      np.stack(np.broadcast_arrays(ramp, 9 * i, 90), -1) for i in range(5)
  ]
  frames = [np.tile(frame.astype(np.uint8), (48, 1, 1)) for frame in frames]
  mp4.write(tmp_path / 'a.mp4', frames, 12.5)
  read = list(decoding.read_frames(tmp_path / 'a.mp4'))
  assert [frame.shape for frame in read] == [(48, 64, 3)] * 5
  assert read[0].dtype == np.uint8
  assert np.abs(np.stack(read) - np.stack(frames).astype(int)).mean() < 4
  with av.open(tmp_path / 'a.mp4') as container:
    assert container.streams.video[0].average_rate == 12.5
    assert container.duration == pytest.approx(0.4e6, abs=1e3)
  assert [path.name for path in tmp_path.iterdir()] == ['a.mp4']


def test_only_frame_lasts(tmp_path):
  mp4.write(tmp_path / 'a.mp4', [_grey(50)], 2.0)
  with av.open(tmp_path / 'a.mp4') as container:
    assert container.duration == pytest.approx(0.5e6, abs=1e3)


@pytest.mark.parametrize('height,width', [(48, 64), (720, 1280)])
def test_colors_are_what_they_were(tmp_path, height, width):
  # Players guess the matrix of untagged colors from the size of the video.
  frame = np.tile(np.array([200, 30, 60], np.uint8), (height, width, 1))
  mp4.write(tmp_path / 'a.mp4', [frame] * 2, 25.0)
  with av.open(tmp_path / 'a.mp4') as container:
    assert next(container.decode(video=0)).colorspace == 1  # BT.709
  read = next(decoding.read_frames(tmp_path / 'a.mp4'))
  np.testing.assert_allclose(read.mean((0, 1)), [200, 30, 60], atol=4)


def test_odd_sides_are_padded(tmp_path):
  frame = _grey(50, 47, 65)
  frame[-1], frame[:, -1] = 200, 120
  mp4.write(tmp_path / 'a.mp4', [frame] * 2, 10.0)
  read = next(decoding.read_frames(tmp_path / 'a.mp4'))
  assert read.shape == (48, 66, 3)
  np.testing.assert_allclose(read[-2:, :64].mean((1, 2)), 200, atol=8)
  np.testing.assert_allclose(read[:46, -2:].mean((0, 2)), 120, atol=8)


@pytest.mark.parametrize('name', ['a:b/c.mp4', 'https:/c.mp4', '%03d/?.mp4'])
def test_any_name_is_a_file(tmp_path, monkeypatch, name):
  monkeypatch.chdir(tmp_path)
  (tmp_path / name).parent.mkdir()
  mp4.write(name, [_grey(50)] * 2, 10.0)
  assert len(_times(tmp_path / name)) == 2
  assert len([path for path in tmp_path.rglob('*') if path.is_file()]) == 1


def test_pixels_have_the_shape_of_the_source(tmp_path):
  odd_videos.write_wide_pixels(tmp_path / 'a.mp4', fractions.Fraction(4, 3))
  with pytest.warns(UserWarning, match='64 x 48 pixels.* 85 x 48'):
    source = video_source.VideoSource(tmp_path / 'a.mp4', scale=0.5)
  mp4.write_like(tmp_path / 'b.mp4', source, source)
  with av.open(tmp_path / 'b.mp4') as file:
    (stream,) = file.streams
    assert (stream.height, stream.width) == (24, 32)
    assert stream.sample_aspect_ratio == fractions.Fraction(4, 3)


def test_frames_that_are_too_wide_are_shrunk(tmp_path):
  wide = _grey(90, 8, 32_768)
  with pytest.warns(UserWarning, match='shrunk to 16384 x 4 pixels'):
    mp4.write(tmp_path / 'a.mp4', [wide] * 2, 10.0)
  read = next(decoding.read_frames(tmp_path / 'a.mp4'))
  assert read.shape == (4, 16_384, 3) and abs(read.mean() - 90) < 4


def test_failed_write_leaves_nothing(tmp_path):
  def frames():
    yield _grey(50)
    raise KeyError('the caller failed')

  with pytest.raises(KeyError):
    mp4.write(tmp_path / 'a.mp4', frames(), 10.0)
  with pytest.raises(errors.UserError, match='no frames to write .*a.mp4'):
    mp4.write(tmp_path / 'a.mp4', [], 10.0)
  with pytest.raises(errors.UserError, match='cannot write .*no/a.mp4'):
    mp4.write(tmp_path / 'no' / 'a.mp4', [_grey(50)], 10.0)
  assert not list(tmp_path.iterdir())


_SOUNDS = {
    'a.mp4': ('aac', 'aac'),
    'a.mkv': ('libopus', 'opus'),
    'a.mov': ('pcm_s16le', 'aac'),
    'a.avi': ('libmp3lame', 'mp3'),
    'a.ts': ('ac3', 'aac'),
}


@pytest.mark.parametrize('name', _SOUNDS)
def test_times_and_sound_are_kept(tmp_path, name):
  codec, kept = _SOUNDS[name]
  _write_talkie(tmp_path / name, codec)
  whole = video_source.VideoSource(tmp_path / name)
  assert mp4.write_like(tmp_path / 'out.mp4', whole, whole) is None
  times = [frame.seconds for frame in whole]
  np.testing.assert_allclose(_times(tmp_path / 'out.mp4'), times, atol=1e-4)
  assert len(set(np.diff(times).round(3))) > 1  # They are uneven.
  codec, pitches = _read_sound(tmp_path / 'out.mp4')
  assert codec == kept
  assert len(pitches) in (39, 40)
  expected = [_tone(tenth // 10) for tenth in range(len(pitches))]
  # The change of pitch may lie within a tenth of a second.
  assert np.mean(pitches == expected) > 0.9


@pytest.mark.parametrize('name', ['a.mp4', 'a.ts'])
def test_sound_is_cut(tmp_path, name):
  _write_talkie(tmp_path / name, _SOUNDS[name][0])
  part = video_source.VideoSource(tmp_path / name, start=1.48, end=3.2)
  mp4.write_like(tmp_path / 'out.mp4', part, part)
  assert part.start == pytest.approx(1.48, abs=0.041)
  times = [frame.seconds for frame in part]
  np.testing.assert_allclose(_times(tmp_path / 'out.mp4'), times, atol=1e-4)
  _, pitches = _read_sound(tmp_path / 'out.mp4')
  assert len(pitches) in (16, 17)
  assert set(pitches[:5]) == {_tone(1)}
  assert set(pitches[6:15]) == {_tone(2)}
  assert pitches[-1] == _tone(3)
  with av.open(tmp_path / 'out.mp4') as file:
    assert file.duration == pytest.approx(1.72e6, abs=0.05e6)


def test_sound_ends_with_the_frames(tmp_path):
  _write_talkie(tmp_path / 'a.mp4', 'aac', 'mono')
  whole = video_source.VideoSource(tmp_path / 'a.mp4')
  frames = itertools.islice(whole, 26)
  mp4.write_like(tmp_path / 'out.mp4', frames, whole)
  assert len(_read_sound(tmp_path / 'out.mp4')[1]) == 10


def test_silent_video_stays_silent(tmp_path):
  odd_videos.write(tmp_path / 'a.mp4')
  whole = video_source.VideoSource(tmp_path / 'a.mp4')
  assert mp4.write_like(tmp_path / 'out.mp4', whole, whole) is None
  with av.open(tmp_path / 'out.mp4') as file:
    assert not file.streams.audio


def test_damaged_sound_is_left_out(tmp_path):
  _write_talkie(tmp_path / 'a.mkv', 'ac3')
  with av.open(tmp_path / 'a.mkv') as file:
    packets = [bytes(packet) for packet in file.demux(audio=0)]
  data = (tmp_path / 'a.mkv').read_bytes()
  for packet in packets:
    if packet:
      data = data.replace(packet, bytes(len(packet)))
  (tmp_path / 'a.mkv').write_bytes(data)
  whole = video_source.VideoSource(tmp_path / 'a.mkv')
  note = mp4.write_like(tmp_path / 'out.mp4', whole, whole)
  assert note == f'some sound of {tmp_path}/a.mkv is left out: it is damaged'
  assert len(_times(tmp_path / 'out.mp4')) == 25 * _SECONDS
  with av.open(tmp_path / 'out.mp4') as file:
    assert not file.streams.audio


def test_any_damage_leaves_the_film(tmp_path):
  _write_talkie(tmp_path / 'good.mp4', 'aac')
  frames = list(video_source.VideoSource(tmp_path / 'good.mp4', end=0.2))
  source = video_source.VideoSource(tmp_path / 'good.mp4')
  data, rng = (tmp_path / 'good.mp4').read_bytes(), random.Random(0)
  source.path, notes = tmp_path / 'bad.mp4', []
  for damage in odd_videos.DAMAGES:
    source.path.write_bytes(damage(data, rng))
    notes.append(mp4.write_like(tmp_path / 'out.mp4', frames, source))
    assert len(_times(tmp_path / 'out.mp4')) == len(frames)
  assert None in notes and len(set(notes)) > 2
