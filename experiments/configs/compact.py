"""The small per-frame network, which trains on a laptop in minutes.

It has stride 4, unit embeddings and a low softmax temperature. Tracking copies
from frame 0 and the last few frames, within a window and from the best matches.

python -m vidcolor.train --config=experiments/configs/compact.py \
  --workdir=DIR --config.dataset.data_dir=DATA_DIR

500 steps of 0.4 s take 3 to 4 minutes on two cores of an AMD EPYC
(`experiments.benchmarks.train_step`, 2026-11-23). Trained on 73 minutes of
video, it reached J 0.576 on ten re-encoded sequences of DAVIS 2016 validation,
against 0.374 before training (2026-11-23; docs/results.md has the table).
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the config."""
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.steps = 500

  # Of several datasets, name, data_dir and split have one value for all, or one
  # for each: 'A,B'. The first gives the palette.
  config.dataset = ml_collections.ConfigDict()
  config.dataset.name = 'kinetics'
  config.dataset.data_dir = '~/tensorflow_datasets'
  config.dataset.split = 'train'
  config.dataset.leave_out = ('grey', 'still', 'duplicate')
  config.batch_size = 9
  config.clips = ml_collections.ConfigDict()
  config.clips.num_frames = 2
  config.clips.max_frame_step = 4
  config.clips.crop_size = 128
  config.clips.min_scale = 0.5
  config.clips.num_workers = 0  # Threads instead of processes.

  config.model = ml_collections.ConfigDict()
  config.model.name = 'compact'  # vidcolor/models/compact.py; its options:
  config.model.channels = 1  # Grey; 3 for Lab.
  config.model.stride = 4  # Or 8.
  config.model.width = 64
  config.model.embedding_dim = 64
  config.model.fine_blocks = 1
  config.model.coarse_blocks = 2
  config.model.dtype = 'float32'
  # A run, a checkpoint, an .npz file or 'strong', to start from; '': random.
  config.initial_network = ''

  config.fsdp = 1  # Number of devices that the state is split over.
  config.accumulate = 1  # Parts of a batch, computed one after another.
  config.remat = 'none'  # Or 'norms' or 'blocks', which are recomputed.
  # Whether a run may resume with another number of processes. The data then
  # starts from its beginning.
  config.restart_data = False

  config.target = 'classes'  # Or 'values' of a and b.
  config.copy = ml_collections.ConfigDict()
  config.copy.temperature = 0.07
  # Knots (fraction of the steps, rate), linearly interpolated.
  config.learning_rate = ((0.0, 0.0), (0.1, 2e-3), (1.0, 0.0))
  config.max_grad_norm = 1.0

  config.log_every = 10
  config.images_every = 100
  config.checkpoint_every = 100
  # Steps that are multiples of this are kept for good; 0 keeps none of them.
  config.keep_every = 0

  config.evaluation = ml_collections.ConfigDict()
  config.evaluation.dataset = 'davis2016'  # Or 'davis2017'.
  config.evaluation.data_dir = ''  # No evaluation.
  config.evaluation.every = 500

  # Fields of vidcolor.tracking.propagation.PropagationOptions.
  config.tracking = ml_collections.ConfigDict()
  config.tracking.short_side = 240
  config.tracking.keep_first = True
  config.tracking.recent = 5
  config.tracking.temperature = 0.07
  config.tracking.radius = 12
  config.tracking.top_k = 5
  return config
