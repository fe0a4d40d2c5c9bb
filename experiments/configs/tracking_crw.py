"""Propagates labels as CRW does, to compare networks with its results.

CRW is Jabri et al., "Space-Time Correspondence as a Contrastive Random Walk",
NeurIPS 2020. The options are those of its published code
(github.com/ajabri/videowalk) on DAVIS, which takes features at stride 8. The
same features give the same masks: on DAVIS's car-shadow and horsejump-high, 36
frames each, 6 of 29 million pixels differed.

python -m vidcolor.evaluate --config=experiments/configs/tracking_crw.py \
  --features_dir=DIR --dataset=davis2017 --data_dir=DAVIS --output_dir=OUT
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the config."""
  config = ml_collections.ConfigDict()
  config.tracking = ml_collections.ConfigDict()
  config.tracking.unit_length = True
  config.tracking.temperature = 0.05
  config.tracking.top_k = 10
  config.tracking.keep_first = True
  config.tracking.recent = 20
  config.tracking.repeat_first = True
  # CRW's window excludes the distance 12 itself.
  config.tracking.radius = 11.99
  config.tracking.window_first = False
  config.tracking.shrink_labels = 'linear'
  return config
