"""The copy operation within windows and from the best matches.

A tile is a square of neighbouring targets. The union of its targets' windows is
a slice of the references. So the scores of a tile are one small matrix product,
and no key is gathered for each target. The top-k selection first compares
groups of scores, and then only the scores in the best groups.

Far from all objects, the windows hold nothing but background. Whatever the
scores are, a tile there copies background, and `copy_skipping` computes none.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Score of a masked position. It is finite, so that masked - masked is not NaN.
MASKED = -1e30
# Side of a tile. Smaller tiles have slow matrix products. In larger tiles, more
# of the windows' union lies outside of each target's own window.
_TILE = 8
# Values count as equal if they differ by at most this share of the largest. It
# is 32 times the precision of float32, because copies round. After 70 frames of
# video, the labels of the background differed from 1 by a seventh of it.
_EQUAL = 2.0**-18
# Positions in a group, of which the first round of the top-k sees the maximum.
_GROUP = 16


def copy_windowed(
    target: Float[Array, 'height width dim'],
    reference: Float[Array, 'time height width dim'],
    values: Float[Array, 'time height width channels'],
    valid: Bool[Array, ' time'],
    *,
    radius: int | float | None,
    square: bool,
    unwindowed: int,
    top_k: int | None,
    skip: bool = False,
) -> Float[Array, 'height width channels']:
  """Copies within a window around each target position, for one clip.

  The arguments are those of `copying.copy` for one clip. The target is divided
  by the temperature. `skip` is for `copy_skipping`.
  """
  height, width, dim = target.shape
  if radius is None:
    radius, unwindowed = 0, len(reference)
  size = height * width
  flat_values = values.reshape(len(reference) * size, -1)
  first_row = size * jnp.arange(len(reference))
  bias = jnp.where(valid, 0.0, MASKED)
  frames = reference, first_row, bias
  anywhere = _anywhere(*(x[:unwindowed] for x in frames))
  reference, first_row, bias = (x[unwindowed:] for x in frames)
  rows, columns = -(-height // _TILE), -(-width // _TILE)
  reach_y = _reach(radius, rows * _TILE)
  reach_x = _reach(radius, columns * _TILE)
  fill = rows * _TILE - height, columns * _TILE - width
  target = jnp.pad(target, ((0, fill[0]), (0, fill[1]), (0, 0)))
  border = (
      (0, 0),
      (reach_y, reach_y + fill[0]),
      (reach_x, reach_x + fill[1]),
  )
  reference = jnp.pad(reference, (*border, (0, 0)))
  place = jnp.arange(size).reshape(1, height, width)
  place = jnp.pad(place, border, constant_values=-1)
  window = _tile_window(reach_y, reach_x, radius, square)
  cut = lambda array, tile: _cut(array, tile, columns, reach_y, reach_x)

  # The backward pass recomputes the affinity of each tile to save memory.
  @jax.checkpoint
  def copy_tile(tile):
    tile_target = _cut(target[None], tile, columns, 0, 0)[0]
    near_place = cut(place, tile)[0]
    seen = window + jnp.where(near_place < 0, MASKED, 0.0)[None]
    near = _Positions(cut(reference, tile), seen, near_place, first_row, bias)
    parts = [part for part in (near, anywhere) if part.embeddings.size]
    return _copy_from(tile_target, parts, flat_values, top_k)

  copy = copy_tile
  if skip:
    common, differs = _commonest(values, valid)
    differs = differs[unwindowed:].any(axis=0) | differs[:unwindowed].any()
    differs = jnp.pad(differs[None], border)
    within_reach = (window == 0).any(axis=0)[None]
    same = jnp.broadcast_to(common[None], (_TILE**2, common.size))

    def copy(tile):
      is_needed = (cut(differs, tile) & within_reach).any()
      return lax.cond(is_needed, copy_tile, lambda _: same, tile)

  copied = lax.map(
      copy, jnp.arange(rows * columns), batch_size=_tiles_at_once()
  )
  copied = copied.reshape(rows, columns, _TILE, _TILE, -1).swapaxes(1, 2)
  copied = copied.reshape(rows * _TILE, columns * _TILE, -1)
  return copied[:height, :width]


def copy_skipping(
    target: Float[Array, 'height width dim'],
    reference: Float[Array, 'time height width dim'],
    values: Float[Array, 'time height width channels'],
    valid: Bool[Array, ' time'],
    **options: Any,
) -> Float[Array, 'height width channels']:
  """Copies as `copy_windowed`, without scores where all values are equal.

  A copy is a mean of values in the window. So a tile whose windows hold only
  one value copies it: the commonest one, which is the background of masks and 0
  of points. The result differs from that of `copy_windowed` by at most `_EQUAL`
  times the largest channel of that value. The gradient needs all scores, and is
  that of `copy_windowed`.

  Args:
    target: As for `copy_windowed`, as are the following ones.
    reference: Embeddings of the reference frames.
    values: Values to copy.
    valid: Frames that take part.
    **options: Options of `copy_windowed`.
  """
  definition = functools.partial(copy_windowed, **options)
  # In a batch, `lax.cond` computes both of its branches.
  copy = jax.custom_vjp(
      jax.custom_batching.sequential_vmap(
          functools.partial(definition, skip=True)
      )
  )
  copy.defvjp(
      lambda *arrays: jax.vjp(definition, *arrays),
      lambda vjp, gradient: vjp(gradient),
  )
  return copy(target, reference, values, valid)


def dot_products(
    target: Float[Array, 'targets dim'],
    reference: Float[Array, 'positions dim'],
) -> Float[Array, 'targets positions']:
  """Returns scores in float32, for embeddings of any precision."""
  return jnp.einsum(
      'nd,md->nm', target, reference, preferred_element_type=jnp.float32
  )


def weighted_mean(
    scores: Float[Array, 'targets positions'],
    values: Float[Array, 'positions channels'],
) -> Float[Array, 'targets channels']:
  """Computes softmax(scores) @ values in fewer passes over the scores.

  A column of ones is appended to the values, so that the matrix product also
  sums the weights. Then the result is divided, not the weights. On two CPU
  cores this takes three quarters of the time, and its gradient half.
  """
  values = jnp.pad(values, ((0, 0), (0, 1)), constant_values=1)
  maximum = lax.stop_gradient(scores.max(axis=-1, keepdims=True))
  total = jnp.exp(scores - maximum) @ values
  return total[:, :-1] / total[:, -1:]


class _Positions(NamedTuple):
  """Positions of some reference frames.

  Attributes:
    embeddings: Embeddings; the number of positions is a multiple of `_GROUP`.
    window: 0 where a target sees a position, else `MASKED`.
    place: Index of a position in its frame.
    first_row: Row of a frame's first value. A value's row is `first_row` plus
      `place`.
    bias: 0 for a frame that takes part, else `MASKED`.
  """

  embeddings: Float[Array, 'time positions dim']
  window: Float[Array, 'targets positions']
  place: Int[Array, ' positions']
  first_row: Int[Array, ' time']
  bias: Float[Array, ' time']

  def scores(self, target):
    """Returns scores [targets, time, positions], without the masks."""
    # XLA computes products of matrices faster than of larger arrays.
    time, positions, dim = self.embeddings.shape
    scores = dot_products(target, self.embeddings.reshape(-1, dim))
    return scores.reshape(len(target), time, positions)


def _anywhere(reference, first_row, bias):
  """Returns all positions of frames without a window."""
  time, height, width, dim = reference.shape
  size = height * width
  fill = 0, -size % _GROUP
  reference = reference.reshape(time, size, dim)
  reference = jnp.pad(reference, ((0, 0), fill, (0, 0)))
  window = jnp.zeros((_TILE**2, size))
  window = jnp.pad(window, ((0, 0), fill), constant_values=MASKED)
  place = jnp.pad(jnp.arange(size), fill)
  return _Positions(reference, window, place, first_row, bias)


def _commonest(values, valid):
  """Returns the commonest value, and where the values are others.

  If each channel has either its least or its largest value nearly everywhere,
  as labels have, that is the commonest. It is found in the oldest frame, whose
  labels were given or copied least often.
  """
  oldest = values[valid.argmax()]
  low, high = oldest.min((0, 1)), oldest.max((0, 1))
  common = jnp.where(2 * oldest.mean((0, 1)) > low + high, high, low)
  difference = jnp.abs(values - common[None, None, None]).max(axis=-1)
  # NaN is not equal.
  differs = ~(difference <= _EQUAL * jnp.abs(common).max())
  return common, differs & valid[:, None, None]


def _reach(radius, size):
  """Returns how many cells the windows extend beyond their tile.

  The number is even, so that the positions make whole groups.
  """
  # A window of the frame's size covers all of the frame from any tile.
  return min(2 * math.ceil(int(radius) / 2), size)


def _tiles_at_once():
  """Returns how many tiles to compute at once; None for one by one."""
  # One tile keeps two CPU cores busy and fits in their cache.

  return None if jax.default_backend() == 'cpu' else 32


def _cut(array, tile, columns, reach_y, reach_x):
  """Returns the positions that some target of a tile can see."""
  y, x = _TILE * (tile // columns), _TILE * (tile % columns)
  time, _, _, *channels = array.shape
  size = _TILE + 2 * reach_y, _TILE + 2 * reach_x
  start = (0, y, x, *(0 for _ in channels))
  piece = lax.dynamic_slice(array, start, (time, *size, *channels))
  return piece.reshape(time, size[0] * size[1], *channels)


def _tile_window(reach_y, reach_x, radius, square):
  """Returns the mask [targets, union] of a tile, to be added to the scores.

  It is 0 where a position is in the target's window, else `MASKED`.
  """

  def squared_distance(reach):
    union = jnp.arange(_TILE + 2 * reach) - reach
    return (union[None] - jnp.arange(_TILE)[:, None]) ** 2

  squared_y = squared_distance(reach_y)[:, None, :, None]
  squared_x = squared_distance(reach_x)[None, :, None, :]
  combine = jnp.maximum if square else jnp.add
  seen = combine(squared_y, squared_x) <= radius**2
  return jnp.where(seen, 0.0, MASKED).reshape(_TILE**2, -1)


def _copy_from(target, parts, values, top_k):
  """Returns the copied values [targets, channels] of one tile.

  Args:
    target: Embeddings of the tile's target positions, [targets, dim].
    parts: Reference positions that may be copied: one `_Positions` for the
      frames with a window, one for the frames without.
    values: Values of all reference positions, [positions, channels].
    top_k: Number of best matches, over all parts together. None for all.
  """
  match = _match_all if top_k is None else functools.partial(_match_best, top_k)
  matches = [match(target, part) for part in parts]
  scores, row = (jnp.concatenate(x, -1) for x in zip(*matches, strict=True))
  if top_k is None:
    return weighted_mean(scores, values[row])
  if len(parts) > 1:
    scores, chosen = lax.top_k(scores, top_k)
    row = jnp.take_along_axis(row, chosen, axis=1)
  affinity = jax.nn.softmax(scores, axis=-1)
  return jnp.einsum('nk,nkc->nc', affinity, values[row])


def _match_all(target, part):
  """Returns scores [targets, all] of all positions and their rows [all]."""
  scores = part.scores(target) + part.window[:, None]
  scores += part.bias[None, :, None]
  row = part.first_row[:, None] + part.place[None]
  return scores.reshape(len(target), -1), row.ravel()


def _match_best(k, target, part):
  """Returns scores and rows [targets, k] of the k best positions.

  The selection has two exact rounds, which on a CPU are several times faster
  than one `lax.top_k`. The k best positions are in the k groups with the best
  maxima. So the first round selects among one score of each group, and the
  second among the members of k groups. Masks are added in each round, so that
  the masked scores need not be written to memory.
  """
  time, positions, _ = part.embeddings.shape
  if time * positions <= k * _GROUP:
    scores, row = _match_all(target, part)
    best, chosen = lax.top_k(scores, min(k, row.size))
    return best, row[chosen]
  groups = positions // _GROUP
  split = lambda x: x.reshape(*x.shape[:-1], _GROUP, groups)
  scores, window = split(part.scores(target)), split(part.window)
  group_best = (scores + window[:, None]).max(axis=2)
  group_best += part.bias[None, :, None]
  group_best = lax.stop_gradient(group_best).reshape(len(target), -1)
  _, chosen = lax.top_k(group_best, k)
  time, group = (x[..., None] for x in jnp.divmod(chosen, groups))
  n = jnp.arange(len(target))[:, None, None]
  member = jnp.arange(_GROUP)
  candidates = (
      scores[n, time, member, group]
      + window[n, member, group]
      + part.bias[time]
  )
  row = part.first_row[time] + split(part.place)[member, group]
  best, chosen = lax.top_k(candidates.reshape(len(target), -1), k)
  row = jnp.take_along_axis(row.reshape(len(target), -1), chosen, axis=1)
  return best, row
