"""Reports where training hangs."""

import faulthandler
import sys
import threading
import time


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
