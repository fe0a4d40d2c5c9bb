"""Times a training step: in our loop beside a plain one, and on its own.

On a CPU, `vidcolor.training.loop` with all it does (Grain, logging, images and
a checkpoint every --steps) beside a step of the same network written by hand,
whose batch is in memory; in turns:

python -m experiments.benchmarks.train_step \
  --config=experiments/configs/compact.py --config.dataset.data_dir=DATA_DIR

Without a dataset clips are rendered. The step alone, on whatever
device there is, with its memory and the operations that take longest:

python -m experiments.benchmarks.train_step --measure=step \
  --config=experiments/configs/paper.py --batch_sizes=32,128 \
  --remats=none,norms,blocks --profile_dir=DIR
"""

import collections
from collections.abc import Callable, Iterator
import contextlib
import itertools
import math
import multiprocessing
import os
import pathlib
import re
import signal
import statistics
import tempfile
import time
from typing import Any

from absl import flags
import jax
from jax import numpy as jnp
from ml_collections import config_flags
import numpy as np

from data_prep import palette as palette_lib
from data_prep.synthetic_clips import synthetic_clips
from experiments.benchmarks import plain_step
from vidcolor import color
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import sharding
from vidcolor.data import clips
from vidcolor.training import hardware
from vidcolor.training import loop
from vidcolor.training import step as step_lib

_CONFIG = config_flags.DEFINE_config_file(
    'config',
    None,
    'Config file; --config.FIELD=VALUE sets a field.',
)
_MEASURE = flags.DEFINE_enum(
    'measure', 'loop', ['loop', 'step'], 'Our loop, or the step alone.'
)
_STEPS = flags.DEFINE_integer('steps', None, 'Of a turn; 100, alone 10.', 1)
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'How often to time so many.', 1)
_BATCH_SIZES = flags.DEFINE_list(
    'batch_sizes', None, "Of the step alone; default: the config's."
)
_REMATS = flags.DEFINE_list(
    'remats', None, "config.remat of the step alone; default: the config's."
)
_PROFILE_DIR = flags.DEFINE_string(
    'profile_dir', None, 'Where traces of the step alone go.'
)
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write.')

_NUM_TOP = 10
_COLLECTIVE = re.compile(
    r' (all-reduce|all-gather|reduce-scatter|all-to-all)(?:-start)?\('
)
_TURNS = 5  # Of each in a round.


def main(argv):
  """Prints a table."""
  if len(argv) > 1:
    raise errors.UserError(f'{argv[1]} is not a flag; see --help')
  machine = environment.describe()
  print(machine['machine'])
  if _MEASURE.value == 'step':
    results = {'steps': [_report_step(config) for config in _cases()]}
  else:
    with tempfile.TemporaryDirectory() as folder:
      config = _with_dataset(_CONFIG.value, pathlib.Path(folder))
      num_steps = _STEPS.value or 100
      results = measure_loop(config, folder, num_steps, _ROUNDS.value)
    _print_loop(results)
  if _OUTPUT.value:
    files.write_json(_OUTPUT.value, results | machine)


def _with_dataset(config, folder):
  """The config, on rendered clips if it names no dataset that is there."""
  if clips.find_builder(config.dataset.name, config.dataset.data_dir):
    return config
  print(f'no {config.dataset.name} in {config.dataset.data_dir}: rendering')
  builder = synthetic_clips.SyntheticClips(
      num_train=128, num_test=0, data_dir=folder
  )
  builder.download_and_prepare()
  palette_lib.fit(builder.data_dir)
  config.dataset.name = builder.name
  config.dataset.data_dir = str(folder)
  return config


def measure_loop(
    config: Any, folder: str | os.PathLike, num_steps: int, rounds: int
) -> dict[str, dict[str, list[float]]]:
  """Returns seconds a step of the plain step and of our loop, by round.

  The loop is a process of its own, which is stopped while the other has its
  turn; they change five times a round. A round begins half-way between two
  checkpoints: what one costs in the background is in the same round.

  Args:
    config: a training config; its schedule and its checkpoints are changed.
    folder: where the loop may write.
    num_steps: of a round, and between checkpoints; at least 5.
    rounds: how many.

  Returns:
    By the clock and in core seconds, for 'plain' and 'loop'. Core seconds are
    disturbed less by what else the machine does; those of data workers
    (config.clips.num_workers) are not in them.
  """
  num_slice, first = num_steps // _TURNS, num_steps // 2
  config.checkpoint_every = num_steps
  config.log_every = math.gcd(config.log_every, num_slice, first)
  config.steps = first + rounds * _TURNS * num_slice
  records = clips.open_records(**config.dataset)
  batches = clips.training_batches(
      records, batch_size=config.batch_size, **config.clips, seed=config.seed
  )
  frames = jnp.asarray(next(batches)['frames'])
  batches.close()
  palette = color.load_palette(records.folder / 'palette.npy')
  state, step = plain_step.make(config, palette)
  plain, ours = np.zeros((2, rounds, 2))
  with _training(config, pathlib.Path(folder) / 'workdir') as train_until:
    train_until(first)
    state, _ = _timed(step, state, frames, num_slice)
    for turn in range(rounds * _TURNS):
      state, seconds = _timed(step, state, frames, num_slice)
      plain[turn // _TURNS] += seconds
      ours[turn // _TURNS] += train_until(first + (turn + 1) * num_slice)
  plain, ours = plain / (_TURNS * num_slice), ours / (_TURNS * num_slice)
  return {
      clock: {'plain': plain[:, i].tolist(), 'loop': ours[:, i].tolist()}
      for i, clock in enumerate(('seconds', 'core seconds'))
  }


def _timed(step, state, frames, num_steps):
  """Returns the state afterwards, and what it took, as `_clocks` has it."""
  start, metrics = _clocks(os.getpid()), None
  for _ in range(num_steps):
    state, metrics = step(state, frames)
  jax.block_until_ready((state, metrics))
  return state, _clocks(os.getpid()) - start


def _clocks(pid):
  """Seconds, and core seconds of a process so far."""
  # The clock of another process, as clock_getcpuclockid(3) makes it.
  return np.array([time.perf_counter(), time.clock_gettime((~pid << 3) | 2)])


@contextlib.contextmanager
def _training(config, workdir) -> Iterator[Callable[[int], np.ndarray]]:
  """Trains in a process; yields what lets it, until a step is reported.

  That stops the process, and returns what it took, as `_clocks` has it.
  """
  context = multiprocessing.get_context('spawn')
  process = context.Process(target=_train, args=(config, workdir))
  process.start()
  reports = workdir / 'metrics.jsonl'

  def train_until(step):
    start = _clocks(process.pid)
    _signal_group(process, signal.SIGCONT)
    # A line is a report; to look for it costs as little as that.
    while not (
        reports.exists()
        and reports.read_bytes().count(b'\n') * config.log_every >= step
    ):
      if not process.is_alive():
        raise errors.UserError('the training ended, as told above')
      time.sleep(0.02)
    seconds = _clocks(process.pid) - start
    _signal_group(process, signal.SIGSTOP)
    return seconds

  try:
    yield train_until
    _signal_group(process, signal.SIGCONT)  # It saves, and ends.
    process.join()
  finally:
    _signal_group(process, signal.SIGKILL)
    process.join()


def _train(config, workdir):
  os.setpgrp()  # So that signals reach its workers too.
  flags.FLAGS.mark_as_parsed()  # Grain asks.
  loop.train(config, workdir)


def _signal_group(process, number):
  with contextlib.suppress(ProcessLookupError):
    os.killpg(process.pid, number)


def _print_loop(results):
  for clock, seconds in results.items():
    print(f'\n{clock} a step, thousandths:')
    for name, values in seconds.items():
      print(f'  {name:6}{_spread([1e3 * value for value in values])}')
    pairs = zip(seconds['loop'], seconds['plain'], strict=True)
    print(f'  ratio {_spread([ours / plain for ours, plain in pairs], 3)}')


def _spread(values, digits=1):
  low, middle, high = (
      f'{value:.{digits}f}'
      for value in (min(values), statistics.median(values), max(values))
  )
  return f'{middle:>8}  ({low} to {high})'


def _cases():
  """The config at each of the batch sizes and remats."""
  batch_sizes = _BATCH_SIZES.value or [_CONFIG.value.batch_size]
  remats = _REMATS.value or [_CONFIG.value.remat]
  for batch_size, remat in itertools.product(batch_sizes, remats):
    config = _CONFIG.value.copy_and_resolve_references()
    config.batch_size, config.remat = int(batch_size), remat
    yield config


def _report_step(config):
  """Prints and returns what `measure_step` does."""
  case = {
      'batch_size': config.batch_size,
      'dtype': config.model.dtype,
      'remat': config.remat,
      'accumulate': config.accumulate,
  }
  print('\n' + ', '.join(f'{name} {value}' for name, value in case.items()))
  try:
    results = measure_step(
        config, _STEPS.value or 10, _ROUNDS.value, _PROFILE_DIR.value
    )
  except jax.errors.JaxRuntimeError as error:  # Mostly, it does not fit.
    print('  ' + str(error).splitlines()[0])
    return case | {'error': str(error)}
  print(f'  ms a step {_spread([1e3 * s for s in results["seconds"]])}')
  for name in 'flops', 'flops_per_second', 'share_of_peak':
    print(f'  {name:18}{results[name] or math.nan:12.4g}')
  for name, size in results['bytes'].items():
    print(f'  GB, {name:14}{size / 1e9:12.3f}')
  for name, count in results['collectives'].items():
    print(f'  {name:18}{count:12}')
  for name, seconds in results['top_operations']:
    print(f'  {1e3 * seconds:8.2f} ms  {name}')
  return case | results


def measure_step(
    config: Any,
    num_steps: int,
    rounds: int,
    profile_dir: str | os.PathLike | None = None,
) -> dict[str, Any]:
  """Times the step of our loop on one random batch, on all devices.

  Args:
    config: a training config.
    num_steps: of a round, and of the trace.
    rounds: how often to time so many.
    profile_dir: where to write a trace.

  Returns:
    'seconds' a step, by round; 'flops' of a step on all devices, nothing
    computed twice, whatever config.remat is; 'flops_per_second' and
    'share_of_peak' (None if not known) of one device; 'bytes' of its memory;
    'collectives', how many operations of each kind join devices;
    'top_operations' of the trace, name and seconds a step.
  """
  mesh = sharding.make_mesh(config.fsdp)
  rng = np.random.default_rng(0)
  palette = rng.uniform(-60, 60, (16, 2)).astype(np.float32)
  size = config.clips.crop_size
  shape = config.batch_size, config.clips.num_frames, size, size, 3
  frames = rng.integers(0, 256, shape, np.uint8)
  graphdef, state = step_lib.create_state(config, mesh)
  flops = step_lib.count_flops(config, graphdef)
  step: Any = step_lib.make_train_step(config, graphdef, palette, mesh)
  frames = sharding.global_batch(mesh, frames)
  step = step.lower(state, frames).compile()
  state, _ = _timed(step, state, frames, 2)
  seconds = []
  for _ in range(rounds):
    state, (taken, _) = _timed(step, state, frames, num_steps)
    seconds.append(taken / num_steps)
  hlo = step.as_text()
  top = []
  if profile_dir:
    with jax.profiler.trace(os.fspath(profile_dir)):
      _timed(step, state, frames, num_steps)
    top = [
        (name, total / num_steps)
        for name, total in _top_operations(profile_dir, hlo)
    ]

  speed = flops / mesh.size / statistics.median(seconds)
  peak = hardware.peak_flops(jax.devices()[0].device_kind)
  memory = step.memory_analysis()
  sizes = {
      'arguments': memory.argument_size_in_bytes,
      'temporary': memory.temp_size_in_bytes,
      'peak so far': hardware.peak_memory(),
  }
  return {
      'seconds': seconds,
      'flops': flops,
      'flops_per_second': speed,
      'share_of_peak': speed / peak if peak else None,
      'bytes': sizes,
      'collectives': collections.Counter(_COLLECTIVE.findall(hlo)),
      'top_operations': top,
  }


def _top_operations(trace_dir, hlo):
  """Returns the operations of a trace that took longest, and their seconds."""
  path = max(
      pathlib.Path(trace_dir).glob('**/*.xplane.pb'), key=os.path.getmtime
  )
  totals = collections.Counter()
  for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
    for line in plane.lines:
      for event in line.events:
        name = dict(event.stats).get('hlo_op')
        if line.name == 'XLA Ops':  # On a TPU.
          name = event.name.split(' ')[0].lstrip('%')
        if name:
          totals[name] += event.duration_ns / 1e9
  origins = dict(re.findall(r'%?(\S+) = .*op_name="([^"]*)"', hlo))
  return [
      (f'{name}: {origins.get(name, "")}', seconds)
      for name, seconds in totals.most_common(_NUM_TOP)
  ]


if __name__ == '__main__':
  flags.mark_flag_as_required('config')
  errors.run(main)
