"""Masks to soft label maps and back."""

import functools

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, UInt8


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
