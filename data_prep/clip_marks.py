"""Marks clips that teach little: grey clips, still clips and duplicates.

A clip is grey if its chroma is a function of its brightness alone, as in
black-and-white or tinted video. It has no colour to learn from.

A clip is still if almost no part of the picture ever changes in brightness.

A clip is a duplicate if its signature differs from another clip's in a few bits
only. As in a difference hash, each bit says whether brightness rises from one
cell to the next on its right. The bits describe the mean of the clip's first
quarter and the changes from quarter to quarter. They survive re-encoding,
scaling, brightening and a slightly different start. Two clips that one camera
took at one place still have different signatures.
"""

from collections.abc import Sequence
import itertools
import math
from typing import Any

import cv2
from jaxtyping import Bool, Float32, UInt8, UInt64
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

# All constants below were set on 497 real clips and on altered versions of 60
# of them: black and white, sepia and blue; stills with and without noise;
# stills with a small moving object; and copies that were half as large,
# coarser, brighter or darker. All were encoded again as H.264.

# The largest deviation of chroma from a function of brightness that counts as
# grey, in grey levels. It is a constant for noise plus a share of the chroma,
# at most a limit. Tinted clips reached 0.98 of it; the dullest coloured clips
# had 1.12 or more.
_GREY_NOISE = 0.4
_GREY_SHARE = 0.06
_GREY_LIMIT = 1.8
# Chroma is compared in cells of a thumbnail: their means have less noise.
_GREY_CELLS = 12
_BRIGHTNESS_LEVELS = 32

# In a still clip, all of the picture but this part varies in time by fewer than
# _STILL_RANGE grey levels. Noise and coding caused up to 4, the drawn objects
# at least 14, and real clips at least 50.
_MOVING_PART = 0.005
_STILL_RANGE = 8

# Smaller rises of brightness between neighbours may be noise, in grey levels.
_RISE = 1.0

# Duplicates differ in at most _MAX_DISTANCE bits, and in at most this part of
# the bits that are set in either. Flat clips have few bits set. 99.7% of the
# copies passed (95% if they also began a frame later) and no pair of different
# clips.
_MAX_DISTANCE = 32
_MAX_PART = 0.3

# In each sorted order, a signature is compared with this many that follow it.
_NEIGHBOURS = 4


Thumbnail = UInt8[np.ndarray, '48 48 3']


def mark(thumbnails: Sequence[Thumbnail]) -> dict[str, Any]:
  """Returns the features 'grey', 'still' and 'signature' of a training record.

  Args:
    thumbnails: RGB thumbnails of the clip's frames, at least one.
  """
  return {
      'grey': is_grey(thumbnails),
      'still': is_still(thumbnails),
      'signature': signature(thumbnails).view(np.int64),
  }


def is_grey(thumbnails: Sequence[Thumbnail]) -> bool:
  """Returns whether a clip has no colours, or a single tint.

  Args:
    thumbnails: RGB thumbnails of the clip's frames, at least one.
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


def is_still(thumbnails: Sequence[Thumbnail]) -> bool:
  """Returns whether a clip shows one unchanging picture, apart from noise.

  Args:
    thumbnails: RGB thumbnails of the clip's frames, at least one.
  """
  grey = np.stack([_grey(thumbnail) for thumbnail in thumbnails])
  span = grey.max(axis=0) - grey.min(axis=0)
  return bool(np.quantile(span, 1 - _MOVING_PART) < _STILL_RANGE)


def signature(thumbnails: Sequence[Thumbnail]) -> UInt64[np.ndarray, '4']:
  """Computes a hash of what a clip shows and how it changes.

  Args:
    thumbnails: RGB thumbnails of the clip's frames, evenly spaced in time, at
      least one.

  Returns:
    256 bits, nearly all of which are the same for near-copies of the clip.
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
  """Finds clips that repeat an earlier clip.

  The signatures are sorted in sixteen orders, each by a different 64 of the 256
  bits, and compared with their neighbours. So the cost is that of sorting.

  Args:
    signatures: Signatures of all clips.

  Returns:
    True for every clip of a group of duplicates except the first.
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
  """Shrinks a picture by averaging areas; the values are in [0, 1]."""
  picture = picture.astype(np.float32) / np.float32(255)
  return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _are_near(a, b):
  distance = np.bitwise_count(a ^ b).sum(axis=1)
  present = np.bitwise_count(a | b).sum(axis=1)
  return distance <= np.minimum(_MAX_DISTANCE, _MAX_PART * present)
