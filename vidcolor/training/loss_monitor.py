"""Watches the loss: stops at NaN, and names the clips of a spike."""

import collections
from collections.abc import Iterator, Sequence
import math

from jaxtyping import Array, Float
import numpy as np

from vidcolor import errors

# A spike is this many standard deviations above the median of so many losses;
# the deviation is taken from the median too, which spikes hardly move.
_DEVIATIONS = 10.0
_WINDOW = 200
_FEWEST = 20
_NORMAL = 1.4826  # Standard deviation over median deviation, of a normal one.


class LossMonitor:
  """Keeps losses where they are computed until they are asked for."""

  def __init__(self):
    self._pending = []
    self._before = collections.deque(maxlen=_WINDOW)

  def add(
      self,
      step: int,
      loss: Float[Array, ''],
      names: Sequence[str] | np.ndarray,
  ) -> None:
    """Notes the loss of a step, and the clips of this process's batch."""
    self._pending.append((step, loss, names))

  def check(self) -> Iterator[str]:
    """Yields a line for each spike since the last time.

    Raises:
      UserError: a loss is no number.
    """
    pending, self._pending = self._pending, []
    for step, loss, names in pending:
      loss = float(loss)
      if not math.isfinite(loss):
        raise errors.UserError(
            f'the loss is {loss} at step {step}: training stopped, the'
            ' checkpoints before are intact. Try a lower config.learning_rate,'
            f' or leave out a clip of this batch: {", ".join(names)}'
        )
      if self._is_spike(loss):
        yield f'loss {loss:.3f} at step {step}, a spike: {", ".join(names)}'
      self._before.append(loss)

  def _is_spike(self, loss):
    if len(self._before) < _FEWEST:
      return False
    median = np.median(self._before)
    deviation = _NORMAL * np.median(np.abs(np.array(self._before) - median))
    return loss > median + _DEVIATIONS * deviation
