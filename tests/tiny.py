"""Tiny datasets, a config to train on one, and a clip to follow."""

import pathlib

from jaxtyping import Bool, UInt8
import ml_collections
import numpy as np
from PIL import Image

from data_prep.kinetics import kinetics
from experiments.configs import compact
from vidcolor import color
from vidcolor import masks
from vidcolor.video import mp4


def build_dataset(folder: pathlib.Path) -> str:
  """Writes five coloured videos, builds a dataset; returns its data_dir."""
  rng = np.random.default_rng(0)
  for clip in range(5):
    texture = (
        rng.integers(0, 256, (8, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    )
    frames = [np.roll(texture, 3 * t, axis=1) for t in range(12)]
    mp4.write(folder / f'{clip}.mp4', frames, 6.0)
  builder = kinetics.Kinetics(
      source_dir=folder, data_dir=folder / 'data', num_workers=1
  )
  builder.download_and_prepare()
  palette = rng.uniform(-60, 60, (16, 2)).astype(np.float32)
  color.save_palette(builder.data_path / 'palette.npy', palette)
  return str(folder / 'data')


def overrides(data_dir: str) -> dict[str, object]:
  """What makes the compact config tiny, and its network quick to compile.

  Tests of the compact network itself name it: `{'model.name': 'compact'}`.
  """
  return {
      'dataset.data_dir': data_dir,
      'steps': 20,
      'batch_size': 2,
      'clips.crop_size': 32,
      'model.name': 'tests.toy_network.Net',
      'model.width': 8,
      'model.embedding_dim': 8,
      'model.coarse_blocks': 1,
      'log_every': 1,
      'images_every': 20,
      'checkpoint_every': 10,
  }


def config(data_dir: str, **changes) -> ml_collections.ConfigDict:
  """The tiny config, with further changes."""
  result = compact.get_config()
  result.update_from_flattened_dict(overrides(data_dir) | changes)
  return result


def write_davis(data_dir: pathlib.Path) -> pathlib.Path:
  """Writes two sequences laid out as DAVIS; returns the folder.

  In both a square goes right by two pixels a frame; in `dogs` a second object
  stays where it is. The square and what is behind it are noise.
  """
  rng = np.random.default_rng(0)
  ground = rng.integers(0, 256, (48, 64, 3), np.uint8)
  square = rng.integers(0, 256, (20, 20, 3), np.uint8)
  for name, num_frames in ('bear', 5), ('dogs', 6):
    frames_dir = data_dir / 'JPEGImages' / '480p' / name
    masks_dir = data_dir / 'Annotations' / '480p' / name
    frames_dir.mkdir(parents=True)
    masks_dir.mkdir(parents=True)
    for t in range(num_frames):
      mask = np.zeros((48, 64), np.uint8)
      mask[10:30, 8 + 2 * t : 28 + 2 * t] = 1
      if name == 'dogs':
        mask[36:44] = 2
      masks.write_png(masks_dir / f'{t:05}.png', mask)
      frame = ground.copy()
      frame[10:30, 8 + 2 * t : 28 + 2 * t] = square
      Image.fromarray(frame).save(frames_dir / f'{t:05}.jpg')
  for year in ('2016', '2017'):
    (data_dir / 'ImageSets' / year).mkdir(parents=True)
    (data_dir / 'ImageSets' / year / 'val.txt').write_text('bear\ndogs\n')
  return data_dir


def red_square() -> tuple[
    UInt8[np.ndarray, 'time height width 3'],
    Bool[np.ndarray, 'time height width'],
]:
  """Frames of a red square that goes right over grey noise, and where it is."""
  rng = np.random.default_rng(0)
  noise = rng.integers(90, 140, (72, 96, 1), np.uint8)
  is_square = np.zeros((10, 72, 96), bool)
  for t, mask in enumerate(is_square):
    mask[20:50, 10 + 4 * t : 40 + 4 * t] = True
  frames = np.where(is_square[..., None], np.uint8([200, 40, 40]), noise)
  return frames, is_square
