"""Benchmarks of trackers, one package each.

A benchmark is a module with these functions:

    evaluate(tracker, data_dir, output_dir=None, *, ...) -> results
    score(predictions_dir, data_dir, output_dir=None, *, ...) -> results
    sections(results, output_dir) -> list[report.Section]

`evaluate` runs a tracker on the data and measures it. `score` measures the
predictions of any method, and is there only where the benchmark defines files
for them. `sections` draws the plots and lays out the report. Results are a
dict: 'overall' maps the name of a metric to its value. Without an output
folder, predictions go to a temporary folder, and no video is drawn.

`python -m vidcolor.evaluate` runs any such module, also one outside of this
package. Only `evaluate` is required.
"""

import importlib
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
  from vidcolor.benchmarks import badja
  from vidcolor.benchmarks import colorization
  from vidcolor.benchmarks import davis
  from vidcolor.benchmarks import jhmdb
  from vidcolor.benchmarks import tapvid

__all__ = ['badja', 'colorization', 'davis', 'jhmdb', 'tapvid']


def __getattr__(name: str) -> Any:
  if name in __all__:
    return importlib.import_module(f'{__name__}.{name}')
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
