"""Evaluation on DAVIS while a network is trained."""

from collections.abc import Callable
import pathlib

import ml_collections

from vidcolor import errors
from vidcolor import models
from vidcolor import network
from vidcolor.benchmarks import davis

_YEARS = {'davis2016': 2016, 'davis2017': 2017}

Evaluate = Callable[[models.EmbeddingNetwork, int], dict[str, float]]


def make_evaluator(
    config: ml_collections.ConfigDict, workdir: str | pathlib.Path
) -> Evaluate | None:
  """Returns the function that evaluates a network on DAVIS during training.

  Args:
    config: Config as in experiments/configs. `evaluation.dataset` is davis2016
      or davis2017, and `evaluation.data_dir` its folder, or '' for none.
    workdir: Folder of the run. Masks and videos go to evaluations/<step>.

  Returns:
    The function (network, step) -> {'davis2016_J': mean J, 'davis2016_F': mean
    F}; None if the config names no folder.

  Raises:
    UserError: The dataset is another one, or as `data.read_scorable`.
  """
  name, data_dir = config.evaluation.dataset, config.evaluation.data_dir
  if not data_dir:
    return None
  if name not in _YEARS:
    raise errors.UserError(
        f'config.evaluation.dataset={name}: give davis2016 or davis2017'
    )
  # Importing what reads and writes video takes time, and training without
  # evaluation does without it.
  from vidcolor.benchmarks.davis import data

  # Checked now, not after hours of training.
  data.read_scorable(data_dir, year=_YEARS[name])

  def evaluate(model, step):
    output_dir = pathlib.Path(workdir) / 'evaluations' / str(step)
    tracker = network.Network(model, None, config).propagator()
    results = davis.evaluate(tracker, data_dir, output_dir, year=_YEARS[name])
    overall = results['overall']
    return {f'{name}_{key}': overall[f'{key}_mean'] for key in 'JF'}

  return evaluate
