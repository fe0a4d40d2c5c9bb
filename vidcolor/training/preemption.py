"""Tells when the machine is about to be taken away."""

import signal

import jax
from jax.experimental import multihost_utils


class Preemption:
  """Waits for SIGTERM, which clouds and schedulers send some time before."""

  def __init__(self):
    """Catches the signal till `close`; of several processes, JAX does that."""
    self._told = False
    self._alone = jax.process_count() == 1
    if self._alone:
      self._before = signal.signal(signal.SIGTERM, self._tell)

  def reached(self, step: int) -> bool:
    """Whether to stop after this step; all processes hear it at the same."""
    if self._alone:
      return self._told
    return multihost_utils.reached_preemption_sync_point(step)

  def close(self) -> None:
    """Leaves the signal to whom it was left before."""
    if self._alone:
      signal.signal(signal.SIGTERM, self._before)

  def _tell(self, number, frame):
    # No lock, such as an Event's: a second signal may come in the midst of it.
    del number, frame
    self._told = True
