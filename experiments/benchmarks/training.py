"""A training step, and how long it waits for data, as in the quickstart.

`experiments.benchmarks.train_step` compares the loop with a plain step and
takes any config; `experiments.benchmarks.input_pipeline` looks at the data.
"""

import contextlib
import json
import pathlib
import sys
import tempfile

from data_prep import palette
from data_prep.synthetic_clips import synthetic_clips
from experiments.benchmarks import measuring
from experiments.configs import compact
from vidcolor.training import loop

_STEPS = 50
_WARM_UP = 20


def measure(settings: measuring.Settings) -> list[measuring.Figure]:
  """Trains on rendered clips, and reads what the loop told of itself."""
  del settings  # Each ten steps are a round.
  seconds, waited, speed = measuring.in_new_process(_train)
  share = [w / s for w, s in zip(waited, seconds, strict=True)]
  return [
      measuring.figure('step', 'ms', [1e3 * s for s in seconds]),
      measuring.figure('model', 'GFLOP/s', [x / 1e9 for x in speed]),
      measuring.figure('waiting for data', 'of a step', share, at_most=0.02),
  ]


def _train():
  config = compact.get_config()
  config.steps = _STEPS
  with tempfile.TemporaryDirectory() as folder:
    builder = synthetic_clips.SyntheticClips(
        num_train=64, num_test=0, data_dir=folder
    )
    builder.download_and_prepare()
    palette.fit(builder.data_dir)
    config.dataset.name = builder.name
    config.dataset.data_dir = folder
    workdir = pathlib.Path(folder) / 'workdir'
    with contextlib.redirect_stdout(sys.stderr):
      loop.train(config, workdir)
    told = (workdir / 'metrics.jsonl').read_text().splitlines()
  told = [json.loads(line) for line in told]
  told = [metrics for metrics in told if metrics['step'] > _WARM_UP]
  return (
      [1 / metrics['steps_per_second'] for metrics in told],
      [metrics['seconds_waiting_for_data'] for metrics in told],
      [metrics['model_flops_per_second'] for metrics in told],
  )
