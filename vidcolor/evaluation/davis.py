"""The measures of the DAVIS benchmark for masks of objects.

Region similarity J is the Jaccard index (Perazzi et al., "A Benchmark Dataset
and Evaluation Methodology for Video Object Segmentation", CVPR 2016). As the
official toolkit (github.com/davisvideochallenge/davis2017-evaluation) has it,
an object's score is its mean over all frames but the first, which is given,
and the last; a data set's is the mean over its objects.
"""

from collections.abc import Iterable

from jaxtyping import Bool, Float, UInt8
import numpy as np

from vidcolor import masks


def jaccard(
    predicted: Bool[np.ndarray, '*frames height width'],
    truth: Bool[np.ndarray, '*frames height width'],
) -> Float[np.ndarray, '*frames']:
  """Intersection over union, in 0 to 1; of nothing with nothing it is 1."""
  intersection = np.count_nonzero(predicted & truth, (-2, -1))
  union = np.count_nonzero(predicted | truth, (-2, -1))
  return np.where(union == 0, 1.0, intersection / np.maximum(union, 1))


def jaccard_by_object(
    predicted: Iterable[UInt8[np.ndarray, 'height width']],
    truth: Iterable[UInt8[np.ndarray, 'height width']],
) -> dict[int, Float[np.ndarray, ' time']]:
  """J of each object in each frame.

  Args:
    predicted: A mask per frame, 0 or the number of an object in each pixel.
    truth: Likewise, and `masks.VOID` where nobody can tell.

  Returns:
    By number, in order, for the objects that are in any of the true masks.

  Raises:
    ValueError: there are other frames, or other sizes, than true ones.
  """
  predicted, truth = np.stack([*predicted]), np.stack([*truth])
  if predicted.shape != truth.shape:
    raise ValueError(f'{predicted.shape} predicted for {truth.shape} true')
  predicted[truth == masks.VOID] = 0
  numbers = np.setdiff1d(truth, [0, masks.VOID])
  return {int(n): jaccard(predicted == n, truth == n) for n in numbers}


def mean_jaccard(
    predicted: Iterable[UInt8[np.ndarray, 'height width']],
    truth: Iterable[UInt8[np.ndarray, 'height width']],
) -> dict[int, float]:
  """Mean J of each object over all frames but the first and the last.

  As `jaccard_by_object`, and:

  Raises:
    ValueError: there are fewer than three frames.
  """
  by_object = jaccard_by_object(predicted, truth)
  if any(len(scores) < 3 for scores in by_object.values()):
    raise ValueError('J is a mean over the frames between the first and last')
  return {n: float(scores[1:-1].mean()) for n, scores in by_object.items()}
