"""Runs programs as a user does."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def run(
    module: str, *args: str, python_path: pathlib.Path | None = None
) -> subprocess.CompletedProcess:
  """Runs `python -m module`, for ten minutes at most; its output is text."""
  env = dict(os.environ)
  if python_path:
    env['PYTHONPATH'] = str(python_path)
  return subprocess.run(
      [sys.executable, '-m', module, *args],
      cwd=ROOT,
      env=env,
      capture_output=True,
      text=True,
      timeout=600,
  )
