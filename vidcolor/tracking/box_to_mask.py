"""Turns a box around an object into its mask, by embeddings of one frame.

Nothing is trained for this. Cells outside the box are background. Each cell
inside repeatedly takes the mean label of its most similar cells. So cells that
look like the outside become background too. Where this vote is undecided,
GrabCut (Rother et al. 2004) finds the outline by color.

The module does not support clicks. With the same vote, the mean IoU was 0.67
for boxes, but only 0.54 for one click at the innermost point of the object, and
0.48 for three clicks anywhere on it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
from jaxtyping import Bool, UInt8
import numpy as np

from vidcolor import errors

# These values gave the best mean IoU on seven sequences of DAVIS 2016, measured
# by experiments/benchmarks/box_to_mask.py.
_MARGIN = 0.3  # Visible margin around the box, as a share of the box's size.
_MAX_CELLS = 2500  # Number of cells that vote.
_TEMPERATURE = 0.07  # Divides the score of two cells.
_DISTANCE = 0.3  # Scale of positions, in half boxes, in the score.
_NEIGHBOURS = 30  # Number of most similar cells that a cell copies from.
_KEEP = 0.05  # Weight of the object label of a cell in the box, in each round.
_ROUNDS = 20
_UNDECIDED = (0.4, 0.6)  # GrabCut decides where the vote is in this range.
# GrabCut takes less than half a second for this number of pixels.
_MAX_PIXELS = 30_000
# A box that covers the whole frame has no outside. Then the cells beyond this
# share of the box count as outside.
_RIM = 0.8
# Pieces smaller than this share of the largest piece are removed.
_SPECK = 0.1
# A smaller share of the box is no object. In DAVIS, objects fill at least a
# quarter of their boxes. Where less than this was found (in frames 120 pixels
# high), it was a detail and not the object.
_LEAST_SHARE = 0.05


def from_box(
    embed: Callable[[Any], Any],
    frame: UInt8[np.ndarray, 'height width 3'],
    box: Sequence[int | float] | np.ndarray,
) -> Bool[np.ndarray, 'height width']:
  """Returns the mask of the object in a box.

  Args:
    embed: A function from a frame to its embeddings [rows, columns, dim], such
      as `propagation.LabelPropagator.embed`.
    frame: An RGB frame.
    box: Corners x0, y0, x1, y1 in pixels. The part outside the frame is cut
      off.

  Returns:
    The mask, which is within the box and never empty. It is the whole box if
    less than a twentieth of the box differs from its surroundings, or if the
    box is smaller than a few cells of the embeddings.

  Raises:
    UserError: The box has no pixel in the frame.
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
  """Returns the indices of masks in order of area, the largest first.

  Masks drawn in this order keep small objects visible. For example, the box of
  a person contains the whole ball in front of the person.
  """
  areas = [np.count_nonzero(mask) for mask in masks]
  return np.argsort(areas, kind='stable')[::-1].tolist()


def _pixels(low, high, size):
  return max(0, int(np.floor(low))), min(size, int(np.ceil(high)))


def _around(low, high, size):
  margin = 4 + round(_MARGIN * (high - low))
  return range(max(0, low - margin), min(size, high + margin))


def _vote(embeddings, size, rows, columns, y, x) -> np.ndarray:
  """Returns the object's share, 0 to 1, in each cell of a grid: float32."""
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
  # -|a - b|^2 / 2 = a.b - |a|^2 / 2 - |b|^2 / 2. The softmax below cancels |a|.
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
  """Returns the object's pixels by vote, and by color where undecided."""
  scale = min(1, np.sqrt(_MAX_PIXELS / vote.size))
  height, width = (max(1, round(side * scale)) for side in vote.shape)
  small = cv2.resize(vote, (width, height))
  low, high = _UNDECIDED
  label = np.where(small > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
  label[small < low], label[small > high] = cv2.GC_BGD, cv2.GC_FGD
  picture = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)
  is_object = label % 2 == 1  # GC_FGD and GC_PR_FGD are the odd ones.
  if is_object.any() and not is_object.all():
    cv2.setRNGSeed(0)  # It clusters colors from a random start.
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
