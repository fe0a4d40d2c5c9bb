"""Keeps the processes that read clips from one build to the next.

A process imports for a second. Tests that are not about processes share them.
"""

from data_prep import isolated_process

_Process = isolated_process.IsolatedProcess
_idle = []


class KeptProcess:
  """An `IsolatedProcess` that the next one continues, where it is idle."""

  def __init__(self):
    self._process = _idle.pop() if _idle else _Process()
    self._is_busy = False

  def run(self, *args, **options):
    """Runs a function in the process."""
    self._is_busy = True
    try:
      return self._process.run(*args, **options)
    finally:
      self._is_busy = False

  def close(self):
    """Ends the process if it is busy."""
    if self._is_busy:
      self._process.close()
    else:
      _idle.append(self._process)


def keep(monkeypatch):
  """Makes builds of a test use kept processes."""
  monkeypatch.setattr(isolated_process, 'IsolatedProcess', KeptProcess)
