"""PCK, the percentage of correct keypoints, for tracked joints of animals.

A joint is correct if its distance from the true joint is less than 0.2 times
the square root of the area of the animal's mask in that frame. Joints that are
hidden do not count. The first annotated frame is given and does not count. PCK
is computed over the joints of each sequence, and then averaged over sequences.

This is the measure of Biggs et al., "Creatures Great and SMAL", ACCV 2018, as
trackers use it (`test_on_badja.py` of github.com/aharley/pips). That code also
counts the first frame for some trackers.
"""

from jaxtyping import Bool, Float
import numpy as np

THRESHOLD = 0.2


def distances_by_area(
    predicted: Float[np.ndarray, 'frames joints 2'],
    truth: Float[np.ndarray, 'frames joints 2'],
    visible: Bool[np.ndarray, 'frames joints'],
    areas: Float[np.ndarray, ' frames'],
) -> Float[np.ndarray, 'frames-1 joints']:
  """Returns the distances from the true joints, in roots of the mask's area.

  Args:
    predicted: (x, y) in pixels in each annotated frame; NaN if lost.
    truth: The true (x, y); NaN if unknown.
    visible: Whether the joint can be seen.
    areas: Pixels of the animal's mask.

  Returns:
    Distances in all frames but the first. NaN where a joint does not count,
    because it is hidden, or was not given in the first frame.
  """
  counts = visible[1:] & np.isfinite(truth[0]).all(axis=-1)
  distance = np.linalg.norm(predicted - truth, axis=-1)[1:]
  distance = np.where(np.isnan(distance), np.inf, distance)
  root = np.sqrt(np.maximum(areas[1:, None], 1e-9))
  return np.where(counts, distance / root, np.nan)


def pck_by_area(distances: Float[np.ndarray, 'frames joints']) -> float:
  """Returns the fraction of distances below the threshold; NaN if none counts.

  Args:
    distances: Result of `distances_by_area`.
  """
  counted = distances[~np.isnan(distances)]
  return float(np.mean(counted < THRESHOLD)) if counted.size else np.nan
