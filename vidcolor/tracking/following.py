"""Moves kept frames along with the objects.

The window of the copy operation lies around the same place in all references.
An object that has moved farther than the window's radius is not in the first
frame's window any more. It is in that of the moved first frame. The same holds
for later frames with given labels, which are kept too.
"""

from typing import NamedTuple

import jax
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


def with_moved_kept(references: References, kept: int = 1) -> References:
  """Adds the kept frames, moved as the objects have moved since then.

  Each object moves by whole cells, from the center of its label in the kept
  frame to that in the last reference. Each cell moves with the object whose
  center is nearest now. What enters at the border repeats the border.

  Args:
    references: Reference frames in order of time.
    kept: Number of frames, from the first one on, that are moved.

  Returns:
    The references, with the moved ones before them. One is not valid if nothing
    has moved since.
  """
  if references.labels.shape[-1] < 2:
    return references
  moved = [_moved(references, index) for index in range(kept)]
  return jax.tree.map(
      lambda array, *items: jnp.concatenate([*(x[None] for x in items), array]),
      references,
      *moved,
  )


def _moved(references, index):
  """Returns one of the references, moved to where the objects are now."""
  embeddings, labels, valid = references
  rows, columns = labels.shape[1:3]
  start, first_area = _center(labels[index, ..., 1:])
  end, area = _center(labels[-1, ..., 1:])
  present = area > _LEAST_AREA * first_area
  motion = jnp.where(present[None], jnp.round(end - start), 0).astype(int)
  y, x = jnp.arange(rows)[:, None], jnp.arange(columns)[None]
  away = jnp.stack(jnp.broadcast_arrays(y, x))[..., None] - end[:, None, None]
  distance = jnp.where(present[None, None], (away**2).sum(0), jnp.inf)
  down, right = motion[:, distance.argmin(axis=-1)]
  source = (y - down).clip(0, rows - 1), (x - right).clip(0, columns - 1)
  moves = (down != 0).any() | (right != 0).any()
  return References(
      embeddings[index][source], labels[index][source], valid[index] & moves
  )


def _center(labels):
  """Returns the center of each label, [2, labels], and its area, in cells."""
  area = labels.sum((0, 1))
  y = jnp.einsum('rcl,r->l', labels, jnp.arange(labels.shape[0]))
  x = jnp.einsum('rcl,c->l', labels, jnp.arange(labels.shape[1]))
  return jnp.stack([y, x]) / jnp.maximum(area, 1e-6)[None], area
