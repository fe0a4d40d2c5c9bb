"""Runs all benchmarks of speed and memory.

python -m experiments.benchmarks.run [NAME ...] --output=results.json \
  [--davis_dir=DAVIS] [--peers_dir=PEERS]

NAME is copy_operation, propagation, tracking, network, training, start_up,
growth or accelerators, the modules of this folder. The default is all of them
but accelerators, which runs nothing: it compiles for TPUs and GPUs that need
not be there (`pip install 'vidcolor[tpu]'`), in some 20 minutes. The program
prints medians and quartiles as Markdown, and writes them to the JSON file and
to a page with plots beside it. A ratio compares calls that ran in turn. Two
idle cores take ten to twelve minutes.

PEERS holds the code that `experiments.benchmarks.peers` compares with. Without
it, propagation is left out. Without PyTorch, its attention kernel is left out.
"""

import contextlib
import datetime
from importlib import metadata
import os
import pathlib
import sys
import time
from typing import Any

from absl import flags

from experiments.benchmarks import accelerators
from experiments.benchmarks import copy_operation
from experiments.benchmarks import growth
from experiments.benchmarks import measuring
from experiments.benchmarks import network
from experiments.benchmarks import propagation
from experiments.benchmarks import start_up
from experiments.benchmarks import tracking
from experiments.benchmarks import training
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import program
from vidcolor.render import report

_OUTPUT = flags.DEFINE_string(
    'output', None, 'JSON file to write.', required=True
)
_DAVIS_DIR = flags.DEFINE_string(
    'davis_dir',
    None,
    'DAVIS folder, whose first sequence is tracked. Default: rendered video.',
)
_PEERS_DIR = flags.DEFINE_string(
    'peers_dir', None, 'Folder with clones of other repositories.'
)
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'How often calls are timed.', 1)

_BENCHMARKS = {
    module.__name__.rpartition('.')[2]: module
    for module in (
        copy_operation,
        propagation,
        tracking,
        network,
        training,
        start_up,
        growth,
        accelerators,
    )
}


def main(arguments: list[str]) -> None:
  """Runs benchmarks, prints and writes their results."""
  left_out = ['accelerators']
  if not _PEERS_DIR.value:
    left_out.append('propagation')
  everything = [name for name in _BENCHMARKS if name not in left_out]
  names = arguments or everything
  if unknown := set(names) - set(_BENCHMARKS):
    raise errors.UserError(
        f'no benchmark {unknown.pop()}: give some of'
        f' {", ".join(_BENCHMARKS)}'
    )
  if 'propagation' in names:
    if not _PEERS_DIR.value:
      raise errors.UserError('propagation needs --peers_dir: see peers.py')
    propagation.check(_PEERS_DIR.value)
  output = pathlib.Path(_OUTPUT.value)
  files.make_folder(output.parent)
  settings = measuring.Settings(
      _ROUNDS.value, _DAVIS_DIR.value, _PEERS_DIR.value
  )
  # Some benchmarks start processes, which need memory of the GPU too.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  about = _about()
  print(f'# Benchmarks\n\n{_words(about)}')
  results = {}
  for name in names:
    start = time.perf_counter()
    results[name] = _BENCHMARKS[name].measure(settings)
    seconds = time.perf_counter() - start
    print(f'\n## {name}\n\n{_summary(name)} Took {seconds:.0f} s.\n')
    print(_markdown(results[name]), flush=True)
    # Written after each benchmark, in case the next one fails.
    files.write_json(output, about | {'results': _as_json(results)})
    _write_page(output, results, about)
  print(f'Written: {output.with_suffix(".html")}', file=sys.stderr)


def _about():
  about: Any = {'date': str(datetime.date.today())} | environment.describe()
  with contextlib.suppress(metadata.PackageNotFoundError):
    about['versions']['torch'] = metadata.version('torch')
  return about


def _words(about):
  versions = ', '.join(f'{k} {v}' for k, v in about['versions'].items())
  return f'{about["date"]}; {about["machine"]}; {versions}.'


def _summary(name):
  """Returns the first line of a benchmark's docstring."""
  return (_BENCHMARKS[name].__doc__ or '').partition('\n')[0]


def _as_json(results):
  return {
      name: [measured._asdict() for measured in benchmark]
      for name, benchmark in results.items()
  }


def _rows(benchmark):
  """Returns the cells of each row by column, by the row's name."""
  rows = {}
  for measured in benchmark:
    if isinstance(measured, measuring.Measurement):
      spread = f'{_digits(measured.low)} to {_digits(measured.high)}'
      rows[measured.name] = {
          'median': _digits(measured.median),
          'quartiles': spread if measured.low < measured.high else '',
          'unit': measured.unit,
          'aim': measured.aim(),
      }
    elif isinstance(measured, measuring.Estimate):
      rows[measured.name] = measured.columns()
    else:
      for value, seconds, memory in zip(
          measured.values, measured.seconds, measured.memory, strict=True
      ):
        rows[f'{_digits(value)} {measured.name}'] = {
            'ms': f'{_digits(1e3 * seconds)} {measured.time}',
            'MB': _digits(memory / 1e6),
        }
  return rows


def _digits(number):
  return f'{number:.0f}' if number >= 100 else f'{number:.3g}'


def _markdown(benchmark):
  rows = _rows(benchmark)
  columns = list(next(iter(rows.values()), {}))
  lines = [['', *columns], ['---'] * (1 + len(columns))]
  lines += [[name, *row.values()] for name, row in rows.items()]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _write_page(output, results, about):
  """Writes a page with tables and plots beside the JSON file."""
  sections = []
  for name, benchmark in results.items():
    media = []
    if name == 'growth':
      picture = output.with_suffix('.growth.png')
      growth.draw(benchmark, picture)
      media = [report.Media(picture.name, 'Growth should be linear.')]
    table = report.Table(_rows(benchmark), _summary(name), row_header='')
    sections.append(report.Section(name, table=table, media=media))
  machine = report.Section('Machine', _words(about))
  report.write_page(
      output.with_suffix('.html'),
      title='Benchmarks',
      sections=[machine, *sections],
  )


if __name__ == '__main__':
  program.run(main, takes_arguments=True)
