"""The best matches within windows, by a kernel for TPUs.

`windowed.copy_windowed` defines the result. XLA computes it slowly on a TPU: it
writes all scores to memory, sorts them, and gathers from them. This kernel
keeps them on the chip, and replaces the sort by maxima and minima.

A tile is 8 x 16 targets, one in each of the 128 lanes. The kernel visits strips
of four rows of the references, as far as some target of the tile can see them.
It multiplies their embeddings by those of the targets, which gives scores
[positions, targets]. Each of the 8 sublanes of each lane keeps a sorted list of
its `top_k` best scores, and of their places. Scores are sorted by fours and
merged into these lists. In the end the lists of the 8 sublanes are merged.

The matrix units multiply bfloat16. A float32 number is the sum of three of
bfloat16: high, middle and low. Of their nine products, the six largest give
float32 precision. Two of them are computed at once, as the halves of one
product of twice the length. References are split as their rows come into sight,
and the chip holds only the rows that are in sight.
"""

import functools
import math
from typing import NamedTuple

import jax
from jax import lax
from jax import numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array, Bool, Float, Int

from vidcolor import windowed

_LANES, _SUBLANES = 128, 8
_TILE = 8, 16  # Rows and columns of a tile of targets.
_STRIP = 4  # Rows of a strip. Its columns are visited by eights.
_SORTED = 4  # Scores of a sublane that are sorted before they are merged.
# Longer lists would not fit in the registers.
_MOST_MATCHES = 16
# v5e and v6e have 128 MiB of memory on the chip, v5p and v7 64, v4 only 16.
_MAX_BYTES = 56 * 2**20
# Positions whose scores are computed at once. With more, the units idle less.
_POSITIONS_AT_ONCE = 1536


def can_copy(
    shape: tuple[int, ...],
    *,
    radius: int | float | None,
    unwindowed: int,
    top_k: int | None,
) -> bool:
  """Returns whether the kernel can do this copy.

  Args:
    shape: Shape of the reference embeddings, (..., time, height, width, dim).
    radius: As for `copying.copy`, as are the following ones.
    unwindowed: Number of frames without a window.
    top_k: Number of best matches.
  """
  if radius is None or top_k is None or unwindowed:
    return False
  *_, time, height, width, dim = shape
  plan = _plan(time, height, width, dim, radius)
  return top_k <= _MOST_MATCHES and plan.bytes <= _MAX_BYTES


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6, 7))
def copy_best(
    target: Float[Array, 'height width dim'],
    reference: Float[Array, 'time height width dim'],
    values: Float[Array, 'time height width channels'],
    valid: Bool[Array, ' time'],
    radius: int | float,
    square: bool,
    top_k: int,
    interpret: bool = False,
) -> Float[Array, 'height width channels']:
  """Copies from the best matches, for one clip: by the kernel on a TPU.

  Elsewhere, and for its gradient, it is `windowed.copy_windowed`. Of equal
  matches, the two may choose others.

  Args:
    target: Embeddings, divided by the temperature.
    reference: As for `windowed.copy_windowed`, as are the following ones.
    values: Values to copy.
    valid: Frames that take part.
    radius: Radius of the window.
    square: Whether the window is a square.
    top_k: Number of best matches.
    interpret: Whether the kernel is used anywhere, and interpreted.
  """
  # Mosaic does not take a batch of clips, which follow each other instead.
  by_kernel = jax.custom_batching.sequential_vmap(
      functools.partial(
          _copy, radius=radius, square=square, top_k=top_k, interpret=interpret
      )
  )
  arrays = target, reference, values, valid
  if interpret:
    return by_kernel(*arrays)
  definition = _definition(radius, square, top_k)
  return lax.platform_dependent(*arrays, tpu=by_kernel, default=definition)


def _definition(radius, square, top_k):
  return functools.partial(
      windowed.copy_windowed,
      radius=radius,
      square=square,
      unwindowed=0,
      top_k=top_k,
  )


def _forward(*arguments):
  return copy_best(*arguments), arguments[:4]


def _backward(radius, square, top_k, interpret, arrays, gradient):
  del interpret
  target, reference, values, valid = arrays
  definition = _definition(radius, square, top_k)
  copy = lambda target, reference, values: definition(
      target, reference, values, valid
  )
  return *jax.vjp(copy, target, reference, values)[1](gradient), None


copy_best.defvjp(_forward, _backward)


def _copy(
    target, reference, values, valid, *, radius, square, top_k, interpret
):
  """Copies the values of the matches that the kernel finds."""
  scores, row = best_matches(
      target,
      reference,
      valid,
      radius=radius,
      square=square,
      top_k=top_k,
      interpret=interpret,
  )
  values = values.reshape(-1, values.shape[-1])
  weights = jax.nn.softmax(scores, axis=1)[..., None]
  copied = jnp.sum(weights * values.at[row].get(mode='clip'), axis=1)
  height, width, _ = target.shape
  return _from_tiles(copied, height, width)


def best_matches(
    target: Float[Array, 'height width dim'],
    reference: Float[Array, 'time height width dim'],
    valid: Bool[Array, ' time'],
    *,
    radius: int | float,
    square: bool,
    top_k: int,
    interpret: bool = False,
) -> tuple[Float[Array, 'tiles {top_k} 128'], Int[Array, 'tiles {top_k} 128']]:
  """Returns the scores of the best matches, and their rows in the values.

  The targets are in tiles. Masked positions have a score of `windowed.MASKED`
  or less, and any row.

  Args:
    target: Embeddings, divided by the temperature.
    reference: Embeddings of the reference frames.
    valid: Frames that take part.
    radius: Radius of the window.
    square: Whether the window is a square.
    top_k: Number of best matches.
    interpret: Whether the kernel is interpreted, as on a CPU.
  """
  time, height, width, dim = reference.shape
  plan = _plan(time, height, width, dim, radius)
  fill = [(0, 0)] * 3 + [(0, plan.dim - dim)]
  reference = jnp.pad(reference.astype(jnp.float32), fill)
  target = jnp.pad(target.astype(jnp.float32), fill[1:])
  tiles = plan.tile_rows * plan.tile_columns
  tile_row = lambda i: jnp.maximum(i - plan.ahead, 0)
  # Before the first tile there are steps that only read references.
  tile = lambda i, j: jnp.maximum((i - plan.ahead) * plan.tile_columns + j, 0)
  found = pl.BlockSpec((1, top_k, _LANES), lambda i, j: (tile(i, j), 0, 0))
  scores, place = pl.pallas_call(
      functools.partial(_kernel, plan, radius**2, square, not interpret),
      grid=(plan.ahead + plan.tile_rows, plan.tile_columns),
      in_specs=[
          pl.BlockSpec(memory_space=pltpu.SMEM),
          pl.BlockSpec((*_TILE, plan.dim), lambda i, j: (tile_row(i), j, 0)),
          pl.BlockSpec(
              (time, _TILE[0], width, plan.dim),
              lambda i, j: (0, jnp.minimum(i, plan.tile_rows - 1), 0, 0),
          ),
      ],
      out_specs=[found, found],
      out_shape=[
          jax.ShapeDtypeStruct((tiles, top_k, _LANES), dtype)
          for dtype in (jnp.float32, jnp.int32)
      ],
      scratch_shapes=[
          pltpu.VMEM((3, 2 * plan.dim, _LANES), jnp.bfloat16),
          pltpu.VMEM(plan.held, jnp.uint32),
          pltpu.VMEM((2, plan.positions, _LANES), jnp.float32),
          pltpu.VMEM((plan.together * plan.positions, _LANES), jnp.float32),
      ],
      compiler_params=pltpu.CompilerParams(
          vmem_limit_bytes=plan.bytes + 8 * 2**20
      ),
      interpret=interpret,
      name='best_matches',
  )((~valid).astype(jnp.int32), target, reference)
  return scores, _rows_of_values(place, plan)


class _Plan(NamedTuple):
  """How a frame is divided.

  Attributes:
    time: Number of reference frames.
    height: Rows of a frame.
    width: Columns of a frame.
    dim: Length of the padded embeddings.
    reach: Rows or columns that a target sees to each side.
    tile_rows: Rows of tiles.
    tile_columns: Columns of tiles.
    seen: Strips that a tile sees, if it is far from the borders.
    columns: Columns that a tile sees, a multiple of 8.
    padded_width: Columns of references that the chip holds.
    strips: Number of strips.
    ahead: Rows of tiles by which the reading of references is ahead.
    held: Shape of the references that the chip holds, [strips, time, pairs of
      rows, columns, factors].
    together: Number of frames whose scores are computed at once.
  """

  time: int
  height: int
  width: int
  dim: int
  reach: int
  tile_rows: int
  tile_columns: int
  seen: int
  columns: int
  padded_width: int
  strips: int
  ahead: int
  held: tuple[int, ...]
  together: int

  @property
  def border_y(self):
    """Rows of the first strip that are before the frame, an even number."""
    return _up(self.reach, 2) % _STRIP

  @property
  def border_x(self):
    """Columns before the frame, so that windows start at multiples of 8."""
    return self.reach % _SUBLANES

  @property
  def positions(self):
    """Positions of a frame in the part of a strip that a tile sees."""
    return _STRIP * self.columns

  @property
  def bytes(self):
    """Memory on the chip for references and scores."""
    lanes = _up(self.dim, _LANES)
    read = 2 * self.time * _TILE[0] * _up(self.width, _SUBLANES) * lanes
    scores = (2 * self.together + 2) * self.positions * _LANES
    return 4 * (math.prod(self.held) + read + scores)

  def first_strip(self, tile_row):
    """Returns the first strip that a tile sees. It may be before the frame."""
    return _TILE[0] // _STRIP * tile_row - _up(self.reach, 2) // _STRIP

  def first_column(self, tile_column):
    """Returns the first of `columns` columns, with all that a tile sees."""
    first = _TILE[1] * tile_column - (self.reach - self.border_x)
    return jnp.clip(first, 0, self.padded_width - self.columns)


def _plan(time, height, width, dim, radius):
  reach = min(int(radius), max(height, width))
  even = _up(reach, 2)
  ahead = (_TILE[0] - 1 + reach) // _TILE[0]
  tile_rows = pl.cdiv(height, _TILE[0])
  seen = pl.cdiv(_TILE[0] + 2 * even, _STRIP)
  strips = pl.cdiv(even % _STRIP + tile_rows * _TILE[0], _STRIP)
  padded_width = _up(reach % _SUBLANES + width, _SUBLANES)
  columns = min(_up(_TILE[1] + 2 * reach, _SUBLANES), padded_width)
  dim = _up(dim, _LANES // 2)
  in_sight = pl.cdiv(even + (ahead + 1) * _TILE[0], _STRIP) + 1
  return _Plan(
      time=time,
      height=height,
      width=width,
      dim=dim,
      reach=reach,
      tile_rows=tile_rows,
      tile_columns=pl.cdiv(width, _TILE[1]),
      seen=seen,
      columns=columns,
      padded_width=padded_width,
      strips=strips,
      ahead=ahead,
      held=(min(in_sight, strips), time, _STRIP // 2, padded_width, 4 * dim),
      together=_frames_at_once(time, _STRIP * columns),
  )


def _up(size, multiple):
  return pl.cdiv(size, multiple) * multiple


def _frames_at_once(time, positions):
  """Returns a divisor of the number of frames."""
  fits = lambda count: count * positions <= _POSITIONS_AT_ONCE
  counts = [count for count in range(1, time + 1) if time % count == 0]
  return max(filter(fits, counts), default=1)


def _rows_of_values(place, plan):
  """Returns the rows of values at places, which count what a tile visits."""
  shape = plan.strips, plan.time, _STRIP // 2, plan.columns, 2
  strip, frame, pair, x, odd = jnp.unravel_index(place, shape)
  first = plan.first_column(jnp.arange(len(place)) % plan.tile_columns)
  x += first[:, None, None] - plan.border_x
  y = _STRIP * strip + 2 * pair + odd - plan.border_y
  return (frame * plan.height + y) * plan.width + x


def _from_tiles(array, height, width):
  """Orders the targets of tiles, [tiles, targets, channels], by the frame."""
  tile_rows, tile_columns = pl.cdiv(height, _TILE[0]), pl.cdiv(width, _TILE[1])
  array = array.reshape(tile_rows, tile_columns, *_TILE, -1).swapaxes(1, 2)
  array = array.reshape(tile_rows * _TILE[0], tile_columns * _TILE[1], -1)
  return array[:height, :width]


def _kernel(
    plan,
    limit,
    square,
    unroll,
    excluded_ref,
    target_ref,
    reference_ref,
    scores_out_ref,
    place_out_ref,
    right_ref,
    left_ref,
    mask_ref,
    scores_ref,
):
  """Reads eight rows of the references, and finds the matches of a tile.

  Args:
    plan: How the frame is divided.
    limit: Square of the radius.
    square: Whether the window is a square.
    unroll: Whether the innermost loop is unrolled. Its parts then overlap.
    excluded_ref: 1 for each frame that does not take part, else 0, [time].
    target_ref: Embeddings of the tile, [rows, columns, dim].
    reference_ref: Embeddings of the rows, [time, rows, columns, dim].
    scores_out_ref: Scores of the best matches, [1, top_k, targets].
    place_out_ref: Places of the best matches; see `_rows_of_values`.
    right_ref: Factors of the tile, [products, factors, targets].
    left_ref: Factors of the references that are in sight; see `_Plan.held`. The
      number of a strip is modulo the number of strips that are held.
    mask_ref: What is added to the scores of a strip, [2, positions, targets],
      for frames that take part and for others.
    scores_ref: Scores of some frames, [positions, targets].
  """
  step, tile_column = pl.program_id(0), pl.program_id(1)
  is_first_column = tile_column == 0

  @pl.when((step == 0) & is_first_column)
  def _():
    nothing = jnp.zeros(plan.held[1:], jnp.uint32)

    def clear(strip, _):
      left_ref[strip] = nothing
      return _

    lax.fori_loop(0, plan.held[0], clear, 0)
    mask_ref[1] = jnp.full_like(mask_ref[1], windowed.MASKED)

  @pl.when((step < plan.tile_rows) & is_first_column)
  def _():
    _read(plan, step, reference_ref, left_ref)

  @pl.when(step >= plan.ahead)
  def _():
    _write_right(target_ref, right_ref)
    tile = step - plan.ahead, tile_column
    best = _search(
        plan,
        limit,
        square,
        unroll,
        tile,
        scores_out_ref.shape[1],
        excluded_ref,
        right_ref,
        left_ref,
        mask_ref,
        scores_ref,
    )
    for i, (score, place) in enumerate(_merge_sublanes(best)):
      scores_out_ref[0, pl.ds(i, 1)] = score[:1]
      place_out_ref[0, pl.ds(i, 1)] = place[:1]


def _parts(array):
  """Splits float32 into three of float32 that are exact in bfloat16."""
  parts = []
  for _ in range(3):
    bits = pltpu.bitcast(array, jnp.uint32) & jnp.uint32(0xFFFF0000)
    parts.append(pltpu.bitcast(bits, jnp.float32))
    array = array - parts[-1]
  return parts


def _write_right(target_ref, right_ref):
  """Writes the factors of the targets for each of three products."""
  high, middle, low = _parts(target_ref[...].reshape(_LANES, -1))
  for i, halves in enumerate(((high, high), (middle, middle), (high, low))):
    factors = jnp.concatenate(halves, axis=-1)
    right_ref[i] = factors.T.astype(jnp.bfloat16)


def _read(plan, step, reference_ref, left_ref):
  """Writes the factors of eight rows: high, middle, low, high.

  The first two are those of the first and of the second product, and the last
  two are those of the third. A word has the bfloat16 of an even row in its low
  half, and of the next row in its high half.
  """

  def read_frame(frame, _):
    for pair in range(_TILE[0] // 2):
      bits = []
      for row in (2 * pair, 2 * pair + 1):
        array = reference_ref[frame, row]
        inside = _TILE[0] * step + row < plan.height
        high, middle, low = _parts(jnp.where(inside, array, 0.0))
        factors = jnp.concatenate([high, middle, low, high], axis=-1)
        bits.append(pltpu.bitcast(factors, jnp.uint32))
      strip, place = divmod(pair + plan.border_y // 2, _STRIP // 2)
      strip = lax.rem(_TILE[0] // _STRIP * step + strip, plan.held[0])
      columns = pl.ds(plan.border_x, plan.width)
      left_ref[strip, frame, place, columns] = (bits[0] >> 16) | bits[1]
    return _

  lax.fori_loop(0, plan.time, read_frame, 0)


def _search(
    plan,
    limit,
    square,
    unroll,
    tile,
    top_k,
    excluded_ref,
    right_ref,
    left_ref,
    mask_ref,
    scores_ref,
):
  """Returns the best matches of the targets in each sublane."""
  first_column = pl.multiple_of(plan.first_column(tile[1]), _SUBLANES)
  columns = pl.ds(first_column, plan.columns)
  distance_x = _squared_distances(plan, tile, 0, first_column)[1]
  groups = plan.time // plan.together

  def visit_strip(strip, best):
    distance_y = _squared_distances(plan, tile, strip, first_column)[0]
    combine = jnp.maximum if square else jnp.add
    seen = combine(distance_x, distance_y) <= limit
    mask_ref[0] = jnp.where(seen, 0.0, windowed.MASKED)

    def visit_frames(group, best):
      frames = pl.ds(group * plan.together, plan.together)
      held = lax.rem(strip, plan.held[0])
      scores = _scores(left_ref.at[held, frames, :, columns], right_ref)
      for i in range(plan.together):
        part = slice(i * plan.positions, (i + 1) * plan.positions)
        mask = mask_ref[excluded_ref[group * plan.together + i]]
        scores_ref[part] = scores[part] + mask
      place = (strip * groups + group) * (len(scores) // _SUBLANES)
      return _add_scores(best, scores_ref, place, unroll)

    return lax.fori_loop(0, groups, visit_frames, best)

  nothing = (
      jnp.full((_SUBLANES, _LANES), windowed.MASKED),
      jnp.zeros((_SUBLANES, _LANES), jnp.int32),
  )
  first = plan.first_strip(tile[0])
  return lax.fori_loop(
      jnp.maximum(first, 0),
      jnp.minimum(first + plan.seen, plan.strips),
      visit_strip,
      [nothing] * top_k,
  )


def _squared_distances(plan, tile, strip, first_column):
  """Returns squared distances in y and x, [positions, targets].

  They are infinite for positions outside of the frame.
  """
  shape = _STRIP // 2, 2 * plan.columns, _LANES
  pair, place, lane = (
      lax.broadcasted_iota(jnp.int32, shape, i) for i in range(3)
  )

  def squared(position, target, size):
    distance = (position - target).astype(jnp.float32)
    inside = (position >= 0) & (position < size)
    return jnp.where(inside, distance * distance, jnp.inf).reshape(-1, _LANES)

  y = _STRIP * strip + 2 * pair + (place & 1) - plan.border_y
  x = first_column + (place >> 1) - plan.border_x
  target_y = _TILE[0] * tile[0] + lax.div(lane, _TILE[1])
  target_x = _TILE[1] * tile[1] + lax.rem(lane, _TILE[1])
  return squared(y, target_y, plan.height), squared(x, target_x, plan.width)


def _scores(left_ref, right_ref):
  """Returns scores [positions, targets], without the mask."""
  _, length, _ = right_ref.shape
  products = []
  for i, start in enumerate((0, 0, length)):  # See `_read`.
    words = left_ref[..., start : start + length].reshape(-1, length)
    products.append(
        jnp.dot(
            pltpu.bitcast(words, jnp.bfloat16),
            right_ref[i],
            preferred_element_type=jnp.float32,
        )
    )
  return products[0] + products[1] + products[2]


def _add_scores(best, scores_ref, place, unroll):
  """Adds scores to the lists of the best. The first is at `place`."""

  def add(batch, best, size=_SORTED):
    start = batch * _SORTED
    new = [
        (
            scores_ref[pl.ds((start + i) * _SUBLANES, _SUBLANES)],
            jnp.full((_SUBLANES, _LANES), place + start + i, jnp.int32),
        )
        for i in range(size)
    ]
    return _merge(best, _sort(new))

  batches, rest = divmod(scores_ref.shape[0] // _SUBLANES, _SORTED)
  best = lax.fori_loop(0, batches, add, best, unroll=unroll)
  return add(batches, best, rest) if rest else best


def _merge_sublanes(best):
  """Merges the lists of all sublanes, so that each has the same list.

  Places then count positions, not groups of one position in each sublane.
  """
  sublane = lax.broadcasted_iota(jnp.int32, (_SUBLANES, _LANES), 0)
  best = [(score, place * _SUBLANES + sublane) for score, place in best]
  for shift in (4, 2, 1):
    other = [tuple(pltpu.roll(x, shift, 0) for x in item) for item in best]
    best = _merge(best, other)
  return best


def _merge(best, new):
  """Returns the best of two sorted lists of (scores, places), sorted.

  It is as long as the first list, which is not shorter than the second.
  """
  best, last = list(best), len(best) - 1
  for i, item in enumerate(new[: len(best)]):
    best[last - i] = _exchange(best[last - i], item)[0]
  # The list now falls, then rises. Such a list is sorted by exchanges at half
  # its length, a quarter, and so on, if its length is a power of two. None
  # stands for a score above all others.
  missing = (1 << last.bit_length()) - len(best)
  best += [None] * missing
  distance = len(best) // 2
  while distance:
    for i in range(len(best)):
      if not i & distance:
        pair = _exchange(best[i], best[i + distance])
        best[i], best[i + distance] = pair
    distance //= 2
  return best[missing:]


def _sort(items):
  """Sorts up to four items."""
  items = list(items)
  for i, j in (0, 1), (2, 3), (0, 2), (1, 3), (1, 2):
    if j < len(items):
      items[i], items[j] = _exchange(items[i], items[j])
  return items


def _exchange(first, second):
  """Returns two items so that the better score comes first, in each lane."""
  if first is None or second is None:
    return (first, second) if first is None else (second, first)
  (score_1, place_1), (score_2, place_2) = first, second
  is_better = score_1 >= score_2
  return (
      (jnp.maximum(score_1, score_2), jnp.where(is_better, place_1, place_2)),
      (jnp.minimum(score_1, score_2), jnp.where(is_better, place_2, place_1)),
  )
