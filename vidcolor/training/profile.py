"""Records a trace of some steps.

`tensorboard --logdir=WORKDIR` shows it in its tab Profile.
"""

import os
from typing import Any

import jax


class Profile:
  """Traces the host and the devices from one step to another."""

  def __init__(
      self,
      workdir: str | os.PathLike[str],
      steps: tuple[int, int] | None,
  ):
    """Initializes without recording anything.

    Args:
      workdir: Folder to write to, in plugins/profile.
      steps: First and last step to trace, or None for no trace.
    """
    self._workdir = os.fspath(workdir)
    self._first, self._last = steps or (0, -1)
    self._is_recording = False

  def before_step(self, step: int, state: Any) -> None:
    """Starts or stops the trace, if it starts or ends before this step.

    Args:
      step: Step that comes next.
      state: Arrays that the step before returned.
    """
    if (self._first <= step <= self._last) == self._is_recording:
      return
    # The devices run behind the host. Waiting for them keeps the steps whole.
    jax.block_until_ready(state)
    if self._is_recording:
      self.close()
    else:
      jax.profiler.start_trace(self._workdir)
      self._is_recording = True

  def close(self) -> None:
    """Stops the trace, if it is still recording."""
    if self._is_recording:
      self._is_recording = False
      jax.profiler.stop_trace()
