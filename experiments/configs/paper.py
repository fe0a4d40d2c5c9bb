"""The paper's training (Vondrick et al. 2018), on Kinetics without labels.

It needs an accelerator: 400,000 steps of 32 clips. A clip is three reference
frames and a target, at 256 x 256 and 6 frames a second. The network is a
ResNet-18 with dilated 3D convolutions at stride 8. Scores are dot products. The
learning rate of Adam is 1e-3 for 60,000 steps, then 1e-4.

python -m vidcolor.train --config=experiments/configs/paper.py \
  --workdir=DIR --config.dataset.data_dir=DATA_DIR

A step takes 6.8 TFLOP. The TPU compiler estimates 12.7 ms a step on v5e-8
without the transfers between chips (34% of the peak), so 1.5 hours for all
steps with an assumed 1 ms for these, if data is read fast enough: 2,336 clips a
second. It keeps 1.0 GB on a chip. 32 clips keep 5.6 GB on an H100.
experiments/scaling.md has the calculation, and the limits on more devices. This
was not run yet.

The paper reports J 34.6 on DAVIS 2017 validation, which is not reproduced here
yet.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the config."""
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.steps = 400_000

  # Of several datasets, name, data_dir and split have one value for all, or one
  # for each: 'A,B'. The first gives the palette.
  config.dataset = ml_collections.ConfigDict()
  config.dataset.name = 'kinetics'
  config.dataset.data_dir = '~/tensorflow_datasets'
  config.dataset.split = 'train'
  config.dataset.leave_out = ('grey', 'still', 'duplicate')
  config.batch_size = 32
  config.clips = ml_collections.ConfigDict()
  config.clips.num_frames = 4
  config.clips.max_frame_step = 1
  config.clips.crop_size = 256
  config.clips.min_scale = 1.0
  config.clips.num_workers = 16

  config.model = ml_collections.ConfigDict()
  config.model.name = 'resnet3d'  # vidcolor/models/resnet3d.py; its options:
  config.model.channels = 1  # Grey; 3 for Lab.
  config.model.embedding_dim = 64
  config.model.dtype = 'bfloat16'
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
  config.copy.temperature = 1.0
  # Knots (fraction of the steps, rate), linearly interpolated.
  config.learning_rate = ((0.0, 1e-3), (0.15, 1e-3), (0.15, 1e-4), (1.0, 1e-4))
  config.max_grad_norm = float('inf')  # No clipping.

  config.log_every = 100
  config.images_every = 5_000
  config.checkpoint_every = 5_000
  # Steps that are multiples of this are kept for good; 0 keeps none of them.
  config.keep_every = 0

  config.evaluation = ml_collections.ConfigDict()
  config.evaluation.dataset = 'davis2016'  # Or 'davis2017'.
  config.evaluation.data_dir = ''  # No evaluation.
  config.evaluation.every = 20_000

  # Fields of vidcolor.tracking.propagation.PropagationOptions: a softmax over
  # all positions of three reference frames.
  config.tracking = ml_collections.ConfigDict()
  config.tracking.short_side = 256
  config.tracking.keep_first = False
  config.tracking.recent = 3
  config.tracking.temperature = 0.5
  config.tracking.radius = None
  config.tracking.top_k = None
  return config
