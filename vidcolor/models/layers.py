"""Layers of the embedding networks."""

import functools

from flax import nnx
import jax
from jax import lax
from jax import numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class Stem(nnx.Module):
  """A strided convolution of few channels, computed by space-to-depth.

  It equals a `size` x `size` convolution with stride 2 and `size // 2` zeros of
  padding on each side, for `size` 3, 7, 11, ... It computes the same sums with
  stride 1, over 2 x 2 patches as channels, because a convolution over a single
  channel leaves matrix units idle. (On two CPU cores a 1 x 7 x 7 kernel over
  video ran at 7 GFLOP/s and this one at 55. XLA's current 2D convolution is as
  fast there.) The parameter is the [size, size, in, out] kernel.
  """

  def __init__(self, channels_in, channels_out, *, size=7, dtype, rngs):
    self.dtype = dtype
    self.kernel = nnx.Param(
        nnx.initializers.he_normal()(
            rngs.params(), (size, size, channels_in, channels_out)
        )
    )

  def __call__(
      self, x: Float[Array, '*batch height width channels']
  ) -> Float[Array, '*batch height//2 width//2 features']:
    """Convolves; height and width must be even."""
    kernel = self.kernel[...].astype(self.dtype)
    size, _, channels_in, channels_out = kernel.shape
    taps = (size + 1) // 2
    # A leading row and column of zeros divide the kernel into 2 x 2 patches.
    kernel = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
    kernel = kernel.reshape(taps, 2, taps, 2, channels_in, channels_out)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(taps, taps, 4 * channels_in, channels_out)
    *batch, height, width, _ = x.shape
    # Without the barrier, XLA for TPUs splits the rows of a plane before it
    # computes the plane, which takes half a million cycles in the paper's step.
    x = lax.optimization_barrier(x)
    patches = x.reshape(-1, height // 2, 2, width // 2, 2, channels_in)
    patches = patches.transpose(0, 1, 3, 2, 4, 5)
    patches = patches.reshape(-1, height // 2, width // 2, 4 * channels_in)
    out = jax.lax.conv_general_dilated(
        patches.astype(self.dtype),
        kernel,
        window_strides=(1, 1),
        padding=[(taps // 2, taps // 2 - 1)] * 2,
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )
    return out.reshape(*batch, height // 2, width // 2, channels_out)


class BatchNorm(nnx.BatchNorm):
  """`nnx.BatchNorm`, computed in float32 and rounded once.

  The mean and the variance are those of the whole batch, also where it is split
  over devices.
  """

  def __call__(
      self, x: Float[Array, '*batch channels']
  ) -> Float[Array, '*batch channels']:
    """Normalizes over all axes but the last; training updates the averages."""
    x = x.astype(self.dtype)
    # pyrefly: ignore[unsupported-operation]
    scale, bias = self.scale[...], self.bias[...]
    if self.use_running_average:
      inverse = lax.rsqrt(self.var[...] + self.epsilon)
      return _scale_and_shift(x, self.mean[...], scale * inverse, bias)
    y, mean, var = _normalize(x, scale, bias, self.epsilon)
    for average, new in ((self.mean, mean), (self.var, var)):
      kept = self.momentum * average[...]
      average[...] = kept + (1 - self.momentum) * lax.stop_gradient(new)
    return y


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalize(x, scale, bias, epsilon):
  """Returns the normalized batch, its mean and its variance.

  The gradient is written out, so that the backward pass keeps `x` in its own
  type alone, and computes both sums over the batch in one pass, in float32.
  """
  return _normalize_forward(x, scale, bias, epsilon)[0]


def _normalize_forward(x, scale, bias, epsilon):
  mean, square = _mean(x), _mean(jnp.square(x.astype(jnp.float32)))
  var = jnp.maximum(square - jnp.square(mean), 0)
  inverse = lax.rsqrt(var + epsilon)
  y = _scale_and_shift(x, mean, scale * inverse, bias)
  return (y, mean, var), (x, mean, inverse, scale)


def _normalize_backward(epsilon, residuals, gradients):
  del epsilon
  x, mean, inverse, scale = residuals
  gradient = gradients[0].astype(jnp.float32)
  # The mean and the variance only update averages: they have no gradient.
  zero = jnp.zeros_like(mean)
  normal = _scale_and_shift(x.astype(jnp.float32), mean, inverse, zero)
  mean_gradient, mean_product = _mean(gradient), _mean(gradient * normal)
  count = x.size // x.shape[-1]
  broadcast = lambda v: jnp.broadcast_to(v, x.shape)
  x_gradient = broadcast(scale * inverse) * (
      gradient - broadcast(mean_gradient) - normal * broadcast(mean_product)
  )
  return x_gradient.astype(x.dtype), count * mean_product, count * mean_gradient


_normalize.defvjp(_normalize_forward, _normalize_backward)


def _mean(x):
  return x.astype(jnp.float32).mean(axis=tuple(range(x.ndim - 1)))


def _scale_and_shift(x, mean, scale, bias):
  shift = jnp.broadcast_to(bias - mean * scale, x.shape)
  scaled = x.astype(jnp.float32) * jnp.broadcast_to(scale, x.shape)
  return (scaled + shift).astype(x.dtype)


class Conv(nnx.Conv):
  """A convolution of each frame by a 3 x 3 kernel, with stride 1.

  The kernel may be [3, 3, in, out] or, as a convolution of clips, [1, 3, 3, in,
  out]. XLA computes it several times faster in two dimensions than in three.
  """

  def __call__(
      self, x: Float[Array, '*batch height width channels']
  ) -> Float[Array, '*batch height width features']:
    """Convolves; zeros surround each frame."""
    kernel = self.kernel[...].astype(self.dtype)
    kernel = kernel.reshape(kernel.shape[-4:])
    dilation = self.kernel_dilation
    if not isinstance(dilation, int):
      *_, dilation = dilation or (1,)
    frames = x.reshape(-1, *x.shape[-3:]).astype(self.dtype)
    return _convolve(dilation, frames, kernel).reshape(*x.shape[:-1], -1)


def _by_xla(dilation, x, kernel):
  return lax.conv_general_dilated(
      x,
      kernel,
      window_strides=(1, 1),
      padding='SAME',
      rhs_dilation=(dilation, dilation),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


def _by_products(dilation, x, kernel):
  """Multiplies each frame's patches with the kernel.

  XLA's convolutions for CPUs read all the zeros around a frame. On two cores,
  this takes half as long at dilation 16.
  """
  kernel = kernel.reshape(-1, kernel.shape[-1])
  products = lax.map(lambda frame: _patches(dilation, frame) @ kernel, x)
  return products.reshape(*x.shape[:3], -1)


def _patches(dilation, frame):
  """Returns the 9 values below the kernel, [height * width, 9 * channels]."""
  height, width, _ = frame.shape
  border = (dilation, dilation)
  frame = jnp.pad(frame, (border, border, (0, 0)))
  shifts = [(y * dilation, x * dilation) for y in range(3) for x in range(3)]
  shifted = [frame[v : v + height, u : u + width] for v, u in shifts]
  return jnp.concatenate(shifted, axis=-1).reshape(height * width, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(dilation, x, kernel):
  if dilation < 8:
    return _by_xla(dilation, x, kernel)
  return lax.platform_dependent(
      x,
      kernel,
      cpu=functools.partial(_by_products, dilation),
      default=functools.partial(_by_xla, dilation),
  )


def _convolve_forward(dilation, x, kernel):
  return _convolve(dilation, x, kernel), (x, kernel)


def _convolve_backward(dilation, residuals, gradient):
  x, kernel = residuals
  turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
  of_kernel = lambda x, gradient: jax.linear_transpose(
      functools.partial(_by_xla, dilation, x), kernel
  )(gradient)[0]
  return _convolve(dilation, gradient, turned), lax.platform_dependent(
      x,
      gradient,
      cpu=functools.partial(_kernel_gradient, dilation),
      default=of_kernel,
  )


def _kernel_gradient(dilation, x, gradient):
  """Sums the products of each frame's patches with the gradient.

  On two CPU cores, it takes half as long as XLA's convolution.
  """
  channels, features = x.shape[-1], gradient.shape[-1]

  def add_frame(total, frame):
    x, gradient = frame
    product = lax.dot(
        _patches(dilation, x).T,
        gradient.reshape(-1, features),
        preferred_element_type=jnp.float32,
    )
    return total + product, None

  zeros = jnp.zeros((9 * channels, features), jnp.float32)
  total, _ = lax.scan(add_frame, zeros, (x, gradient))
  return total.reshape(3, 3, channels, features).astype(x.dtype)


_convolve.defvjp(_convolve_forward, _convolve_backward)


class TimeConv(nnx.Conv):
  """A 3 x 1 x 1 convolution of clips, computed as products of matrices."""

  def __call__(
      self, x: Float[Array, 'batch time height width channels']
  ) -> Float[Array, 'batch time height width features']:
    """Convolves; zeros surround the clip."""
    before, same, after = self.kernel[:, 0, 0].astype(self.dtype)
    x = x.astype(self.dtype)
    pad = lambda *frames: ((0, 0), frames, (0, 0), (0, 0), (0, 0))
    return (
        x @ same
        + jnp.pad(x[:, :-1] @ before, pad(1, 0))
        + jnp.pad(x[:, 1:] @ after, pad(0, 1))
    )


def check_options(channels: int, dtype: DTypeLike, **counts: int) -> None:
  """Checks options that embedding networks have in common.

  Args:
    channels: 1 for grey, 3 for Lab.
    dtype: Type of the computation.
    **counts: Numbers of channels or blocks by the option's name.

  Raises:
    ValueError: An option has a value that no network can use.
  """
  if channels not in (1, 3):
    raise ValueError(f'channels={channels}: give 1 for grey or 3 for Lab')
  for name, count in counts.items():
    if count < 1:
      raise ValueError(f'{name}={count}: give a whole number of 1 or more')
  try:
    is_float = jnp.issubdtype(dtype, jnp.floating)
  except TypeError:  # It is no name of a type.
    is_float = False
  if not is_float:
    raise ValueError(f'dtype={dtype}: give float32, bfloat16 or float16')


# Rematerialization: which intermediate results the backward pass keeps. It
# recomputes all others within a `Block`.
REMAT_POLICIES = {
    'none': None,
    'norms': lambda primitive, *_, **__: primitive
    in (lax.conv_general_dilated_p, lax.dot_general_p),
    'blocks': jax.checkpoint_policies.nothing_saveable,
}


class Block(nnx.Module):
  """A block that the backward pass may recompute, to save memory.

  `nnx.view(model, remat=...)` chooses what is recomputed: 'none'; 'norms',
  everything except matrix products and the convolutions of flax; or 'blocks',
  everything within the block. 'norms' also recomputes each `Conv`, whose own
  gradient hides it from the policy.
  """

  def __init__(self):
    self.remat = 'none'

  def set_view(self, remat: str | None = None) -> None:
    """Sets what is recomputed; `nnx.view` calls it."""
    self.remat = remat or self.remat

  def __call__(
      self, x: Float[Array, '*batch height width channels']
  ) -> Float[Array, '*batch rows columns features']:
    """Applies the block."""
    if self.remat == 'none':
      return self._apply(x)
    apply = nnx.remat(
        lambda block, x: block._apply(x), policy=REMAT_POLICIES[self.remat]
    )
    return apply(self, x)

  def _apply(self, x):
    raise NotImplementedError


class BasicBlock(Block):
  """The residual block of ResNet-18, two convolutions on each frame."""

  def __init__(
      self,
      channels_in,
      channels_out,
      *,
      stride=1,
      norm_momentum=0.99,
      dtype,
      rngs,
  ):
    super().__init__()

    def conv(kind, channels, size, strides):
      return kind(
          channels,
          channels_out,
          (size, size),
          strides,
          padding=size // 2,
          use_bias=False,
          dtype=dtype,
          kernel_init=nnx.initializers.he_normal(),
          rngs=rngs,
      )

    norm = lambda: BatchNorm(
        channels_out, momentum=norm_momentum, dtype=dtype, rngs=rngs
    )
    first = Conv if stride == 1 else nnx.Conv
    self.conv1, self.norm1 = conv(first, channels_in, 3, stride), norm()
    self.conv2, self.norm2 = conv(Conv, channels_out, 3, 1), norm()
    self.project = (
        None
        if stride == 1 and channels_in == channels_out
        else nnx.Sequential(conv(nnx.Conv, channels_in, 1, stride), norm())
    )

  def _apply(self, x):
    residual = x if self.project is None else self.project(x)
    x = nnx.relu(self.norm1(self.conv1(x)))
    return nnx.relu(self.norm2(self.conv2(x)) + residual)


def append_position(
    x: Float[Array, '*batch height width channels'],
) -> Float[Array, '*batch height width channels+2']:
  """Appends two channels, each position's y and x in [-1, 1]."""
  *batch, height, width, _ = x.shape
  grid = jnp.meshgrid(
      jnp.linspace(-1, 1, height), jnp.linspace(-1, 1, width), indexing='ij'
  )
  position = jnp.stack(grid, axis=-1).astype(x.dtype)
  position = jnp.broadcast_to(position, (*batch, height, width, 2))
  return jnp.concatenate([x, position], axis=-1)
