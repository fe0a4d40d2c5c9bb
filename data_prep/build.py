r"""Builds a dataset of clips, and then its palette.

  python -m data_prep.build --dataset=kinetics --source_dir=VIDEOS \
    --data_dir=DIR

A build that was stopped goes on where it was when the same is run again.
"""

import os

from absl import flags

from data_prep.kinetics import kinetics
from data_prep.synthetic_clips import synthetic_clips
from vidcolor import errors

_DATASET = flags.DEFINE_enum(
    'dataset',
    None,
    ['kinetics', 'synthetic_clips'],
    'What to build.',
    required=True,
)
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Folder of TFDS datasets to build it in.', required=True
)
_SOURCE_DIR = flags.DEFINE_string(
    'source_dir', None, 'Folder of videos, at any depth, for Kinetics.'
)
_ANNOTATIONS = flags.DEFINE_string(
    'annotations',
    None,
    'CSV file of Kinetics; if not given, all is for training.',
)
_NUM_WORKERS = flags.DEFINE_integer(
    'num_workers', None, 'Processes; by default one a core.', lower_bound=1
)


def main(argv):
  """Builds --dataset in --data_dir."""
  del argv
  # Imported late: the workers import this module, and would wait for JAX.
  from data_prep import palette

  builder = _builder()
  builder.download_and_prepare()
  for name, split in builder.info.splits.items():
    print(f'{name}: {split.num_examples} clips')
  if not (builder.data_path / 'palette.npy').exists():
    palette.fit(builder.data_dir)


def _builder():
  options = dict(
      data_dir=os.path.expanduser(_DATA_DIR.value),
      num_workers=_NUM_WORKERS.value,
  )
  if _DATASET.value == 'synthetic_clips':
    return synthetic_clips.SyntheticClips(**options)
  return kinetics.Kinetics(
      source_dir=_SOURCE_DIR.value, annotations=_ANNOTATIONS.value, **options
  )


if __name__ == '__main__':
  errors.run(main)
