"""Embeddings as colours: their first three principal components."""

from collections.abc import Iterable
from typing import NamedTuple

from jaxtyping import Array, Float, UInt8
import numpy as np

# In standard deviations to either side: where colours end.
_RANGE = 2.2
# What a component varies by less than counts as no variation.
_LEAST_DEVIATION = 1e-6

Embeddings = Float[Array | np.ndarray, 'rows columns channels']


class Basis(NamedTuple):
  """Where a video's embeddings lie.

  Attributes:
    mean: Of all of them.
    directions: The three in which they vary most, scaled so that they vary by
      1, their standard deviation, in each.
  """

  mean: Float[np.ndarray, ' channels']
  directions: Float[np.ndarray, 'channels 3']


def fit(frames: Iterable[Embeddings]) -> Basis:
  """Finds the basis of a video's embeddings, reading one frame at a time.

  Args:
    frames: At least one, of at least three channels.
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
  # A component may as well point the other way: its largest weight decides.
  largest = np.take_along_axis(widest, np.abs(widest).argmax(0)[None], 0)
  deviations = np.sqrt(np.maximum(variances[:-4:-1], _LEAST_DEVIATION**2))
  return Basis(mean, widest * np.sign(largest) / deviations)


def colors(
    embeddings: Embeddings, basis: Basis
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Shows the components as red, green and blue.

  What keeps its embedding keeps its colour in all frames of one basis; the mean
  is grey.
  """
  components = (np.asarray(embeddings) - basis.mean) @ basis.directions
  scaled = 127.5 * (1 + components / _RANGE)
  return np.clip(scaled.round(), 0, 255).astype(np.uint8)
