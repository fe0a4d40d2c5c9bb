"""A trace of some steps: `tensorboard --logdir=WORKDIR`, its tab Profile."""

import os
from typing import Any

import jax


class Profile:
  """Records what host and devices do from one step to another."""

  def __init__(
      self,
      workdir: str | os.PathLike[str],
      steps: tuple[int, int] | None,
  ):
    """Records nothing yet.

    Args:
      workdir: Folder to write to, in plugins/profile.
      steps: First and last step to record, or None for no trace at all.
    """
    self._workdir = os.fspath(workdir)
    self._first, self._last = steps or (0, -1)
    self._records = False

  def at(self, step: int, state: Any) -> None:
    """Begins or ends, before `step`; `state` is what the step before made."""
    if (self._first <= step <= self._last) == self._records:
      return
    # The devices lag behind: only whole steps are to be seen.
    jax.block_until_ready(state)
    if self._records:
      self.close()
    else:
      jax.profiler.start_trace(self._workdir)
      self._records = True

  def close(self) -> None:
    """Ends, where training has ended before."""
    if self._records:
      self._records = False
      jax.profiler.stop_trace()
