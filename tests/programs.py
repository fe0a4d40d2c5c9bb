"""Runs programs as a user does, but for the imports: see program_server.py."""

import atexit
from collections.abc import Mapping
from concurrent import futures
import contextlib
import functools
import io
import json
import os
import pathlib
import re
import runpy
import signal
import socket
import subprocess
import sys
from typing import Self
from unittest import mock
import warnings

from absl import app
from absl import flags
import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Names of modules with flags of programs. A program that runs is its path.
_OURS = re.compile(r'\b(vidcolor|data_prep|experiments)\b')


class Program:
  """A running program, with what tests use of `subprocess.Popen`.

  As a context manager it kills in the end what is left of the program.
  """

  def __init__(
      self, module: str, *args: str, env: Mapping[str, str] | None = None
  ):
    """Starts `python -m module`, for ten minutes at most.

    Args:
      module: The program.
      *args: Its arguments.
      env: Environment variables that it reads after its imports.
    """
    self.args = [module, *args]
    self.returncode = None
    pipes = [os.pipe() for _ in range(3)]
    request = json.dumps({'module': module, 'args': args, 'env': env or {}})
    ends = [write for _, write in pipes]
    socket.send_fds(_server(), [request.encode()], ends)
    for _, write in pipes:
      os.close(write)
    files = [open(read) for read, _ in pipes]
    self.stdout, self.stderr, self._status = files
    self.pid = int(self._status.readline())

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *error) -> None:
    self._kill()
    self.wait()
    for file in self.stdout, self.stderr, self._status:
      file.close()

  def send_signal(self, number: int) -> None:
    """Sends a signal to the program alone, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
      os.kill(self.pid, number)

  def wait(self, timeout: float = 600) -> int:
    """Waits for the program's end; returns its exit code."""
    if self.returncode is None:
      (line,) = self._within(timeout, self._status.readline)
      self.returncode = int(line)
    return self.returncode

  def communicate(self, timeout: float = 600) -> list[str]:
    """Waits for the end; returns what is left of the output and the errors."""
    left = self._within(timeout, self.stdout.read, self.stderr.read)
    self.wait()
    return left

  def _within(self, timeout, *reads):
    """Returns what is read. If that takes too long, kills the program."""
    with futures.ThreadPoolExecutor() as pool:
      pending = [pool.submit(read) for read in reads]
      if futures.wait(pending, timeout).not_done:
        self._kill()
        raise subprocess.TimeoutExpired(self.args, timeout)
    return [read.result() for read in pending]

  def _kill(self):
    # Its process group holds the processes that it started.
    with contextlib.suppress(ProcessLookupError):
      os.killpg(self.pid, signal.SIGKILL)


def run(
    module: str,
    *args: str,
    python_path: pathlib.Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> subprocess.CompletedProcess:
  """Runs `python -m module`; its output is text.

  Args:
    module: The program.
    *args: Its arguments.
    python_path: A folder of modules for it. Then it runs in a new interpreter,
      for ten minutes at most.
    env: Environment variables that it reads after its imports.
    timeout: Seconds until it is killed.
  """
  if python_path:
    return _run_alone(module, args, {'PYTHONPATH': str(python_path)})
  with Program(module, *args, env=env) as program:
    outputs = program.communicate(timeout)
  return subprocess.CompletedProcess(program.args, program.returncode, *outputs)


def track(video, output_dir, *flags, run=run) -> subprocess.CompletedProcess:
  """Runs `vidcolor.track` by `run` or `run_here`."""
  return run(
      'vidcolor.track', f'--video={video}', f'--output_dir={output_dir}', *flags
  )


def _run_alone(module, args, env: Mapping[str, str]):
  return subprocess.run(
      [sys.executable, '-m', module, *args],
      cwd=ROOT,
      env=os.environ | env,
      capture_output=True,
      text=True,
      timeout=600,
  )


@functools.cache
def _server():
  """Starts the server; returns the socket of its requests."""
  ours, its = socket.socketpair()
  with its:
    command = [sys.executable, '-m', 'tests.program_server']
    server = subprocess.Popen(command, cwd=ROOT, stdin=its)

  def stop():
    ours.close()
    server.wait()

  atexit.register(stop)
  return ours


def run_here(module: str, *args: str) -> subprocess.CompletedProcess:
  """Runs a program in this process.

  That takes less time, but only suits programs that end in an error before they
  change settings of the process.
  """
  outputs = io.StringIO(), io.StringIO()
  with (
      contextlib.redirect_stdout(outputs[0]),
      contextlib.redirect_stderr(outputs[1]),
      contextlib.chdir(ROOT),
      mock.patch.object(sys, 'argv', [module, *args]),
      # absl's own sets up logging and signals for the whole process.
      mock.patch.object(
          app, 'run', lambda main, flags_parser: main(flags_parser(sys.argv))
      ),
      warnings.catch_warnings(action='ignore'),
      _flags_of_one_program(),
      pytest.raises(SystemExit) as ended,
  ):
    runpy.run_module(module, run_name='__main__', alter_sys=True)
  texts = [output.getvalue() for output in outputs]
  return subprocess.CompletedProcess([module, *args], ended.value.code, *texts)


@contextlib.contextmanager
def _flags_of_one_program():
  """Takes away the flags of our programs, of which many have the same names."""
  others = _take_flags()
  try:
    yield
  finally:
    _take_flags()
    for flag, module in others:
      flags.FLAGS[flag.name] = flag
      flags.FLAGS.register_flag_by_module(module, flag)


def _take_flags():
  """Removes the flags of our programs; returns them with their modules."""
  taken = []
  for name in list(flags.FLAGS):
    module = flags.FLAGS.find_module_defining_flag(name) or ''
    if _OURS.search(module) or name.startswith('config.'):
      taken.append((flags.FLAGS[name], module))
      delattr(flags.FLAGS, name)
  return taken
