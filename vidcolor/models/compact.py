"""A small network for laptops, which embeds each frame alone."""

from flax import nnx
import jax
from jax import numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidcolor.models import layers


class Model(nnx.Module):
  """Residual blocks at strides 4 and 8 whose outputs are added at stride 4.

  The embeddings have unit length. A block at stride 8 sees more of the frame
  and costs a quarter of a block at stride 4. The blocks at stride 4 keep the
  detail that a tracked outline needs.
  """

  num_frames = 1

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
    """Initializes at random.

    Args:
      channels: 1 to see grey, 3 to see Lab.
      stride: Stride of the embeddings, 4 or 8. With 8, only the output of the
        blocks at stride 8 is used.
      width: Channels at stride 4. Stride 2 has half as many, stride 8 twice.
      embedding_dim: Size of an embedding.
      fine_blocks: Number of residual blocks at stride 4.
      coarse_blocks: Number of residual blocks at stride 8.
      dtype: Type of the computation. The parameters are float32.
      rngs: Source of the initial parameters.

    Raises:
      ValueError: An option has a value that the network cannot use.
    """
    layers.check_options(
        channels,
        dtype,
        embedding_dim=embedding_dim,
        fine_blocks=fine_blocks,
        coarse_blocks=coarse_blocks,
    )
    if stride not in (4, 8):
      raise ValueError(f'stride={stride}: give 4 or 8')
    if width < 2 or width % 2:
      raise ValueError(f'width={width}: give an even number of 2 or more')
    options = {'dtype': dtype, 'rngs': rngs}
    self.channels, self.stride = channels, stride
    self.stem = layers.Stem(channels, width // 2, **options)
    self.stem_norm = layers.BatchNorm(width // 2, **options)

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
    """Computes the unit embeddings of each frame."""
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
    """Returns the features, which are the embeddings already."""
    return features

  def __call__(
      self, frames: Float[Array, 'batch time height width channels']
  ) -> Float[Array, 'batch time rows columns dim']:
    """Embeds frames.

    Args:
      frames: Frames from `color.network_input`. Sides are multiples of 8.
    """
    return self.encode(frames)
