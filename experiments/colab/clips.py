"""Gets videos for the notebooks: uploaded or rendered ones."""

import pathlib
import sys

from vidcolor.data import synthetic
from vidcolor.video import mp4

# The rate at which `data_prep` samples frames: it uses every one.
_FRAMES_PER_SECOND = 6


def upload(folder: pathlib.Path) -> list[pathlib.Path]:
  """Asks the person for files, in Colab, and returns their paths.

  Args:
    folder: The folder for the files.

  Returns:
    The paths. Empty outside of Colab, or if the person chose no file.
  """
  if 'google.colab' not in sys.modules:
    return []
  # Only Colab has this package.
  from google.colab import files  # pyrefly: ignore[missing-import]

  folder.mkdir(parents=True, exist_ok=True)
  paths = []
  for name, content in files.upload().items():
    paths.append(folder / pathlib.Path(name).name)
    paths[-1].write_bytes(content)
  return paths


def render(
    folder: pathlib.Path, count: int, first_seed: int = 0
) -> list[pathlib.Path]:
  """Renders videos of four seconds (`data.synthetic`) and returns their paths.

  Args:
    folder: The folder for the files.
    count: The number of videos.
    first_seed: The seed of the first video. The others have the next seeds.
  """
  folder.mkdir(parents=True, exist_ok=True)
  paths = []
  for seed in range(first_seed, first_seed + count):
    paths.append(folder / f'rendered_{seed}.mp4')
    frames = synthetic.render_clip(seed).frames
    mp4.write(paths[-1], frames, _FRAMES_PER_SECOND)
  return paths
