"""Finds points of one frame in another frame by their embeddings."""

from typing import NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from vidcolor.tracking import labels as labels_lib

Embeddings = Float[Array, 'rows columns dim']


class Matches(NamedTuple):
  """The matches, in one frame, of points of another frame.

  Attributes:
    affinity: The affinity of each point with each position of this frame: A_ij
      of `copying`, normalized over this frame. The sum for each point is 1.
    best: The best match (x, y) of each point in pixels. Pixel centers have
      integer coordinates.
  """

  affinity: Float[np.ndarray, 'points rows columns']
  best: Float[np.ndarray, 'points 2']


def at_points(
    embeddings: Embeddings,
    points: Float[np.ndarray, 'points 2'],
    size: tuple[int, int],
) -> Float[Array, 'points dim']:
  """Returns the embeddings of the cells that contain the points.

  Args:
    embeddings: Embeddings of the frame.
    points: Positions (x, y) in pixels, inside the frame.
    size: Height and width of the frame in pixels.
  """
  rows, columns, _ = embeddings.shape
  height, width = size
  x, y = (np.floor((points + 0.5) * (columns / width, rows / height))).T
  row = y.clip(0, rows - 1).astype(int)
  column = x.clip(0, columns - 1).astype(int)
  return embeddings[row, column]


def match(
    queries: Float[Array, 'points dim'],
    embeddings: Embeddings,
    size: tuple[int, int],
    temperature: float,
) -> Matches:
  """Finds points in a frame by their embeddings.

  Args:
    queries: Embeddings of the points, as `at_points` returns them.
    embeddings: Embeddings of the frame in which to find the points.
    size: Height and width of that frame in pixels.
    temperature: Temperature of the copy operation.
  """
  affinity = _affinity(queries, embeddings, temperature)
  best, _ = labels_lib.to_points(jnp.moveaxis(affinity, 0, -1), size)
  return Matches(np.asarray(affinity), np.asarray(best))


@jax.jit
def _affinity(queries, embeddings, temperature):
  scores = jnp.einsum(
      'pd,rcd->prc',
      queries / temperature,
      embeddings,
      preferred_element_type=jnp.float32,
  )
  return jax.nn.softmax(scores, axis=(1, 2))
