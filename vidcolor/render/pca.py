"""Shows embeddings as colors: their first three principal components."""

from collections.abc import Iterable
from typing import NamedTuple

from jaxtyping import Array, Float, UInt8
import numpy as np

# Standard deviations from the mean at which colors saturate.
_RANGE = 2.2
# A component with a smaller standard deviation counts as constant.
_MIN_DEVIATION = 1e-6

Embeddings = Float[Array | np.ndarray, 'rows columns channels']


class Basis(NamedTuple):
  """The PCA basis of a video's embeddings.

  Attributes:
    mean: The mean embedding.
    directions: The first three principal directions, scaled so that each
      component has standard deviation 1.
  """

  mean: Float[np.ndarray, ' channels']
  directions: Float[np.ndarray, 'channels 3']


def fit_basis(frames: Iterable[Embeddings]) -> Basis:
  """Computes the PCA basis of a video's embeddings, one frame at a time.

  Args:
    frames: The embeddings of each frame: at least one frame and three channels.
  """
  count, total, products = 0, 0.0, 0.0
  for embeddings in frames:
    points = np.asarray(embeddings, np.float64)
    points = points.reshape(-1, points.shape[-1])
    count += len(points)
    total += points.sum(axis=0)
    products += points.T @ points
  mean = np.asarray(total / count)
  variances, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
  widest = vectors[:, :-4:-1]
  # The sign of a direction is arbitrary. Its largest weight becomes positive.
  largest = np.take_along_axis(widest, np.abs(widest).argmax(0)[None], 0)
  deviations = np.sqrt(np.maximum(variances[:-4:-1], _MIN_DEVIATION**2))
  return Basis(mean, widest * np.sign(largest) / deviations)


def to_colors(
    embeddings: Embeddings, basis: Basis
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Converts embeddings to RGB: one principal component per channel.

  With one basis, equal embeddings have equal colors in all frames. The mean is
  grey.

  Args:
    embeddings: The embeddings of one frame.
    basis: The basis of its video.
  """
  components = (np.asarray(embeddings) - basis.mean) @ basis.directions
  scaled = 127.5 * (1 + components / _RANGE)
  return np.clip(scaled.round(), 0, 255).astype(np.uint8)
