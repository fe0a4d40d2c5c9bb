"""What a colorized film is compared with, and what is kept if it fails."""

import cv2
import numpy as np
from PIL import Image
import pytest

from tests import full_disks
from tests import odd_videos
from vidcolor import color_output
from vidcolor import errors
from vidcolor.tracking import color_propagation
from vidcolor.tracking import propagation
from vidcolor.video import video_source

_SEPIA = np.array([1.0, 0.87, 0.65])


@pytest.fixture(autouse=True)
def fixture_no_network(monkeypatch):
  """Gives each frame its own colors. Compiling a propagator takes seconds."""
  colorize = lambda propagator, frames, num_given: iter(frames)
  monkeypatch.setattr(color_propagation, 'colorize', colorize)


def _scene(seed=0):
  """A smooth picture of many colors."""
  coarse = np.random.default_rng(seed).integers(40, 216, (4, 5, 3), np.uint8)
  return cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC)


def _tinted(rgb, shadows, lights):
  """Tones a picture from one color in the shadows to another in the lights."""
  grey = rgb.mean(axis=-1, keepdims=True) / 255
  tint = (1 - grey) * shadows + grey * lights
  return (grey * tint * 255).astype(np.uint8)


def _colorize(folder, path, **options):
  source = video_source.VideoSource(path)
  return color_output.write_colorization(
      folder,
      propagation.LabelPropagator(
          lambda frame: frame, propagation.PropagationOptions()
      ),
      source,
      num_given=1,
      progress=lambda items, **_: items,
      **options,
  )


@pytest.mark.parametrize(
    ('tint', 'is_known'),
    [
        (lambda rgb: rgb, True),
        (lambda rgb: _tinted(rgb, _SEPIA, _SEPIA), False),
        (lambda rgb: _tinted(rgb, [0.3, 0.5, 1], [1, 0.9, 0.7]), False),
        # Color under a strong tint is color.
        (lambda rgb: (rgb * _SEPIA).astype(np.uint8), True),
    ],
)
def test_one_tint_is_no_truth(tmp_path, tint, is_known):
  # An encoder adds colors of its own.
  odd_videos.write(tmp_path / 'a.mp4', [tint(_scene(n)) for n in (0, 0, 1)])
  summary = _colorize(tmp_path / 'out', tmp_path / 'a.mp4')
  assert summary['truth_known'] == is_known
  assert (summary['mean'] is not None) == is_known
  assert summary['frames_colorized'] == 2 and summary['fault'] is None


def test_a_tinted_picture_gives_no_colors(tmp_path):
  odd_videos.write(tmp_path / 'a.mp4')
  source = video_source.VideoSource(tmp_path / 'a.mp4')
  tinted = Image.fromarray(_tinted(_scene(), _SEPIA, _SEPIA))
  tinted.save(tmp_path / 'sepia.png')
  with pytest.raises(errors.UserError, match='sepia.png has one tint'):
    color_output.read_reference(tmp_path / 'sepia.png', source)


@pytest.mark.parametrize('size', [(64, 48), (128, 48), (64, 24)])
def test_a_reference_fits_pixels_that_are_not_square(tmp_path, size):
  odd_videos.write_wide_pixels(tmp_path / 'a.mp4', 2)
  with pytest.warns(UserWarning, match='not square'):
    source = video_source.VideoSource(tmp_path / 'a.mp4')
  Image.fromarray(_scene()).resize(size).save(tmp_path / 'a.png')
  reference = color_output.read_reference(tmp_path / 'a.png', source)
  assert reference.shape == (48, 64, 3)


def test_what_was_colorized_of_a_damaged_film_is_kept(tmp_path):
  frames = [_scene(seed) for seed in range(8)]
  odd_videos.write(tmp_path / 'a.mkv', frames, options={'g': '1'})
  data = (tmp_path / 'a.mkv').read_bytes()
  (tmp_path / 'a.mkv').write_bytes(data[: len(data) * 2 // 3])
  summary = _colorize(tmp_path / 'out', tmp_path / 'a.mkv')
  written = list(video_source.VideoSource(tmp_path / 'out' / 'colorized.mp4'))
  assert 2 < len(written) == summary['frames_colorized'] + 1 < 8
  assert f'missing: the results hold the {len(written)}' in summary['fault']


def test_a_full_disk_is_one_line(tmp_path):
  odd_videos.write(tmp_path / 'a.mp4')
  with pytest.raises(errors.UserError, match='out.*File too large'):
    with full_disks.files_of_at_most(500):
      _colorize(tmp_path / 'out', tmp_path / 'a.mp4')
  assert not list(tmp_path.glob('out/*'))
