"""Masks and points, to soft label maps and back."""

import functools
from typing import NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, UInt8
import numpy as np


class Points(NamedTuple):
  """Points in one frame.

  Attributes:
    position: (x, y) in pixels, whose centres have whole coordinates.
    confidence: in 0 to 1; above 0.5 the point is taken for visible.
  """

  position: Float[np.ndarray, 'points 2']
  confidence: Float[np.ndarray, ' points']


def from_mask(
    mask: UInt8[Array, 'height width'], num_labels: int
) -> Float[Array, 'height width num_labels']:
  """One-hot labels; 0 is the background, one more label like the objects."""
  return jax.nn.one_hot(mask, num_labels)


@functools.partial(jax.jit, static_argnums=(1, 2))
def to_mask(
    labels: Float[Array, 'rows columns num_labels'], height: int, width: int
) -> UInt8[Array, 'height width']:
  """The likeliest label of each pixel, labels interpolated bilinearly."""
  shape = (height, width, labels.shape[-1])
  labels = jax.image.resize(labels, shape, 'bilinear')
  return labels.argmax(axis=-1).astype(jnp.uint8)
