"""The paper's network, trained on two CPU cores instead of an accelerator.

python -m vidcolor.train --config=experiments/configs/paper_cpu.py \
  --workdir=DIR --config.dataset.data_dir=DATA_DIR

The network, the grey input, the 16 classes and the softmax over all positions
of three reference frames are those of `paper.py`. These are changed:

- Crops of 128 x 128 instead of 256 x 256, which cost a quarter.
- 2,600 steps of 4 clips instead of 400,000 of 32. The learning rate falls to a
  tenth after three quarters of the steps instead of 15%.
- Frames are up to 2 frames of 6 a second apart, not 1.
- Each frame's crop is moved on its own, by up to a quarter of its side. Then
  the same place has the right color in 56% of the cells. With the same crop it
  has in 84%, and the network learns little more than position.
- Training divides scores by 8, the square root of the size of an embedding.
- Batch normalization keeps 0.9 of its running statistics, not 0.99.
"""

import ml_collections

from experiments.configs import paper


def get_config() -> ml_collections.ConfigDict:
  """Returns the paper's config with some changes."""
  config = paper.get_config()
  config.steps = 2_600
  config.batch_size = 4
  config.clips.crop_size = 128
  config.clips.max_frame_step = 2
  config.clips.min_scale = 0.5
  config.clips.max_shift = 0.5
  config.clips.num_workers = 0  # Threads instead of processes.
  config.model.norm_momentum = 0.9
  config.model.dtype = 'float32'
  config.copy.temperature = 8.0
  config.learning_rate = ((0.0, 1e-3), (0.75, 1e-3), (0.75, 1e-4), (1.0, 1e-4))
  config.log_every = 10
  config.images_every = 150
  config.checkpoint_every = 150
  config.keep_every = 150
  return config
