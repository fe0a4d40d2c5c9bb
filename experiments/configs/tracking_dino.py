"""Propagates labels as DINO does, to compare networks with its results.

DINO is Caron et al., "Emerging Properties in Self-Supervised Vision
Transformers", ICCV 2021. The options are those of its published code
(github.com/facebookresearch/dino, eval_video_segmentation.py) on DAVIS. It
resizes frames to a short side of 480, and the long side down to a multiple of
64, and takes features at stride 8 or 16.

The same features give the same masks at that size. At the frame's own size, 3
pixels in 10,000 differ, all at outlines, and J differs by 0.0003 (on DAVIS's
car-shadow and horsejump-high, 36 frames each). The reason is that DINO's code
takes the most likely label at the reduced size and then resizes the mask, while
vidcolor takes it at the frame's own size.

python -m vidcolor.evaluate --config=experiments/configs/tracking_dino.py \
  --features_dir=DIR --dataset=davis2017 --data_dir=DAVIS --output_dir=OUT
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the config."""
  config = ml_collections.ConfigDict()
  config.tracking = ml_collections.ConfigDict()
  config.tracking.unit_length = True
  config.tracking.temperature = 0.1
  config.tracking.top_k = 5
  config.tracking.keep_first = True
  config.tracking.recent = 7
  config.tracking.radius = 12.0
  config.tracking.square_window = True
  config.tracking.shrink_labels = 'nearest'
  config.tracking.stretch_labels = True
  return config
