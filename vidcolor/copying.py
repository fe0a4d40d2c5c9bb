"""The copy operation: every target position copies from reference positions.

For target position j and the positions i of all reference frames (Vondrick et
al. 2018, equations 1 and 2),

  y_j = sum_i A_ij c_i,    A_ij = exp(f_i . f_j / T) / sum_k exp(f_k . f_j / T),

where f are embeddings and c the values to copy: colours in training; masks,
points or joints in tracking. `copy` is that operation, over all positions or
restricted to a window and to the best matches. `block_size` trades speed for
memory and does not change the result. Where a window holds one and the same
label, a CPU copies it without affinities.
"""

import functools

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from vidcolor import windowed
from vidcolor import windowed_tpu

# Targets that the blockwise form computes at once on a CPU.
_TARGETS = 512


@functools.partial(
    jax.jit,
    static_argnames=(
        'radius',
        'square_window',
        'unwindowed',
        'top_k',
        'block_size',
        'kernel',
    ),
)
def copy(
    target: Float[Array, 'batch height width dim'],
    reference: Float[Array, 'batch time height width dim'],
    values: Float[Array, 'batch time height width channels'],
    *,
    temperature: float | Float[Array, ''] = 1.0,
    valid: Bool[Array, 'batch time'] | None = None,
    radius: int | float | None = None,
    square_window: bool = False,
    unwindowed: int = 0,
    top_k: int | None = None,
    block_size: int | None = None,
    kernel: bool | None = None,
) -> Float[Array, 'batch height width channels']:
  """Copies reference values to the target by embedding similarity.

  Args:
    target: Embeddings of the target frame.
    reference: Embeddings of the reference frames.
    values: Values to copy, with any number of channels.
    temperature: Divisor of the dot products. A lower temperature gives the best
      match more weight.
    valid: Reference frames that take part, at least one in each clip. Default:
      all.
    radius: Radius of the window in positions of the embedding grid: only
      reference positions at most this far from the target position take part.
      Default: all positions.
    square_window: Whether the window is a square instead of a disk, with
      `radius` cells to each side.
    unwindowed: Number of reference frames, counted from the first, without a
      window: all their positions take part.
    top_k: Number of best matches that take part, over all reference frames
      together. Default: all positions.
    block_size: Number of reference positions to process at once. If given,
      the affinity of all references and targets is never in memory at once,
      also not for the gradient. It cannot be combined with `radius` or `top_k`.
      These two bound the memory themselves.
    kernel: Whether a TPU may use the kernel of `windowed_tpu`. It uses it if
      `radius` and `top_k` are given, no frame is `unwindowed`, and the memory
      on the chip is large enough, as it is not on v4 and before. Default: if
      this process has a TPU. Give True to compile for a TPU elsewhere.

  Returns:
    The copied values in float32. The softmax is in float32 for embeddings of
    any precision.

  Raises:
    ValueError: `block_size` is combined with `radius` or `top_k`.
  """
  values = values.astype(jnp.float32)
  if valid is None:
    valid = jnp.ones(reference.shape[:2], bool)
  if radius is not None or top_k is not None:
    if block_size is not None:
      raise ValueError('block_size cannot be combined with radius or top_k.')
    options = {
        'radius': radius,
        'square': square_window,
        'unwindowed': unwindowed,
        'top_k': top_k,
    }
    one = functools.partial(windowed.copy_windowed, **options)
    if kernel is None:
      kernel = jax.default_backend() == 'tpu'
    if kernel and windowed_tpu.can_copy(
        reference.shape, radius=radius, unwindowed=unwindowed, top_k=top_k
    ):
      one = lambda *arrays: windowed_tpu.copy_best(
          *arrays, radius, square_window, top_k
      )
    elif jax.default_backend() == 'cpu':
      one = functools.partial(windowed.copy_skipping, **options)
  else:
    one = functools.partial(_global, block_size=block_size)
  # The smaller operand is scaled, in float32 to keep precision.
  target = (target.astype(jnp.float32) / temperature).astype(target.dtype)
  return jax.vmap(one)(target, reference, values, valid)


def _global(target, reference, values, valid, *, block_size):
  """Copies from all positions of all reference frames, for one clip."""
  height, width, dim = target.shape
  target = target.reshape(-1, dim)
  bias = jnp.where(valid, 0.0, windowed.MASKED)
  bias = jnp.broadcast_to(bias[:, None], (valid.size, height * width))
  flat = (reference.reshape(-1, dim), values.reshape(bias.size, -1))
  if block_size is None:
    scores = windowed.dot_products(target, flat[0]) + bias.ravel()[None]
    copied = windowed.weighted_mean(scores, flat[1])
  else:
    copied = _blockwise(target, *flat, bias.ravel(), block_size)
  return copied.reshape(height, width, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _blockwise(target, reference, values, bias, block_size):
  return _blockwise_forward(target, reference, values, bias, block_size)[0]


def _blockwise_forward(target, reference, values, bias, block_size):
  """Computes an online softmax: running maximum, sum and weighted sum."""
  blocks = _blocks(reference, values, bias, block_size)

  def copy_tile(tile):
    initial = (
        jnp.full(len(tile), windowed.MASKED),
        jnp.zeros(len(tile)),
        jnp.zeros((len(tile), values.shape[-1])),
    )
    add_block = functools.partial(_add_block, tile)
    (maximum, total, copied), _ = lax.scan(add_block, initial, blocks)
    return copied / total[:, None], maximum + jnp.log(total)

  copied, log_normalizer = lax.map(copy_tile, _tiles(target))
  join = lambda x: _join(x, len(target))
  copied = join(copied)
  residuals = target, reference, values, bias, copied, join(log_normalizer)
  return copied, residuals


def _add_block(target, carry, block):
  maximum, total, copied = carry
  reference, values, bias = block
  scores = windowed.dot_products(target, reference) + bias[None]
  new_maximum = jnp.maximum(maximum, scores.max(axis=-1))
  weights = jnp.exp(scores - new_maximum[:, None])
  decay = jnp.exp(maximum - new_maximum)
  total = total * decay + weights.sum(axis=-1)
  copied = copied * decay[:, None] + weights @ values
  return (new_maximum, total, copied), None


def _blockwise_backward(block_size, residuals, gradient):
  """Recomputes each block's affinity instead of storing it."""
  target, reference, values, bias, copied, log_normalizer = residuals
  # The gradient of the softmax needs sum_i A_ij (dL/dA_ij) = dL/dy_j . y_j.
  mean = jnp.sum(gradient * copied, axis=-1)
  # The padding of the last tile has affinity exp(0 - infinity) = 0.
  tiles = (
      _tiles(target),
      _tiles(target).mT,
      _tiles(gradient),
      _tiles(gradient).mT,
      _tiles(mean),
      _tiles(log_normalizer, jnp.inf),
  )

  def add_block(target_gradient, block):

    def add_tile(gradients, tile):
      tile_gradient, gradients_of_tile = _block_gradients(tile, block)
      return jax.tree.map(jnp.add, gradients, gradients_of_tile), tile_gradient

    zeros = tuple(jnp.zeros(x.shape[::-1]) for x in block[:2])
    gradients, of_target = lax.scan(add_tile, zeros, tiles)
    return target_gradient + of_target, gradients

  target_gradient, transposed = lax.scan(
      add_block,
      jnp.zeros(tiles[0].shape),
      _blocks(reference, values, bias, block_size),
  )
  reference_gradient, values_gradient = (x.mT for x in transposed)
  return (
      _join(target_gradient, len(target)).astype(target.dtype),
      _join(reference_gradient, len(reference)).astype(reference.dtype),
      _join(values_gradient, len(values)),
      jnp.zeros_like(bias),
  )


def _block_gradients(tile, block):
  """Returns gradients for a tile's targets, a block's references and values.

  The last two are transposed: on a CPU, [dim, targets] @ [targets, block] takes
  less than half as long as [block, targets] @ [targets, dim].
  """
  target, target_t, gradient, gradient_t, mean, log_normalizer = tile
  reference, values, bias = block
  scores = windowed.dot_products(target, reference) + bias[None]
  affinity = jnp.exp(scores - log_normalizer[:, None])
  scores_gradient = affinity * (gradient @ values.T - mean[:, None])
  return scores_gradient @ reference.astype(jnp.float32), (
      target_t.astype(jnp.float32) @ scores_gradient,
      gradient_t @ affinity,
  )


def _blocks(reference, values, bias, size):
  """Splits references into blocks and pads the last one with masked ones."""
  return (
      _split(reference, size),
      _split(values, size),
      _split(bias, size, windowed.MASKED),
  )


def _tiles(array, fill=0):
  """Splits targets into tiles, which fit in a CPU's cache with a block."""
  size = _TARGETS if jax.default_backend() == 'cpu' else len(array)
  return _split(array, min(size, len(array)), fill)


def _split(array, size, fill=0):
  borders = [(0, -len(array) % size)] + [(0, 0)] * (array.ndim - 1)
  padded = jnp.pad(array, borders, constant_values=fill)
  return padded.reshape(-1, size, *array.shape[1:])


def _join(parts, size):
  return parts.reshape(-1, *parts.shape[2:])[:size]


_blockwise.defvjp(_blockwise_forward, _blockwise_backward)
