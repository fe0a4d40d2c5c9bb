"""Folders of pictures and files of several, as people have them."""

import cv2
import numpy as np
from PIL import Image
import pytest

from vidcolor import errors
from vidcolor.video import pictures
from vidcolor.video import video_source

_LEVELS = (20, 60, 100, 140)
_DURATIONS = [100, 200, 100, 400]  # Of the frames, in ms.


def _ramp(level=0):
  """Returns grey values from 0 to 255, that differ by the frame."""
  ramp = np.roll(np.linspace(0, 255, 48 * 64).round(), level)
  return ramp.reshape(48, 64).astype(np.uint8)


def _write(path, values):
  assert cv2.imwrite(str(path), values)


@pytest.mark.parametrize(
    ('name', 'convert'),
    [
        ('twelve_bits.png', lambda grey: grey.astype(np.uint16) * 16),
        ('counts.png', lambda grey: 20_000 + 8 * grey.astype(np.uint16)),
        ('numbers.tif', lambda grey: grey.astype(np.int32) * 1000 - 70_000),
        ('shares.tif', lambda grey: grey.astype(np.float32) / 255),
        ('double.tif', lambda grey: grey.astype(np.float64) - 9),
        (
            'color.png',
            lambda grey: np.dstack([grey.astype(np.uint16) * 16] * 3),
        ),
        ('color.tif', lambda grey: np.dstack([grey.astype(np.float32)] * 3)),
    ],
)
def test_more_than_8_bits_become_black_to_white(tmp_path, name, convert):
  # Only both frames together have all values.
  greys = [_ramp(), np.minimum(_ramp(9), 99)]
  for number, grey in enumerate(greys):
    _write(tmp_path / f'{number}_{name}', convert(grey))
  with pytest.warns(UserWarning, match=f'{tmp_path} has more than 8 bits: the'):
    frames = list(video_source.VideoSource(tmp_path))
  for frame, grey in zip(frames, greys, strict=True):
    np.testing.assert_allclose(frame.rgb, np.dstack([grey] * 3), atol=1)


def test_values_that_are_no_numbers_do_not_count(tmp_path):
  grey = _ramp().astype(np.float32)
  grey[0, :3] = np.nan, np.inf, -np.inf
  _write(tmp_path / '0.tif', grey)
  with pytest.warns(UserWarning, match='values 0 to 255'):
    (frame,) = video_source.VideoSource(tmp_path)
  assert frame.rgb[0, :3, 0].tolist() == [0, 255, 0]
  np.testing.assert_allclose(frame.rgb[1:, :, 0], grey[1:], atol=1)


def test_all_of_16_bits_need_no_guess(tmp_path):
  _write(tmp_path / '0.png', _ramp().astype(np.uint16) * 257)
  (frame,) = video_source.VideoSource(tmp_path)  # Warnings are errors here.
  np.testing.assert_array_equal(frame.rgb[..., 0], _ramp())


@pytest.mark.parametrize(
    ('kept', 'others'),
    [
        (['0.jpg', '1.jpg'], ['0.png', '1.png']),
        (['a_01.JPEG', 'a_02.jpg'], ['mask_1.png']),
        (['0.jpg', '1.png'], ['0_mask.bmp']),
    ],
)
def test_masks_beside_frames_are_no_frames(tmp_path, kept, others):
  for name in kept:
    _write(tmp_path / 'a.jpg', np.full((48, 64, 3), 200, np.uint8))
    (tmp_path / 'a.jpg').rename(tmp_path / name)
  for name in others:
    _write(tmp_path / name, np.zeros((48, 64), np.uint8))
  message = f'only the JPEG files .* {len(others)} other .* as {others[0]}'
  with pytest.warns(UserWarning, match=message):
    frames = list(video_source.VideoSource(tmp_path))
  assert [round(frame.rgb.mean()) for frame in frames] == [200] * len(kept)


@pytest.mark.parametrize(
    'names', [('0.png', '0_mask.png'), ('left_1.png', 'right_1.png')]
)
def test_which_are_the_frames_is_no_guess(tmp_path, names):
  for name in names:
    _write(tmp_path / name, _ramp())
  with pytest.raises(errors.UserError, match='same number.* only the frames'):
    video_source.VideoSource(tmp_path)


def _transparent():
  """A picture that is white on the left; the hidden rest is white as well."""
  alpha = np.zeros((48, 64), np.uint8)
  alpha[:, :32] = 255
  return np.dstack([np.full((48, 64, 3), 255, np.uint8), alpha])


@pytest.mark.parametrize('name', ['0.png', '0.webp', '0.tif', 'wide.png'])
def test_what_is_transparent_is_black(tmp_path, name):
  rgba = _transparent()
  if name == 'wide.png':
    _write(tmp_path / name, rgba.astype(np.uint16) * 257)
  else:
    Image.fromarray(rgba).save(tmp_path / name, lossless=True)
  (frame,) = video_source.VideoSource(tmp_path)
  assert frame.rgb[:, :32].min() == 255 and frame.rgb[:, 32:].max() == 0


def _animate(path, **options):
  first, *rest = (
      Image.fromarray(np.full((48, 64, 3), level, np.uint8))
      for level in _LEVELS
  )
  first.save(path, save_all=True, append_images=rest, **options)


@pytest.mark.parametrize(
    'name', ['a.webp', 'a.png', 'a.apng', 'a.gif', 'a.avif']
)
def test_an_animation_is_read_at_its_own_times(tmp_path, name):
  kind = 'PNG' if name == 'a.apng' else None
  _animate(tmp_path / name, format=kind, duration=_DURATIONS)
  source = video_source.VideoSource(tmp_path / name)
  assert source.num_frames == 4 and source.size == (48, 64)
  assert not source.is_film
  for frames in source, source:
    levels = [frame.rgb.mean() for frame in frames]
    np.testing.assert_allclose(levels, _LEVELS, atol=3)
    seconds = [frame.seconds for frame in frames]
    np.testing.assert_allclose(seconds, [0, 0.1, 0.3, 0.4])
  part = video_source.VideoSource(tmp_path / name, start=0.1, end=0.4)
  assert [round(frame.seconds, 3) for frame in part] == [0, 0.2]
  with pytest.raises(errors.UserError, match='times of its own.*--fps'):
    video_source.VideoSource(tmp_path / name, frames_per_second=12.0)


@pytest.mark.filterwarnings('ignore:.*more than 8 bits')
@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
def test_a_stack_is_played_at_any_rate(tmp_path, kind):
  stack = [np.full((48, 64), level, kind) for level in (0, 100, 250)]
  assert cv2.imwritemulti(str(tmp_path / 'a.tif'), stack)
  source = video_source.VideoSource(tmp_path / 'a.tif', frames_per_second=12.0)
  seconds = [frame.seconds for frame in source]
  np.testing.assert_allclose(seconds, np.arange(3) / 12)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_a_stack_is_a_video(tmp_path, dtype):
  values = [np.full((48, 64), level * 3, dtype) for level in (0, 50, 85)]
  assert cv2.imwritemulti(str(tmp_path / 'a.tif'), values)
  if dtype == np.uint8:
    source = video_source.VideoSource(tmp_path / 'a.tif')
  else:
    with pytest.warns(UserWarning, match='values 0 to 255'):
      source = video_source.VideoSource(tmp_path / 'a.tif')
  assert [frame.rgb[0, 0, 0] for frame in source] == [0, 150, 255]
  np.testing.assert_allclose([f.seconds for f in source], [0, 0.04, 0.08])


def test_one_of_several_pictures_is_not_taken_for_all(tmp_path):
  _animate(tmp_path / '0.webp')
  with pytest.raises(errors.UserError, match='0.webp holds 4 pictures: give'):
    video_source.VideoSource(tmp_path)
  with pytest.raises(errors.UserError, match='0.webp holds 4 pictures: give'):
    pictures.read_picture(tmp_path / '0.webp')


def test_a_damaged_animation_ends_at_the_damage(tmp_path):
  _animate(tmp_path / 'a.gif')
  data = (tmp_path / 'a.gif').read_bytes()
  (tmp_path / 'a.gif').write_bytes(data[: len(data) * 2 // 3])
  part = video_source.ReadablePart(video_source.VideoSource(tmp_path / 'a.gif'))
  assert 0 < len(list(part)) < 4
  assert 'cannot read the picture' in str(part.fault)


def test_turned_pictures_of_more_than_8_bits_are_upright(tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 6  # Turn it clockwise to show it.
  wide = Image.fromarray(np.rot90(_ramp()).astype(np.uint16) * 257)
  wide.save(tmp_path / '0.png', exif=exif)
  (frame,) = video_source.VideoSource(tmp_path)
  np.testing.assert_array_equal(frame.rgb[..., 0], _ramp())


@pytest.mark.parametrize('value', [np.nan, 7.0])
def test_pictures_of_one_value_are_black(tmp_path, value):
  _write(tmp_path / '0.tif', np.full((48, 64), value, np.float32))
  source = None
  if np.isnan(value):
    source = video_source.VideoSource(tmp_path)
  else:
    with pytest.warns(UserWarning, match='values 7 to 7'):
      source = video_source.VideoSource(tmp_path)
  (frame,) = source
  assert frame.rgb.max() == 0


@pytest.mark.parametrize(
    'name', ['a.webp', 'a.png', 'a.avif', 'a.tif', 'a.gif']
)
@pytest.mark.parametrize('part', [0.01, 0.7])
def test_damaged_files_are_told_in_one_line(tmp_path, name, part):
  _animate(tmp_path / name)
  data = (tmp_path / name).read_bytes()
  (tmp_path / name).write_bytes(data[: int(len(data) * part)])
  with pytest.raises(errors.UserError, match=f'picture {tmp_path / name}: '):
    assert 0 < len(list(video_source.VideoSource(tmp_path / name))) < 4
