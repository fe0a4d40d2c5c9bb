"""Watches a run: its loss, its progress, and signals to stop it."""

import collections
from collections.abc import Iterator, Sequence
import faulthandler
import math
import signal
import sys
import threading
import time

import jax
from jax.experimental import multihost_utils
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
  """Stops training at NaN and reports spikes of the loss.

  It collects losses, and reads them from the device when it checks them.
  """

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


class Watchdog:
  """Prints the current phase and all threads' stacks if a phase takes long."""

  def __init__(self, seconds: float):
    """Starts watching.

    Args:
      seconds: How long a phase may take.
    """
    self._seconds = seconds
    self._phase = None
    self._closed = threading.Event()
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()

  def enter(self, phase: str) -> None:
    """Starts a phase, such as 'step 7, waiting for data'."""
    self._phase = phase, time.monotonic()

  def close(self) -> None:
    """Stops watching."""
    self._closed.set()
    self._thread.join()

  def _watch(self):
    reported = None
    while not self._closed.wait(self._seconds / 4):
      phase = self._phase
      if phase is None or phase == reported:
        continue
      name, start = phase
      duration = time.monotonic() - start
      if duration > self._seconds:
        text = f'{name}: no progress for {duration:.0f} s'
        print(text, file=sys.stderr, flush=True)
        faulthandler.dump_traceback(sys.stderr.fileno())
        reported = phase


class Preemption:
  """Catches SIGTERM, which clouds and schedulers send before they preempt."""

  def __init__(self):
    """Catches the signal until `close`.

    If there are several processes, JAX catches it for all of them.
    """
    self._was_signalled = False
    self._is_alone = jax.process_count() == 1
    if self._is_alone:
      self._previous = signal.signal(signal.SIGTERM, self._handle)

  def reached(self, step: int) -> bool:
    """Returns whether to stop after this step, the same in all processes."""
    if self._is_alone:
      return self._was_signalled
    return multihost_utils.reached_preemption_sync_point(step)

  def close(self) -> None:
    """Restores the previous signal handler."""
    if self._is_alone:
      signal.signal(signal.SIGTERM, self._previous)

  def _handle(self, number, frame):
    # A threading.Event has a lock, and a second signal could interrupt this
    # handler while it holds the lock.
    del number, frame
    self._was_signalled = True
