"""Measuring: calls in turn, new processes, and the figures that come of it."""

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
  """What a benchmark is told.

  Attributes:
    rounds: How often each call of `in_turn` is timed.
    davis_dir: A DAVIS folder, whose first sequence `propagation` tracks; None
      has it track rendered video.
    peers_dir: Folder of clones of others' repositories.
  """

  rounds: int = 3
  davis_dir: str | None = None
  peers_dir: str | None = None


class Figure(NamedTuple):
  """A measured number, and the aim it is held against.

  Attributes:
    name: What was measured.
    unit: Such as 'ms'; of a ratio, 'times'.
    median: Of all rounds.
    low: The first quartile.
    high: The third one.
    at_least: The aim, if there is one.
    at_most: Likewise.
  """

  name: str
  unit: str
  median: float
  low: float
  high: float
  at_least: float | None = None
  at_most: float | None = None

  def aim(self) -> str:
    """The aim in words, and whether it is met."""
    if self.at_least is not None:
      words, met = f'at least {self.at_least:g}', self.median >= self.at_least
    elif self.at_most is not None:
      words, met = f'at most {self.at_most:g}', self.median <= self.at_most
    else:
      return ''
    return f'{words}: {"met" if met else "missed"}'


class Curve(NamedTuple):
  """How time and memory grow.

  Attributes:
    name: What grows, and its unit.
    values: Of it.
    time: What the seconds are taken for, such as 'a frame'.
    seconds: At each value.
    memory: Bytes that were taken beside those of a process that is ready.
  """

  name: str
  values: Sequence[float]
  time: str
  seconds: Sequence[float]
  memory: Sequence[float]


def figure(name: str, unit: str, values: Any, **aim: float) -> Figure:
  """Sums up the rounds; one number is a round."""
  low, median, high = np.percentile(values, (25, 50, 75)).tolist()
  return Figure(name, unit, median, low, high, **aim)


def in_turn(
    calls: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, np.ndarray]:
  """Times each call once a round, one after another.

  What else the machine does so disturbs all of them alike, and a round's ratio
  is one of neighbours in time. A turn is as many calls as fill a fifth of a
  second, after one that is not timed: it finds the caches full of another's
  data. Calls of more than a second go without.

  Args:
    calls: By name; each may compile when it is first called.
    rounds: How many.

  Returns:
    Mean seconds of a call by name, [rounds] each.
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
  """Mean seconds of a call."""
  start = time.perf_counter()
  for _ in range(repeats):
    jax.block_until_ready(call())
  return (time.perf_counter() - start) / repeats


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
  """The result of a call that no other work's memory or threads touch.

  Raises:
    UserError: the process died, mostly for want of memory.
  """
  spawn = multiprocessing.get_context('spawn')
  try:
    with futures.ProcessPoolExecutor(1, spawn) as pool:
      return pool.submit(function, *arguments).result()
  except process.BrokenProcessPool as error:
    raise errors.UserError(
        f'the process of {function.__module__} died: it may want more memory'
    ) from error


def torch() -> Any:
  """PyTorch on all cores, as XLA is; None where it is not installed."""
  try:
    import torch as module
  except ImportError:
    return None
  module.set_num_threads(os.cpu_count() or 1)
  return module


class Memory:
  """How much more memory this process takes than when this was made.

  On Linux. `resource.getrusage` would not do: a new process has its parent's
  peak.
  """

  def __init__(self):
    self.forget()
    self._before = _status('VmRSS')

  def forget(self) -> None:
    """Has `peak` count from now on, such as after compiling."""
    # Else what the compiler has freed stays, where glibc keeps it.
    if trim := getattr(ctypes.CDLL(None), 'malloc_trim', None):
      trim(0)
    pathlib.Path('/proc/self/clear_refs').write_text('5')

  def peak(self) -> int:
    """The most bytes that were taken at once beside those before."""
    return _status('VmHWM') - self._before


def _status(kind):
  for line in pathlib.Path('/proc/self/status').read_text().splitlines():
    if line.startswith(f'{kind}:'):
      return 1024 * int(line.split()[1])
  raise errors.UserError(f'this system does not tell {kind} of a process')
