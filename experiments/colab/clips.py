"""Videos for the notebooks: a person's own, or rendered ones."""

import pathlib
import sys

from vidcolor.data import synthetic
from vidcolor.video import mp4
from vidcolor.video import video_source

# So few that `data_prep` takes every frame.
_FRAMES_PER_SECOND = 6


def upload(folder: pathlib.Path) -> list[pathlib.Path]:
  """Asks for files, in Colab; returns where they are, none if there are none.

  Args:
    folder: That they are put in.
  """
  if 'google.colab' not in sys.modules:
    return []
  # Colab alone has it.
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
  """Renders videos of four seconds (`data.synthetic`); returns their paths."""
  folder.mkdir(parents=True, exist_ok=True)
  paths = []
  for seed in range(first_seed, first_seed + count):
    paths.append(folder / f'rendered_{seed}.mp4')
    frames = synthetic.render_clip(seed).frames
    mp4.write(paths[-1], frames, _FRAMES_PER_SECOND)
  return paths


def shrunk(
    path: str | pathlib.Path, short_side: int, seconds: float
) -> video_source.VideoSource:
  """Opens the first seconds of a video, shrunk to a short side in pixels.

  Raises:
    UserError: it cannot be read.
  """
  video = video_source.VideoSource(path, end=seconds)
  scale = min(1, short_side / min(video.size))
  return video_source.VideoSource(path, end=seconds, scale=scale)
