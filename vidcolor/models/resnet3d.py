"""The paper's embedding network (Vondrick et al. 2018, section 3.4)."""

from flax import nnx
from jax import numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidcolor.models import layers

_STAGES = ((64, 2), (128, 2), (256, 1), (256, 1))  # Channels, stride.
_DILATIONS = (1, 2, 4, 8, 16)


class Model(nnx.Module):
  """ResNet-18 at stride 8 on each frame, then dilated 3D convolutions.

  The stage widths, batch normalisation and the order of the 3D convolutions
  are those of the independent implementations; the paper does not give them.
  """

  stride = 8
  # A frame's embedding depends on the other frames of its clip. Tracking passes
  # three reference frames and the target, as training does.
  num_frames = 4

  def __init__(
      self,
      *,
      channels: int = 1,
      embedding_dim: int = 64,
      norm_momentum: float = 0.99,
      dtype: DTypeLike = jnp.float32,
      rngs: nnx.Rngs,
  ):
    """Initializes at random.

    Args:
      channels: 1 to see grey, 3 to see Lab.
      embedding_dim: Size of an embedding.
      norm_momentum: Share of the running mean and variance that batch
        normalization keeps at each step. Short runs need less than 0.99.
      dtype: Type of the computation. The parameters are float32.
      rngs: Source of the initial parameters.

    Raises:
      ValueError: An option has a value that the network cannot use.
    """
    layers.check_options(channels, dtype, embedding_dim=embedding_dim)
    if not 0 <= norm_momentum < 1:
      raise ValueError(f'norm_momentum={norm_momentum}: give one in [0, 1)')
    self.channels = channels
    options = {'dtype': dtype, 'rngs': rngs}
    momentum = {'momentum': norm_momentum}
    self.stem = layers.Stem(channels, 64, **options)
    self.stem_norm = layers.BatchNorm(64, **momentum, **options)
    self.blocks = nnx.List()
    channels = 64
    for width, stride in _STAGES:
      for block_stride in (stride, 1):
        self.blocks.append(
            layers.BasicBlock(
                channels,
                width,
                stride=block_stride,
                norm_momentum=norm_momentum,
                **options,
            )
        )
        channels = width
    self.temporal = nnx.List()
    channels += 2  # The position.
    for dilation in _DILATIONS:
      self.temporal.append(
          _TemporalBlock(channels, dilation, norm_momentum, **options)
      )
      channels = 256
    self.embed = nnx.Conv(256, embedding_dim, (1, 1, 1), **options)

  def encode(
      self, frames: Float[Array, 'batch time height width channels']
  ) -> Float[Array, 'batch time height//8 width//8 258']:
    """Computes the trunk's features of each frame, and appends the position."""
    x = nnx.relu(self.stem_norm(self.stem(frames)))
    for block in self.blocks:
      x = block(x)
    return layers.append_position(x)

  def relate(
      self, features: Float[Array, 'batch time height width 258']
  ) -> Float[Array, 'batch time height width dim']:
    """Computes the embeddings from the features of all frames of a clip."""
    for block in self.temporal:
      features = block(features)
    return self.embed(features)

  def __call__(
      self, frames: Float[Array, 'batch time height width channels']
  ) -> Float[Array, 'batch time height//8 width//8 dim']:
    """Embeds clips.

    Args:
      frames: Clips from `color.network_input`. Sides are multiples of 8.
    """
    return self.relate(self.encode(frames))


class _TemporalBlock(layers.Block):
  """A dilated convolution over space, then a convolution over time."""

  def __init__(self, channels_in, dilation, norm_momentum, *, dtype, rngs):
    super().__init__()

    def conv(kind, channels, size, kernel_dilation):
      return kind(
          channels,
          256,
          size,
          kernel_dilation=kernel_dilation,
          use_bias=False,
          dtype=dtype,
          kernel_init=_init_center,
          rngs=rngs,
      )

    norm = lambda: layers.BatchNorm(
        256, momentum=norm_momentum, dtype=dtype, rngs=rngs
    )
    self.space = conv(
        layers.Conv, channels_in, (1, 3, 3), (1, dilation, dilation)
    )
    self.space_norm = norm()
    self.time = conv(layers.TimeConv, 256, (3, 1, 1), 1)
    self.time_norm = norm()

  def _apply(self, x):
    x = nnx.relu(self.space_norm(self.space(x)))
    return nnx.relu(self.time_norm(self.time(x)))


def _init_center(key, shape, dtype):
  """Initializes the center of a kernel at random, and all else to zero.

  The blocks have no shortcuts. After five of them, little of an embedding would
  come from its own place if all of a kernel were random: the untrained network
  then tracks at a mean J of 0.04, and learns for long to be local. The paper
  does not say how it initializes.
  """
  center = nnx.initializers.he_normal()(key, shape[-2:], dtype)
  kernel = jnp.zeros(shape, dtype)
  return kernel.at[tuple(size // 2 for size in shape[:-2])].set(center)
