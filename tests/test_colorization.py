import numpy as np
import pytest
from skimage import metrics as skimage_metrics
from sklearn import metrics as sklearn_metrics

from vidcolor.benchmarks.colorization import metrics as colorization_metrics


def _random_classes(shape, num_classes):
  rng = np.random.default_rng(0)
  probability = rng.dirichlet(np.ones(num_classes), shape)
  return probability, rng.integers(num_classes, size=shape)


def _random_ab(*shape):
  return np.random.default_rng(0).uniform(-90, 90, (2, *shape, 2))


def test_cross_entropy_is_in_nats():
  probability = np.array([[[0.5, 0.5, 0.0], [0.25, 0.25, 0.5]]])
  true_class = np.array([[0, 2]])
  np.testing.assert_allclose(
      colorization_metrics.cross_entropy(probability, true_class), np.log(2)
  )


def test_cross_entropy_of_the_impossible_is_finite():
  probability, true_class = np.array([[[1.0, 0.0]]]), np.array([[1]])
  assert colorization_metrics.cross_entropy(
      probability, true_class
  ) == pytest.approx(6 * np.log(10))


def test_accuracy_counts_the_likeliest_class():
  probability = np.array([[[0.6, 0.4], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8]]])
  true_class = np.array([[0, 1, 1, 1]])
  assert colorization_metrics.accuracy(probability, true_class) == 0.75


def test_ab_error_is_euclidean():
  true_ab = np.array([[[10.0, -20.0], [5.0, 5.0]]])
  ab = np.array([[[13.0, -24.0], [5.0, 5.0]]])
  assert colorization_metrics.ab_error(ab, true_ab) == 2.5


def test_psnr_is_of_three_channels():
  true_ab = np.zeros((1, 4, 2))
  ab = true_ab.copy()
  ab[0, 0] = 3, 3  # Squared 18: a mean of 1.5 over 4 positions x 3 channels.
  assert colorization_metrics.psnr(ab, true_ab) == pytest.approx(
      10 * np.log10(10_000 / 1.5)
  )
  assert colorization_metrics.psnr(true_ab, true_ab) == 100


def test_each_frame_is_scored_alone():
  probability, true_class = _random_classes((2, 3, 4, 5), 6)
  ab, true_ab = _random_ab(2, 3, 4, 5)
  for measure, arrays in (
      (colorization_metrics.cross_entropy, (probability, true_class)),
      (colorization_metrics.accuracy, (probability, true_class)),
      (colorization_metrics.ab_error, (ab, true_ab)),
      (colorization_metrics.psnr, (ab, true_ab)),
  ):
    scores = measure(*arrays)
    assert scores.shape == (2, 3)
    assert scores[1, 2] == pytest.approx(measure(*(x[1, 2] for x in arrays)))


def test_agrees_with_scikit_learn():
  probability, true_class = _random_classes((7, 9), 16)
  flat = true_class.ravel(), probability.reshape(-1, 16)
  assert colorization_metrics.cross_entropy(
      probability, true_class
  ) == pytest.approx(sklearn_metrics.log_loss(*flat, labels=range(16)))
  assert colorization_metrics.accuracy(
      probability, true_class
  ) == pytest.approx(
      sklearn_metrics.accuracy_score(flat[0], flat[1].argmax(axis=1))
  )


def test_agrees_with_scikit_image():
  lightness = np.random.default_rng(1).uniform(0, 100, (7, 9, 1))
  lab, true_lab = (
      np.concatenate([lightness, ab], axis=-1) for ab in _random_ab(7, 9)
  )
  assert colorization_metrics.psnr(
      lab[..., 1:], true_lab[..., 1:]
  ) == pytest.approx(
      skimage_metrics.peak_signal_noise_ratio(true_lab, lab, data_range=100)
  )


def test_psnr_of_frames_is_by_their_peak():
  true = np.full((2, 4, 6, 3), 100, np.uint8)
  rgb = true.copy()
  rgb[1] += 51  # A fifth of the peak: 20 log10(5).
  np.testing.assert_allclose(
      colorization_metrics.psnr_rgb(rgb, true),
      [colorization_metrics.MAX_PSNR, 13.9794],
  )
