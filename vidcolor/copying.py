"""The copy operation: every target position copies from reference positions.

For target position j and the positions i of all reference frames (Vondrick et
al. 2018, equations 1 and 2),

  y_j = sum_i A_ij c_i,    A_ij = exp(f_i . f_j / T) / sum_k exp(f_k . f_j / T),

where f are embeddings and c the values to copy: colours in training; masks,
points or joints in tracking. `copy` is that operation, whole or restricted to a
window and to the best matches; how it is computed is its own concern, but for
`block_size`, which trades speed for memory.
"""

import functools

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

# Scores that take no part. Finite, so that exp(masked - masked) is no NaN.
_MASKED = -1e30
# Targets in a tile of the windowed form, per side: small enough to waste
# little on the union of the windows, large enough for a good matrix product.
_TILE = 8
# Enough to keep two cores busy; more would only be held in memory.
_TILES_AT_ONCE = 2
# Candidates that compete in the first round of the top-k.
_TOP_K_GROUP = 16


@functools.partial(
    jax.jit,
    static_argnames=(
        'radius',
        'square_window',
        'unwindowed',
        'top_k',
        'block_size',
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
) -> Float[Array, 'batch height width channels']:
  """Copies reference values to the target by embedding similarity.

  Args:
    target: embeddings of the target frame.
    reference: embeddings of the reference frames.
    values: what is copied, of any width.
    temperature: divides the dot products; lower is nearer to the best match.
    valid: the reference frames that take part, at least one; default all.
    radius: if given, only reference positions within this distance (in cells)
      of the target position take part, a disk.
    square_window: makes it a square, with as many cells to each side.
    unwindowed: number of the first reference frames that have no window.
    top_k: if given, only the best `top_k` of all positions take part.
    block_size: if given, references are read in blocks of this many positions
      and neither the result nor its gradient ever holds the affinity of all
      references and targets. Not to be had together with `radius` or `top_k`,
      which bound the memory themselves.

  Returns:
    The copied values in float32; the softmax is in float32 too, whatever the
    precision of the embeddings.
  """
  values = values.astype(jnp.float32)
  if valid is None:
    valid = jnp.ones(reference.shape[:2], bool)
  if radius is not None or top_k is not None:
    if block_size is not None:
      raise ValueError('block_size goes with neither radius nor top_k.')
    one = functools.partial(
        _windowed,
        radius=radius,
        square=square_window,
        unwindowed=unwindowed,
        top_k=top_k,
    )
  else:
    one = functools.partial(_global, block_size=block_size)
  # The scale goes to the smaller operand, in float32 where it matters.
  target = (target.astype(jnp.float32) / temperature).astype(target.dtype)
  return jax.vmap(one)(target, reference, values, valid)


def _scores(target, reference):
  return jnp.einsum(
      'nd,md->nm', target, reference, preferred_element_type=jnp.float32
  )


def _global(target, reference, values, valid, *, block_size):
  """Softmax over every position of every reference frame, for one clip."""
  height, width, dim = target.shape
  target = target.reshape(-1, dim)
  bias = jnp.where(valid, 0.0, _MASKED)
  bias = jnp.broadcast_to(bias[:, None], (valid.size, height * width))
  flat = (reference.reshape(-1, dim), values.reshape(bias.size, -1))
  if block_size is None:
    copied = _plain(target, *flat, bias.ravel())
  else:
    copied = _blockwise(target, *flat, bias.ravel(), block_size)
  return copied.reshape(height, width, -1)


def _plain(target, reference, values, bias):
  affinity = jax.nn.softmax(_scores(target, reference) + bias[None], axis=-1)
  return jnp.einsum('nm,mc->nc', affinity, values)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _blockwise(target, reference, values, bias, block_size):
  return _blockwise_forward(target, reference, values, bias, block_size)[0]


def _blocks(reference, values, bias, block_size):
  """Splits references into blocks, the last one filled up with masked ones."""
  fill = -bias.size % block_size

  def pad(x, value):
    borders = [(0, fill)] + [(0, 0)] * (x.ndim - 1)
    padded = jnp.pad(x, borders, constant_values=value)
    return padded.reshape(-1, block_size, *x.shape[1:])

  return pad(reference, 0), pad(values, 0), pad(bias, _MASKED)


def _blockwise_forward(target, reference, values, bias, block_size):
  """Online softmax: a running maximum, sum and weighted sum over blocks."""

  def add_block(carry, block):
    maximum, total, copied = carry
    block_reference, block_values, block_bias = block
    scores = _scores(target, block_reference) + block_bias[None]
    new_maximum = jnp.maximum(maximum, scores.max(axis=-1))
    weights = jnp.exp(scores - new_maximum[:, None])
    decay = jnp.exp(maximum - new_maximum)
    total = total * decay + weights.sum(axis=-1)
    copied = copied * decay[:, None] + weights @ block_values
    return (new_maximum, total, copied), None

  targets = target.shape[0]
  initial = (
      jnp.full(targets, _MASKED),
      jnp.zeros(targets),
      jnp.zeros((targets, values.shape[-1])),
  )
  (maximum, total, copied), _ = lax.scan(
      add_block, initial, _blocks(reference, values, bias, block_size)
  )
  copied = copied / total[:, None]
  log_normalizer = maximum + jnp.log(total)
  return copied, (target, reference, values, bias, copied, log_normalizer)


def _blockwise_backward(block_size, residuals, gradient):
  """Computes each block's affinity again rather than keeping it."""
  target, reference, values, bias, copied, log_normalizer = residuals
  # d softmax needs sum_i A_ij (dL/dA_ij) = dL/dy_j . y_j, known beforehand.
  mean = jnp.sum(gradient * copied, axis=-1)

  def add_block(target_gradient, block):
    block_reference, block_values, block_bias = block
    scores = _scores(target, block_reference) + block_bias[None]
    affinity = jnp.exp(scores - log_normalizer[:, None])
    values_gradient = affinity.T @ gradient
    scores_gradient = affinity * (gradient @ block_values.T - mean[:, None])
    target_gradient += scores_gradient @ block_reference.astype(jnp.float32)
    reference_gradient = scores_gradient.T @ target.astype(jnp.float32)
    return target_gradient, (reference_gradient, values_gradient)

  target_gradient, (reference_gradient, values_gradient) = lax.scan(
      add_block,
      jnp.zeros(target.shape),
      _blocks(reference, values, bias, block_size),
  )
  join = lambda x, like: x.reshape(-1, x.shape[-1])[: like.shape[0]]
  return (
      target_gradient.astype(target.dtype),
      join(reference_gradient, reference).astype(reference.dtype),
      join(values_gradient, values),
      jnp.zeros_like(bias),
  )


_blockwise.defvjp(_blockwise_forward, _blockwise_backward)


def _windowed(
    target, reference, values, valid, *, radius, square, unwindowed, top_k
):
  """Softmax within a window around each target position, for one clip.

  A tile of neighbouring targets shares the union of its windows, a plain slice
  of the references, so that the scores are one small matrix product a tile and
  no key is gathered per target.
  """
  height, width, _ = target.shape
  outside = jnp.where(valid, 0.0, _MASKED)[:, None, None, None]
  outside = jnp.broadcast_to(outside, (*reference.shape[:3], 1))
  whole = [
      array[:unwindowed].reshape(-1, array.shape[-1])
      for array in (reference, values, outside)
  ]
  rows, columns = -(-height // _TILE), -(-width // _TILE)
  # A window larger than the frame covers it all from any tile.
  reach_y = _reach(radius, rows * _TILE)
  reach_x = _reach(radius, columns * _TILE)
  fill = ((0, rows * _TILE - height), (0, columns * _TILE - width), (0, 0))
  target = jnp.pad(target, fill)
  border = (
      (0, 0),
      (reach_y, reach_y + fill[0][1]),
      (reach_x, reach_x + fill[1][1]),
      (0, 0),
  )
  reference = jnp.pad(reference[unwindowed:], border)
  values = jnp.pad(values[unwindowed:], border)
  outside = jnp.pad(outside[unwindowed:], border, constant_values=_MASKED)
  window = _tile_window(reach_y, reach_x, radius, square)

  # Recomputed in the gradient, so that it keeps no tile's affinity either.
  @jax.checkpoint
  def copy_tile(tile):
    y, x = _TILE * (tile // columns), _TILE * (tile % columns)
    cut = lambda array: _cut(array, y, x, reach_y, reach_x)
    tile_target = lax.dynamic_slice(
        target, (y, x, 0), (_TILE, _TILE, target.shape[-1])
    ).reshape(_TILE**2, -1)
    # Two sums vectorise where a mask and a choice do not.
    near = _scores(tile_target, cut(reference))
    near = near.reshape(_TILE**2, len(reference), window.shape[-1])
    near = (near + window[:, None]).reshape(_TILE**2, -1) + cut(outside).T
    anywhere = _scores(tile_target, whole[0]) + whole[2].T
    return _copy_best(
        jnp.concatenate([near, anywhere], axis=1),
        jnp.concatenate([cut(values), whole[1]]),
        top_k,
    )

  copied = lax.map(
      copy_tile, jnp.arange(rows * columns), batch_size=_TILES_AT_ONCE
  )
  copied = copied.reshape(rows, columns, _TILE, _TILE, -1).swapaxes(1, 2)
  copied = copied.reshape(rows * _TILE, columns * _TILE, -1)
  return copied[:height, :width]


def _reach(radius, size):
  return size if radius is None else min(int(radius), size)


def _cut(array, y, x, reach_y, reach_x):
  """All positions that some target of the tile at (y, x) may copy from."""
  size = (
      array.shape[0],
      _TILE + 2 * reach_y,
      _TILE + 2 * reach_x,
      array.shape[-1],
  )
  piece = lax.dynamic_slice(array, (0, y, x, 0), size)
  return piece.reshape(-1, array.shape[-1])


def _tile_window(reach_y, reach_x, radius, square):
  """0 where a target sees a position of the union: [targets, union] float."""

  def squared_distance(reach):
    union = jnp.arange(_TILE + 2 * reach) - reach
    return (union[None] - jnp.arange(_TILE)[:, None]) ** 2

  squared_y = squared_distance(reach_y)[:, None, :, None]
  squared_x = squared_distance(reach_x)[None, :, None, :]
  combine = jnp.maximum if square else jnp.add
  squared_radius = jnp.inf if radius is None else radius**2
  seen = combine(squared_y, squared_x) <= squared_radius
  return jnp.where(seen, 0.0, _MASKED).reshape(_TILE**2, -1)


def _copy_best(scores, values, top_k):
  if top_k is None or top_k >= scores.shape[-1]:
    return jax.nn.softmax(scores, axis=-1) @ values
  scores, positions = _top_k(scores, top_k)
  affinity = jax.nn.softmax(scores, axis=-1)
  return jnp.einsum('nk,nkc->nc', affinity, values[positions])


def _top_k(scores, k):
  """`lax.top_k` of [n, m] in two exact rounds, several times faster on CPU.

  The best k are among the k groups whose best member is best, so that the
  costly selection sees one score a group, then k groups.
  """
  n, m = scores.shape
  groups = -(-m // _TOP_K_GROUP)
  if groups <= k:
    return lax.top_k(scores, k)
  fill = groups * _TOP_K_GROUP - m
  scores = jnp.pad(scores, ((0, 0), (0, fill)), constant_values=_MASKED)
  grouped = scores.reshape(n, _TOP_K_GROUP, groups)
  _, best_groups = lax.top_k(lax.stop_gradient(grouped.max(axis=1)), k)
  candidates = jnp.take_along_axis(grouped, best_groups[:, None], axis=2)
  best, chosen = lax.top_k(candidates.reshape(n, -1), k)
  member, group = chosen // k, chosen % k
  group = jnp.take_along_axis(best_groups, group, axis=1)
  return best, member * groups + group
