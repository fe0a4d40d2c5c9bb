"""Turns a box around an object, or clicks, into its mask, by embeddings.

Nothing is trained for this. Cells outside the box are background. Each cell
inside repeatedly takes the mean label of its most similar cells. So cells that
look like the outside become background too. Then each pixel takes the side that
the vote, its color and its neighbors together make likelier.

Clicks are on the object or beside it. A cell is likelier a part of the object
if it is near a click on it, looks like the cells of such clicks and unlike
those of the others, and is in the mask that the clicks correct. The outline
then follows as for boxes. In 32 frames of DAVIS 2016 training, two clicks on
the object and one beside it raise the mean IoU of masks of an earlier frame
from 0.43 to 0.69. Without a mask before, they reach 0.64, and one click 0.45.
"""

from collections.abc import Callable, Sequence
import itertools
from typing import Any, NamedTuple
import warnings

import cv2
from jaxtyping import Bool, Float, UInt8
import numpy as np
from scipy import ndimage

from vidcolor import errors

# These values were chosen by mean IoU on sequences of DAVIS 2016, measured by
# experiments/benchmarks/box_to_mask.py.
_MARGIN = 0.3  # Visible margin around the box, as a share of the box's size.
_MAX_CELLS = 2500  # Number of cells that vote.
_TEMPERATURE = 0.07  # Divides the score of two cells.
_DISTANCE = 0.3  # Scale of positions, in half boxes, in the score.
_VOTE_COLOR = (0.01, 0.02, 0.02)  # Scale of Lab colors in the score.
_SIMILAR = 60  # Number of most similar cells that a cell copies from.
# The first label of a cell in the box is the logistic function of this times
# its distance, in half boxes, from the ellipse in the box.
_CENTER = 4
_KEEP = 0.03  # Weight of the first label of a cell in the box, in each round.
_ROUNDS = 30
# The outline is found in pictures of this number of pixels, in 0.2 seconds.
_MAX_PIXELS = 10_000
_OBJECT = 0.9  # Added to the log odds of the vote, which favors the outside.
_COLOR = 0.5  # Weight of colors, relative to the vote.
_COLOR_ROUNDS = 3  # Number of times that the colors of both sides are measured.
_BIN = (4, 7, 7)  # Size of the bins of the colors' histograms, in Lab units.
_RARE = 3e-5  # Added to densities, so that rare colors say little.
_NEIGHBOR = 0.15  # Weight of a neighbor at distance 1 of the same color.
_NEIGHBOR_ROUNDS = 8
_REACH = 2  # Largest distance of a neighbor, in rows and columns.
_CONTRAST = 8  # Scale of differences of neighbors' colors, in Lab units.
# A box that covers the whole frame has no outside. Then the cells beyond this
# share of the box count as outside.
_RIM = 0.8
# The score of a cell by clicks: log odds of the object. The weights were fitted
# to cells of 16 sequences of DAVIS 2016 training, with two clicks on the object
# and one beside it; `_UNLIKE` was chosen for one click.
_CLICKED = 2.35
_UNLIKE_ON = 2.2  # Of the squared distance of embeddings to clicks on it.
_UNLIKE_BESIDE = 1.2  # Of that to clicks beside it.
_UNLIKE = 2.1  # The squared distance if there are no such clicks.
_AWAY = 4.8  # Of the distance to clicks on it, in sizes of the object.
# The size is the root of the area, in half short sides of the frame: at least
# the first number; and the second if there is no mask that is corrected.
_SIZES = 0.08, 0.66
_BEFORE = 2.6  # Of the mask that is corrected.
_NEW = 0.65  # If there is no such mask.
_DOT = 0.01  # Radius around a click, as a share of the frame's shorter side.
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
    box is smaller than a few cells of the embeddings. A warning says so.

  Raises:
    UserError: The box has no pixel in the frame.
  """
  height, width, _ = frame.shape
  x0, x1 = _pixels(box[0], box[2], width)
  y0, y1 = _pixels(box[1], box[3], height)
  numbers = ','.join(f'{number:g}' for number in box)
  if x0 >= x1 or y0 >= y1:
    raise errors.UserError(
        f'the box {numbers} has no pixel in the frame of {width}x{height}: give'
        ' x0,y0,x1,y1 with x0 < x1 and y0 < y1'
    )
  columns, rows = _around(x0, x1, width), _around(y0, y1, height)
  embeddings = np.asarray(embed(frame), np.float32)
  crop = frame[rows.start : rows.stop, columns.start : columns.stop]
  y = (np.asarray(rows) + 0.5 - (y0 + y1) / 2) / ((y1 - y0) / 2)
  x = (np.asarray(columns) + 0.5 - (x0 + x1) / 2) / ((x1 - x0) / 2)
  vote = _vote(embeddings, crop, (height, width), rows, columns, y, x)
  inside = (np.abs(y) < 1)[:, None] & (np.abs(x) < 1)
  vote = cv2.resize(vote, inside.shape[::-1])
  object_ = _without_specks(_outline(crop, vote, inside))
  mask = np.zeros((height, width), bool)
  is_found = object_.sum() >= _LEAST_SHARE * inside.sum()
  mask[rows.start : rows.stop, columns.start : columns.stop] = (
      object_ if is_found else inside
  )
  if is_whole(mask, box):
    warnings.warn(
        f'the box {numbers} was taken whole: no outline was found in it. Unless'
        ' the object fills it, give a mask, or a box in another frame',
        stacklevel=2,
    )
  return mask


def from_clicks(
    embed: Callable[[Any], Any],
    frame: UInt8[np.ndarray, 'height width 3'],
    clicks: Float[np.ndarray, 'clicks 3'],
    before: Bool[np.ndarray, 'height width'] | None = None,
) -> Bool[np.ndarray, 'height width']:
  """Returns the mask of the object that clicks are on and beside.

  Args:
    embed: As in `from_box`.
    frame: An RGB frame.
    clicks: (x, y, 1) in pixels on the object, (x, y, 0) beside it.
    before: The mask that the clicks correct. Default: none. If all clicks are
      beside the object, its middle counts as one on it.

  Returns:
    The mask. It has pixels around the clicks on the object, and none around
    those beside it.
  """
  height, width, _ = frame.shape
  if before is not None and not before.any():
    before = None
  if before is not None and not clicks[:, 2].any():
    clicks = _with_middle(clicks, before)
  embeddings = np.asarray(embed(frame), np.float32)
  share = _share_of_clicks(embeddings, frame, clicks, before)
  rough = _with_clicks(share > 0.5, clicks, before)
  if not rough.any():
    return rough
  x0, y0, columns, rows = cv2.boundingRect(rough.view(np.uint8))
  rows = _around(y0, y0 + rows, height)
  columns = _around(x0, x0 + columns, width)
  part = np.s_[rows.start : rows.stop, columns.start : columns.stop]
  mask = np.zeros((height, width), bool)
  mask[part] = _outline(
      frame[part], share[part], np.ones((len(rows), len(columns)), bool), 0
  )
  return _with_clicks(mask, clicks, before)


def is_whole(
    mask: Bool[np.ndarray, 'height width'],
    box: Sequence[int | float] | np.ndarray,
) -> bool:
  """Returns whether the mask that `from_box` found is the whole box.

  Args:
    mask: The mask.
    box: As in `from_box`.
  """
  height, width = mask.shape
  x0, x1 = _pixels(box[0], box[2], width)
  y0, y1 = _pixels(box[1], box[3], height)
  return bool(mask[y0:y1, x0:x1].all())


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


def _vote(embeddings, crop, size, rows, columns, y, x) -> np.ndarray:
  """Returns the object's share, 0 to 1, in each cell of a grid: float32."""
  cells = _make_cells(embeddings, crop, size, rows, columns, y, x)
  prior = _sigmoid(_CENTER * (1 - np.linalg.norm(cells.place, axis=1)))
  reach: np.ndarray = np.maximum(*np.abs(cells.place).T)
  inside = reach < 1
  if inside.all():
    inside = reach < _RIM
  label: np.ndarray = inside * prior
  for copied in cells.spread(label):
    label[:] = np.where(inside, (1 - _KEEP) * copied + _KEEP * prior, 0)
  return label.reshape(cells.shape).astype(np.float32)


class _Cells(NamedTuple):
  """Cells of a grid over a part of the frame.

  Attributes:
    shape: Rows and columns of the grid.
    place: Position (x, y) of each cell.
    keys: Embedding, color and position of each cell, in one vector.
  """

  shape: tuple[int, int]
  place: np.ndarray
  keys: np.ndarray

  def spread(self, label):
    """Yields the mean label of the most similar cells, several times."""
    # The score is -|a - b|^2 / 2 = a.b - |a|^2 / 2 - |b|^2 / 2. The softmax
    # below cancels |a|.
    keys = self.keys
    scores = keys @ keys.T - (keys**2).sum(axis=1)[None] / 2
    np.fill_diagonal(scores, -np.inf)
    count = min(_SIMILAR, len(keys) - 1)
    if count < 1:
      label[:] = 1
      return
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    scores = np.take_along_axis(scores, best, axis=1)
    affinity = np.exp((scores - scores.max(1, keepdims=True)) / _TEMPERATURE)
    affinity /= affinity.sum(axis=1, keepdims=True)
    for _ in range(_ROUNDS):
      yield (affinity * label[best]).sum(axis=1)


def _make_cells(embeddings, crop, size, rows, columns, y, x) -> _Cells:
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
  small = cv2.resize(crop, shape[::-1], interpolation=cv2.INTER_AREA)
  lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
  keys = np.hstack([keys, lab.reshape(-1, 3) * _VOTE_COLOR])
  place = np.stack(np.meshgrid(x[at_x], y[at_y]), axis=-1).reshape(-1, 2)
  keys = np.hstack([keys, _DISTANCE * place]).astype(np.float32)
  return _Cells(shape, place, keys)


def _outline(crop, vote, inside, favor=_OBJECT):
  """Returns the object's pixels: the vote, corrected by color and neighbors.

  This is GrabCut (Rother et al. 2004) with two changes. The vote stays a part
  of each pixel's score, instead of fixing some pixels and freeing the others:
  colors alone lead away from the object. And the mean-field approximation of
  Krähenbühl and Koltun (2011) replaces the cut, which takes fixed pixels only.
  """
  scale = min(1, np.sqrt(_MAX_PIXELS / vote.size))
  size = tuple(max(1, round(side * scale)) for side in vote.shape[::-1])
  resize = lambda picture: cv2.resize(
      picture.astype(np.float32), size, interpolation=cv2.INTER_AREA
  )
  lab = cv2.cvtColor(resize(crop) / 255, cv2.COLOR_RGB2Lab)
  given, is_free = resize(vote), resize(inside) > 0.5
  share = np.where(is_free, given, 0)
  prior = favor + np.log((given + 0.01) / (1.01 - given))
  neighbors = _neighbors(lab)
  for _ in range(_COLOR_ROUNDS):
    score = prior + _COLOR * _color_score(lab, share)
    share = _sigmoid(score) * is_free
    for _ in range(_NEIGHBOR_ROUNDS):
      votes = sum(
          weight * (2 * np.roll(share, shift, (0, 1)) - 1)
          for shift, weight in neighbors
      )
      share = _sigmoid(score + _NEIGHBOR * votes) * is_free
  return (cv2.resize(share, vote.shape[::-1]) > 0.5) & inside


def _with_middle(clicks, mask):
  """Adds a click on the mask, far from its edge and from the other clicks."""
  inside = np.pad(mask, 1).astype(np.uint8)
  x, y = clicks[:, :2].round().astype(int).T + 1
  inside[y, x] = 0
  depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
  if not depth.any():
    return clicks
  y, x = np.unravel_index(depth.argmax(), depth.shape)
  return np.vstack([clicks, np.array([x, y, 1], clicks.dtype)])


def _share_of_clicks(embeddings, frame, clicks, before):
  """Returns the object's share, 0 to 1, at each pixel of the frame."""
  height, width, _ = frame.shape
  # The unit of distance is half of the shorter side.
  unit = min(height, width) / 2
  y, x = (np.arange(side) / unit for side in (height, width))
  cells = _make_cells(
      embeddings, frame, (height, width), range(height), range(width), y, x
  )
  rows, columns = cells.shape
  at_x = (clicks[:, 0] * columns // width).clip(0, columns - 1).astype(int)
  at_y = (clicks[:, 1] * rows // height).clip(0, rows - 1).astype(int)
  clicked, is_on = at_y * columns + at_x, clicks[:, 2] == 1
  appearance = cells.keys[:, : embeddings.shape[-1]]
  size = _SIZES[1]
  if before is not None:
    size = max(_SIZES[0], np.sqrt(before.sum()) / unit)
  score = (
      _CLICKED
      - _UNLIKE_ON * _nearest(appearance, clicked[is_on])
      + _UNLIKE_BESIDE * _nearest(appearance, clicked[~is_on])
      - _AWAY / size * np.sqrt(_nearest(cells.place, clicked[is_on]))
  )
  if before is None:
    score += _NEW
  else:
    shrunk = cv2.resize(
        before.astype(np.float32),
        cells.shape[::-1],
        interpolation=cv2.INTER_AREA,
    )
    score += _BEFORE * shrunk.ravel()
  label = _sigmoid(score)
  share = label.reshape(cells.shape).astype(np.float32)
  return cv2.resize(share, (width, height))


def _nearest(vectors, chosen):
  """Returns the squared distance of each vector to the nearest chosen one."""
  if not len(chosen):
    return _UNLIKE
  return np.min(
      [((vectors - vectors[n]) ** 2).sum(axis=1) for n in chosen], axis=0
  )


def _with_clicks(mask, clicks, before):
  """Returns the pieces of a mask that clicks or the mask before support."""
  mask, on = mask.copy(), np.zeros_like(mask)
  radius = max(1, round(_DOT * min(mask.shape)))
  for x, y, is_on in clicks:
    dot = np.zeros(mask.shape, np.uint8)
    cv2.circle(dot, (round(float(x)), round(float(y))), radius, 1, -1)
    mask[dot > 0] = is_on > 0
    on |= (dot > 0) & (is_on > 0)
  _, pieces = cv2.connectedComponents(mask.view(np.uint8))
  support = on if before is None else on | before
  keep = np.unique(pieces[support & mask])
  return np.isin(pieces, keep) & mask


def _sigmoid(score):
  return 1 / (1 + np.exp(-score))


def _color_score(lab, share):
  """Returns how much likelier each pixel's color is in the object: log odds."""
  bins = ((lab - [0, -128, -128]) / _BIN).astype(int)
  shape = tuple(bins.reshape(-1, 3).max(axis=0) + 1)
  index = np.ravel_multi_index(tuple(np.moveaxis(bins, -1, 0)), shape)

  def density(weights):
    counts = np.bincount(index.ravel(), weights.ravel(), np.prod(shape))
    smooth = ndimage.gaussian_filter(counts.reshape(shape), 1, mode='constant')
    return smooth.ravel()[index] / max(weights.sum(), 1) + _RARE

  return np.log(density(share) / density(1 - share))


def _neighbors(lab):
  """Returns shifts to neighbors, and the weight of each pixel's neighbor."""
  reach = range(-_REACH, _REACH + 1)
  height, width, _ = lab.shape
  # Pixels beyond the edge have no weight.
  padded = np.pad(
      lab, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)), constant_values=1e3
  )
  neighbors = []
  for dy, dx in itertools.product(reach, reach):
    if dy or dx:
      other = padded[_REACH - dy :, _REACH - dx :][:height, :width]
      contrast = ((other - lab) ** 2).sum(axis=-1) / (2 * _CONTRAST**2)
      neighbors.append(((dy, dx), np.exp(-contrast) / np.hypot(dy, dx)))
  return neighbors


def _without_specks(mask):
  _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8))
  area = stats[:, cv2.CC_STAT_AREA]
  large = area >= _SPECK * area[1:].max(initial=0)
  large[0] = False
  return large[pieces]
