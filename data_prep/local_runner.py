"""Writes shards with processes of this machine."""

from collections.abc import Sequence
from concurrent import futures
import queue
import threading

import tqdm

from data_prep import isolated_process
from data_prep import shards as shards_lib


def run(
    shards: Sequence[shards_lib.Shard],
    recipe: shards_lib.Recipe,
    num_workers: int,
) -> None:
  """Writes shards in parallel and shows the progress.

  Each process has a thread here, which gives it work and waits for it.

  Args:
    shards: Shards to write.
    recipe: How clips become records.
    num_workers: Number of processes.

  Raises:
    UserError: A file cannot be written.
  """
  processes = [isolated_process.IsolatedProcess() for _ in range(num_workers)]
  idle: queue.SimpleQueue[isolated_process.IsolatedProcess] = (
      queue.SimpleQueue()
  )
  for process in processes:
    idle.put(process)
  num_clips = sum(len(shard.clips) for shard in shards)
  lock = threading.Lock()
  with tqdm.tqdm(total=num_clips, unit='clip') as progress:

    def count():
      with lock:
        progress.update()

    def write(shard):
      process = idle.get()
      try:
        shards_lib.write(shard, recipe, process, count)
      finally:
        idle.put(process)

    with futures.ThreadPoolExecutor(num_workers) as pool:
      try:
        running = [pool.submit(write, shard) for shard in shards]
        for future in futures.as_completed(running):
          future.result()
      finally:  # After an error or Ctrl-C, ends the running processes.
        for process in processes:
          process.close()
        pool.shutdown(cancel_futures=True)
