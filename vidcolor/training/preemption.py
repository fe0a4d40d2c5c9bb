"""Notices that the machine is about to be preempted."""

import signal

import jax
from jax.experimental import multihost_utils


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
