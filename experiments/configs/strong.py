"""The best tracker known here that colour teaches, on two cores in two hours.

The small network sees Lab and not grey: in training without a, without b or
without both, and their values are what it copies, from within a window; in
tracking it sees all.

python -m vidcolor.train --config=experiments/configs/strong.py \
  --workdir=DIR --config.dataset.data_dir=DATA_DIR
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
  return config
