"""The second part of the training of `paper_cpu.py`: crops of 256 x 256.

python -m vidcolor.train --config=experiments/configs/paper_cpu_256.py \
  --workdir=DIR --config.initial_network=FIRST_DIR \
  --config.dataset.data_dir=DATA_DIR

FIRST_DIR is the run of `paper_cpu.py`. The network in the package, `paper`, has
had both parts.

The network's dilated convolutions reach 16 cells, and a crop of 128 x 128 has
16 x 16 cells. So most of what these convolutions saw was padding. Here a crop
has the 32 x 32 cells of the paper's, and as many rows as tracking has.

A step has 2 clips instead of 4 and costs twice as much.
"""

import ml_collections

from experiments.configs import paper_cpu


def get_config() -> ml_collections.ConfigDict:
  """Returns the config of the first part with some changes."""
  config = paper_cpu.get_config()
  config.steps = 700
  config.batch_size = 2
  config.clips.crop_size = 256
  config.learning_rate = ((0.0, 5e-4), (0.6, 5e-4), (1.0, 5e-5))
  config.images_every = 50
  config.checkpoint_every = 50
  config.keep_every = 50
  return config
