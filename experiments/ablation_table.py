"""Tabulates ablations: means, spreads, and which differences are clear."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def tabulate(
    rows: Mapping[tuple[str, int], Mapping[str, Any]], base_name: str
) -> dict[str, dict[str, Any]]:
  """Returns a row by change: mean J, its spread over seeds, and the gain in J.

  A gain is clear if it is above two standard errors. For changes of training,
  the standard error is that of the mean over seeds. Its standard deviation is
  averaged over all changes with several seeds. For changes of tracking, with
  one network, the standard error is that of the differences by sequence.

  Args:
    rows: Measurements by (change, seed): 'J', 'J&F', 'by_sequence' (J by
      sequence), 'seconds_per_frame', and maybe 'untrained' (J before training).
    base_name: The change that the others are compared with.
  """
  by_change = {}
  for (change, _), row in rows.items():
    by_change.setdefault(change, []).append(row)
  base = by_change[base_name]
  groups = by_change.values()
  variances = [np.var(_column(x, 'J'), ddof=1) for x in groups if len(x) > 1]
  variance = np.mean(variances) if variances else np.nan
  table = {}
  for name, group in by_change.items():
    if name.startswith('tracking'):
      ours, theirs = ([*x[0]['by_sequence'].values()] for x in (group, base))
      differences = np.subtract(ours, theirs)
      gain = differences.mean()
      error = differences.std(ddof=1) / np.sqrt(len(differences))
    else:
      gain = np.mean(_column(group, 'J')) - np.mean(_column(base, 'J'))
      error = np.sqrt(variance * (1 / len(group) + 1 / len(base)))
    table[name] = {
        'J': np.mean(_column(group, 'J')),
        'least': min(_column(group, 'J')),
        'most': max(_column(group, 'J')),
        'seeds': len(group),
        'J&F': np.mean(_column(group, 'J&F')),
        'gain in J': gain,
        'clear': 'yes' if abs(gain) > 2 * error else 'no',
        'untrained J': (
            np.mean(_column(group, 'untrained'))
            if 'untrained' in group[0]
            else ''
        ),
        's a frame': np.mean(_column(group, 'seconds_per_frame')),
    }
  return table


def _column(group, name):
  return [row[name] for row in group]


def markdown(table: Mapping[str, Mapping[str, Any]], heading: str) -> str:
  """Returns the table as Markdown, below its heading."""
  columns = list(next(iter(table.values())))
  lines = [
      heading,
      '',
      '| change | ' + ' | '.join(columns) + ' |',
      '|---' * (len(columns) + 1) + '|',
  ]
  for name, row in table.items():
    cells = [
        f'{x:.3f}' if isinstance(x, float) else str(x) for x in row.values()
    ]
    lines.append('| ' + ' | '.join([name, *cells]) + ' |')
  return '\n'.join(lines) + '\n'
