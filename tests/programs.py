"""Runs programs as a user does."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def run(module: str, *args: str) -> subprocess.CompletedProcess:
  """Runs `python -m module`, for ten minutes at most; its output is text."""
  return subprocess.run(
      [sys.executable, '-m', module, *args],
      cwd=ROOT,
      capture_output=True,
      text=True,
      timeout=600,
  )
