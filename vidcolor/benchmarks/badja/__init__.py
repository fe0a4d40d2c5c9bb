"""BADJA: tracks the joints of animals in DAVIS; scored by PCK."""

from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
  # ruff: noqa: F401
  from vidcolor.benchmarks.badja.run import evaluate
  from vidcolor.benchmarks.badja.run import score
  from vidcolor.benchmarks.badja.run import sections

_FUNCTIONS = ('evaluate', 'score', 'sections')


def __getattr__(name: str) -> Any:
  if name in _FUNCTIONS:
    # Imported late: the metrics can be imported without JAX.
    from vidcolor.benchmarks.badja import run

    return getattr(run, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
