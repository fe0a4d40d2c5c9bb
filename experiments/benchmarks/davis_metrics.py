"""Compares our DAVIS metrics with the official toolkit: speed and results.

git clone https://github.com/davisvideochallenge/davis2017-evaluation TOOLKIT
python -m experiments.benchmarks.davis_metrics --toolkit=TOOLKIT \
  --data_dir=DAVIS --predictions=DIR

Both run in turn on the same files, each time in a new process. The clock starts
after the imports.
"""

import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time

from absl import flags

from vidcolor import errors
from vidcolor import program

_TOOLKIT = flags.DEFINE_string(
    'toolkit', None, 'Clone of the official toolkit.', required=True
)
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Folder of DAVIS 2017, with ImageSets.', required=True
)
_PREDICTIONS = flags.DEFINE_string(
    'predictions', None, 'Palette masks, <sequence>/<frame>.png.', required=True
)
_SPLIT = flags.DEFINE_string('split', 'val', 'Name of the split.')
_RUNS = flags.DEFINE_integer('runs', 3, 'Number of runs of each.', 1)


def main() -> None:
  """Runs both in turn; prints medians and the ratio."""
  arguments = _TOOLKIT.value, _DATA_DIR.value, _PREDICTIONS.value, _SPLIT.value
  runs = {'toolkit': [], 'vidcolor': []}
  for _ in range(_RUNS.value):
    for name, results in runs.items():
      results.append(_run(name, arguments))
      print(name, results[-1], flush=True)
  median = lambda name, key: statistics.median(run[key] for run in runs[name])
  for key, unit in ('seconds', 's'), ('peak_mb', 'MB'):
    theirs, ours = median('toolkit', key), median('vidcolor', key)
    print(
        f'{key}: toolkit {theirs:.1f} {unit}, vidcolor {ours:.2f} {unit},'
        f' ratio {theirs / ours:.1f}'
    )
  difference = max(
      abs(runs['toolkit'][0][key] - runs['vidcolor'][0][key])
      for key in ('J_mean', 'F_mean')
  )
  print(f'largest difference of the means: {difference:.1e}')


def _run(name, arguments):
  program = (
      f'from experiments.benchmarks import davis_metrics as m;'
      f' m.measure_{name}(*{arguments!r})'
  )
  command = [sys.executable, '-W', 'ignore', '-c', program]
  result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
  if result.returncode:
    raise errors.UserError(
        f'{name} failed on these files: its output above says why'
    )
  return json.loads(result.stdout.splitlines()[-1])


def measure_toolkit(toolkit, data_dir, predictions, split):
  """Prints the official toolkit's means, time and peak memory."""
  sys.path.insert(0, toolkit)
  from davis2017 import evaluation  # pyrefly: ignore[missing-import]

  start = time.perf_counter()
  task = evaluation.DAVISEvaluation(data_dir, 'semi-supervised', split)
  scores = task.evaluate(predictions)
  means = {
      f'{measure}_mean': statistics.mean(map(float, scores[measure]['M']))
      for measure in 'JF'
  }
  _print(start, means)


def measure_vidcolor(_, data_dir, predictions, split):
  """Prints our means, time and peak memory."""
  from vidcolor import files
  from vidcolor import lazy_sequence
  from vidcolor import masks
  from vidcolor.benchmarks.davis import metrics as davis_metrics

  start = time.perf_counter()
  data_dir, predictions = pathlib.Path(data_dir), pathlib.Path(predictions)
  names = (data_dir / 'ImageSets' / '2017' / f'{split}.txt').read_text().split()
  scores = {}
  for name in names:
    truth = files.visible(f'{data_dir}/Annotations/480p/{name}', ('.png',))
    predicted = [predictions / name / path.name for path in truth]
    scores[name] = davis_metrics.score_masks(
        lazy_sequence.LazySequence(predicted[1:-1], masks.read),
        lazy_sequence.LazySequence(truth[1:-1], masks.read),
        int(masks.without_void(masks.read(truth[0])).max()),
    )
  _print(start, davis_metrics.summarize(scores)['overall'])


def _print(start, means):
  seconds = time.perf_counter() - start
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
  print(
      json.dumps(
          {
              'seconds': round(seconds, 2),
              'peak_mb': round(peak),
              'J_mean': means['J_mean'],
              'F_mean': means['F_mean'],
          }
      )
  )


if __name__ == '__main__':
  program.run(main)
