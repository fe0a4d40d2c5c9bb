"""Measures and fits the calibration of confidences.

A confidence is calibrated if, for example, 80% of the results with confidence
0.8 are correct.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float
import numpy as np
from sklearn import linear_model


class Reliability(NamedTuple):
  """The data of a reliability diagram: accuracy in bins of confidence.

  The bins divide 0 to 1 into equal widths. A result is one pixel of a mask.

  Attributes:
    confidence: Mean confidence in each bin, NaN in an empty bin.
    accuracy: Share of the results in each bin that are correct, NaN in an empty
      bin.
    share: Share of all results that are in each bin.
  """

  confidence: Float[np.ndarray, ' bins']
  accuracy: Float[np.ndarray, ' bins']
  share: Float[np.ndarray, ' bins']

  @property
  def error(self) -> float:
    """The expected calibration error (Naeini et al., AAAI 2015), 0 to 1."""
    gaps = np.abs(self.confidence - self.accuracy)
    return float(np.nansum(gaps * self.share))


def reliability(
    confidence: Float[np.ndarray, ' n'],
    right: Bool[np.ndarray, ' n'],
    num_bins: int = 10,
) -> Reliability:
  """Computes the values of a reliability diagram.

  Args:
    confidence: Confidence of each result, 0 to 1.
    right: Whether each result is correct.
    num_bins: Number of bins between 0 and 1.
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
  """Fits the calibration of log-odds by logistic regression (Platt 1999).

  Args:
    log_odds: Uncalibrated log-odds of each result.
    right: Whether each result is correct.

  Returns:
    The slope and the intercept. They turn `log_odds` into the log-odds that the
    result is correct.

  Raises:
    ValueError: All results are correct, or none is.
  """
  regression = linear_model.LogisticRegression(C=np.inf)
  regression.fit(log_odds[:, None], right)
  return float(regression.coef_[0, 0]), float(regression.intercept_[0])
