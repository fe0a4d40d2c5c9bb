"""The best tracker known here that colour teaches; the package holds it.

The small network sees Lab and not grey: in training without a, without b or
without both, and their values are what it copies, from within a window; in
tracking it sees all.

python -m vidcolor.train --config=experiments/configs/strong.py \
  --workdir=DIR --config.dataset.data_dir=DATA_DIR

It takes 5,000 steps of 0.4 to 0.5 s, forty minutes, on two cores of an AMD
EPYC. On 73 minutes of video it reached J 0.712 on ten re-encoded sequences of
DAVIS 2016 validation, 0.616 before training (2026-11-23; README.md has
the table).
"""

import ml_collections

from experiments.configs import compact


def get_config() -> ml_collections.ConfigDict:
  """Returns the config, by what differs from the compact one."""
  config = compact.get_config()
  config.steps = 5_000
  config.model.channels = 3
  config.target = 'values'
  config.copy.radius = 6  # Cells.
  config.tracking.short_side = 360
  config.tracking.radius = 18
  # By experiments.calibrate, 2026-11-23.
  config.tracking.calibration = (1.034, 0.226)
  return config
