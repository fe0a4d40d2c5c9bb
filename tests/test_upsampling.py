import cv2
import numpy as np
import pytest

from vidcolor.tracking import upsampling

CELL = 8


@pytest.fixture(name='scene')
def fixture_scene():
  """A dark square, in colour, on a bright ground; its edges split cells."""
  square = np.zeros((96, 128), bool)
  square[20:68, 36:92] = True
  lightness = np.where(square, 30.0, 70.0).astype(np.float32)
  ab = np.where(square[..., None], [40.0, -30.0], [-10.0, 20.0])
  return ab.astype(np.float32), lightness


def _coarse(ab):
  size = ab.shape[1] // CELL, ab.shape[0] // CELL
  return cv2.resize(ab, size, interpolation=cv2.INTER_AREA)


def test_an_edge_that_bilinear_blurs_stays_sharp(scene):
  ab, lightness = scene
  coarse = _coarse(ab)
  error = lambda enlarged: np.abs(enlarged - ab).mean()
  bilinear = cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_LINEAR)
  guided = upsampling.guided(coarse, lightness)
  assert error(guided) < 0.55 * error(bilinear)
  # Grey halos would be farther from either side than what is mixed of both.
  assert np.abs(guided - ab).max() < np.abs(bilinear - ab).max()


def test_what_does_not_vary_stays_as_it_is(scene):
  coarse = np.full((12, 16, 2), [12.5, -40], np.float32)
  enlarged = upsampling.guided(coarse, scene[1])
  np.testing.assert_allclose(enlarged - coarse[0, 0], 0, atol=1e-3)


def test_a_guide_without_edges_adds_none(scene):
  coarse = _coarse(scene[0])
  flat = np.full((96, 128), 50, np.float32)
  expected = cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_CUBIC)
  np.testing.assert_allclose(
      upsampling.guided(coarse, flat), expected, atol=1e-3
  )


@pytest.mark.parametrize('channels', [1, 2, 5])
def test_sizes_need_not_divide(channels):
  coarse = np.ones((7, 11, channels), np.float32)
  enlarged = upsampling.guided(coarse, np.ones((50, 83), np.float32))
  assert enlarged.shape == (50, 83, channels)
