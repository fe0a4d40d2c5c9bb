"""Worker processes that make batches, and are replaced when they die."""

import multiprocessing
import os
import signal
import sys
import threading
from typing import Any

import cv2
import grain

from vidcolor import errors

_MAX_FAILURES = 3


class Workers(grain.DatasetIterator):
  """An iterator over a dataset whose elements are made by other processes.

  When one of them dies, as by the kernel's hand when memory runs out, all are
  started anew and the elements go on as if nothing had happened. They end with
  this process, however it ends; Grain's own stay behind when it is killed.
  """

  def __init__(self, dataset: grain.IterDataset, num_workers: int):
    super().__init__()
    self._dataset = dataset.mp_prefetch(
        grain.MultiprocessingOptions(num_workers),
        worker_init_fn=_prepare_worker,
    )
    self._elements = iter(self._dataset)

  def __next__(self) -> Any:
    """Returns the next element.

    Raises:
      UserError: workers have died three times over this one.
    """
    for _ in range(_MAX_FAILURES):
      try:
        return next(self._elements)
      except RuntimeError as error:
        if 'process was terminated' not in str(error):
          raise
        reason = str(error).split('. ')[0]
        print(f'data: {reason}; starting anew', file=sys.stderr, flush=True)
        self._start_anew()
    raise errors.UserError(
        f'data workers died {_MAX_FAILURES} times over one batch: is there'
        ' enough memory, and room in /dev/shm? The same line goes on from the'
        ' last checkpoint'
    )

  def _start_anew(self):
    # Not the same iterator: the dead may hold its locks.
    state = self._elements.get_state()
    self._elements.close()
    self._elements = iter(self._dataset)
    self._elements.set_state(state)

  def get_state(self) -> dict[str, Any]:
    """Returns where the iterator stands."""
    return self._elements.get_state()

  def set_state(self, state: dict[str, Any]) -> None:
    """Goes on from a state, of an iterator with as many workers."""
    self._elements.set_state(state)

  def start_prefetch(self) -> None:
    """Starts making elements."""
    self._elements.start_prefetch()

  def close(self) -> None:
    """Ends the workers."""
    self._elements.close()


def _prepare_worker(worker_index, worker_count):
  del worker_index, worker_count
  cv2.setNumThreads(1)
  # Ctrl-C and schedulers signal all processes; when to end is for the first
  # one to say, which may still need a batch or two.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
  # pyrefly: ignore[missing-attribute]
  multiprocessing.parent_process().join()
  os._exit(1)
