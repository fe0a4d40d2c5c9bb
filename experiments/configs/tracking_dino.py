"""Propagates as DINO does, so that other networks compare with its figures.

Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV
2021, as its published code (github.com/facebookresearch/dino,
eval_video_segmentation.py) is run on DAVIS. It resizes frames to a short side
of 480 and the other one down to a multiple of 64, and takes features at stride
8 or 16. From the same features it makes the same masks, but for 3 pixels in
10,000, at outlines (of DAVIS's car-shadow and horsejump-high, 36 frames each; J
differs by 0.0003): it takes the likeliest label at that size and resizes the
mask, where we take it at the frame's own. Seen at that size none differed.

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
