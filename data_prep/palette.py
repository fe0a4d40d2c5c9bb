r"""Fits the palette of a dataset: the colours that training classifies.

python -m data_prep.palette --dataset=kinetics --data_dir=DIR
"""

import os
import pathlib

from absl import flags
from jaxtyping import Float
import numpy as np

from vidcolor import errors

DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Folder of TFDS datasets.', required=True
)
DATASET = flags.DEFINE_string(
    'dataset', 'kinetics', 'Name of a dataset, perhaps with its version.'
)

_CROP_SIZE = 32  # As coarse as the grid of colours that training classifies.


def fit(
    dataset_dir: str | os.PathLike,
    *,
    num_colors: int = 16,
    num_frames: int = 256,
    seed: int = 0,
) -> Float[np.ndarray, 'num_colors 2']:
  """Fits a palette to training frames and writes it as `palette.npy`.

  Args:
    dataset_dir: Folder of a version of a dataset; the palette goes there.
    num_colors: Size of the palette.
    num_frames: Frames to draw, each a random one of a random clip.
    seed: Seed of the draw and of k-means.

  Returns:
    The palette in Lab's a and b.

  Raises:
    UserError: there is no dataset, or no training split of it.
  """
  # Imported late: data_prep.build's workers import this module, and need none.
  from jax import numpy as jnp

  from vidcolor import color
  from vidcolor.data import clips

  path = pathlib.Path(dataset_dir)
  batches = clips.training_batches(
      clips.open_source(f'{path.parent.name}:{path.name}', path.parents[1]),
      batch_size=num_frames,
      num_frames=1,
      max_frame_step=1,
      crop_size=_CROP_SIZE,
      min_scale=1.0,
      num_workers=0,
      seed=seed,
  )
  lab = color.rgb_to_lab(jnp.asarray(next(batches)['frames']))
  batches.close()
  ab = np.asarray(lab)[..., 1:].reshape(-1, 2)
  palette = color.fit_palette(ab, num_colors, seed)
  color.save_palette(path / 'palette.npy', palette)
  return palette


def main(argv):
  """Fits the palette of --dataset, in --data_dir."""
  del argv
  from vidcolor.data import clips

  source = clips.open_source(DATASET.value, DATA_DIR.value)
  fit(source.dataset_info.data_dir)


if __name__ == '__main__':
  errors.run(main)
