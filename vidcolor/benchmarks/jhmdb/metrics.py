"""PCK, the percentage of correct keypoints, for tracked joints.

A joint is correct if its distance from the true joint is at most a fraction of
the person's size. The size is 0.6 times the diagonal of the box around the true
joints of that frame. The first frame is given and does not count. A joint whose
true position has a negative coordinate is outside of the frame and does not
count. PCK is computed for each joint over the frames of all sequences, and then
averaged over joints. A joint that the tracker lost counts as wrong.

The code that other papers share (`eval_pck.py` of github.com/Liusifei/UVC and
github.com/ajabri/videowalk) is more lenient: the predictions decide which
joints count. See `drop_lost` in `normalized_distances`.
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
  """Returns the distances from the true joints, in sizes of the person.

  Args:
    predicted: (x, y) in pixels. A lost joint is NaN, or has a negative x.
    truth: The true (x, y); negative where a joint is outside of the frame.
    drop_lost: Whether exactly the lost joints are left out, of the count and of
      the box, as in the shared code. The more joints a tracker loses, the fewer
      and the easier are the joints that it is scored on.

  Returns:
    Distances in all frames but the first. NaN where a joint does not count.
  """
  predicted, truth = predicted[1:], truth[1:]
  counts = predicted[..., 0] >= 0 if drop_lost else np.all(truth >= 0, axis=-1)
  low = np.where(counts[..., None], truth, np.inf).min(axis=1)
  high = np.where(counts[..., None], truth, -np.inf).max(axis=1)
  size = _SIZE_OF_BOX * np.linalg.norm(high - low, axis=-1, keepdims=True)
  distance = np.linalg.norm(predicted - truth, axis=-1)
  distance = np.where(np.isnan(distance), np.inf, distance)
  # The box of a single joint has no size: only an exact position is correct.
  return np.where(counts, distance, np.nan) / np.maximum(size, 1e-9)


def pck(
    distances: Float[np.ndarray, 'frames joints'],
) -> Float[np.ndarray, 'thresholds joints']:
  """Returns the fraction of each joint's distances within each threshold.

  Args:
    distances: Results of `normalized_distances`, concatenated over sequences.

  Returns:
    Fractions in 0 to 1, by `THRESHOLDS` and joint. NaN for a joint that never
    counts.
  """
  counts = ~np.isnan(distances)
  correct = distances <= np.reshape(THRESHOLDS, (-1, 1, 1))
  mean = correct.sum(axis=1) / np.maximum(counts.sum(axis=0), 1)
  return np.where(counts.any(axis=0), mean, np.nan)


def mean_pck(
    distances: Float[np.ndarray, 'frames joints'],
) -> Float[np.ndarray, ' thresholds']:
  """Returns the mean of `pck` over joints that count; NaN where none does."""
  by_joint = pck(distances)
  number = np.count_nonzero(~np.isnan(by_joint), axis=1)
  mean = np.nansum(by_joint, axis=1) / np.maximum(number, 1)
  return np.where(number, mean, np.nan)
