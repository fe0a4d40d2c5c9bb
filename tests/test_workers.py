import multiprocessing
import os
import signal
import subprocess
import sys
import time

import grain
import numpy as np
import pytest

from vidcolor import errors
from vidcolor.data import workers

pytestmark = pytest.mark.slow


def _number(index):
  return np.full(1000, index)


def _die(index):
  del index
  # Grain waits forever for a worker that dies before it has confirmed its
  # state, which another thread of the worker does.
  time.sleep(0.5)
  os.kill(os.getpid(), signal.SIGKILL)


def _raise(index):
  raise errors.UserError(f'clip {index} is damaged')


def _iterate(transform, num_workers):
  dataset = grain.MapDataset.range(100).map(transform).to_iter_dataset()
  return workers.WorkerIterator(dataset, num_workers)


def _take(iterator, count):
  return [int(next(iterator)[0]) for _ in range(count)]


def test_the_iterator_continues_when_a_worker_is_killed(capsys):
  iterator = _iterate(_number, 2)
  taken = _take(iterator, 3)
  os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
  while 'exit code -9; restarting' not in capsys.readouterr().err:
    taken += _take(iterator, 1)
  assert taken == list(range(len(taken)))
  state = iterator.get_state()
  expected = [len(taken), len(taken) + 1]
  assert _take(iterator, 2) == expected
  iterator.set_state(state)
  assert _take(iterator, 2) == expected
  iterator.close()
  assert not multiprocessing.active_children()


def test_workers_that_keep_dying_are_one_line(capsys):
  iterator = _iterate(_die, 1)
  with pytest.raises(errors.UserError, match='died 3 times .* /dev/shm'):
    next(iterator)
  assert capsys.readouterr().err.count('exit code -9; restarting') == 3
  iterator.close()


def test_errors_of_workers_are_raised_unchanged():
  iterator = _iterate(_raise, 1)
  with pytest.raises(errors.UserError, match='^clip 0 is damaged'):
    next(iterator)
  iterator.close()


_PROGRAM = """
from absl import flags
from tests import test_workers
if __name__ == '__main__':
  flags.FLAGS.mark_as_parsed()
  iterator = test_workers._iterate(test_workers._number, 2)
  next(iterator)
  print('ready', flush=True)
  input()
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
  (tmp_path / 'program.py').write_text(_PROGRAM)
  program = subprocess.Popen(
      [sys.executable, tmp_path / 'program.py'],
      env={**os.environ, 'PYTHONPATH': os.getcwd()},
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      text=True,
      start_new_session=True,
  )
  with program:
    assert program.stdout.readline() == 'ready\n'
    program.kill()
    # Its workers hold the other end of the pipe.
    start = time.monotonic()
    assert program.stdout.read() == ''
  assert time.monotonic() - start < 5
