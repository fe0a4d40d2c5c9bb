"""Tracks with the paper's network in the way that later work agrees on.

Embeddings have unit length. A cell copies from the best matches within a window
around its place. The first frame stays in the memory, as it is and moved with
the objects. The network relates four frames at a time, so the memory holds two
others. Masks are read off the labels along the edges of the frame.

These settings were compared on the first 12 frames of four sequences of DAVIS
2016's training list (bus, drift-turn, lucia, soccerball), with a network of 900
steps of 8 clips. J was 0.629 with 256 rows alone, 0.662 with edges, 0.670 with
384 rows and a window of 6 cells, and 0.719 with all of this file. With 480 rows
and a window of 8 cells it was 0.727, but a frame has 1.6 times as many cells.

python -m vidcolor.evaluate --config=experiments/configs/tracking_window.py \
  --checkpoint=paper --dataset=davis2016 --data_dir=DAVIS --output_dir=OUT
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the config."""
  config = ml_collections.ConfigDict()
  config.tracking = ml_collections.ConfigDict()
  config.tracking.short_side = 384
  config.tracking.unit_length = True
  config.tracking.temperature = 0.07
  config.tracking.top_k = 5
  config.tracking.radius = 4
  config.tracking.keep_first = True
  config.tracking.recent = 2
  config.tracking.follow_objects = True
  config.tracking.refine_edges = True
  return config
