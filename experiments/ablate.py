"""Ablations: a config, with one thing changed at a time.

python -m experiments.ablate --data_dir=DATA --davis_dir=DAVIS \
  --output_dir=OUT

Trains each network for a few steps on the dataset `kinetics` in DATA, and
tracks DAVIS sequences with it. The config is strong.py, or that of --config.
Networks whose differences depend on the seed are trained with three seeds. Then
tracks with other settings of tracking, and with parts of the network. Writes
results.json, a table in Markdown (table.md) and report.html. The same command
resumes a run that was stopped. With `--workdir=DIR`, nothing is trained, and
only the tracking of a checkpoint is varied.
"""

from collections.abc import Callable, Iterator, Mapping
import copy
import dataclasses
import functools
import json
import pathlib
import shutil
import time
from typing import Any, NamedTuple

from absl import flags
from flax import nnx
from jax import numpy as jnp
from ml_collections import config_flags
import tqdm

from data_prep import palette as palette_lib
from experiments import ablation_table
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import network
from vidcolor import program
from vidcolor.benchmarks import davis
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.data import records
from vidcolor.render import report
from vidcolor.tracking import propagation
from vidcolor.training import loop

_CONFIG = config_flags.DEFINE_config_file(
    'config',
    'experiments/configs/strong.py',
    'Config to change. Some rows only suit the compact network.',
)
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Folder of the dataset `kinetics`.'
)
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Training run or checkpoint, in place of --data_dir.'
)
_DAVIS_DIR = flags.DEFINE_string(
    'davis_dir', None, 'DAVIS folder to track.', required=True
)
_OUTPUT_DIR = program.define_output_dir()
_YEAR = flags.DEFINE_integer(
    'year', 2016, 'Year of DAVIS. 2016 merges all objects into one.'
)
_SPLIT = flags.DEFINE_string('split', 'val', 'Name of the list.')
_HELD_OUT = flags.DEFINE_list(
    'held_out', [], 'Sequences to leave out of all measurements.'
)
_MAX_FRAMES = flags.DEFINE_integer(
    'max_frames', 40, 'Number of frames to track of each sequence.', 3
)
_STEPS = flags.DEFINE_integer(
    'steps', 300, 'Training steps of each network.', 1
)
_ONLY = flags.DEFINE_list(
    'only', None, 'Rows to measure beside the first one. Default: all.'
)
_SEEDS = flags.DEFINE_integer(
    'seeds', 3, 'Seeds of networks whose differences depend on them.', 1
)


class Change(NamedTuple):
  """What differs from the config, and whether several seeds are used."""

  overrides: Mapping[str, Any]
  seeds: bool = False
  num_colors: int = 16


_CHANGES = {
    'more steps': Change({'steps': 1000}),
    'gap up to 1': Change({'clips.max_frame_step': 1}),
    'gap up to 8': Change({'clips.max_frame_step': 8}),
    'no window in training': Change({'copy.radius': None}, seeds=True),
    'window 3 in training': Change({'copy.radius': 3}),
    'window 12 in training': Change({'copy.radius': 12}),
    'temperature 0.03 in training': Change({'copy.temperature': 0.03}),
    'temperature 0.15 in training': Change({'copy.temperature': 0.15}),
    'two references': Change({'clips.num_frames': 3, 'batch_size': 6}),
    'width 96': Change({'model.width': 96}),
    'width 32': Change({'model.width': 32}),
    # Cells are twice as large, so radii are half as long.
    'stride 8': Change(
        {'model.stride': 8, 'copy.radius': 3, 'tracking.radius': 6}
    ),
    'Lab 16 classes': Change({'target': 'classes'}, seeds=True),
    'Lab 64 classes': Change({'target': 'classes'}, num_colors=64),
    'Lab 256 classes': Change({'target': 'classes'}, num_colors=256),
    'grey 16 classes': Change(
        {'model.channels': 1, 'target': 'classes'}, seeds=True
    ),
    'grey values': Change({'model.channels': 1}),
}
# By field of `propagation.PropagationOptions`.
_TRACKING = {
    'temperature': (0.02, 0.03, 0.04, 0.12, 0.5),
    'radius': (4, 6, 8, 18, 24, None),
    'top_k': (1, 3, 10, 20, None),
    'recent': (1, 2, 3, 9, 14),
    'keep_first': (False,),
    'short_side': (120, 160, 360, 480),
    # Matters for frames that are smaller than short_side.
    'max_enlargement': (1.0,),
    'follow_objects': (False,),
    'refine_edges': (False,),
}
# Layers of the compact network that are set to zero.
_PARTS = {'only stride 4': 'embed_coarse', 'only stride 8': 'embed_fine'}


def main() -> None:
  """Measures the rows that are missing, and writes the report."""
  if bool(_WORKDIR.value) == bool(_DATA_DIR.value):
    raise errors.UserError('give --data_dir or --workdir')
  sequences = davis_data.read_fully_annotated(
      _DAVIS_DIR.value,
      year=_YEAR.value,
      split=_SPLIT.value,
      leave_out=_HELD_OUT.value,
  )
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.make_folder(output_dir)
  results = _Results(output_dir / 'results.json')
  if _DATA_DIR.value:
    _ablate_training(results, sequences, output_dir)
  base = _base()
  workdir = _WORKDIR.value or output_dir / _workdir_name(base, 0)
  _ablate_tracking(results, sequences, workdir)
  table = ablation_table.tabulate(results.rows, base)
  heading = (
      f'{len(sequences)} sequences, the first {_MAX_FRAMES.value} frames,'
      f' {_STEPS.value} steps of training.'
  )
  text = ablation_table.markdown(table, heading)
  (output_dir / 'table.md').write_text(text)
  report.write_page(
      output_dir / 'report.html',
      title='Ablations',
      sections=[
          report.Section(
              'One change at a time',
              table=report.Table(table, 'J, by mean', row_header='change'),
          )
      ],
  )
  print(text)
  print(f'Look at it: {output_dir / "report.html"}')


def _base():
  """Returns the name of the row in which nothing is changed."""
  return pathlib.Path(
      config_flags.get_config_filename(flags.FLAGS['config'])
  ).stem


class _Results:
  """Rows by (change, seed), saved to a file one by one."""

  def __init__(self, path):
    self._path = path
    self._setup = {
        'data_dir': _DATA_DIR.value,
        'workdir': _WORKDIR.value,
        'davis_dir': _DAVIS_DIR.value,
        'split': _SPLIT.value,
        'config': json.loads(_CONFIG.value.to_json()),
        'held_out': _HELD_OUT.value,
        'max_frames': _MAX_FRAMES.value,
        'steps': _STEPS.value,
        **environment.describe(),
    }
    saved = json.loads(path.read_text()) if path.exists() else {'rows': []}
    if path.exists() and saved['setup'] != self._setup:
      raise errors.UserError(
          f'{path} is of another run: give another --output_dir, or remove it'
      )
    self.rows = {(row['change'], row['seed']): row for row in saved['rows']}

  def add(self, change, seed, row):
    """Saves a row of measurements."""
    self.rows[change, seed] = {'change': change, 'seed': seed, **row}
    rows = list(self.rows.values())
    files.write_json(self._path, {'setup': self._setup, 'rows': rows})


def _ablate_training(results, sequences, output_dir):
  """Trains each network, and tracks with it before and after training."""
  changes = {_base(): Change({}, seeds=True)} | _CHANGES
  runs = [
      (name, seed)
      for name, change in changes.items()
      if _wanted(name)
      for seed in range(_SEEDS.value if change.seeds else 1)
  ]
  controls = {}
  for name, seed in tqdm.tqdm(runs, unit='run'):
    if (name, seed) in results.rows:
      continue
    config = _config(changes[name], seed, output_dir)
    workdir = output_dir / _workdir_name(name, seed)
    start = time.perf_counter()
    loop.train(config, workdir)
    seconds = time.perf_counter() - start
    trained = network.Network.load(workdir)
    row = _measure(trained.propagator(), sequences)
    control = config.model.to_json(), seed, config.tracking.to_json()
    if control not in controls:
      untrained = trained.untrained(seed).propagator()
      controls[control] = _measure(untrained, sequences)['J']
    row |= {'untrained': controls[control], 'training_seconds': seconds}
    results.add(name, seed, row)


def _wanted(name):
  return _ONLY.value is None or name in (_base(), *_ONLY.value)


def _workdir_name(name, seed):
  return f'{name.replace(" ", "_")}_{seed}'


def _config(change, seed, output_dir):
  config = copy.deepcopy(_CONFIG.value)
  config.seed, config.steps = seed, _STEPS.value
  config.update_from_flattened_dict(dict(change.overrides))
  config.checkpoint_every = config.images_every = config.steps
  config.dataset.data_dir = _DATA_DIR.value
  if change.num_colors != 16:
    folder = output_dir / f'data_{change.num_colors}'
    _link_with_palette(config.dataset, folder, change.num_colors)
    config.dataset.data_dir = str(folder)
  return config


def _link_with_palette(dataset, folder, num_colors):
  """Links the dataset into a folder, with a palette of another size."""
  builder = records.find_builder(dataset.name, dataset.data_dir)
  if builder is None or (folder / 'complete').exists():
    return  # If data is missing, `loop.train` says so.
  source = pathlib.Path(builder.data_dir)
  target = folder / dataset.name / source.name
  shutil.rmtree(folder, ignore_errors=True)
  target.mkdir(parents=True)
  for path in source.iterdir():
    if path.stem != 'palette':
      (target / path.name).symlink_to(path.absolute())
  palette_lib.fit(target, num_colors=num_colors)
  (folder / 'complete').touch()


def _ablate_tracking(results, sequences, workdir):
  """Tracks with one network and many settings."""
  trained = network.Network.load(workdir)
  trackers = {
      name: tracker for name, tracker in _trackers(trained) if _wanted(name)
  }
  for name, tracker in tqdm.tqdm(trackers.items(), unit='setting'):
    if (name, 0) not in results.rows:
      results.add(name, 0, _measure(tracker(), sequences))


def _trackers(
    trained: network.Network,
) -> Iterator[tuple[str, Callable[[], propagation.LabelPropagator]]]:
  """Yields names, and functions that make the trackers."""
  if _WORKDIR.value:
    yield _base(), trained.propagator
  options = trained.propagator().options
  for field, values in _TRACKING.items():
    # A network over time needs as many references as in training.
    if trained.model.num_frames > 1 and field in ('recent', 'keep_first'):
      continue
    for value in values:
      if value != getattr(options, field):
        change = {field: value}
        name = f'tracking: {field} {value}'
        yield name, functools.partial(trained.propagator, **change)
  for name, layer in _PARTS.items():
    if hasattr(trained.model, layer):
      part = _without(trained, layer)
      yield f'tracking: {name}', part.propagator


def _without(trained, layer):
  """Returns a copy of the network in which the output of a layer is zero."""
  model = nnx.clone(trained.model)
  convolution = getattr(model, layer)
  convolution.kernel[...] = jnp.zeros_like(convolution.kernel[...])
  convolution.bias[...] = jnp.zeros_like(convolution.bias[...])
  return dataclasses.replace(trained, model=model)


def _measure(tracker, sequences):
  """Returns the scores of a tracker, and its time per frame."""
  start = time.perf_counter()
  results = davis.score_tracker(
      tracker, sequences, max_frames=_MAX_FRAMES.value
  )
  seconds = time.perf_counter() - start
  lengths = [len(s.frames[: _MAX_FRAMES.value]) for s in sequences]
  return {
      'J': results['overall']['J_mean'],
      'J&F': results['overall']['J&F'],
      'by_sequence': {
          name: row['J_mean'] for name, row in results['per_sequence'].items()
      },
      'seconds_per_frame': seconds / sum(lengths),
  }


if __name__ == '__main__':
  program.run(main)
