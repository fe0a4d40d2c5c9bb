import cv2
from jax import numpy as jnp
import numpy as np
import pytest

from vidcolor import color
from vidcolor.benchmarks.colorization import metrics as colorization_metrics
from vidcolor.benchmarks.davis import color_failure
from vidcolor.tracking import color_propagation
from vidcolor.tracking import propagation

# Lab of the primaries of sRGB, as published.
RED_AB, GREEN_AB = np.array([80.09, 67.20]), np.array([-86.18, 83.18])


def _frame(rgb):
  return np.broadcast_to(np.array(rgb, np.uint8), (24, 32, 3))


RED, GREEN = _frame((255, 0, 0)), _frame((0, 255, 0))


def _same_position(frame):
  """Embeds cells of 8 pixels by where they are."""
  rows, columns = frame.shape[0] // 8, frame.shape[1] // 8
  return 20 * jnp.eye(rows * columns).reshape(rows, columns, -1)


OPTIONS = propagation.PropagationOptions(
    recent=3, keep_first=False, temperature=1.0, radius=None, top_k=None
)
TRACKER = propagation.LabelPropagator(_same_position, OPTIONS)
TRACKER_OF_FEATURES = propagation.LabelPropagator(lambda x: x, OPTIONS)


def test_colours_are_copied_from_all_given_frames():
  frames = [RED, RED, GREEN, RED]
  *given, last = color_propagation.propagate(TRACKER, frames, num_given=3)
  for colors, ab in zip(given, [RED_AB, RED_AB, GREEN_AB], strict=True):
    assert colors.true.shape == (3, 4, 2)
    np.testing.assert_array_equal(colors.copied, colors.true)
    np.testing.assert_allclose(colors.true - ab, 0, atol=0.02)
  np.testing.assert_allclose(last.true - RED_AB, 0, atol=0.02)
  mean = (2 * RED_AB + GREEN_AB) / 3
  np.testing.assert_allclose(last.copied - mean, 0, atol=0.02)


def test_frames_shrink_to_the_embeddings():
  left_red = GREEN.copy()
  left_red[:, :16] = RED[:, :16]
  (colors,) = color_propagation.propagate(TRACKER, [left_red])
  np.testing.assert_allclose(colors.true[:, 0] - RED_AB, 0, atol=0.02)
  np.testing.assert_allclose(colors.true[:, 3] - GREEN_AB, 0, atol=0.02)


def test_labels_may_be_made_of_colours():
  is_red = lambda ab: (ab[..., :1] > 0).astype(jnp.float32)
  first, second = color_propagation.propagate(
      TRACKER, [RED, GREEN], labels_of=is_red
  )
  assert first.true.min() == 1 and second.true.max() == 0
  np.testing.assert_allclose(second.copied, first.true, atol=1e-5)


def test_color_error_by_frame():
  errors = color_failure.color_error_by_frame(TRACKER, [RED, GREEN, RED])
  # Of the first frame's colours, also where they were copied twice.
  expected = [0, np.linalg.norm(RED_AB - GREEN_AB), 0]
  np.testing.assert_allclose(errors, expected, atol=0.03)


def test_the_tracker_does_not_see_the_colours():
  seen = []

  def embed(frame):
    seen.append(np.asarray(frame))
    return _same_position(frame)

  tracker = propagation.LabelPropagator(embed, OPTIONS)
  frames = [RED, GREEN]
  color_failure.color_error_by_frame(tracker, frames)
  for grey in seen:
    np.testing.assert_array_equal(grey, grey[..., :1].repeat(3, axis=-1))
  lightness = lambda frame: color.rgb_to_lab(jnp.asarray(frame))[..., 0]
  np.testing.assert_allclose(
      lightness(seen[-1]) - lightness(GREEN), 0, atol=0.3
  )


def test_any_features_may_be_fed():
  frames = [RED, GREEN, RED]
  features = [_same_position(frame) for frame in frames]
  np.testing.assert_array_equal(
      color_failure.color_error_by_frame(
          TRACKER_OF_FEATURES, iter(frames), inputs=iter(features)
      ),
      color_failure.color_error_by_frame(TRACKER, frames),
  )
  with pytest.raises(ValueError, match='shorter'):
    color_failure.color_error_by_frame(
        TRACKER_OF_FEATURES, frames, inputs=features[:2]
    )


def _smooth_texture():
  rng = np.random.default_rng(0)
  coarse = rng.integers(40, 216, (3, 4, 3), np.uint8)
  return cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_CUBIC)


def test_a_still_video_keeps_its_colours():
  frame = _smooth_texture()
  grey = np.asarray(color_propagation.in_grey(frame))
  # The first is given; the others need not be in colour.
  *given, last = color_propagation.colorize(
      TRACKER, iter([frame, frame, grey]), 2
  )
  for colorized in given:
    np.testing.assert_array_equal(colorized, frame)
  assert colorization_metrics.psnr_rgb(grey, frame) < 20
  assert colorization_metrics.psnr_rgb(last, frame) > 40


def test_colorized_frames_keep_their_lightness():
  dark = (_smooth_texture() // 2).astype(np.uint8)
  _, last = color_propagation.colorize(TRACKER, [_smooth_texture(), dark])
  lightness = lambda frame: color.rgb_to_lab(jnp.asarray(frame))[..., 0]
  # But for colours that are none at half the lightness.
  assert np.median(np.abs(lightness(last) - lightness(dark))) < 0.5


def test_colorize_reads_no_further_than_it_yields():
  read = []

  def frames():
    for index in range(100):
      read.append(index)
      yield RED

  colorized = color_propagation.colorize(TRACKER, frames())
  for _ in range(10):
    next(colorized)
  assert len(read) <= 11
