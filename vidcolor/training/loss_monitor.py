"""Watches the loss: stops training at NaN and reports spikes."""

import collections
from collections.abc import Iterator, Sequence
import math

from jaxtyping import Array, Float
import numpy as np

from vidcolor import errors

# A spike is a loss this many standard deviations above the median of the last
# _WINDOW losses. The standard deviation is estimated from the median absolute
# deviation, which spikes hardly change.
_DEVIATIONS = 10.0
_WINDOW = 200
_MIN_LOSSES = 20  # With fewer losses before it, no loss is a spike.
# Standard deviation over median absolute deviation, of a normal distribution.
_NORMAL = 1.4826


class LossMonitor:
  """Collects losses, and reads them from the device when it checks them."""

  def __init__(self):
    self._pending = []
    self._previous = collections.deque(maxlen=_WINDOW)

  def add(
      self,
      step: int,
      loss: Float[Array, ''],
      names: Sequence[str] | np.ndarray,
  ) -> None:
    """Adds the loss of a step and the names of this process's clips."""
    self._pending.append((step, loss, names))

  def check(self) -> Iterator[str]:
    """Yields a line for each spike since the last check.

    Raises:
      UserError: A loss is NaN or infinite.
    """
    pending, self._pending = self._pending, []
    for step, loss, names in pending:
      loss = float(loss)
      if not math.isfinite(loss):
        raise errors.UserError(
            f'the loss is {loss} at step {step}: training stopped, and its'
            ' checkpoints are intact. Try a lower config.learning_rate, or'
            f' leave out a clip of this batch: {", ".join(names)}'
        )
      if self._is_spike(loss):
        yield f'loss {loss:.3f} at step {step}, a spike: {", ".join(names)}'
      self._previous.append(loss)

  def _is_spike(self, loss):
    if len(self._previous) < _MIN_LOSSES:
      return False
    median = np.median(self._previous)
    deviation = np.median(np.abs(np.array(self._previous) - median))
    return loss > median + _DEVIATIONS * _NORMAL * deviation
