"""What each setting of tracking is worth: one at a time is changed.

python -m experiments.ablate_tracking --workdir=DIR --data_dir=DAVIS \
  --output_dir=OUT [--max_frames=25]

Tracks DAVIS sequences with a checkpoint, once for each setting; writes
results.json and report.html. Run again with the same line, it goes on where it
was stopped.
"""

from collections.abc import Iterator
import dataclasses
import json
import pathlib
import time
import zlib

from absl import flags
from flax import nnx
import jax
import numpy as np
import tqdm

from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import masks
from vidcolor.benchmarks import davis as davis_lib
from vidcolor.evaluation import davis
from vidcolor.render import report
from vidcolor.tracking import propagation
from vidcolor.training import checkpoint

_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'A run, or one checkpoint of it.', required=True
)
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'DAVIS folder to track.', required=True
)
_OUTPUT_DIR = flags.DEFINE_string(
    'output_dir', None, 'Where everything is written to.', required=True
)
_YEAR = flags.DEFINE_integer(
    'year', None, '2016 makes one object of all; default: the latest listed.'
)
_SPLIT = flags.DEFINE_string('split', 'val', 'Name of the list.')
_MAX_FRAMES = flags.DEFINE_integer(
    'max_frames', None, 'Only so many frames of each sequence.', 3
)

# By field of `propagation.Options`.
_SWEEPS = {
    'temperature': (0.02, 0.04, 0.07, 0.12, 0.2, 0.5),
    'radius': (4, 8, 12, 18, 24, None),
    'top_k': (1, 3, 5, 10, 20, None),
    'recent': (1, 2, 3, 5, 7, 10),
    'keep_first': (True, False),
    'short_side': (120, 160, 240, 320, 480),
}


def main(argv):
  """Measures what has not been measured yet, and reports."""
  if len(argv) > 1:
    raise errors.UserError(f'{argv[1]} is not a flag; see --help')
  model, _, config = checkpoint.load_model(_WORKDIR.value)
  base = propagation.Options(**config.tracking)
  sequences = davis_lib.read(
      _DATA_DIR.value, year=_YEAR.value, split=_SPLIT.value
  )
  if len(sequences[0].masks) == 1:
    raise errors.UserError(f'{_DATA_DIR.value} has only first masks')
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.make_folder(output_dir)
  results_path = output_dir / 'results.json'
  setup = {
      'workdir': _WORKDIR.value,
      # A run that was trained on is another one.
      'parameters': _checksum(model),
      'data_dir': _DATA_DIR.value,
      'year': _YEAR.value,
      'split': _SPLIT.value,
      'max_frames': _MAX_FRAMES.value,
      'base': dataclasses.asdict(base),
      **environment.describe(),
  }
  results = _resume(results_path, setup)
  for name, options in tqdm.tqdm([*_settings(base, model)], unit='setting'):
    if name in results['settings']:
      continue
    tracker = propagation.Tracker(model, options)
    results['settings'][name] = _measure(tracker, sequences)
    files.write_json(results_path, results)
  report.write(
      output_dir / 'report.html',
      title='What each setting of tracking is worth',
      sections=[_section(results, len(sequences))],
  )
  for name, row in results['settings'].items():
    print(f'{name:<20}' + ''.join(f'  {k} {v:.3f}' for k, v in row.items()))
  print(f'Look at it: {output_dir / "report.html"}')


def _resume(path, setup):
  if not path.exists():
    return {**setup, 'settings': {}}
  results = json.loads(path.read_text())
  if {**results, 'settings': None} != {**setup, 'settings': None}:
    raise errors.UserError(
        f'{path} is of another run: give another --output_dir, or remove it'
    )
  return results


def _checksum(model):
  leaves = jax.tree.leaves(nnx.state(model))
  return zlib.crc32(b''.join(np.asarray(leaf).tobytes() for leaf in leaves))


def _settings(base, model) -> Iterator[tuple[str, propagation.Options]]:
  """Names and options: those of the checkpoint, then others."""
  yield 'as trained', base
  for field, values in _SWEEPS.items():
    # A network over time wants as many references as it was trained with.
    if model.num_frames > 1 and field in ('recent', 'keep_first'):
      continue
    for value in values:
      if value != getattr(base, field):
        yield f'{field} {value}', dataclasses.replace(base, **{field: value})


def _measure(tracker, sequences):
  start = time.perf_counter()
  scores, num_frames = {}, 0
  for sequence in sequences:
    frames = sequence.frames[: _MAX_FRAMES.value]
    truth = sequence.masks[: _MAX_FRAMES.value]
    tracked = list(tracker.track(frames, truth[0]))
    num_frames += len(tracked)
    num_objects = int(masks.without_void(truth[0]).max())
    scores[sequence.name] = davis.score(tracked[1:-1], truth[1:-1], num_objects)
  overall = davis.summarize(scores)['overall']
  keys = ('J&F', 'J_mean', 'F_mean', 'J_decay')
  seconds = (time.perf_counter() - start) / num_frames
  return {key: overall[key] for key in keys} | {'seconds_per_frame': seconds}


def _section(results, num_sequences):
  rows = dict(results['settings'])
  base = rows.pop('as trained')
  better = lambda row: {**row, 'gain in J&F': row['J&F'] - base['J&F']}
  values = ', '.join(f'{k} {v}' for k, v in results['base'].items())
  return report.Section(
      'One setting at a time',
      f'The checkpoint’s own settings are {values}. The radius is in cells, so'
      ' that at another size it spans other pixels. Seconds hold compiling,'
      ' reading and scoring, too.',
      table=report.Table(
          {name: better(row) for name, row in rows.items()},
          f'Means over the objects of {num_sequences} sequences',
          row_header='setting',
          summary={'as trained': better(base)},
      ),
  )


if __name__ == '__main__':
  errors.run(main)
