"""Moves the first frame along with the objects.

The window of the copy operation lies around the same place in all references.
An object that has moved farther than the window's radius is not in the first
frame's window any more. It is in that of the moved first frame.
"""

from typing import NamedTuple

from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

# An object with a smaller fraction of its first area has been lost: where its
# label is does not say where it is.
_LEAST_AREA = 0.05


class References(NamedTuple):
  """Reference frames.

  Attributes:
    embeddings: Their embeddings.
    labels: Their labels. The first label is that of the background.
    valid: Whether each frame is copied from.
  """

  embeddings: Float[Array, 'time rows columns dim']
  labels: Float[Array, 'time rows columns labels']
  valid: Bool[Array, ' time']


def with_moved_first(references: References) -> References:
  """Adds the first reference, moved as the objects have moved since then.

  Each object moves by whole cells, from the center of its label in the first
  reference to that in the last one. Each cell moves with the object whose
  center is nearest now. What enters at the border repeats the border.

  Args:
    references: Reference frames in order of time.

  Returns:
    The references, with the moved one before them. It is not valid if nothing
    has moved.
  """
  embeddings, labels, valid = references
  rows, columns, num_labels = labels.shape[1:]
  if num_labels < 2:
    return references
  start, first_area = _center(labels[0, ..., 1:])
  end, area = _center(labels[-1, ..., 1:])
  present = area > _LEAST_AREA * first_area
  motion = jnp.where(present[None], jnp.round(end - start), 0).astype(int)
  y, x = jnp.arange(rows)[:, None], jnp.arange(columns)[None]
  away = jnp.stack(jnp.broadcast_arrays(y, x))[..., None] - end[:, None, None]
  distance = jnp.where(present[None, None], (away**2).sum(0), jnp.inf)
  down, right = motion[:, distance.argmin(axis=-1)]
  source = (y - down).clip(0, rows - 1), (x - right).clip(0, columns - 1)
  moves = (down != 0).any() | (right != 0).any()
  prepend = lambda item, array: jnp.concatenate([item[None], array])
  return References(
      prepend(embeddings[0][source], embeddings),
      prepend(labels[0][source], labels),
      prepend(valid[0] & moves, valid),
  )


def _center(labels):
  """Returns the center of each label, [2, labels], and its area, in cells."""
  area = labels.sum((0, 1))
  y = jnp.einsum('rcl,r->l', labels, jnp.arange(labels.shape[0]))
  x = jnp.einsum('rcl,c->l', labels, jnp.arange(labels.shape[1]))
  return jnp.stack([y, x]) / jnp.maximum(area, 1e-6)[None], area
