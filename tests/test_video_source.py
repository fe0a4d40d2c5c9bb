import errno
import math
import os
import tempfile

import av
import cv2
import numpy as np
from PIL import Image
import pytest

from tests import leftovers
from tests import odd_videos
from vidcolor import errors
from vidcolor.video import video_source

_LEVELS = list(odd_videos.LEVELS)


def _levels(frames):
  """Returns the levels of frames, which must be upright."""
  return [odd_videos.level_of(frame.rgb) for frame in frames]


def _seconds(frames):
  return np.array([frame.seconds for frame in frames])


def _write_pictures(folder, names, height=48, width=64):
  folder.mkdir(exist_ok=True)
  for level, name in zip(_LEVELS, names, strict=False):
    picture = Image.fromarray(odd_videos.picture(level, height, width))
    picture.save(folder / name)


def test_video_is_read_again_and_again(tmp_path):
  odd_videos.write(tmp_path / 'a.mp4')
  whole = video_source.VideoSource(tmp_path / 'a.mp4')
  for _ in range(2):
    assert _levels(whole) == _LEVELS
    np.testing.assert_allclose(_seconds(whole), 0.08 * np.arange(8))
  assert next(iter(whole)).rgb.dtype == np.uint8
  assert whole.size == whole.full_size == (48, 64)
  assert whole.num_frames == 8
  assert whole.path == tmp_path / 'a.mp4'


def test_varying_rate_and_part(tmp_path):
  times = [0, 100, 200, 600, 650, 700, 1700, 1750]
  odd_videos.write(tmp_path / 'a.mp4', times_ms=times)
  part = video_source.VideoSource(tmp_path / 'a.mp4', start=0.15, end=1.7)
  assert part.start == pytest.approx(0.2)
  assert _levels(part) == _LEVELS[2:6]
  np.testing.assert_allclose(_seconds(part), [0, 0.4, 0.45, 0.5])


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv', 'a.ts', 'a.avi', 'a.webm'])
def test_part_is_the_same_as_of_the_whole(tmp_path, name):
  texture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
  frames = [np.roll(texture, 2 * index, 1) for index in range(40)]
  kind = {
      'a.webm': {'codec': 'libvpx-vp9', 'options': {'cpu-used': '8'}},
      'a.avi': {'codec': 'mpeg4', 'options': {'bf': '2', 'g': '9'}},
  }
  open_groups = {'g': '9', 'keyint_min': '9', 'x264-params': 'open-gop=1'}
  kind = kind.get(name, {'options': open_groups})
  odd_videos.write(tmp_path / name, frames, **kind)
  whole = list(video_source.VideoSource(tmp_path / name))
  for start in (1, 13, 27, 39):
    part = video_source.VideoSource(tmp_path / name, start=whole[start].seconds)
    read = list(part)
    assert len(read) == len(whole) - start
    for frame, expected in zip(read, whole[start:], strict=True):
      np.testing.assert_array_equal(frame.rgb, expected.rgb)
      passed = expected.seconds - whole[start].seconds
      assert frame.seconds == pytest.approx(passed)


def test_what_is_before_the_start_is_not_decoded(tmp_path):
  options = {'g': '4', 'keyint_min': '4', 'bf': '0'}
  odd_videos.write(tmp_path / 'a.mp4', options=options)
  with av.open(tmp_path / 'a.mp4') as file:
    second = [bytes(packet) for packet in file.demux(video=0)][1]
  data = (tmp_path / 'a.mp4').read_bytes()
  damaged = data.replace(second[8:], bytes(len(second) - 8))
  (tmp_path / 'a.mp4').write_bytes(damaged)
  part = video_source.VideoSource(tmp_path / 'a.mp4', start=0.4)
  assert _levels(part) == _LEVELS[5:]
  with pytest.raises(errors.UserError, match='a.mp4'):
    list(video_source.VideoSource(tmp_path / 'a.mp4'))


@pytest.mark.parametrize('degrees', [90, 180])
def test_turned_video_and_scale(tmp_path, degrees):
  odd_videos.write_rotated(tmp_path / 'a.mp4', degrees)
  half = video_source.VideoSource(tmp_path / 'a.mp4', scale=0.5)
  assert half.full_size == (48, 64)
  assert half.size == (24, 32) == next(iter(half)).rgb.shape[:2]
  assert _levels(half) == _LEVELS


def test_odd_sides(tmp_path):
  frames = [odd_videos.picture(level, 47, 63) for level in _LEVELS]
  odd_videos.write(tmp_path / 'a.mkv', frames, codec='ffv1', pix_fmt='bgr0')
  odd = video_source.VideoSource(tmp_path / 'a.mkv')
  assert odd.size == (47, 63)
  assert _levels(odd) == _LEVELS


def test_folder_is_in_the_order_of_numbers(tmp_path):
  names = ['frame1.png', 'frame2.JPG', 'frame10.jpeg', 'frame11.webp']
  _write_pictures(tmp_path / 'a', names)
  (tmp_path / 'a' / 'notes.txt').write_text('no picture')
  leftovers.leave_in_all_folders(tmp_path)
  folder = video_source.VideoSource(tmp_path / 'a', frames_per_second=10.0)
  assert _levels(folder) == _LEVELS[:4]
  np.testing.assert_allclose(_seconds(folder), [0, 0.1, 0.2, 0.3])
  assert folder.num_frames == 4
  part = video_source.VideoSource(
      tmp_path / 'a', frames_per_second=10.0, start=0.1, end=0.3, scale=0.5
  )
  assert _levels(part) == _LEVELS[1:3]
  np.testing.assert_allclose(_seconds(part), [0, 0.1])
  assert (part.size, part.full_size) == ((24, 32), (48, 64))
  assert part.num_frames == 2 and part.start == 0.1


def test_pictures_come_upright_in_8_bit_color(tmp_path):
  _write_pictures(tmp_path, [])
  upright = Image.fromarray(odd_videos.picture(100))
  exif = Image.Exif()
  exif[0x0112] = 6  # Turn it clockwise to show it.
  turned = upright.transpose(Image.Transpose.ROTATE_90)
  turned.save(tmp_path / '0.jpg', exif=exif)
  upright.convert('P').save(tmp_path / '1.png')
  upright.convert('L').save(tmp_path / '2.png')
  upright.convert('RGBA').save(tmp_path / '3.png')
  grey = np.asarray(upright.convert('L')).astype(np.uint16) * 256
  cv2.imwrite(str(tmp_path / '4.png'), grey)
  assert _levels(video_source.VideoSource(tmp_path)) == 5 * [100]


def test_backward_is_forward_reversed(tmp_path):
  texture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
  frames = [np.roll(texture, 2 * index, 1) for index in range(12)]
  odd_videos.write(tmp_path / 'a.mp4', frames)
  whole = video_source.VideoSource(tmp_path / 'a.mp4', start=0.1)
  forward = list(whole)
  for count in (5, 99):
    backward = list(whole.backward(count))
    assert len(backward) == min(count, 10)
    for frame, expected in zip(backward, forward[:count][::-1], strict=True):
      assert frame.seconds == expected.seconds
      assert np.abs(frame.rgb - expected.rgb.astype(int)).mean() < 2


def test_backward_leaves_nothing_on_disk(tmp_path, monkeypatch):
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
  (tmp_path / 'temporary').mkdir()
  odd_videos.write(tmp_path / 'a.mp4')
  whole = video_source.VideoSource(tmp_path / 'a.mp4')
  frames = whole.backward(5)
  assert odd_videos.level_of(next(frames).rgb) == _LEVELS[4]
  assert os.listdir(tmp_path / 'temporary')
  frames.close()
  assert not os.listdir(tmp_path / 'temporary')
  assert len(list(whole.backward(5))) == 5
  assert not os.listdir(tmp_path / 'temporary')


def test_backward_on_a_full_disk(tmp_path, monkeypatch):
  odd_videos.write(tmp_path / 'a.mp4')
  whole = video_source.VideoSource(tmp_path / 'a.mp4')

  def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(video_source, 'open', full, raising=False)
  with pytest.raises(errors.UserError, match='No space left.*TMPDIR'):
    next(whole.backward(2))


def _make_faults(folder):
  odd_videos.write(folder / 'a.mp4')
  odd_videos.write_audio(folder / 'sound.mp4')
  (folder / 'text.mp4').write_text('no video')
  (folder / 'no_pictures').mkdir()
  (folder / 'no_pictures' / 'a.txt').touch()
  _write_pictures(folder / 'pictures', ['a.png'])
  _write_pictures(folder / 'broken', ['a.jpg'])
  whole = (folder / 'broken' / 'a.jpg').read_bytes()
  (folder / 'broken' / 'a.jpg').write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    'name,options,message',
    [
        ('missing.mp4', {}, 'no file or folder {}/missing.mp4: give'),
        ('no_pictures', {}, 'no picture in the folder {}/no_pictures: give'),
        ('sound.mp4', {}, 'cannot read {}/sound.mp4: it holds no video'),
        ('text.mp4', {}, 'cannot read {}/text.mp4: '),
        ('broken', {}, 'cannot read the picture {}/broken/a.jpg: restore'),
        ('a.mp4', {'start': 9.0}, '{}/a.mp4 has no frame from 9 s.*earlier'),
        ('pictures', {'start': 1.0}, '{}/pictures has no frame from 1 s'),
        ('a.mp4', {'start': 0.17, 'end': 0.2}, '{}/a.mp4 has no .* to 0.2 s'),
        ('a.mp4', {'start': 0.2, 'end': 0.1}, '{}/a.mp4 .* end after that'),
        ('a.mp4', {'start': -1.0}, '{}/a.mp4 from -1 s.* start at 0'),
        ('a.mp4', {'scale': 0.0}, 'scale {}/a.mp4 by 0: give a scale above 0'),
        ('a.mp4', {'scale': 1.5}, 'scale {}/a.mp4 by 1.5: give a scale'),
        (
            'pictures/a.png',
            {},
            '{}/pictures/a.png is one picture: give a video',
        ),
        ('pictures', {'frames_per_second': 0.0}, '{}/pictures at 0 .* rate'),
        ('pictures', {'frames_per_second': math.inf}, 'at inf .* rate above 0'),
        ('a.mp4', {'frames_per_second': 9.0}, '{}/a.mp4 has times .*--fps'),
        ('text.mp4', {'frames_per_second': 9.0}, 'cannot read {}/text.mp4: '),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, name, options, message):
  _make_faults(tmp_path)
  with pytest.raises(errors.UserError, match=message.format(tmp_path)) as fault:
    video_source.VideoSource(tmp_path / name, **options)
  assert '\n' not in str(fault.value)


def test_picture_of_another_size(tmp_path):
  _write_pictures(tmp_path, ['1.png', '2.png'])
  _write_pictures(tmp_path, ['3.png'], 50, 60)
  frames = iter(video_source.VideoSource(tmp_path))
  assert len([next(frames), next(frames)]) == 2
  with pytest.raises(errors.UserError, match='3.png is 60x50, .* are 64x48: '):
    next(frames)


def test_a_url_is_to_be_downloaded():
  with pytest.raises(errors.UserError, match='^gs://a/b.mp4 is a URL: downlo'):
    video_source.VideoSource('gs://a/b.mp4')


def test_the_home_folder_is_found(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  odd_videos.write(tmp_path / 'a.mp4')
  assert video_source.VideoSource('~/a.mp4').path == tmp_path / 'a.mp4'


_CUT_OFF = {
    'a.mkv': {'options': {'g': '1'}},
    'a.webm': {'codec': 'libvpx', 'options': {'g': '1'}},
    'a.mp4': {'container': {'movflags': 'faststart'}, 'options': {'g': '1'}},
    'a.mov': {'codec': 'mjpeg', 'pix_fmt': 'yuvj420p', 'options': {'g': '1'}},
    'a.flv': {'options': {'g': '1'}},
}


@pytest.mark.parametrize('name', _CUT_OFF)
def test_a_film_that_is_cut_off_is_not_whole(tmp_path, name):
  options = _CUT_OFF[name]
  if name == 'a.mov':
    options = options | {'container': {'movflags': 'faststart'}}
  noise = np.random.default_rng(0).integers(0, 255, (8, 48, 64, 3), np.uint8)
  odd_videos.write(tmp_path / name, noise, **options)
  whole = video_source.ReadablePart(video_source.VideoSource(tmp_path / name))
  assert len(list(whole)) == 8 and whole.fault is None
  data = (tmp_path / name).read_bytes()
  (tmp_path / name).write_bytes(data[: -len(data) // 3])
  part = video_source.ReadablePart(video_source.VideoSource(tmp_path / name))
  count = len(list(part))
  assert 3 < count < 7
  seconds = f'{0.08 * (count - 1):.1f}'
  assert str(part.fault).startswith(
      f'cannot read {tmp_path / name} beyond {seconds} s: '
  )


@pytest.mark.parametrize(
    ('degrees', 'aspect', 'shown'),
    [(0, 2, ((48, 128), (24, 64))), (90, 0.5, ((48, 32), (96, 64)))],
)
def test_pixels_keep_their_shape(tmp_path, degrees, aspect, shown):
  def set_up(stream):
    stream.codec_context.sample_aspect_ratio = 2
    stream.set_display_rotation(degrees)

  turned = [
      np.ascontiguousarray(np.rot90(odd_videos.picture(level), -degrees // 90))
      for level in _LEVELS
  ]
  odd_videos.write(tmp_path / 'a.mp4', turned, set_up=set_up)
  with pytest.warns(UserWarning, match='in its own 64 x 48 pixels'):
    source = video_source.VideoSource(tmp_path / 'a.mp4')
  assert (source.size, source.pixel_aspect) == ((48, 64), aspect)
  assert source.shown_sizes == shown
  assert _levels(source) == _LEVELS


def test_hidden_colors_of_films_are_black(tmp_path):
  def hide(frame):
    rgba = frame.to_ndarray()
    rgba[:, :32, 0] = 0  # Alpha comes first.
    return av.VideoFrame.from_ndarray(rgba, format='argb')

  white = [np.full((48, 64, 3), 255, np.uint8)] * 2
  odd_videos.write(
      tmp_path / 'a.mov', white, codec='qtrle', pix_fmt='argb', edit=hide
  )
  for frame in video_source.VideoSource(tmp_path / 'a.mov'):
    assert frame.rgb[:, :32].max() == 0 and frame.rgb[:, 32:].min() == 255
