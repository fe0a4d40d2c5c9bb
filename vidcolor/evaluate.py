"""Evaluates a checkpoint, a baseline, features or predictions on a benchmark.

python -m vidcolor.evaluate --dataset=davis2017 --data_dir=DAVIS \
  --output_dir=OUT

Writes results.json, predictions in the benchmark's own format, and report.html.
By default the network in the package, vidcolor/pretrained, is evaluated. One of
these flags chooses another method:

  --workdir=DIR                        the newest checkpoint of a training run;
  --checkpoint=DIR/checkpoints/400     one checkpoint, or a file that
                                       experiments.export wrote;
  --baseline=NAME                      a method to compare with;
  --predictions=DIR                    any method's predictions, only scored;
  --features_dir=DIR                   any network's features, in
                                       <sequence>/<frame>.npy or
                                       <sequence>.npy.

--config=FILE replaces the checkpoint's own settings of tracking, as in
--config=experiments/configs/compact.py --config.tracking.radius=8.

--dataset also takes the import path of a module of yours, which has the
functions that vidcolor/benchmarks/__init__.py describes.
"""

import functools
import importlib
import inspect
import json
import operator
import pathlib
import time
import types
from typing import Any

from absl import flags
from ml_collections import config_flags

from vidcolor import benchmarks
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import network
from vidcolor import program
from vidcolor.data import features
from vidcolor.render import report
from vidcolor.tracking import baselines
from vidcolor.tracking import propagation

# The module of each benchmark, and its fixed options.
_BENCHMARKS: dict[str, tuple[types.ModuleType, dict[str, Any]]] = {
    'davis2016': (benchmarks.davis, {'year': 2016}),
    'davis2017': (benchmarks.davis, {'year': 2017}),
    'jhmdb': (benchmarks.jhmdb, {}),
    'badja': (benchmarks.badja, {}),
    'tapvid': (benchmarks.tapvid, {}),
    'kinetics_color': (benchmarks.colorization, {}),
}

_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Training run; its newest checkpoint is evaluated.'
)
_CHECKPOINT = flags.DEFINE_string(
    'checkpoint', None, 'One checkpoint of a run, or an .npz file.'
)
_PRESET = program.define_preset()
_METHODS = {
    'identity': baselines.Identity,
    'optical_flow': lambda: baselines.OpticalFlow(baselines.dis),
    'optical_flow_direct': lambda: baselines.OpticalFlow(
        baselines.dis, from_first=True
    ),
    'farneback': lambda: baselines.OpticalFlow(baselines.farneback),
    'farneback_direct': lambda: baselines.OpticalFlow(
        baselines.farneback, from_first=True
    ),
}
_NETWORKS = ('untrained', 'single_image')
_BASELINE = flags.DEFINE_enum(
    'baseline',
    None,
    [*_METHODS, *_NETWORKS],
    'identity: nothing moves. optical_flow (DIS), farneback: flow from frame to'
    ' frame; with _direct, from the first frame to each. untrained: the network'
    ' of --workdir or --config before training. single_image: the network of'
    ' --workdir, which gets each frame alone.',
)
_PREDICTIONS = flags.DEFINE_string(
    'predictions', None, 'Folder of predictions to score.'
)
_FEATURES_DIR = flags.DEFINE_string(
    'features_dir',
    None,
    'Features [rows, columns, channels] in DIR/<sequence>/<frame>.npy, or of'
    ' all frames in DIR/<sequence>.npy.',
)
_DATASET = flags.DEFINE_string(
    'dataset',
    None,
    f'Benchmark: {", ".join(_BENCHMARKS)}, or the import path of a module.',
    required=True,
)
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Folder of the data of the benchmark.', required=True
)
_OUTPUT_DIR = program.define_output_dir()
# Options of benchmarks, which go to the parameters of the same names.
_OPTIONS = (
    flags.DEFINE_string(
        'split',
        None,
        'DAVIS: name of a list, default val. JHMDB: 1 (default), 2 or 3.'
        ' kinetics_color: as TFDS writes it, default validation.',
    ),
    flags.DEFINE_string(
        'resolution',
        None,
        'DAVIS: the folder that replaces 480p, such as Full-Resolution. BADJA:'
        ' 480p, the default if it is there, or Full-Resolution.',
    ),
    flags.DEFINE_list(
        'sequences',
        None,
        'DAVIS: names of the sequences to take, for a quick look. Default all.',
    ),
    flags.DEFINE_integer(
        'max_frames',
        None,
        'DAVIS: number of frames of each sequence to take, for a quick look.'
        ' Default all.',
        3,
    ),
    flags.DEFINE_enum(
        'query_mode',
        None,
        ['first', 'strided'],
        'TAP-Vid: how points are queried, default first.',
    ),
    flags.DEFINE_integer(
        'num_clips', None, 'kinetics_color: number of clips, default all.', 1
    ),
    flags.DEFINE_bool(
        'color_failure',
        False,
        'DAVIS: also measure whether tracking fails where colors fail. Doubles'
        ' the time.',
    ),
)
_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config whose `tracking` replaces that of the network.'
)


def main() -> None:
  """Evaluates a method, and writes results and a report."""
  start = time.time()
  _check_method()
  benchmark, options = _benchmark()
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.make_folder(output_dir)
  if _PREDICTIONS.value:
    results = _score(benchmark, options)
  else:
    results = _evaluate(benchmark, options)
  sections = _sections(benchmark, results)
  dataset = _DATASET.value
  if 'part' in results:
    dataset = f'a part of {dataset} ({results["part"]})'
  results |= {
      'dataset': dataset,
      'method': _method(),
      'seconds': round(time.time() - start),
      **environment.describe(),
  }
  files.write_json(output_dir / 'results.json', results)
  report.write_page(
      output_dir / 'report.html',
      title=f'{dataset}: {_method()}',
      sections=sections,
  )
  print(json.dumps(results.get('overall', {}), indent=2))
  if 'part' in results:
    print(f'These figures are of {dataset}, not of the benchmark.')
  print(f'Look at it: {output_dir / "report.html"}')


def _check_method():
  given = [
      f'--{flag.name}'
      for flag in (_WORKDIR, _CHECKPOINT, _PREDICTIONS, _FEATURES_DIR)
      if flag.value
  ]
  if len(given) > 1:
    raise errors.UserError(f'give {" or ".join(given)}, not both')
  if _BASELINE.value and (_PREDICTIONS.value or _FEATURES_DIR.value):
    raise errors.UserError(f'give --baseline or {given[0]}, not both')
  is_network = not (_PREDICTIONS.value or _FEATURES_DIR.value)
  if _PRESET.present and (
      not is_network or _BASELINE.value not in (None, 'untrained')
  ):
    raise errors.UserError('--preset is for networks: leave it out')


def _method() -> str:
  given = [
      flag.value
      for flag in (
          _BASELINE, _WORKDIR, _CHECKPOINT, _PREDICTIONS, _FEATURES_DIR
      )
      if flag.value
  ]  # fmt: skip
  method = ' of '.join(given) or 'the network in the package'
  return f'{method}, {_PRESET.value}' if _PRESET.present else method


def _benchmark():
  """Returns the module of --dataset, and its fixed options."""
  name = _DATASET.value
  if name in _BENCHMARKS:
    return _BENCHMARKS[name]
  try:
    module = importlib.import_module(name)
  except (ImportError, TypeError, ValueError) as error:
    raise errors.UserError(
        f'--dataset={name}: give one of {", ".join(_BENCHMARKS)}, or the import'
        f' path of a module ({error})'
    ) from error
  if not hasattr(module, 'evaluate'):
    raise errors.UserError(
        f'--dataset={name}: the module has no function `evaluate`'
    )
  return module, {}


def _score(benchmark, options):
  """Scores the predictions of any method."""
  if not hasattr(benchmark, 'score'):
    raise errors.UserError(
        f'--predictions is not for {_DATASET.value}, which only evaluates'
        ' trackers'
    )
  options = options | _given_options(benchmark.score)
  return benchmark.score(
      _PREDICTIONS.value, _DATA_DIR.value, _OUTPUT_DIR.value, **options
  )


def _evaluate(benchmark, options):
  """Runs a method on the benchmark."""
  options = options | _given_options(benchmark.evaluate)
  is_network = not _FEATURES_DIR.value and _BASELINE.value not in _METHODS
  loaded = _load() if is_network else None
  if 'palette' in inspect.signature(benchmark.evaluate).parameters:
    options['palette'] = _palette(loaded)
  return benchmark.evaluate(
      _tracker(loaded), _DATA_DIR.value, _OUTPUT_DIR.value, **options
  )


def _palette(loaded: network.Network | None):
  if loaded is None:
    raise errors.UserError(
        f'{_DATASET.value} is for networks: it needs their palette'
    )
  if loaded.palette is None:
    raise errors.UserError(
        'give --workdir or --checkpoint: its palette is needed'
    )
  return loaded.palette


def _sections(benchmark, results):
  if hasattr(benchmark, 'sections'):
    return benchmark.sections(results, _OUTPUT_DIR.value)
  table = report.Table({_method(): results['overall']}, 'Overall', 'method')
  return [report.Section(_DATASET.value, table=table)]


def _given_options(function) -> dict[str, Any]:
  """Returns the options that flags give to a function of a benchmark."""
  options: dict[str, Any] = {
      flag.name: flag.value for flag in _OPTIONS if flag.value
  }
  flag_of = {name: name for name in options}
  if _FEATURES_DIR.value:
    read = functools.partial(features.read_features, _FEATURES_DIR.value)
    options['frames_of'], flag_of['frames_of'] = read, _FEATURES_DIR.name
  known = inspect.signature(function).parameters
  for name in options:
    if name not in known:
      scoring = 'the scoring of predictions on ' if _PREDICTIONS.value else ''
      raise errors.UserError(
          f'--{flag_of[name]} is not for {scoring}{_DATASET.value}'
      )
  return options


def _tracker(loaded: network.Network | None) -> Any:
  """Returns a baseline, or the propagator of a network or of features."""
  if _BASELINE.value in _METHODS:
    return _METHODS[_BASELINE.value]()
  if loaded is None:
    config = _CONFIG.value or {'tracking': {'unit_length': True}}
    options = propagation.PropagationOptions.from_config(config)
    embed = operator.attrgetter('embeddings')
  elif _BASELINE.value == 'single_image':
    options = propagation.PropagationOptions.from_config(loaded.config)
    embed = propagation.single_image(loaded.model, options)
  else:
    return loaded.propagator(_PRESET.value)
  return propagation.LabelPropagator(embed, options)


def _load() -> network.Network:
  """Returns the network, with the `tracking` of --config if it is given."""
  path = _WORKDIR.value or _CHECKPOINT.value
  config = _CONFIG.value
  untrained = _BASELINE.value == 'untrained'
  if untrained and not path and 'model' in (config or ()):
    return network.Network.create(config)
  loaded = network.Network.load(path)
  if untrained:
    loaded = loaded.untrained()
  if config:
    loaded.config.tracking = config.get('tracking')
  return loaded


if __name__ == '__main__':
  program.run(main)
