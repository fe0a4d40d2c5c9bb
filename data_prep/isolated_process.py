"""Runs functions in a process of their own, which may hang, crash or bloat.

Decoders of video are large C programs that are fed with whatever the web holds:
one of a million files makes them loop for ever, crash or ask for all memory.
Here only the process that reads the file is lost, and soon replaced.
"""

from collections.abc import Callable
import contextlib
import multiprocessing
from multiprocessing import connection as connections
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from typing import Any

import cv2

# Bytes that a process may allocate: enough for video of 8192 x 4320 pixels.
_MAX_MEMORY = 4 << 30
_START_SECONDS = 300  # That starting Python and imports may take.


class CrashedError(Exception):
  """The process ended before the function did."""


class TimedOutError(Exception):
  """The function took too long."""


class ClosedError(Exception):
  """The process was closed meanwhile."""


class IsolatedProcess:
  """A process that runs functions, one at a time, on one core.

  It starts when first needed, and again after it crashed or was killed, and
  ends with this one. It may allocate 4 GiB.

  Processes of `multiprocessing` would run the main module again, which may be
  a script that does not expect it, or one of Beam's.
  """

  def __init__(self):
    self._process: subprocess.Popen[bytes] | None = None
    self._connection: Any = None
    self._closed = False

  def run(
      self,
      function: Callable[..., Any],
      *args: Any,
      timeout: float | None = None,
  ) -> Any:
    """Returns what `function(*args)` returns there; all of it is pickled.

    Args:
      function: To run, one that can be imported by its name.
      *args: Its arguments.
      timeout: Seconds after which it is killed.

    Raises:
      CrashedError: the process ended.
      TimedOutError: it was killed after `timeout` seconds.
      ClosedError: `close` was called.
      RuntimeError: the function, or importing it, raised an exception, which
        this one quotes.
    """
    if self._process is None:
      self._start()
    try:
      self._connection.send((function, args))
      self._receive(_START_SECONDS)  # All is imported: the time starts.
      return self._receive(timeout)
    except (EOFError, OSError):
      ended_by = self._end(patience=1)
      if self._closed:
        raise ClosedError from None
      raise CrashedError(f'crashed its process ({ended_by})') from None

  def close(self) -> None:
    """Ends the process for good; any thread may do so."""
    self._closed = True
    process = self._process
    if process is not None:
      with process:  # Closes its pipe, and waits.
        process.kill()

  def _start(self):
    self._connection, theirs = multiprocessing.Pipe()
    self._process = subprocess.Popen(
        [
            sys.executable,
            '-m',
            'data_prep.isolated_process',
            str(theirs.fileno()),
        ],
        stdin=subprocess.PIPE,  # It closes when this process ends.
        pass_fds=[theirs.fileno()],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
    )
    theirs.close()
    if self._closed:  # Meanwhile, or before.
      self._end(patience=0)
      raise ClosedError

  def _receive(self, timeout):
    if not self._connection.poll(timeout):
      self._end(patience=0)
      raise TimedOutError(f'took more than {timeout:g} seconds')
    error, result = self._connection.recv()
    if error is not None:
      raise RuntimeError(error)
    return result

  def _end(self, patience):
    """Ends the process, if it has not; returns what ended it."""
    process, self._process = self._process, None
    assert process is not None
    with process:
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
      process.kill()
    self._connection.close()
    code = process.returncode
    return f'signal {-code}' if code < 0 else f'exit code {code}'


def _serve(connection: connections.Connection) -> None:
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent.
  threading.Thread(target=_end_with_parent, daemon=True).start()
  with contextlib.suppress(ValueError, OSError):  # Not every system has it.
    resource.setrlimit(resource.RLIMIT_DATA, (_MAX_MEMORY, _MAX_MEMORY))
  cv2.setNumThreads(1)
  while True:
    try:
      request = connection.recv_bytes()
    except EOFError:
      return
    try:
      function, args = pickle.loads(request)  # Imports what it needs.
      connection.send((None, None))
      answer = None, function(*args)
    except Exception as error:  # pylint: disable=broad-exception-caught
      answer = f'{type(error).__name__}: {error}', None
    connection.send(answer)


def _end_with_parent():
  """However the parent ends, and whatever this process is at."""
  sys.stdin.buffer.read()
  os._exit(1)


if __name__ == '__main__':
  _serve(connections.Connection(int(sys.argv[1])))
