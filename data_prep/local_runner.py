"""Writes shards on the cores of this machine."""

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
  """Writes shards by some processes, and shows how far they are.

  Threads only tell the processes what to do, and write down what they did.

  Args:
    shards: What to write.
    recipe: How.
    num_workers: Number of processes.

  Raises:
    UserError: a file cannot be written.
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
      finally:  # An error, or Ctrl-C, ends what still runs.
        for process in processes:
          process.close()
        pool.shutdown(cancel_futures=True)
