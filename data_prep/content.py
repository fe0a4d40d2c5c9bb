"""Tells from thumbnails what a clip is worth to training.

Grey: its chroma is a function of its brightness alone, as in black and white or
tinted footage, so that there is no colour to learn.
Still: practically no part of the picture ever changes in brightness.
Duplicate: its signature is that of another clip but for a few bits. Those tell
where brightness rises from left to right, as a difference hash does, in the
mean of the clip's first quarter and in the changes from quarter to quarter; so
they outlast coding, scaling, brightening and a slightly other start, and still
tell apart clips that one camera took in one place.
"""

from collections.abc import Sequence
import itertools
import math

import cv2
from jaxtyping import Bool, Float32, UInt8, UInt64
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

# All constants below were set on 497 real clips, and on 60 of them turned into
# black and white, sepia and blue, into stills with and without noise, into
# stills with a small object drawn in, and into copies half as large, coarser,
# brighter, darker and so on, all encoded again as H.264.

# Greatest deviation of chroma from a function of brightness, in grey levels: a
# part for noise, a part that grows with the chroma, and a limit. The tinted
# clips reached 0.98 of it; the dullest coloured ones begin at 1.12.
_GREY_NOISE = 0.4
_GREY_SHARE = 0.06
_GREY_LIMIT = 1.8
# Chroma is compared in cells of thumbnails, whose noise is less.
_GREY_CELLS = 12
_BRIGHTNESS_LEVELS = 32

# Of a still, all but this part of the picture varies in time by fewer grey
# levels. Noise and coding made up to 4, the objects drawn in 14 and more, and
# real clips 50 and more.
_MOVING_PART = 0.005
_STILL_RANGE = 8

# Smaller rises of brightness between neighbours, in grey levels, may be noise.
_RISE = 1.0

# Duplicates differ in at most this many bits, and in at most this part of the
# bits that either has, of which flat clips have few. Of the copies 99.7% did
# (95% if they also began a frame later), of pairs of different clips none.
_MAX_DISTANCE = 32
_MAX_PART = 0.3

# In each sorted order, a signature is compared to this many after it.
_NEIGHBOURS = 4


def is_grey(thumbnails: Sequence[UInt8[np.ndarray, '48 48 3']]) -> bool:
  """Whether a clip has no colours, or one tint in place of them.

  Args:
    thumbnails: RGB thumbnails of the clip's frames; at least one.
  """
  cells = np.concatenate(
      [_shrink(thumbnail, _GREY_CELLS, _GREY_CELLS) for thumbnail in thumbnails]
  )
  brightness, *chroma = cv2.split(cv2.cvtColor(cells, cv2.COLOR_RGB2YCrCb))
  level = (brightness.ravel() * (_BRIGHTNESS_LEVELS - 1)).astype(int)
  count = np.maximum(np.bincount(level), 1)
  deviation, size = 0.0, 0.0
  for channel in chroma:
    channel = 255 * (channel.ravel() - 0.5)
    mean = np.bincount(level, channel) / count
    deviation += np.mean(np.square(channel - mean[level]))
    size += np.square(channel)
  limit = _GREY_NOISE + _GREY_SHARE * np.mean(np.sqrt(size))
  return bool(np.sqrt(deviation) < min(limit, _GREY_LIMIT))


def is_still(thumbnails: Sequence[UInt8[np.ndarray, '48 48 3']]) -> bool:
  """Whether a clip is a single picture throughout, but for noise.

  Args:
    thumbnails: RGB thumbnails of the clip's frames; at least one.
  """
  grey = np.stack([_grey(thumbnail) for thumbnail in thumbnails])
  span = grey.max(axis=0) - grey.min(axis=0)
  return bool(np.quantile(span, 1 - _MOVING_PART) < _STILL_RANGE)


def signature(
    thumbnails: Sequence[UInt8[np.ndarray, '48 48 3']],
) -> UInt64[np.ndarray, '4']:
  """Sums up what a clip shows and how that changes.

  Args:
    thumbnails: RGB thumbnails of the clip's frames, evenly spaced in time; at
      least one.

  Returns:
    256 bits, of which near-copies of the clip share nearly all.
  """
  grids = np.stack([_shrink(_grey(x), 9, 8) for x in thumbnails])
  bounds = [len(grids) * part / 4 for part in range(5)]
  quarters = np.stack(
      [
          grids[math.floor(start) : math.ceil(end)].mean(axis=0)
          for start, end in itertools.pairwise(bounds)
      ]
  )
  rises = np.diff(np.diff(quarters, axis=0, prepend=0), axis=2)
  bits = 255 * rises > _RISE
  return np.packbits(bits).view('>u8').astype(np.uint64)


def find_duplicates(
    signatures: UInt64[np.ndarray, 'clips 4'],
) -> Bool[np.ndarray, ' clips']:
  """Tells which clips repeat an earlier one.

  Near signatures are looked for among neighbours in sixteen sorted orders,
  each by other 64 of the 256 bits, so the cost is that of sorting.

  Args:
    signatures: Of all the clips.

  Returns:
    True for all but the first of each group of duplicates.
  """
  count = len(signatures)
  chunks = np.ascontiguousarray(signatures).view(np.uint16)
  pairs = [np.empty((2, 0), int)]
  for start in range(16):
    columns = (start + np.arange(4)) % 16
    key = np.ascontiguousarray(chunks[:, columns]).view(np.uint64)[:, 0]
    order = np.argsort(key, kind='stable')
    ordered = signatures[order]
    for gap in range(1, min(_NEIGHBOURS + 1, count)):
      near = _are_near(ordered[:-gap], ordered[gap:])
      pairs.append(np.stack([order[:-gap][near], order[gap:][near]]))
  edges = np.concatenate(pairs, axis=1)
  graph = sparse.coo_array((np.ones(edges.shape[1], bool), edges), (count,) * 2)
  _, group = csgraph.connected_components(graph, directed=False)
  duplicate = np.ones(count, bool)
  duplicate[np.unique(group, return_index=True)[1]] = False
  return duplicate


def _grey(thumbnail) -> UInt8[np.ndarray, '48 48']:
  return cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY)


def _shrink(picture, width, height) -> Float32[np.ndarray, 'height width *rgb']:
  """Averages areas; values in 0 to 1."""
  picture = picture.astype(np.float32) / np.float32(255)
  return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _are_near(a, b):
  distance = np.bitwise_count(a ^ b).sum(axis=1)
  present = np.bitwise_count(a | b).sum(axis=1)
  return distance <= np.minimum(_MAX_DISTANCE, _MAX_PART * present)
