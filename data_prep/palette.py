r"""Fits the palette of a dataset: the colour classes that training predicts.

  python -m data_prep.palette --dataset_dir=DIR/kinetics/2.0.0

It writes palette.npy, which `vidcolor.train` reads, and palette.png, a plot of
the palette, to the same folder. `data_prep.build` does the same after a build.
"""

import functools
import os
import pathlib

from absl import flags
import cv2
import grain
from jax import numpy as jnp
from jaxtyping import Float
from matplotlib import colors
from matplotlib import figure
import numpy as np
from sklearn import cluster
import tqdm

from vidcolor import color
from vidcolor import errors
from vidcolor import files
from vidcolor import program
from vidcolor.data import records as records_lib

# Reading a record takes longer than decoding a few of its frames. But more
# frames of the same clip add little, because they look alike.
_FRAMES_PER_CLIP = 4
# Pixels of all frames together. k-means takes as long for any number of frames.
_NUM_PIXELS = 1 << 18
# More pixels of one clip add little: palettes of three sequences of DAVIS had
# the same error within 1% with 87,382 pixels of each.
_PIXELS_PER_CLIP = 1 << 12
_LIGHTNESS = 60  # Lightness in the plot: most ab colours are in sRGB's gamut.


def main() -> None:
  """Fits the palette of --dataset_dir."""
  given = flags.FLAGS
  fit(
      given.dataset_dir,
      num_colors=given.num_colors,
      num_frames=given.num_frames,
      seed=given.seed,
  )
  print(f'Written: palette.npy and palette.png in {given.dataset_dir}')


def fit_once(dataset_dir: str | os.PathLike) -> None:
  """Fits a palette as `fit` does, unless the dataset has one."""
  if not (pathlib.Path(dataset_dir) / 'palette.npy').exists():
    fit(dataset_dir)


def fit(
    dataset_dir: str | os.PathLike,
    *,
    num_colors: int = 16,
    num_frames: int = 50_000,
    seed: int = 0,
) -> Float[np.ndarray, 'num_colors 2']:
  """Fits a palette to training frames; writes `palette.npy` and `palette.png`.

  Args:
    dataset_dir: Folder of a dataset's version, to which the palette is written.
    num_colors: Number of colours in the palette.
    num_frames: Number of frames to sample, four of a clip. Each clip is read
      once at most, so that a small dataset gives fewer frames.
    seed: Seed of the sampling and of k-means.

  Returns:
    The a and b of each colour.

  Raises:
    UserError: There is no dataset, or it has no training split.
  """
  path = pathlib.Path(dataset_dir).expanduser()
  if not (path / 'dataset_info.json').exists():
    raise errors.UserError(
        f'no dataset in {path}: give the folder of a version, such as'
        ' DIR/kinetics/2.0.0'
    )
  records = records_lib.open_records(
      f'{path.parent.name}:{path.name}', path.parents[1]
  )
  ab = _draw_ab(records, num_frames, seed)
  palette = cluster_colors(ab, num_colors, seed)
  _draw_plot(path / 'palette.png', palette, ab)
  color.save_palette(path / 'palette.npy', palette)
  return palette


def cluster_colors(
    ab: Float[np.ndarray, 'samples 2'], num_colors: int, seed: int
) -> Float[np.ndarray, 'num_colors 2']:
  """Returns the k-means centres of ab samples (the paper's section 3.3)."""
  kmeans = cluster.KMeans(num_colors, n_init=4, random_state=seed).fit(ab)
  centers = kmeans.cluster_centers_
  # Sorted by hue, so that class numbers do not depend on the order of k-means.
  order = np.argsort(np.arctan2(centers[:, 1], centers[:, 0]))
  return centers[order].astype(np.float32)


def _draw_ab(records, num_frames, seed):
  """Samples ab colours of random pixels of random frames of random clips."""
  num_clips = min(len(records), -(-num_frames // _FRAMES_PER_CLIP))
  num_pixels = min(-(-_NUM_PIXELS // num_clips), _PIXELS_PER_CLIP)
  draw = functools.partial(_draw_pixels, num_pixels=num_pixels)
  dataset = grain.MapDataset.source(records).seed(seed).shuffle()
  drawn = dataset.random_map(draw)[:num_clips].to_iter_dataset(
      grain.ReadOptions(os.cpu_count() or 1, 64)
  )
  progress = tqdm.tqdm(drawn, 'palette', total=num_clips, unit='clip')
  pixels = np.concatenate(list(progress)).astype(np.float32)
  # Dithering undoes the rounding to integers. k-means needs more distinct
  # samples than colours, even of a flat video.
  pixels += np.random.default_rng(seed).uniform(-0.5, 0.5, pixels.shape)
  rgb = jnp.asarray(np.clip(pixels / 255, 0, 1))
  return np.asarray(color.rgb_to_lab(rgb))[:, 1:]


def _draw_pixels(record, rng, *, num_pixels):
  _, encoded, _ = records_lib.parse(record)
  frames = rng.permutation(len(encoded))[:_FRAMES_PER_CLIP]
  # JPEG stores the means of 8 x 8 pixels and decodes them in a fraction of the
  # time. They are as coarse as the grid of colours in training.
  pictures = [
      cv2.imdecode(
          np.frombuffer(encoded[index], np.uint8), cv2.IMREAD_REDUCED_COLOR_8
      )
      for index in frames
  ]
  # pyrefly: ignore[missing-attribute]
  bgr = np.concatenate([picture.reshape(-1, 3) for picture in pictures])
  return bgr[rng.integers(len(bgr), size=num_pixels), ::-1]


def _draw_plot(path, palette, ab):
  """Plots the palette over the density of the samples, and their shares."""
  classes = np.asarray(color.quantize(jnp.asarray(ab), jnp.asarray(palette)))
  shares = np.bincount(classes, minlength=len(palette)) / len(ab)
  lab = np.insert(palette, 0, _LIGHTNESS, axis=1)
  rgb = np.asarray(color.lab_to_rgb(jnp.asarray(lab)))
  plot = figure.Figure(figsize=(11, 6), layout='constrained')
  plane, bars = plot.subplots(1, 2, width_ratios=(3, 2))
  plane.hist2d(*ab.T, bins=128, norm=colors.LogNorm(), cmap='Greys')
  plane.scatter(
      *palette.T, s=80 + 2000 * shares, c=rgb, edgecolors='black', zorder=2
  )
  numbers = np.arange(len(palette))
  for number, center in zip(numbers, palette, strict=True):
    plane.annotate(f'{number}', center, ha='center', va='center', fontsize=8)
  plane.set(xlabel='a', ylabel='b', aspect='equal')
  plane.set_title('The palette, over the density of the pixels')
  drawn = bars.barh(numbers, shares, height=0.9, color=rgb, edgecolor='black')
  bars.bar_label(drawn, [f'{share:.1%}' for share in shares], padding=3)
  labels = [f'{n}:  {a:+.0f}, {b:+.0f}' for n, (a, b) in enumerate(palette)]
  bars.set_yticks(numbers, labels)
  bars.set(xlabel='share of the pixels', xlim=(0, 1.2 * shares.max()))
  bars.set_title(f'a, b, at lightness {_LIGHTNESS}')
  bars.invert_yaxis()
  with files.atomic_write(path) as temporary:
    plot.savefig(temporary, dpi=100)


if __name__ == '__main__':
  # Defined only here, because other programs import this module.
  flags.DEFINE_string(
      'dataset_dir', None, "Folder of a dataset's version.", required=True
  )
  flags.DEFINE_integer('num_colors', 16, 'Colours in the palette.', 2)
  flags.DEFINE_integer('num_frames', 50_000, 'Frames to sample.', 1)
  flags.DEFINE_integer('seed', 0, 'Seed of sampling and of k-means.')
  program.run(main)
