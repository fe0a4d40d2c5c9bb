"""PCK, the percentage of correct keypoints, as tracked joints are scored by.

A joint is correct where its distance from the true one is at most a fraction of
the person's size: 0.6 times the diagonal of the box around that frame's true
joints. The first frame is given and does not count, and neither do joints whose
true position has a negative coordinate, which are outside of the picture. PCK
is taken for each joint over the frames of all sequences; a data set's is the
mean over its joints. Joints that the tracker lost count like any others.

The code that the field passes on (github.com/Liusifei/UVC, from there
github.com/ajabri/videowalk, both `eval_pck.py`) is more lenient: it goes by the
predictions what counts. See `normalized_distances`.
"""

from jaxtyping import Float
import numpy as np

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)

_SIZE_OF_BOX = 0.6


def normalized_distances(
    predicted: Float[np.ndarray, 'time joints 2'],
    truth: Float[np.ndarray, 'time joints 2'],
    *,
    drop_lost: bool = False,
) -> Float[np.ndarray, 'time-1 joints']:
  """How far joints are from the true ones, in sizes of the person.

  Args:
    predicted: (x, y) in pixels. A lost joint is NaN, which is far from all, or
      has a negative x, as the (-1, -1) of the field's code.
    truth: Likewise; negative where a joint is outside of the picture.
    drop_lost: Whether lost joints are left out of both count and box, and no
      others are, as in the field's code. The more a tracker loses, the fewer
      and the easier are the joints that it is scored on.

  Returns:
    For all frames but the first; NaN where a joint does not count.
  """
  predicted, truth = predicted[1:], truth[1:]
  counts = predicted[..., 0] >= 0 if drop_lost else np.all(truth >= 0, axis=-1)
  low = np.where(counts[..., None], truth, np.inf).min(axis=1)
  high = np.where(counts[..., None], truth, -np.inf).max(axis=1)
  size = _SIZE_OF_BOX * np.linalg.norm(high - low, axis=-1, keepdims=True)
  distance = np.linalg.norm(predicted - truth, axis=-1)
  distance = np.where(np.isnan(distance), np.inf, distance)
  # A single joint has a box of no size: right on it is right, all else wrong.
  return np.where(counts, distance, np.nan) / np.maximum(size, 1e-9)


def pck(
    distances: Float[np.ndarray, 'frames joints'],
) -> Float[np.ndarray, 'thresholds joints']:
  """The fraction, in 0 to 1, of a joint's distances within each threshold.

  Args:
    distances: As `normalized_distances` returns them, of any sequences one
      after the other.

  Returns:
    By `THRESHOLDS`, for each joint; NaN for one that never counts.
  """
  counts = ~np.isnan(distances)
  correct = distances <= np.reshape(THRESHOLDS, (-1, 1, 1))
  mean = correct.sum(axis=1) / np.maximum(counts.sum(axis=0), 1)
  return np.where(counts.any(axis=0), mean, np.nan)


def mean_pck(
    distances: Float[np.ndarray, 'frames joints'],
) -> Float[np.ndarray, ' thresholds']:
  """The mean of `pck` over the joints that ever count; NaN where none does."""
  by_joint = pck(distances)
  number = np.count_nonzero(~np.isnan(by_joint), axis=1)
  mean = np.nansum(by_joint, axis=1) / np.maximum(number, 1)
  return np.where(number, mean, np.nan)
