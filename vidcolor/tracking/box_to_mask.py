"""A box around an object becomes its mask, by the embeddings of one frame.

Nothing is trained. What is outside the box is background; each cell inside
takes, again and again, the mean of the labels of its most similar cells, so
that what looks like the outside becomes background too. Where that vote is
undecided, GrabCut (Rother et al. 2004) draws the outline by colours.

There is nothing here for clicks: by the same vote one click at the innermost
point of the object gave a mean IoU of .54, three anywhere on it .48, with boxes
.67.
"""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
from jaxtyping import Bool, UInt8
import numpy as np

from vidcolor import errors

# Chosen by the mean IoU of seven sequences of DAVIS 2016, as
# experiments/benchmarks/regions.py measures it: how much of the box's size is
# seen around it, the cells that vote, how alike they are (similarity over
# temperature, less the distance in half boxes), how many a cell listens to,
# how much it keeps of being inside, and the votes that are left to colours.
_MARGIN = 0.3
_MAX_CELLS = 2500
_TEMPERATURE = 0.07
_DISTANCE = 0.3
_NEIGHBOURS = 30
_KEEP = 0.05
_ROUNDS = 20
_UNDECIDED = (0.4, 0.6)
# Pixels that GrabCut sees, which take it less than half a second.
_MAX_PIXELS = 30_000
# A box of the whole frame has no outside; what is beyond this share of it, its
# rim, stands in.
_RIM = 0.8
# Pieces smaller than this share of the largest are specks.
_SPECK = 0.1
# Of a box. In DAVIS objects fill at least a quarter of theirs; where less than
# this was found (in frames 120 pixels high), it was a stray detail.
_LEAST_SHARE = 0.05


def from_box(
    embed: Callable[[Any], Any],
    frame: UInt8[np.ndarray, 'height width 3'],
    box: Sequence[int | float] | np.ndarray,
) -> Bool[np.ndarray, 'height width']:
  """The mask of the object in a box.

  Args:
    embed: From a frame to embeddings [rows, columns, dim], such as
      `propagation.Tracker.embed`.
    frame: RGB.
    box: x0, y0, x1, y1 in pixels; what of it is outside the frame is cut off.

  Returns:
    Where the object is, all within the box and never empty: the box itself
    where less than a twentieth of it differs from its surroundings, or it is
    smaller than a few cells of the embeddings.

  Raises:
    UserError: the box has no pixel in the frame.
  """
  height, width, _ = frame.shape
  x0, x1 = _pixels(box[0], box[2], width)
  y0, y1 = _pixels(box[1], box[3], height)
  if x0 >= x1 or y0 >= y1:
    numbers = ','.join(f'{number:g}' for number in box)
    raise errors.UserError(
        f'the box {numbers} has no pixel in the frame of {width}x{height}: give'
        ' x0,y0,x1,y1 with x0 < x1 and y0 < y1'
    )
  columns, rows = _around(x0, x1, width), _around(y0, y1, height)
  embeddings = np.asarray(embed(frame), np.float32)
  crop = frame[rows.start : rows.stop, columns.start : columns.stop]
  y = (np.asarray(rows) + 0.5 - (y0 + y1) / 2) / ((y1 - y0) / 2)
  x = (np.asarray(columns) + 0.5 - (x0 + x1) / 2) / ((x1 - x0) / 2)
  vote = _vote(embeddings, (height, width), rows, columns, y, x)
  inside = (np.abs(y) < 1)[:, None] & (np.abs(x) < 1)
  vote = cv2.resize(vote, inside.shape[::-1])
  object_ = _without_specks(_outline(crop, np.where(inside, vote, 0)) & inside)
  mask = np.zeros((height, width), bool)
  is_found = object_.sum() >= _LEAST_SHARE * inside.sum()
  mask[rows.start : rows.stop, columns.start : columns.stop] = (
      object_ if is_found else inside
  )
  return mask


def largest_first(masks: Sequence[Bool[np.ndarray, '_ _']]) -> list[int]:
  """Indices by area: of two that overlap, the smaller one comes to lie on top.

  A ball before a person is all within the person's box.
  """
  areas = [np.count_nonzero(mask) for mask in masks]
  return np.argsort(areas, kind='stable')[::-1].tolist()


def _pixels(low, high, size):
  return max(0, int(np.floor(low))), min(size, int(np.ceil(high)))


def _around(low, high, size):
  margin = 4 + round(_MARGIN * (high - low))
  return range(max(0, low - margin), min(size, high + margin))


def _vote(embeddings, size, rows, columns, y, x) -> np.ndarray:
  """How much of the object is in each of a grid of cells: 0 to 1, float32."""
  in_cells = [
      len(pixels) * cells / side
      for pixels, cells, side in zip(
          (rows, columns), embeddings.shape, size, strict=False
      )
  ]
  scale = min(1, np.sqrt(_MAX_CELLS / np.prod(in_cells)))
  pick = lambda pixels, count: (
      (np.arange(count) + 0.5) / count * len(pixels)
  ).astype(int)
  at_y, at_x = (
      pick(pixels, max(1, round(count * scale)))
      for pixels, count in zip((rows, columns), in_cells, strict=True)
  )
  shape = len(at_y), len(at_x)
  cell_y = np.asarray(rows)[at_y] * embeddings.shape[0] // size[0]
  cell_x = np.asarray(columns)[at_x] * embeddings.shape[1] // size[1]
  keys = embeddings[cell_y][:, cell_x].reshape(shape[0] * shape[1], -1)
  keys /= np.maximum(np.linalg.norm(keys, axis=1, keepdims=True), 1e-12)
  place = np.stack(np.meshgrid(x[at_x], y[at_y]), axis=-1).reshape(-1, 2)
  reach: np.ndarray = np.maximum(*np.abs(place).T)
  inside = reach < 1
  if inside.all():
    inside = reach < _RIM
  # -|a - b|^2 / 2 = a.b - |a|^2 / 2 - |b|^2 / 2, of which |a| cancels below.
  place = (_DISTANCE * place).astype(np.float32)
  scores = keys @ keys.T + place @ place.T - (place**2).sum(axis=1)[None] / 2
  np.fill_diagonal(scores, -np.inf)
  count = min(_NEIGHBOURS, len(keys) - 1)
  if count < 1:
    return np.ones(shape, np.float32)
  best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
  scores = np.take_along_axis(scores, best, axis=1)
  affinity = np.exp((scores - scores.max(1, keepdims=True)) / _TEMPERATURE)
  affinity /= affinity.sum(axis=1, keepdims=True)
  label: np.ndarray = inside.astype(np.float32)
  for _ in range(_ROUNDS):
    copied = (affinity * label[best]).sum(axis=1)
    label = np.where(inside, (1 - _KEEP) * copied + _KEEP, 0)
  return label.reshape(shape).astype(np.float32)


def _outline(crop, vote):
  """Which pixels are the object's: the vote, and colours where it wavers."""
  scale = min(1, np.sqrt(_MAX_PIXELS / vote.size))
  height, width = (max(1, round(side * scale)) for side in vote.shape)
  small = cv2.resize(vote, (width, height))
  low, high = _UNDECIDED
  label = np.where(small > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
  label[small < low], label[small > high] = cv2.GC_BGD, cv2.GC_FGD
  picture = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)
  is_object = label % 2 == 1  # GC_FGD and GC_PR_FGD are the odd ones.
  if is_object.any() and not is_object.all():
    cv2.setRNGSeed(0)  # It clusters colours from a random start.
    models = np.zeros((1, 65)), np.zeros((1, 65))
    no_box = (0, 0, 1, 1)
    cv2.grabCut(picture, label, no_box, *models, 2, cv2.GC_INIT_WITH_MASK)
  outline = cv2.resize((label % 2).astype(np.float32), vote.shape[::-1])
  return outline > 0.5


def _without_specks(mask):
  _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8))
  area = stats[:, cv2.CC_STAT_AREA]
  large = area >= _SPECK * area[1:].max(initial=0)
  large[0] = False
  return large[pieces]
