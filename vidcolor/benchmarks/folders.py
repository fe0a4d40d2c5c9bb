"""Files that all benchmarks read and write."""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
import contextlib
import os
import pathlib
import tempfile
from typing import Any

import cv2
from jaxtyping import Float, UInt8
import numpy as np
from PIL import Image

from vidcolor import errors
from vidcolor import lazy_sequence
from vidcolor.data import images
from vidcolor.render import overlay
from vidcolor.render import panels as panels_lib
from vidcolor.video import mp4

_Frame = UInt8[np.ndarray, 'height width 3']

_ORIENTATION = 0x0112  # Exif's tag. From 5 on, a picture lies on its side.


def read_frame(
    path: str | os.PathLike[str],
) -> UInt8[np.ndarray, 'height width 3']:
  """Reads a picture as RGB.

  Raises:
    UserError: The file is missing, or it is no picture.
  """
  try:
    return images.decode(pathlib.Path(path).read_bytes())
  except (OSError, cv2.error) as error:
    raise errors.UserError(
        f'cannot read the frame {path}: restore it'
    ) from error


def picture_size(path: str | os.PathLike[str]) -> str:
  """Returns the size of an upright picture, such as '854x480'.

  Raises:
    UserError: The file is missing, or it is no picture.
  """
  try:
    with Image.open(path) as picture:
      width, height = picture.size
      # In a PNG, Exif data may be behind the pixels, which Pillow would decode.
      is_jpeg = picture.format != 'PNG'
      if is_jpeg and picture.getexif().get(_ORIENTATION, 1) >= 5:
        width, height = height, width
      return f'{width}x{height}'
  except OSError as error:
    raise errors.UserError(f'{path} is no picture: restore it') from error


def find_frames(paths: Sequence[pathlib.Path]) -> lazy_sequence.LazySequence:
  """Returns the frames of a video, which `read_frame` reads on access.

  Raises:
    UserError: A file is missing or no picture, or sizes differ.
  """
  sizes = list(map(picture_size, paths))
  for path, size in zip(paths, sizes, strict=True):
    if size != sizes[0]:
      raise errors.UserError(
          f'{path} is {size}, but {paths[0].name} {sizes[0]}: make all frames'
          ' of one size'
      )
  return lazy_sequence.LazySequence(paths, read_frame)


def read_words(path: str | os.PathLike[str]) -> list[list[str]]:
  """Returns the words of each line of a text file, without empty lines.

  The text is UTF-8, or UTF-16 if a byte order mark says so.

  Raises:
    OSError: The file cannot be read.
    ValueError: It is not text.
  """
  data = pathlib.Path(path).read_bytes()
  is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
  text = data.decode('utf-16' if is_wide else 'utf-8-sig')
  if is_wide and not text:
    raise ValueError('it holds a byte order mark alone')
  return [line.split() for line in text.splitlines() if line.strip()]


@contextlib.contextmanager
def predictions_dir(
    output_dir: str | os.PathLike[str] | None,
) -> Iterator[pathlib.Path]:
  """Yields the folder for a tracker's predictions.

  Args:
    output_dir: Output folder, whose folder `predictions` is made and yielded.
      None: a temporary folder, which is removed at the end.
  """
  if output_dir is None:
    with tempfile.TemporaryDirectory(prefix='vidcolor_') as temporary:
      yield pathlib.Path(temporary)
    return
  folder = pathlib.Path(output_dir) / 'predictions'
  folder.mkdir(parents=True, exist_ok=True)
  yield folder


def write_best_and_worst(
    output_dir: str | os.PathLike[str],
    ranked: Sequence[Sequence[Any]],
    draw: Callable[..., Iterable[_Frame]],
    rate: float,
) -> dict[str, str]:
  """Writes best.mp4 and worst.mp4, if there is anything to draw.

  Args:
    output_dir: The folder to write to.
    ranked: The arguments of `draw` for each sequence, the worst first. The
      first argument is the sequence.
    draw: Returns the frames of a video.
    rate: Frames per second.

  Returns:
    The captions of the videos, by file name.
  """
  captions = {}
  ends = zip(('best', 'worst'), [*ranked[-1:], *ranked[:1]], strict=False)
  for title, arguments in ends:
    path = pathlib.Path(output_dir) / f'{title}.mp4'
    mp4.write(path, draw(*arguments), rate)
    captions[path.name] = f'The {title} of all: {arguments[0].name}.'
  return captions


def true_beside_tracked(
    frames: Iterable[_Frame],
    true_joints: Float[np.ndarray, 'time joints 2'],
    tracked: Float[np.ndarray, 'time joints 2'],
    limbs: Sequence[tuple[int, int]],
) -> Iterator[_Frame]:
  """Yields frames with the true joints beside the tracked ones.

  Args:
    frames: RGB frames.
    true_joints: (x, y) in pixels.
    tracked: (x, y) in pixels.
    limbs: Pairs of indices of joints, to draw as a skeleton.
  """
  for frame, *poses in zip(frames, true_joints, tracked, strict=True):
    panels = [overlay.draw_joints(frame, pose, limbs) for pose in poses]
    yield panels_lib.hstack(panels, ['true joints', 'tracked'])
