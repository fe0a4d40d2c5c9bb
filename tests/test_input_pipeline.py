"""The plain loaders of the benchmark sample the same kind of clip as ours."""

import numpy as np
import pytest

from experiments.benchmarks import input_pipeline
from vidcolor.video import mp4

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def path(tmp_path_factory):
  """Two seconds at 12 frames a second, each frame brighter by 8."""
  path = tmp_path_factory.mktemp('videos') / 'a.mp4'
  frames = [np.full((256, 340, 3), 20 + 8 * i, np.uint8) for i in range(24)]
  mp4.write(path, frames, 12.0)
  return str(path)


@pytest.mark.parametrize('name', ['pyav', 'opencv', 'decord'])
def test_clips_have_four_frames_a_sixth_of_a_second_apart(path, name):
  if name == 'decord':
    pytest.importorskip('decord')
  rng = np.random.default_rng(0)
  load = getattr(input_pipeline, f'load_by_{name}')
  levels = []
  for _ in range(20):
    clip = load(path, rng)
    assert clip.shape == (4, 256, 256, 3)
    levels.append(clip.mean((1, 2, 3)))
  np.testing.assert_allclose(np.diff(levels), 16, atol=3)
  assert np.ptp(np.array(levels)[:, 0]) > 60  # They start anywhere.


@pytest.mark.parametrize('name', ['us', 'pyav', 'opencv'])
def test_preparation_keeps_six_frames_a_second(path, name):
  prepare = getattr(input_pipeline, f'prepare_by_{name}')
  assert prepare({'path': path, 'name': 'a.mp4', 'label': ''}) == 12
