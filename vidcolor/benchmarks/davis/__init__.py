"""DAVIS 2016 and 2017: tracks the objects of a mask; scored by J and F."""

from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
  # ruff: noqa: F401
  from vidcolor.benchmarks.davis.run import evaluate
  from vidcolor.benchmarks.davis.run import score
  from vidcolor.benchmarks.davis.run import score_tracker
  from vidcolor.benchmarks.davis.run import sections
  from vidcolor.benchmarks.davis.run import track_and_score

_FUNCTIONS = (
    'evaluate',
    'score',
    'score_tracker',
    'sections',
    'track_and_score',
)


def __getattr__(name: str) -> Any:
  if name in _FUNCTIONS:
    # Imported late: the metrics can be imported without JAX.
    from vidcolor.benchmarks.davis import run

    return getattr(run, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
