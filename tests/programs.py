"""Runs programs as a user does, but for the imports: see program_server.py."""

from collections.abc import Mapping
import contextlib
import functools
import io
import json
import os
import pathlib
import re
import runpy
import subprocess
import sys
import tempfile
from unittest import mock
import warnings

from absl import app
from absl import flags
import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Names of modules with flags of programs. A program that runs is its path.
_OURS = re.compile(r'\b(vidcolor|data_prep|experiments)\b')


def run(
    module: str, *args: str, python_path: pathlib.Path | None = None
) -> subprocess.CompletedProcess:
  """Runs `python -m module`, for ten minutes at most; its output is text."""
  if python_path:
    return _run_alone(module, args, {'PYTHONPATH': str(python_path)})
  with tempfile.TemporaryDirectory() as folder:
    outputs = {name: f'{folder}/{name}' for name in ('stdout', 'stderr')}
    for path in outputs.values():
      pathlib.Path(path).touch()
    request = {'module': module, 'args': args, **outputs}
    server = _server()
    print(json.dumps(request), file=server.stdin, flush=True)
    code = int(server.stdout.readline())
    texts = {k: pathlib.Path(v).read_text() for k, v in outputs.items()}
  return subprocess.CompletedProcess([module, *args], code, **texts)


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
  """It ends with this process, which alone holds its input open."""
  return subprocess.Popen(
      [sys.executable, '-m', 'tests.program_server'],
      cwd=ROOT,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
  )


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
