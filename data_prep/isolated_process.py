"""Runs functions in a separate process, which may hang, crash or use memory.

Video decoders are large C programs. One in a million videos from the web makes
them loop forever, crash or allocate all memory. Then only the process that
reads this video ends, and a new process replaces it.
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

# Memory limit of a process in bytes, enough for video of 8192 x 4320 pixels.
_MAX_MEMORY = 4 << 30
_START_SECONDS = 300  # Time limit of starting Python and of imports.


class CrashedError(Exception):
  """The process ended before the function did."""


class TimedOutError(Exception):
  """The function exceeded its time limit."""


class ClosedError(Exception):
  """The process was closed before the function ended."""


class IsolatedProcess:
  """A process that runs functions, one at a time, on one core.

  It starts on first use, restarts after it crashed or was killed, and ends when
  this process ends. It can allocate 4 GiB.

  It is not a `multiprocessing.Process`, which imports the main module again.
  The main module may be a script without a guard, or belong to Beam.
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
    """Runs a function in the process and returns its result.

    Args:
      function: Function that can be imported by its name.
      *args: Its arguments. They and the result are pickled.
      timeout: Seconds after which the process is killed.

    Raises:
      CrashedError: The process ended.
      TimedOutError: The process was killed after `timeout` seconds.
      ClosedError: `close` was called.
      RuntimeError: The function, or importing it, raised an exception. The
        message quotes it.
    """
    if self._process is None:
      self._start()
    try:
      self._connection.send((function, args))
      self._receive(_START_SECONDS)  # Imports are done; the timeout starts.
      return self._receive(timeout)
    except (EOFError, OSError):
      ended_by = self._end(patience=1)
      if self._closed:
        raise ClosedError from None
      raise CrashedError(f'crashed its process ({ended_by})') from None

  def close(self) -> None:
    """Ends the process permanently. Any thread may call this."""
    self._closed = True
    process = self._process
    if process is not None:
      with process:  # Closes the pipe and waits.
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
        stdin=subprocess.PIPE,  # Closes when this process ends.
        pass_fds=[theirs.fileno()],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
    )
    theirs.close()
    if self._closed:  # Another thread may have called `close`.
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
    """Ends the process if it is running; returns how it ended."""
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
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent handles Ctrl-C.
  threading.Thread(target=_end_with_parent, daemon=True).start()
  with contextlib.suppress(ValueError, OSError):  # Some systems lack it.
    resource.setrlimit(resource.RLIMIT_DATA, (_MAX_MEMORY, _MAX_MEMORY))
  cv2.setNumThreads(1)
  while True:
    try:
      request = connection.recv_bytes()
    except EOFError:
      return
    try:
      function, args = pickle.loads(request)  # Imports their modules.
      connection.send((None, None))
      answer = None, function(*args)
    except Exception as error:  # pylint: disable=broad-exception-caught
      answer = f'{type(error).__name__}: {error}', None
    connection.send(answer)


def _end_with_parent():
  """Exits when the parent ends, even if it is killed."""
  sys.stdin.buffer.read()
  os._exit(1)


if __name__ == '__main__':
  _serve(connections.Connection(int(sys.argv[1])))
