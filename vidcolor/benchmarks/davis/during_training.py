"""DAVIS while training goes on: J and F of the network as it is by then."""

from collections.abc import Callable
import pathlib
from typing import Any

from vidcolor import errors
from vidcolor import network


def make(
    config: Any, workdir: str | pathlib.Path
) -> Callable[[Any, int], dict[str, float]] | None:
  """Returns what tracks by a network, or None if config names no data.

  Args:
    config: As in experiments/configs: `evaluation.dataset` davis2016 or
      davis2017, `evaluation.data_dir` its folder, '' for none.
    workdir: Of the run; masks and films go to evaluations/<step>.

  Returns:
    (model, step) -> figures by name.

  Raises:
    UserError: the dataset is another, or as `davis_run.read`.
  """
  name, data_dir = config.evaluation.dataset, config.evaluation.data_dir
  if not data_dir:
    return None
  # Only now: SciPy and Matplotlib would double the time of every start.
  from vidcolor.benchmarks.davis import run as davis_run

  if name not in ('davis2016', 'davis2017'):
    raise errors.UserError(
        f'config.evaluation.dataset={name}: give davis2016 or davis2017'
    )
  year = int(name.removeprefix('davis'))
  davis_run.read(data_dir, year=year)  # Told now, not after hours of training.

  def evaluate(model, step):
    output_dir = pathlib.Path(workdir) / 'evaluations' / str(step)
    tracker = network.Network(model, None, config).propagator()
    results, _ = davis_run.evaluate(tracker, data_dir, output_dir, year=year)
    overall = results['overall']
    return {f'{name}_{key}': overall[f'{key}_mean'] for key in 'JF'}

  return evaluate
