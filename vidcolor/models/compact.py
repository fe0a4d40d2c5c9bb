"""A small network for laptops: each frame alone, at stride 4 or 8."""

from flax import nnx
import jax
from jax import numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidcolor.models import layers


class Model(nnx.Module):
  """Residual blocks at strides 4 and 8, joined at stride 4; unit embeddings.

  The blocks at stride 8 see more of the frame for a quarter of the work; the
  ones at stride 4 keep the detail that a tracked outline needs.
  """

  num_frames = 1  # No frame's embedding depends on another's.

  def __init__(
      self,
      *,
      channels: int = 1,
      stride: int = 4,
      width: int = 64,
      embedding_dim: int = 64,
      fine_blocks: int = 1,
      coarse_blocks: int = 2,
      dtype: DTypeLike = jnp.float32,
      rngs: nnx.Rngs,
  ):
    """Initialises at random.

    Args:
      channels: 1 to see grey, 3 to see Lab.
      stride: 4; or 8, to leave out what joins the blocks at stride 4.
      width: channels at stride 4; half of it at stride 2, twice at stride 8.
      embedding_dim: width of the embeddings.
      fine_blocks: residual blocks at stride 4.
      coarse_blocks: residual blocks at stride 8.
      dtype: of the computation; the parameters are float32.
      rngs: where the initial parameters come from.
    """
    options = {'dtype': dtype, 'rngs': rngs}
    self.channels, self.stride = channels, stride
    self.stem = layers.Stem(channels, width // 2, **options)
    self.stem_norm = nnx.BatchNorm(width // 2, **options)

    def stage(channels_in, channels_out, blocks):
      return nnx.List(
          layers.BasicBlock(
              channels_out if i else channels_in,
              channels_out,
              stride=1 if i else 2,
              **options,
          )
          for i in range(blocks)
      )

    self.fine = stage(width // 2, width, fine_blocks)
    self.coarse = stage(width, 2 * width, coarse_blocks)
    if stride == 4:
      self.embed_fine = nnx.Conv(width, embedding_dim, (1, 1), **options)
    self.embed_coarse = nnx.Conv(2 * width, embedding_dim, (1, 1), **options)

  def encode(
      self, frames: Float[Array, 'batch time height width channels']
  ) -> Float[Array, 'batch time rows columns dim']:
    """Unit embeddings of each frame."""
    fine = nnx.relu(self.stem_norm(self.stem(frames)))
    for block in self.fine:
      fine = block(fine)
    coarse = fine
    for block in self.coarse:
      coarse = block(coarse)
    embedding = self.embed_coarse(coarse)
    if self.stride == 4:
      fine = self.embed_fine(fine)
      embedding = fine + jax.image.resize(embedding, fine.shape, 'bilinear')
    embedding = embedding.astype(jnp.float32)
    norm = jnp.sum(embedding**2, axis=-1, keepdims=True)
    return embedding * jax.lax.rsqrt(norm + 1e-6)

  def relate(
      self, features: Float[Array, 'batch time rows columns dim']
  ) -> Float[Array, 'batch time rows columns dim']:
    """Nothing is left to do: the features are the embeddings."""
    return features

  def __call__(
      self, frames: Float[Array, 'batch time height width channels']
  ) -> Float[Array, 'batch time rows columns dim']:
    """Embeds what `color.network_input` gives; sides are multiples of 8."""
    return self.encode(frames)
