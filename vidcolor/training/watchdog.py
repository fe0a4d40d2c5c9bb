"""Tells where training stands when it does not move."""

import faulthandler
import sys
import threading
import time


class Watchdog:
  """Prints where it was last seen, and what every thread is at."""

  def __init__(self, seconds: float):
    """Starts watching.

    Args:
      seconds: That it may be silent, once it has been heard of.
    """
    self._seconds = seconds
    self._seen = None
    self._closed = threading.Event()
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()

  def at(self, place: str) -> None:
    """Says what comes now, as in 'step 7, waiting for data'."""
    self._seen = place, time.monotonic()

  def close(self) -> None:
    """Ends watching."""
    self._closed.set()
    self._thread.join()

  def _watch(self):
    told = None
    while not self._closed.wait(self._seconds / 4):
      seen = self._seen
      if seen is None or seen == told:
        continue
      place, since = seen
      silent = time.monotonic() - since
      if silent > self._seconds:
        print(f'{place}: for {silent:.0f} s now', file=sys.stderr, flush=True)
        faulthandler.dump_traceback(sys.stderr.fileno())
        told = seen
