"""A network of two convolutions, which compiles sooner than the others.

It takes the options of `vidcolor.models.compact`, whose configs tests change,
and has its last layers, which ablations leave out.
"""

from flax import nnx
import jax
from jax import numpy as jnp


class Net(nnx.Module):
  """Unit embeddings of each frame alone, at stride 4."""

  num_frames = 1
  stride = 4

  def __init__(self, *, channels=1, width=8, embedding_dim=8, rngs, **unused):
    del unused
    self.channels = channels
    hidden = 4 * width
    self.patches = nnx.Conv(channels, hidden, (24, 24), (4, 4), rngs=rngs)
    self.norm = nnx.BatchNorm(hidden, rngs=rngs)
    self.embed_fine = nnx.Conv(hidden, embedding_dim, (1, 1), rngs=rngs)
    self.embed_coarse = nnx.Conv(hidden, embedding_dim, (1, 1), rngs=rngs)

  def encode(self, frames):
    """Computes the embeddings, [batch, time, rows, columns, dim]."""
    x = nnx.relu(self.norm(self.patches(frames)))
    x = self.embed_fine(x) + self.embed_coarse(x)
    return x * jax.lax.rsqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-6)

  def relate(self, features):
    """Returns the features."""
    return features

  def __call__(self, frames):
    """Embeds frames."""
    return self.encode(frames)
