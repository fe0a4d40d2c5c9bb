"""Measures time and memory: of calls in turn, and in new processes."""

from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import process
import ctypes
import multiprocessing
import os
import pathlib
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from vidcolor import errors

_TURN_SECONDS = 0.2
_LONG_SECONDS = 1.0


class Settings(NamedTuple):
  """Settings of a benchmark.

  Attributes:
    rounds: How often `time_in_turn` times each call.
    davis_dir: Folder of DAVIS, whose first sequence `propagation` tracks. None
      for rendered video.
    peers_dir: Folder with clones of other repositories.
  """

  rounds: int = 3
  davis_dir: str | None = None
  peers_dir: str | None = None


class Measurement(NamedTuple):
  """A measured value, and a target for it.

  Attributes:
    name: What was measured.
    unit: Unit, such as 'ms'; 'times' for a ratio.
    median: Median of all rounds.
    low: First quartile.
    high: Third quartile.
    at_least: Target from below, if any.
    at_most: Target from above, if any.
  """

  name: str
  unit: str
  median: float
  low: float
  high: float
  at_least: float | None = None
  at_most: float | None = None

  def aim(self) -> str:
    """Returns the target in words, and whether it is met."""
    if self.at_least is not None:
      words, met = f'at least {self.at_least:g}', self.median >= self.at_least
    elif self.at_most is not None:
      words, met = f'at most {self.at_most:g}', self.median <= self.at_most
    else:
      return ''
    return f'{words}: {"met" if met else "missed"}'


class Curve(NamedTuple):
  """Growth of time and memory with a variable.

  Attributes:
    name: Name and unit of the variable.
    values: Values of the variable.
    time: What takes the seconds, such as 'a frame'.
    seconds: Time at each value.
    memory: Memory at each value in bytes, in addition to that of an idle
      process.
  """

  name: str
  values: Sequence[float]
  time: str
  seconds: Sequence[float]
  memory: Sequence[float]


class Estimate(NamedTuple):
  """What a compiler says of a program for devices that are not there.

  Attributes:
    name: The program and the devices.
    report: As from `vidcolor.training.compiled.report`; None if the program
      does not fit.
    error: Why it does not fit, or ''.
  """

  name: str
  report: dict[str, Any] | None
  error: str = ''

  def columns(self) -> dict[str, str]:
    """Returns the figures of a device in words, by the name of the column."""
    if self.report is None:
      return {'time': self.error}
    report = self.report
    seconds, share = report['step_seconds'], report['share_of_peak']
    memory = report['memory_per_device']
    accessed = report['bytes_per_device']
    return {
        'time': f'{1e3 * seconds:.2f} ms' if seconds else 'no estimate',
        'of the peak': f'{share:.0%}' if share else '',
        'GFLOP': f'{report["flops_per_device"] / 1e9:.1f}',
        'GB accessed': f'{accessed / 1e9:.1f}' if accessed else '',
        'GB of memory': f'{memory["total"] / 1e9:.2f}',
        'temporaries': f'{memory["temporaries"] / 1e9:.2f}',
        'transfers': ', '.join(
            f'{x["count"]} {kind}, {x["bytes"] / 1e6:.0f} MB'
            for kind, x in report['collectives'].items()
        ),
    }


def measurement(name: str, unit: str, values: Any, **aim: float) -> Measurement:
  """Summarizes the values of all rounds, or a single value."""
  low, median, high = np.percentile(values, (25, 50, 75)).tolist()
  return Measurement(name, unit, median, low, high, **aim)


def time_in_turn(
    calls: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, np.ndarray]:
  """Times each call once in every round, one after another.

  So other programs on the machine disturb all calls alike, and a ratio compares
  calls that ran at nearly the same time. A turn repeats its call for a fifth of
  a second. Before that, it calls once without timing, to fill the caches; calls
  that take more than a second skip this.

  Args:
    calls: Calls by name. Each may compile when it is first called.
    rounds: Number of rounds.

  Returns:
    Mean seconds of each call by name, with shape [rounds].
  """
  usual = {}
  for name, call in calls.items():
    _time(call, 1)
    usual[name] = _time(call, 1)
  seconds = {name: [] for name in calls}
  for _ in range(rounds):
    for name, call in calls.items():
      if usual[name] < _LONG_SECONDS:
        _time(call, 1)
      repeats = 1 + int(_TURN_SECONDS / usual[name])
      seconds[name].append(_time(call, repeats))
  return {name: np.array(values) for name, values in seconds.items()}


def _time(call, repeats):
  """Returns the mean seconds of a call."""
  start = time.perf_counter()
  for _ in range(repeats):
    jax.block_until_ready(call())
  return (time.perf_counter() - start) / repeats


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
  """Calls a function in a new process and returns its result.

  Raises:
    UserError: The process died, usually because memory ran out.
  """
  spawn = multiprocessing.get_context('spawn')
  try:
    with futures.ProcessPoolExecutor(1, spawn) as pool:
      return pool.submit(function, *arguments).result()
  except process.BrokenProcessPool as error:
    raise errors.UserError(
        f'the process of {function.__module__} died: it may need more memory'
    ) from error


def torch() -> Any:
  """Returns PyTorch, set to use all cores as XLA does, or None if missing."""
  try:
    import torch as module
  except ImportError:
    return None
  module.set_num_threads(os.cpu_count() or 1)
  return module


class Memory:
  """Measures the peak memory of this process, minus its memory at the start.

  It works on Linux only. It does not use `resource.getrusage`, because there a
  new process starts with its parent's peak.
  """

  def __init__(self):
    self.reset()
    self._before = _status('VmRSS')

  def reset(self) -> None:
    """Resets the peak, for example after compiling."""
    # Otherwise glibc keeps the memory that the compiler has freed.
    if trim := getattr(ctypes.CDLL(None), 'malloc_trim', None):
      trim(0)
    pathlib.Path('/proc/self/clear_refs').write_text('5')

  def peak(self) -> int:
    """Returns the peak in bytes, minus the memory at the start."""
    return _status('VmHWM') - self._before


def _status(kind):
  for line in pathlib.Path('/proc/self/status').read_text().splitlines():
    if line.startswith(f'{kind}:'):
      return 1024 * int(line.split()[1])
  raise errors.UserError(f'this system does not report {kind} of a process')
