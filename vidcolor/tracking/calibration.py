"""Whether a confidence is what it says: of those at 0.8, are 80% right?"""

from typing import NamedTuple

from jaxtyping import Bool, Float
import numpy as np
from sklearn import linear_model


class Reliability(NamedTuple):
  """By bins of equal width; NaN where there are none.

  Attributes:
    confidence: Mean of those in the bin.
    accuracy: Share of them that are right.
    share: Of all that are in the bin.
  """

  confidence: Float[np.ndarray, ' bins']
  accuracy: Float[np.ndarray, ' bins']
  share: Float[np.ndarray, ' bins']

  @property
  def error(self) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015)."""
    gaps = np.abs(self.confidence - self.accuracy)
    return float(np.nansum(gaps * self.share))


def reliability(
    confidence: Float[np.ndarray, ' n'],
    right: Bool[np.ndarray, ' n'],
    num_bins: int = 10,
) -> Reliability:
  """What the reliability diagram shows.

  Args:
    confidence: In 0 to 1.
    right: Whether what it is the confidence of is right.
    num_bins: Between 0 and 1.
  """
  bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
  count = lambda *weights: np.bincount(bins, *weights, minlength=num_bins)
  number = count()
  with np.errstate(invalid='ignore'):
    return Reliability(
        count(confidence) / number, count(right) / number, number / len(right)
    )


def fit(
    log_odds: Float[np.ndarray, ' n'], right: Bool[np.ndarray, ' n']
) -> tuple[float, float]:
  """Slope and intercept that make log-odds those of being right (Platt 1999).

  Raises:
    ValueError: all are right, or none is.
  """
  regression = linear_model.LogisticRegression(C=np.inf)
  regression.fit(log_odds[:, None], right)
  return float(regression.coef_[0, 0]), float(regression.intercept_[0])
