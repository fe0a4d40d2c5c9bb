"""J and F, the metrics of the DAVIS benchmarks for masks of objects.

Region similarity J, boundary accuracy F and their statistics over time are
defined in Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for
Video Object Segmentation", CVPR 2016, section 5. They are computed as by the
official toolkit (github.com/davisvideochallenge/davis2017-evaluation,
semi-supervised task):

- The objects are 1 to the highest number in the first true mask.
- The first frame, whose mask is given, and the last one do not count.
- Void counts as background. The toolkit's functions could leave it out, but its
  evaluation does not.
- A dataset's score is the mean over its objects.

In the layout of YouTube-VOS, which the toolkit does not read, other objects and
frames count: see `data.AnnotatedSequence.true_frames`.

One thing differs. In sequences of more than 256 frames, the toolkit computes
decay from wrong frames, because it keeps frame numbers in eight bits.
"""

from collections.abc import Mapping, Sequence
from concurrent import futures
import functools
import math
import os
from typing import Any, NamedTuple

import cv2
from jaxtyping import Bool, Float, UInt8
import numpy as np

from vidcolor import masks

# Of `masks.Mask`, which is not declared: a check of types would read files.
Masks = Sequence[Any] | UInt8[np.ndarray, '_ height width']

# Boundaries match within this fraction of the frame's diagonal.
_TOLERANCE = 0.008


class Scores(NamedTuple):
  """J and F of each object in each frame, in 0 to 1."""

  j: Float[np.ndarray, 'objects frames']
  f: Float[np.ndarray, 'objects frames']

  def counted(self) -> 'Scores':
    """Returns the scores of the frames that count: not the first and last."""
    return Scores(self.j[:, 1:-1], self.f[:, 1:-1])


def jaccard(
    predicted: Bool[np.ndarray, 'height width'],
    truth: Bool[np.ndarray, 'height width'],
) -> float:
  """Returns J, the intersection over union. Two empty masks give 1."""
  union = np.count_nonzero(predicted | truth)
  return np.count_nonzero(predicted & truth) / union if union else 1.0


def boundary_f(
    predicted: Bool[np.ndarray, 'height width'],
    truth: Bool[np.ndarray, 'height width'],
) -> float:
  """Returns F, the harmonic mean of precision and recall of boundary pixels.

  A pixel matches if its distance to the other boundary is at most 0.008 of the
  frame's diagonal, rounded up to pixels. Two empty masks give 1.
  """
  radius = math.ceil(_TOLERANCE * math.hypot(*predicted.shape))
  return _boundary_f(*_crop(predicted, truth), radius)


def _boundary_f(predicted, truth, radius):
  predicted, truth = _boundary(predicted), _boundary(truth)
  num_predicted = np.count_nonzero(predicted)
  num_true = np.count_nonzero(truth)
  if not num_predicted or not num_true:
    return float(num_predicted == num_true)
  disk = _disk(radius)
  precision = np.count_nonzero(predicted & cv2.dilate(truth, disk))
  recall = np.count_nonzero(truth & cv2.dilate(predicted, disk))
  precision, recall = precision / num_predicted, recall / num_true
  if precision + recall == 0:
    return 0.0
  return 2 * precision * recall / (precision + recall)


def _crop(predicted, truth):
  """Crops both masks around their objects; there are no boundaries outside."""
  x, y, width, height = cv2.boundingRect(predicted.view(np.uint8))
  true_x, true_y, true_width, true_height = cv2.boundingRect(
      truth.view(np.uint8)
  )
  window = (
      slice(
          max(min(y, true_y) - 1, 0), max(y + height, true_y + true_height) + 1
      ),
      slice(
          max(min(x, true_x) - 1, 0), max(x + width, true_x + true_width) + 1
      ),
  )
  return predicted[window], truth[window]


def _boundary(mask):
  """Returns 1 where a pixel differs from one right, below or diagonally."""
  mask = mask.view(np.uint8)
  # The border is replicated: no pixel differs from one outside of the frame.
  corners = cv2.copyMakeBorder(mask, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
  differs = mask ^ corners[1:, 1:]
  differs |= mask ^ corners[:-1, 1:]
  differs |= mask ^ corners[1:, :-1]
  return differs


@functools.cache
def _disk(radius):
  y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
  return (x**2 + y**2 <= radius**2).astype(np.uint8)


def score_masks(
    predicted: Masks,
    truth: Masks,
    num_objects: int,
) -> Scores:
  """Scores every object in every frame.

  Frames are scored on all cores. Masks that are read from files on access need
  memory for one frame per core.

  Args:
    predicted: The predicted mask of each frame.
    truth: The true mask of each frame. Void counts as background.
    num_objects: Number of objects; they are 1 to this number.

  Raises:
    ValueError: The numbers of masks differ.
  """

  def score_frame(index):
    mask, true_mask = predicted[index], masks.without_void(truth[index])
    radius = math.ceil(_TOLERANCE * math.hypot(*mask.shape))
    # Small arrays from here on: fresh pages cost more than the arithmetic.
    mask, true_mask = _crop(mask, true_mask)
    pairs = [
        _crop(mask == number, true_mask == number)
        for number in range(1, num_objects + 1)
    ]
    return (
        [jaccard(*pair) for pair in pairs],
        [_boundary_f(*pair, radius) for pair in pairs],
    )

  if len(predicted) != len(truth):
    raise ValueError(f'{len(predicted)} masks for {len(truth)} true ones')
  with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    frames = list(pool.map(score_frame, range(len(truth))))
  scores = np.array(frames, float).reshape(len(truth), 2, num_objects)
  return Scores(*scores.transpose(1, 2, 0))


def statistics(scores: Float[np.ndarray, ' frames']) -> tuple[float, ...]:
  """Returns the statistics of one object's scores over time.

  Returns:
    The mean; recall, which is the fraction above 0.5; and decay, which is the
    mean of the first quarter minus that of the last quarter.
  """
  # Quarters share their ends, as in the toolkit.
  ends = np.round(np.linspace(1, len(scores), 5) + 1e-10).astype(int) - 1
  first, last = scores[: ends[1] + 1], scores[ends[3] :]
  values = scores.mean(), (scores > 0.5).mean(), first.mean() - last.mean()
  return tuple(map(float, values))


def summarize(
    by_sequence: Mapping[str, Scores],
) -> dict[str, dict]:
  """Returns the metrics of the benchmark.

  Args:
    by_sequence: Scores of the frames that count, by the sequence's name. NaN
      does not count.

  Returns:
    'overall' and 'per_object' (by '<sequence>_<number>'): J_mean, J_recall,
    J_decay, F_mean, F_recall, F_decay and J&F, the mean of both means. Objects
    without scores are left out.
  """
  names = ('J_mean', 'J_recall', 'J_decay', 'F_mean', 'F_recall', 'F_decay')
  per_object = {}
  for sequence, scores in by_sequence.items():
    for number, (j, f) in enumerate(zip(*scores, strict=True), 1):
      counts = ~np.isnan(j)
      if not counts.any():
        continue
      values = (*statistics(j[counts]), *statistics(f[counts]))
      per_object[f'{sequence}_{number}'] = dict(zip(names, values, strict=True))
  for row in per_object.values():
    row['J&F'] = (row['J_mean'] + row['F_mean']) / 2
  overall = {
      name: float(np.mean([row[name] for row in per_object.values()]))
      for name in (*names, 'J&F')
  }
  return {'overall': overall, 'per_object': per_object}
