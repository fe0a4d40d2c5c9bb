"""What a run tells: TensorBoard, a metrics file and a line of progress."""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import time
from typing import Any

import jax
from jaxtyping import Array, Float
import numpy as np
from tensorboardX import event_file_writer
from tensorboardX import summary
from tensorboardX.proto import event_pb2

from vidcolor.training import hardware

_FLUSH_SECONDS = 60.0


class Telemetry:
  """Writes the metrics of one run; silent on all processes but the first."""

  def __init__(
      self,
      workdir: str | os.PathLike[str],
      *,
      first_step: int,
      last_step: int,
      batch_size: int,
      flops: float | None = None,
  ):
    """Starts the clock.

    Args:
      workdir: Folder to write to.
      first_step: That the run begins or goes on after.
      last_step: That it ends with.
      batch_size: Examples in a step, of all processes.
      flops: Of a step, of all devices.
    """
    self._flops = flops
    self._last_step = last_step
    self._batch_size = batch_size
    self._clock = self._start = (first_step, time.perf_counter())
    self._waited = self._paused = 0.0
    self._speaks = jax.process_index() == 0
    if self._speaks:
      self._events = _Events(workdir, first_step)
      self._file = _open_to_append(pathlib.Path(workdir) / 'metrics.jsonl')

  def tell(self, *lines: str) -> None:
    """Prints lines."""
    for line in lines:
      if self._speaks:
        print(line, flush=True)

  @contextlib.contextmanager
  def waiting(self, metrics: dict[str, Any]) -> Iterator[None]:
    """Counts the time within as spent on waiting for data.

    Args:
      metrics: Of the last step, if any. If they are not there when the time is
        over, then the devices had work all along, and nothing is counted.
    """
    start = time.perf_counter()
    yield
    if all(value.is_ready() for value in metrics.values()):
      self._waited += time.perf_counter() - start

  @contextlib.contextmanager
  def pause(self) -> Iterator[None]:
    """Takes the time within for no part of training."""
    start = time.perf_counter()
    yield
    self._paused += time.perf_counter() - start

  def figures(self, step: int, values: dict[str, float]) -> None:
    """Reports what was found by other means than training, in one line."""
    if self._speaks:
      for name, value in values.items():
        self._events.add(step, summary=summary.scalar(name, value))
      told = '  '.join(f'{name} {value:.3f}' for name, value in values.items())
      self.tell(f'after step {step}  {told}')

  def scalars(self, step: int, metrics: dict[str, Float[Array, '']]) -> None:
    """Reports the metrics of a step, with the speed since the last report."""
    if not self._speaks:
      return
    last_step, last_time = self._clock
    now = time.perf_counter()
    self._clock = (step, now)
    steps = step - last_step
    steps_per_second = steps / (now - last_time - self._paused)
    waited, self._waited, self._paused = self._waited / steps, 0.0, 0.0
    values = {name: float(value) for name, value in metrics.items()} | {
        'steps_per_second': steps_per_second,
        'examples_per_second': steps_per_second * self._batch_size,
        'seconds_waiting_for_data': waited,
        'seconds_computing': 1 / steps_per_second - waited,
        **self._effort(steps_per_second),
    }
    for name, value in values.items():
      self._events.add(step, summary=summary.scalar(name, value))
    self._file.write(json.dumps({'step': step} | values) + '\n')
    self._file.flush()
    self.tell(self._progress(step, now, values))

  def _effort(self, steps_per_second):
    """What the devices do, and of what they could do."""
    effort = {'device_memory_gib': hardware.peak_memory() / 2**30}
    if self._flops is not None:
      effort['model_flops_per_second'] = self._flops * steps_per_second
      if peak := hardware.peak_flops(jax.devices()[0].device_kind):
        share = self._flops * steps_per_second / (peak * jax.device_count())
        effort['share_of_peak_flops'] = share
    return effort

  def _progress(self, step, now, metrics):
    first_step, start = self._start
    left = (now - start) / (step - first_step) * (self._last_step - step)
    accuracy = ''
    if 'accuracy' in metrics:
      accuracy = (
          f'  accuracy {metrics["accuracy"]:.3f}'
          f' (same place {metrics["accuracy_same_place"]:.3f})'
      )
    return (
        f'step {step:>{len(str(self._last_step))}}/{self._last_step}'
        f'  loss {metrics["loss"]:.3f}{accuracy}'
        f'  {metrics["steps_per_second"]:.2f} steps/s'
        f'  {metrics["examples_per_second"]:.1f} examples/s'
        f'  {left // 60:.0f}m{left % 60:02.0f}s left'
    )

  def images(
      self, step: int, images: Float[Array, 'batch height width 3']
  ) -> None:
    """Shows a column of images in [0, 1]."""
    if self._speaks:
      column = np.concatenate(list(np.asarray(images)), axis=0)
      image = summary.image('colors', column, dataformats='HWC')
      self._events.add(step, summary=image)

  def close(self) -> None:
    """Writes out what is still held."""
    if self._speaks:
      self._events.close()
      self._file.close()


class _Events:
  """A file of events for TensorBoard.

  `tensorboardX.SummaryWriter` writes in a thread: when the disk is full that
  ends, and everybody waits for it forever. Here a write raises its own error.
  """

  def __init__(self, workdir, first_step):
    self._writer = event_file_writer.EventsWriter(f'{workdir}/events')
    self._flushed = time.monotonic()
    # Has TensorBoard hide what an earlier run wrote after `first_step`.
    self.add(first_step + 1, session_log={'status': 'START'})

  def add(self, step, **content):
    self._writer.write_event(
        # pyrefly: ignore[missing-attribute]
        event_pb2.Event(wall_time=time.time(), step=step, **content)
    )
    if time.monotonic() - self._flushed > _FLUSH_SECONDS:
      self._writer.flush()
      self._flushed = time.monotonic()

  def close(self):
    self._writer.close()


def _open_to_append(path):
  """Opens a file of lines, without the torn one that a full disk left."""
  if path.exists():
    os.truncate(path, path.read_bytes().rfind(b'\n') + 1)
  return path.open('a')


def read_metrics(
    workdir: str | os.PathLike[str],
) -> dict[str, Float[np.ndarray, ' reports']]:
  """The metrics of a run by name; a step that a resume repeats counts once."""
  lines = (pathlib.Path(workdir) / 'metrics.jsonl').read_text().splitlines()
  reports = {report['step']: report for report in map(json.loads, lines)}
  rows = [reports[step] for step in sorted(reports)]
  return {
      name: np.array([row[name] for row in rows], float) for name in rows[0]
  }
