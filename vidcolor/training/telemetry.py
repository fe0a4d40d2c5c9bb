"""Reports of a run: TensorBoard events, metrics, progress lines and traces."""

from collections.abc import Iterator, Mapping
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


class Telemetry:
  """Reports the metrics of one run. Only process 0 writes and prints."""

  def __init__(
      self,
      workdir: str | os.PathLike[str],
      *,
      first_step: int,
      last_step: int,
      batch_size: int,
      flops: int | None = None,
  ):
    """Opens the files and starts the clock.

    Args:
      workdir: Folder to write to.
      first_step: Step after which the run starts or resumes.
      last_step: Last step of the run.
      batch_size: Examples in a step, of all processes.
      flops: FLOPs of a step, of all devices.
    """
    self._flops = flops
    self._last_step = last_step
    self._batch_size = batch_size
    self._clock = self._start = (first_step, time.perf_counter())
    self._waited = self._paused = 0.0
    self._writes = jax.process_index() == 0
    if self._writes:
      # Not a SummaryWriter. It writes in a thread, which ends when the disk is
      # full; every later call then waits for that thread forever.
      self._events = event_file_writer.EventsWriter(f'{workdir}/events')
      # Makes TensorBoard hide what an earlier run wrote after `first_step`.
      self._write_events(first_step + 1, session_log={'status': 'START'})
      self._file = _open_to_append(pathlib.Path(workdir) / 'metrics.jsonl')

  def print(self, *lines: str) -> None:
    """Prints lines."""
    for line in lines:
      if self._writes:
        print(line, flush=True)

  @contextlib.contextmanager
  def waiting_for_data(self, metrics: Mapping[str, Any]) -> Iterator[None]:
    """Counts the time in the `with` block as time that devices waited for data.

    Args:
      metrics: Metrics of the step before, if any, as JAX arrays. If they are
        not computed when the block ends, the devices were busy all along, and
        no time is counted.
    """
    start = time.perf_counter()
    yield
    if all(value.is_ready() for value in metrics.values()):
      self._waited += time.perf_counter() - start

  @contextlib.contextmanager
  def pause(self) -> Iterator[None]:
    """Excludes the time within from the time that training took."""
    start = time.perf_counter()
    yield
    self._paused += time.perf_counter() - start

  def evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
    """Reports the metrics of an evaluation, to TensorBoard and in one line."""
    if self._writes:
      self._write_scalars(step, metrics)
      words = '  '.join(f'{name} {x:.3f}' for name, x in metrics.items())
      self.print(f'after step {step}  {words}')

  def scalars(self, step: int, metrics: Mapping[str, Float[Array, '']]) -> None:
    """Reports the metrics of a step, with the speed since the last report."""
    if not self._writes:
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
        **self._device_metrics(steps_per_second),
    }
    self._write_scalars(step, values)
    self._file.write(json.dumps({'step': step} | values) + '\n')
    self._file.flush()
    self.print(self._progress(step, now, values))

  def _device_metrics(self, steps_per_second):
    """Returns the memory and the speed of the devices."""
    metrics = {'device_memory_gib': hardware.peak_memory() / 2**30}
    if self._flops is not None:
      metrics['model_flops_per_second'] = self._flops * steps_per_second
      if peak := hardware.peak_flops(jax.devices()[0].device_kind):
        share = self._flops * steps_per_second / (peak * jax.device_count())
        metrics['share_of_peak_flops'] = share
    return metrics

  def _progress(self, step, now, metrics):
    first_step, start = self._start
    left = (now - start) / (step - first_step) * (self._last_step - step)
    accuracy = ''
    if {'accuracy', 'accuracy_same_place'} <= metrics.keys():
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
    """Reports images in [0, 1], as one column."""
    if self._writes:
      column = np.concatenate(list(np.asarray(images)), axis=0)
      image = summary.image('colors', column, dataformats='HWC')
      self._write_events(step, summary=image)

  def close(self) -> None:
    """Writes what is still in memory and closes the files."""
    if self._writes:
      self._events.close()
      self._file.close()

  def _write_scalars(self, step, values):
    for name, value in values.items():
      self._write_events(step, summary=summary.scalar(name, value))
    self._events.flush()

  def _write_events(self, step, **content):
    self._events.write_event(
        # pyrefly: ignore[missing-attribute]
        event_pb2.Event(wall_time=time.time(), step=step, **content)
    )


def _open_to_append(path):
  """Opens a file of lines; removes an unfinished last line."""
  if path.exists():  # A full disk may have cut the last line.
    os.truncate(path, path.read_bytes().rfind(b'\n') + 1)
  return path.open('a')


class Profile:
  """Traces the host and the devices from one step to another.

  `tensorboard --logdir=WORKDIR` shows the trace in its tab Profile.
  """

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


def read_metrics(
    workdir: str | os.PathLike[str],
) -> dict[str, Float[np.ndarray, ' reports']]:
  """Reads the metrics of a run by name.

  Of a step that a resumed run repeated, the last report counts.
  """
  lines = (pathlib.Path(workdir) / 'metrics.jsonl').read_text().splitlines()
  reports = {report['step']: report for report in map(json.loads, lines)}
  rows = [reports[step] for step in sorted(reports)]
  names = rows[0] if rows else ()
  return {name: np.array([row[name] for row in rows], float) for name in names}
