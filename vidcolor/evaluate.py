"""Evaluates a checkpoint, a baseline, features or predictions on a benchmark.

python -m vidcolor.evaluate --dataset=davis2017 --data_dir=DAVIS \
  --output_dir=OUT

Writes results.json, predictions in the benchmark's own layout and report.html.
That is of the network in the package, vidcolor/pretrained; of another one by

  --workdir=DIR                        a run, of which the newest checkpoint;
  --checkpoint=DIR/checkpoints/400     one checkpoint, or what
                                       experiments.export has written;
  --baseline=NAME                      a method to compare with;
  --predictions=DIR                    any method's files, to be scored only;
  --features_dir=DIR                   any network's features, <frame>.npy.

--config=FILE gives other settings of tracking than the checkpoint's own, such
as --config=experiments/configs/compact.py --config.tracking.radius=8.
"""

import functools
import json
import operator
import pathlib
import time
from typing import Any

from absl import flags
from ml_collections import config_flags

from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import network
from vidcolor import program
from vidcolor.benchmarks.colorization import run as colorization_run
from vidcolor.benchmarks.davis import color_failure
from vidcolor.benchmarks.davis import run as davis_run
from vidcolor.benchmarks.jhmdb import run as jhmdb_run
from vidcolor.benchmarks.tapvid import run as tapvid_run
from vidcolor.data import features
from vidcolor.render import report
from vidcolor.tracking import baselines
from vidcolor.tracking import propagation

_WORKDIR = flags.DEFINE_string('workdir', None, 'A run; its newest checkpoint.')
_CHECKPOINT = flags.DEFINE_string(
    'checkpoint', None, 'One checkpoint of a run, or an .npz.'
)
_METHODS = {
    'identity': baselines.Identity(),
    'optical_flow': baselines.OpticalFlow(baselines.dis),
    'optical_flow_direct': baselines.OpticalFlow(
        baselines.dis, from_first=True
    ),
    'farneback': baselines.OpticalFlow(baselines.farneback),
    'farneback_direct': baselines.OpticalFlow(
        baselines.farneback, from_first=True
    ),
}
_NETWORKS = ('untrained', 'single_image')
_BASELINE = flags.DEFINE_enum(
    'baseline',
    None,
    [*_METHODS, *_NETWORKS],
    'identity: nothing moves. optical_flow (DIS), farneback: flow from frame to'
    ' frame, or direct, from the first frame to each. untrained: the network'
    ' of --workdir or --config before training. single_image: that of --workdir'
    ' seeing each frame alone.',
)
_PREDICTIONS = flags.DEFINE_string('predictions', None, 'Files to score.')
_FEATURES_DIR = flags.DEFINE_string(
    'features_dir',
    None,
    'Features [rows, columns, channels] in DIR/<sequence>/<frame>.npy.',
)
_DATASET = flags.DEFINE_enum(
    'dataset',
    None,
    ['davis2016', 'davis2017', 'jhmdb', 'tapvid', 'kinetics_color'],
    'Benchmark.',
    required=True,
)
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Where the benchmark lies.', required=True
)
_OUTPUT_DIR = program.define_output_dir()
_SPLIT = flags.DEFINE_string(
    'split',
    None,
    'DAVIS: name of a list, default val. JHMDB: 1 (default), 2 or 3. TAP-Vid,'
    ' where a dataset built by data_prep holds several: such as davis.'
    ' kinetics_color: as TFDS writes it, default validation.',
)
_QUERY_MODE = flags.DEFINE_enum(
    'query_mode', 'first', ['first', 'strided'], 'TAP-Vid: which points.'
)
_NUM_CLIPS = flags.DEFINE_integer(
    'num_clips', None, 'kinetics_color: only so many clips.', 1
)
_COLOR_FAILURE = flags.DEFINE_bool(
    'color_failure',
    False,
    'DAVIS: also measure whether tracking fails where colours do; takes twice'
    ' the time.',
)
_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config whose `tracking` takes the place of the network’s.'
)


def main() -> None:
  """Evaluates and writes what came of it."""
  start = time.time()
  _check_method()
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.make_folder(output_dir)
  results, sections = _score() if _PREDICTIONS.value else _evaluate()
  results |= {
      'dataset': _DATASET.value,
      'method': _method(),
      'seconds': round(time.time() - start),
      **environment.describe(),
  }
  files.write_json(output_dir / 'results.json', results)
  report.write(
      output_dir / 'report.html',
      title=f'{_DATASET.value}: {_method()}',
      sections=sections,
  )
  print(json.dumps(results.get('overall', {}), indent=2))
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
  if _COLOR_FAILURE.value and (
      not _DATASET.value.startswith('davis')
      or _PREDICTIONS.value
      or _BASELINE.value not in (None, *_NETWORKS)
  ):
    raise errors.UserError('--color_failure is for networks, on DAVIS')


def _method() -> str:
  given = [
      flag.value
      for flag in (
          _BASELINE, _WORKDIR, _CHECKPOINT, _PREDICTIONS, _FEATURES_DIR
      )
      if flag.value
  ]  # fmt: skip
  return ' of '.join(given) or 'the network in the package'


def _score():
  """Scores files that any method has written."""
  arguments: Any = _PREDICTIONS.value, _DATA_DIR.value, _OUTPUT_DIR.value
  match _DATASET.value:
    case 'davis2016' | 'davis2017':
      return davis_run.score(*arguments, **_davis_options())
    case 'jhmdb':
      return jhmdb_run.score(*arguments, split=_jhmdb_split())
    case 'tapvid':
      return tapvid_run.score(*arguments, **_tapvid_options())
  raise errors.UserError(
      f'--predictions is not for {_DATASET.value}, where nothing is submitted'
  )


def _evaluate():
  """Runs a method on the benchmark."""
  if _DATASET.value == 'kinetics_color':
    return _evaluate_color()
  tracker = _tracker()
  options: dict[str, Any] = {}
  if _FEATURES_DIR.value:
    options['frames_of'] = functools.partial(features.read, _FEATURES_DIR.value)
  arguments: Any = tracker, _DATA_DIR.value, _OUTPUT_DIR.value
  match _DATASET.value:
    case 'jhmdb':
      return jhmdb_run.evaluate(*arguments, split=_jhmdb_split(), **options)
    case 'tapvid':
      return tapvid_run.evaluate(*arguments, **_tapvid_options(), **options)
  options |= _davis_options()
  results, sections = davis_run.evaluate(*arguments, **options)
  if not _COLOR_FAILURE.value or not results:
    return results, sections
  more, section = color_failure.analyze(
      tracker, results, *arguments[1:], **options
  )
  return results | more, [*sections, section]


def _evaluate_color():
  if _FEATURES_DIR.value or _BASELINE.value in _METHODS:
    raise errors.UserError(
        'kinetics_color is for networks; it compares with copying the same'
        ' position itself'
    )
  loaded = _load()
  if loaded.palette is None:
    raise errors.UserError(
        'give --workdir or --checkpoint: its palette is needed'
    )
  return colorization_run.evaluate(
      loaded.propagator(),
      _DATA_DIR.value,
      _OUTPUT_DIR.value,
      palette=loaded.palette,
      split=_SPLIT.value or 'validation',
      num_clips=_NUM_CLIPS.value,
  )


def _davis_options():
  year = int(_DATASET.value.removeprefix('davis'))
  return {'year': year, 'split': _SPLIT.value or 'val'}


def _tapvid_options():
  return {'split': _SPLIT.value, 'query_mode': _QUERY_MODE.value}


def _jhmdb_split():
  split = _SPLIT.value or '1'
  if split not in ('1', '2', '3'):
    raise errors.UserError(f'--split={split}: JHMDB has splits 1, 2 and 3')
  return int(split)


def _tracker() -> Any:
  """What tracks: a baseline, or copying by a network or by features."""
  if _BASELINE.value in _METHODS:
    return _METHODS[_BASELINE.value]
  if not _FEATURES_DIR.value:
    loaded = _load()
    if _BASELINE.value == 'single_image':
      return _single_image(loaded)
    return loaded.propagator()
  config = _CONFIG.value or {'tracking': {'unit_length': True}}
  options = propagation.PropagationOptions.from_config(config)
  return propagation.LabelPropagator(operator.attrgetter('embeddings'), options)


def _single_image(loaded):
  options = propagation.PropagationOptions.from_config(loaded.config)
  embed = propagation.single_image(loaded.model, options.short_side)
  return propagation.LabelPropagator(embed, options)


def _load() -> network.Network:
  """The network, with the options of tracking of --config."""
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
