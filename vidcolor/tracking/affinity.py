"""Where a network finds a point of one frame in the others."""

from typing import NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from vidcolor.tracking import labels as labels_lib

Embeddings = Float[Array, 'rows columns dim']


class Matches(NamedTuple):
  """Where points of another frame are found in this one.

  Attributes:
    affinity: That of each point with every position, which sums to one over
      them (`copying`'s A_ij, of this frame only).
    best: The best match (x, y) in pixels, whose centres have whole coordinates.
  """

  affinity: Float[np.ndarray, 'points rows columns']
  best: Float[np.ndarray, 'points 2']


def at_points(
    embeddings: Embeddings,
    points: Float[np.ndarray, 'points 2'],
    size: tuple[int, int],
) -> Float[Array, 'points dim']:
  """The embeddings of the cells that hold the points.

  Args:
    embeddings: Of the frame of the points.
    points: (x, y) in pixels of the frame, inside it.
    size: Its height and width in pixels.
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
    queries: What `at_points` gave of their own frame.
    embeddings: Of the frame to find them in.
    size: Its height and width in pixels.
    temperature: Of the copy operation.
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
