"""Worker processes that make batches, and that are replaced when they die."""

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
# Text of Grain's error when a worker died. It is a plain RuntimeError, as any
# transformation may raise, and Grain then drops the process and its exit code:
# only the text tells the two apart.
_WORKER_DIED = 'process was terminated'


class WorkerIterator(grain.DatasetIterator):
  """An iterator over a dataset whose elements are made by worker processes.

  If a worker dies, for example because the kernel kills it when memory runs
  out, all workers are restarted, and the iterator continues with the same
  elements. The workers end when this process ends, even if it is killed.
  (Grain's own workers keep running when it is killed.)
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
      UserError: Workers died three times while making this element.
    """
    for _ in range(_MAX_FAILURES):
      try:
        return next(self._elements)
      except RuntimeError as error:
        if _WORKER_DIED not in str(error):
          raise
        reason = str(error).split('. ')[0]
        print(f'data: {reason}; restarting', file=sys.stderr, flush=True)
        self._restart()
    raise errors.UserError(
        f'data workers died {_MAX_FAILURES} times while making one batch: check'
        ' that there is enough memory and space in /dev/shm, then run the same'
        ' command again to continue from the last checkpoint'
    )

  def _restart(self):
    # A new iterator, because a dead worker may hold locks of the old one.
    state = self._elements.get_state()
    self._elements.close()
    self._elements = iter(self._dataset)
    self._elements.set_state(state)

  def get_state(self) -> dict[str, Any]:
    """Returns the position of the iterator."""
    return self._elements.get_state()

  def set_state(self, state: dict[str, Any]) -> None:
    """Restores a position of an iterator with the same number of workers."""
    self._elements.set_state(state)

  def start_prefetch(self) -> None:
    """Starts making elements."""
    self._elements.start_prefetch()

  def close(self) -> None:
    """Stops the workers."""
    self._elements.close()


def _prepare_worker(worker_index, worker_count):
  del worker_index, worker_count
  cv2.setNumThreads(1)
  # Ctrl-C and schedulers signal all processes. The main process decides when to
  # end, and may need more batches before.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
  # pyrefly: ignore[missing-attribute]
  multiprocessing.parent_process().join()
  os._exit(1)
