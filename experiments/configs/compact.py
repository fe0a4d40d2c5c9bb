"""The small per-frame network: minutes on a laptop.

Half the paper's idea of scale and some of what came after it: stride 4, unit
embeddings with a sharp softmax, references near in time and space.

python -m vidcolor.train --config=experiments/configs/compact.py \
  --workdir=/tmp/compact --config.data.data_dir=DIR --config.data.name=kinetics
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the config."""
  return ml_collections.ConfigDict(
      {
          'seed': 0,
          'steps': 500,
          'log_every': 10,
          'images_every': 100,
          'checkpoint_every': 100,
          'model': {
              'name': 'compact',
              'width': 64,
              'embedding_dim': 64,
              'fine_blocks': 1,
              'coarse_blocks': 2,
              'dtype': 'float32',
          },
          'data': {
              'name': 'kinetics',
              'data_dir': '~/tensorflow_datasets',
              'split': 'train',
              'batch_size': 6,
              'num_frames': 3,
              'max_frame_step': 1,
              'crop_size': 128,
              'min_scale': 0.5,
              'num_workers': 0,
          },
          'copy': {'temperature': 0.07},
          # Knots (fraction of the steps, rate), joined by straight lines.
          'learning_rate': ((0.0, 0.0), (0.1, 2e-3), (1.0, 0.0)),
          'max_grad_norm': 1.0,
          'tracking': {
              'short_side': 240,
              'keep_first': True,
              'recent': 3,
              'temperature': 0.07,
              'radius': 12.0,
              'top_k': 10,
          },
      }
  )
