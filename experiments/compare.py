"""Compares the results of several methods on one benchmark.

python -m experiments.compare OUT1 OUT2 ... --output_dir=OUT

OUT1 and so on are output folders of `vidcolor.evaluate` for the same --dataset.
A method is named by its folder. Writes report.html and prints a table in
Markdown.

With attributes of the sequences (Annotations/db_info.yml of DAVIS), it also
draws J by attribute, as figure 6 of Vondrick et al. 2018: attributes where the
last method gains most over the first are at the top.
"""

import json
import pathlib

import numpy as np

from vidcolor import errors
from vidcolor import files
from vidcolor import program
from vidcolor.benchmarks.davis import analysis
from vidcolor.render import plots
from vidcolor.render import report

_OUTPUT_DIR = program.define_output_dir()
# The main metric of each benchmark. Default: the first one in its results.
_MAIN_METRICS = ('J&F', 'PCK@0.1', 'average_jaccard')


def main(arguments: list[str]) -> None:
  """Writes the report and prints the table."""
  results = {pathlib.Path(folder).name: _read(folder) for folder in arguments}
  if len(results) < 2 or len(results) < len(arguments):
    raise errors.UserError('give two or more folders with different names')
  datasets = {result['dataset'] for result in results.values()}
  if len(datasets) > 1:
    raise errors.UserError(
        f'give results of one dataset, not of {" and ".join(sorted(datasets))}'
    )
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.make_folder(output_dir)
  report.write_page(
      output_dir / 'report.html',
      title=f'{datasets.pop()}: {", ".join(results)}',
      sections=_sections(results, output_dir),
  )
  columns = list(next(iter(results.values()))['overall'])
  print('| |', ' | '.join(columns), '|')
  print('|---' * (len(columns) + 1) + '|')
  for name, result in results.items():
    values = [f'{result["overall"][column]:.3f}' for column in columns]
    print('|', name, '|', ' | '.join(values), '|')
  print(f'Look at it: {output_dir / "report.html"}')


def _read(folder):
  path = pathlib.Path(folder) / 'results.json'
  try:
    result = json.loads(path.read_text())
    is_flat = all(isinstance(x, float) for x in result['overall'].values())
  except (OSError, ValueError, KeyError) as error:
    raise errors.UserError(
        f'no results in {path}: give an --output_dir of vidcolor.evaluate'
    ) from error
  if not is_flat:
    raise errors.UserError(f'{path} already compares methods: read its report')
  return result


def _sections(results, output_dir):
  first = next(iter(results.values()))
  names = [name for name in _MAIN_METRICS if name in first['overall']]
  measure = [*names, *first['overall']][0]
  return [
      report.Section(
          'Overall',
          table=report.Table(
              {name: result['overall'] for name, result in results.items()},
              'Means',
              row_header='method',
          ),
          media=_draw_plots(results, output_dir),
      ),
      report.Section(
          'Sequence by sequence',
          table=report.Table(
              {
                  sequence: {
                      name: result['per_sequence'][sequence][measure]
                      for name, result in results.items()
                      if sequence in result.get('per_sequence', {})
                  }
                  for sequence in first.get('per_sequence', {})
              },
              measure,
              summary={
                  'overall': {
                      name: result['overall'][measure]
                      for name, result in results.items()
                  }
              },
              best=max,
          ),
      ),
  ]


def _draw_plots(results, output_dir):
  """Draws J by frame and by attribute, where all results have them."""
  media = []
  if all('j_by_frame' in result for result in results.values()):
    curves = {
        # The first frame's mask is given.
        name: np.array([np.nan, *result['j_by_frame']], float)
        for name, result in results.items()
    }
    plots.j_by_frame(curves, output_dir / 'j_by_frame.png')
    text = 'Mean J by frame number, over the sequences that are that long.'
    media.append(report.Media('j_by_frame.png', text))
  if all('j_by_attribute' in result for result in results.values()):
    by_attribute = [result['j_by_attribute'] for result in results.values()]
    plots.bars(
        dict(zip(results, analysis.sort_by_gain(by_attribute), strict=True)),
        output_dir / 'j_by_attribute.png',
        xlabel='mean J',
    )
    text = (
        'Mean J over the sequences that DAVIS gives an attribute. At the top'
        f' are those where {list(results)[-1]} gains most over'
        f' {next(iter(results))}.'
    )
    media.append(report.Media('j_by_attribute.png', text))
  return media


if __name__ == '__main__':
  program.run(main, takes_arguments=True)
