"""Times a training step: in the training loop, or alone.

The first command compares `vidcolor.training.loop`, on a CPU, with a minimal
step of the same network. The loop includes Grain, logging, images and a
checkpoint every --steps. The batch of the minimal step is in memory. Both run
in turn:

python -m experiments.benchmarks.train_step \
  --config=experiments/configs/compact.py --config.dataset.data_dir=DATA_DIR

Without a dataset, the program renders clips. The environment variable
GLIBC_TUNABLES=glibc.malloc.hugetlb=1 speeds up both, and the loop more, because
data threads and the step then wait less for pages of memory.

The second command times the step alone on any device, and reports its memory
and its slowest operations:

python -m experiments.benchmarks.train_step --measure=step \
  --config=experiments/configs/paper.py --batch_sizes=32,128 \
  --remats=none,norms,blocks --profile_dir=DIR
"""

import collections
import itertools
import math
import os
import pathlib
import re
import statistics
import tempfile
import time
from typing import Any

from absl import flags
import jax
from jax import numpy as jnp
import ml_collections
from ml_collections import config_flags
import numpy as np

from data_prep import palette as palette_lib
from data_prep.synthetic_clips import synthetic_clips
from experiments.benchmarks import plain_step
from vidcolor import color
from vidcolor import environment
from vidcolor import files
from vidcolor import program
from vidcolor import sharding
from vidcolor.data import clips
from vidcolor.data import records as records_lib
from vidcolor.training import hardware
from vidcolor.training import loop
from vidcolor.training import step as step_lib

_CONFIG = config_flags.DEFINE_config_file(
    'config',
    None,
    'Config file; --config.FIELD=VALUE sets a field.',
)
_MEASURE = flags.DEFINE_enum(
    'measure', 'loop', ['loop', 'step'], 'The loop, or the step alone.'
)
_STEPS = flags.DEFINE_integer(
    'steps',
    None,
    'Steps in a round. Default: 100 for the loop, 10 for the step alone.',
    1,
)
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Number of rounds.', 1)
_BATCH_SIZES = flags.DEFINE_list(
    'batch_sizes', None, "For the step alone. Default: the config's."
)
_REMATS = flags.DEFINE_list(
    'remats', None, "config.remat, for the step alone. Default: the config's."
)
_PROFILE_DIR = flags.DEFINE_string(
    'profile_dir', None, 'Folder for traces of the step alone.'
)
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write.')

_NUM_TOP = 10
_COLLECTIVE = re.compile(
    r' (all-reduce|all-gather|reduce-scatter|all-to-all)(?:-start)?\('
)
_TURNS = 3  # Turns of each in a round.
_AHEAD_SECONDS = 0.3  # Time in which the loop's prefetching finishes.


def main() -> None:
  """Prints a table."""
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
  """Returns the config, changed to rendered clips if its dataset is missing."""
  if records_lib.find_builder(config.dataset.name, config.dataset.data_dir):
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
    config: ml_collections.ConfigDict,
    folder: str | os.PathLike,
    num_steps: int,
    rounds: int,
) -> dict[str, dict[str, list[float]]]:
  """Times the plain step and the loop.

  Both run in this process, because the speed of two processes differs by some
  percent. The plain step runs where the loop would evaluate.

  Args:
    config: A training config. Its schedule and checkpoints are changed.
    folder: Folder that the loop may write to.
    num_steps: Approximate number of steps in a round, and between checkpoints.
    rounds: Number of rounds.

  Returns:
    Seconds a step by round, for 'plain' and 'loop', in wall-clock 'seconds' and
    in 'core seconds'. Other programs disturb core seconds less. These exclude
    data workers (config.clips.num_workers).
  """
  # No turn ends with a checkpoint, so that its background work counts for the
  # loop, once a round.
  turn = max(1, (num_steps - 1) // _TURNS)
  config.checkpoint_every = _TURNS * turn + 1
  config.evaluation.every = turn
  config.steps = (1 + rounds * _TURNS) * turn
  records = records_lib.open_records(**config.dataset)
  batches = clips.training_batches(
      records, batch_size=config.batch_size, **config.clips, seed=config.seed
  )
  frames = jnp.asarray(next(batches)['frames'])
  batches.close()
  palette = color.load_palette(records.folder / 'palette.npy')
  state, step = plain_step.make(config, palette)
  state, _ = _timed(step, state, frames, 2)
  plain, ours, last = [], [], None

  def take_turn(model, step_number):
    del model, step_number
    nonlocal state, last
    now = _clocks()
    time.sleep(_AHEAD_SECONDS)
    ahead = _clocks() - now
    if last is not None:
      # Prefetching is work of the loop too.
      ours.append(now - last + [0, ahead[1]])
    state, seconds = _timed(step, state, frames, turn)
    plain.append(seconds)
    last = _clocks()
    return {'milliseconds_of_plain_step': 1e3 * seconds[0] / turn}

  loop.train(config, pathlib.Path(folder) / 'workdir', evaluate=take_turn)
  by_round = lambda turns: np.array(turns).reshape(rounds, _TURNS, 2).mean(1)
  plain, ours = by_round(plain[:-1]) / turn, by_round(ours) / turn
  return {
      clock: {'plain': plain[:, i].tolist(), 'loop': ours[:, i].tolist()}
      for i, clock in enumerate(('seconds', 'core seconds'))
  }


def _timed(step, state, frames, num_steps):
  """Runs steps; returns the new state and the elapsed times as `_clocks`."""
  start, metrics = _clocks(), None
  for _ in range(num_steps):
    state, metrics = step(state, frames)
  jax.block_until_ready((state, metrics))
  return state, _clocks() - start


def _clocks():
  """Returns the wall-clock time, and the core seconds of this process."""
  return np.array([time.perf_counter(), time.process_time()])


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
  """Yields the config with each of the batch sizes and remats."""
  batch_sizes = _BATCH_SIZES.value or [_CONFIG.value.batch_size]
  remats = _REMATS.value or [_CONFIG.value.remat]
  for batch_size, remat in itertools.product(batch_sizes, remats):
    config = _CONFIG.value.copy_and_resolve_references()
    config.batch_size, config.remat = int(batch_size), remat
    yield config


def _report_step(config):
  """Calls `measure_step`; prints and returns its results."""
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
  except jax.errors.JaxRuntimeError as error:  # Usually out of memory.
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
    config: ml_collections.ConfigDict,
    num_steps: int,
    rounds: int,
    profile_dir: str | os.PathLike | None = None,
) -> dict[str, Any]:
  """Times the training step on one random batch, on all devices.

  Args:
    config: A training config.
    num_steps: Number of steps in a round and in the trace.
    rounds: Number of rounds.
    profile_dir: Folder for a trace.

  Returns:
    A dict of results: 'seconds' a step by round; 'flops' of a step on all
    devices, without recomputation; 'flops_per_second' and 'share_of_peak' (None
    if unknown) of one device; 'bytes' of its memory; 'collectives', the number
    of operations of each kind between devices; and 'top_operations', names and
    seconds a step of the slowest operations in the trace.
  """
  mesh = sharding.make_mesh(config.fsdp)
  rng = np.random.default_rng(0)
  palette = rng.uniform(-60, 60, (16, 2)).astype(np.float32)
  size = config.clips.crop_size
  shape = config.batch_size, config.clips.num_frames, size, size, 3
  frames = rng.integers(0, 256, shape, np.uint8)
  graphdef, state = step_lib.create_state(config, mesh)
  step: Any = step_lib.make_train_step(config, graphdef, state, palette, mesh)
  flops = step_lib.count_flops(config, step, state, mesh)
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
  """Returns the slowest operations of a trace and their seconds."""
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
  program.run(main)
