"""Runs programs as a user does, but for the imports: see program_server.py."""

from collections.abc import Mapping
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]


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
