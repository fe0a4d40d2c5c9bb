"""The training step of the quickstart, and its time of waiting for data.

`experiments.benchmarks.train_step` compares the loop of any config with a plain
step. `experiments.benchmarks.input_pipeline` measures the input pipeline.
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


def measure(settings: measuring.Settings) -> list[measuring.Measurement]:
  """Trains on rendered clips, and reads the metrics that the loop wrote."""
  del settings  # Ten steps are a round.
  seconds, waited, speed = measuring.in_new_process(_train)
  share = [w / s for w, s in zip(waited, seconds, strict=True)]
  return [
      measuring.measurement('step', 'ms', [1e3 * s for s in seconds]),
      measuring.measurement('model', 'GFLOP/s', [x / 1e9 for x in speed]),
      measuring.measurement(
          'waiting for data', 'of a step', share, at_most=0.02
      ),
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
    lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  reports = [json.loads(line) for line in lines]
  reports = [report for report in reports if report['step'] > _WARM_UP]
  return (
      [1 / report['steps_per_second'] for report in reports],
      [report['seconds_waiting_for_data'] for report in reports],
      [report['model_flops_per_second'] for report in reports],
  )
