"""Fits the palette of a dataset: the colours that training classifies."""

import os
import pathlib

from jax import numpy as jnp
from jaxtyping import Float
import numpy as np
from sklearn import cluster

from vidcolor import color
from vidcolor.data import clips

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
  palette = cluster_colors(ab, num_colors, seed)
  color.save_palette(path / 'palette.npy', palette)
  return palette


def cluster_colors(
    ab: Float[np.ndarray, 'samples 2'], num_colors: int, seed: int
) -> Float[np.ndarray, 'num_colors 2']:
  """K-means centres of ab samples, the paper's 16 colours (section 3.3)."""
  kmeans = cluster.KMeans(num_colors, n_init=4, random_state=seed).fit(ab)
  centers = kmeans.cluster_centers_
  # Sorted by hue, so that the class numbers do not depend on k-means' order.
  order = np.argsort(np.arctan2(centers[:, 1], centers[:, 0]))
  return centers[order].astype(np.float32)
