"""Tracks with the paper's network in the way that later work agrees on.

Embeddings have unit length. A cell copies from the best matches within a window
around its place, and the first frame stays in the memory. The network relates
four frames at a time, so the memory holds two others. Window, number of matches
and memory were compared on the first 12 frames of four sequences of DAVIS
2016's training list.

python -m vidcolor.evaluate --config=experiments/configs/tracking_window.py \
  --checkpoint=paper --dataset=davis2016 --data_dir=DAVIS --output_dir=OUT
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the config."""
  config = ml_collections.ConfigDict()
  config.tracking = ml_collections.ConfigDict()
  config.tracking.short_side = 256
  config.tracking.unit_length = True
  config.tracking.temperature = 0.07
  config.tracking.top_k = 5
  config.tracking.radius = 4
  config.tracking.keep_first = True
  config.tracking.recent = 2
  return config
