"""Colorization of held-out clips; scored by the error of the colors."""

from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
  # ruff: noqa: F401
  from vidcolor.benchmarks.colorization.run import evaluate
  from vidcolor.benchmarks.colorization.run import sections

_FUNCTIONS = ('evaluate', 'sections')


def __getattr__(name: str) -> Any:
  if name in _FUNCTIONS:
    # Imported late: the metrics can be imported without JAX.
    from vidcolor.benchmarks.colorization import run

    return getattr(run, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
