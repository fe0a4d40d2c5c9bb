"""Metrics of copied colors: of their classes, and in CIE Lab.

Each is a value per frame, the mean over its positions. The true lightness is
always given, so only a and b can be wrong.
"""

from jaxtyping import Float, Int, UInt8
import numpy as np

# Smaller probabilities count as this one, as in the training objective. Copying
# from few positions often gives the true class a probability of zero.
FLOOR = 1e-6
# The highest PSNR, in dB. It also stands for no error.
MAX_PSNR = 100.0
_PEAK = 100.0  # Of lightness.

Ab = Float[np.ndarray, '*frames rows columns 2']


def cross_entropy(
    probability: Float[np.ndarray, '*frames rows columns classes'],
    true_class: Int[np.ndarray, '*frames rows columns'],
) -> Float[np.ndarray, '*frames']:
  """Returns the cross-entropy of the true class, in nats, at most 13.8."""
  of_true = np.take_along_axis(probability, true_class[..., None], axis=-1)
  return _mean(-np.log(np.maximum(of_true[..., 0], FLOOR)))


def accuracy(
    probability: Float[np.ndarray, '*frames rows columns classes'],
    true_class: Int[np.ndarray, '*frames rows columns'],
) -> Float[np.ndarray, '*frames']:
  """Returns how often the most likely class is the true one, in 0 to 1."""
  return _mean(probability.argmax(axis=-1) == true_class)


def ab_error(ab: Ab, true_ab: Ab) -> Float[np.ndarray, '*frames']:
  """Returns the Euclidean distance of a and b from the true ones, in Lab."""
  return _mean(np.linalg.norm(ab - true_ab, axis=-1))


def psnr(ab: Ab, true_ab: Ab) -> Float[np.ndarray, '*frames']:
  """Returns the PSNR of the Lab frame, in dB, at most `MAX_PSNR`.

  It is 10 log10(peak^2 / MSE). The peak is 100, the range of lightness. The MSE
  is the mean over positions and the three channels, where L has no error.
  """
  error = _mean(np.sum(np.square(ab - true_ab), axis=-1)) / 3
  lowest_error = _PEAK**2 / 10 ** (MAX_PSNR / 10)
  ratio = _PEAK**2 / np.maximum(error, lowest_error)
  return np.asarray(10 * np.log10(ratio))


def psnr_rgb(
    rgb: UInt8[np.ndarray, '*frames height width 3'],
    true_rgb: UInt8[np.ndarray, '*frames height width 3'],
) -> Float[np.ndarray, '*frames']:
  """Returns the PSNR of sRGB frames, in dB, at most `MAX_PSNR`."""
  error = np.square(rgb.astype(np.float32) - true_rgb).mean(axis=-1)
  lowest_error = 255**2 / 10 ** (MAX_PSNR / 10)
  ratio = 255**2 / np.maximum(_mean(error), lowest_error)
  return np.asarray(10 * np.log10(ratio))


def _mean(values):
  return np.asarray(values.mean(axis=(-2, -1), dtype=np.float64))
