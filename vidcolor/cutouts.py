"""Cuts objects out of their video: pictures and a film with transparency."""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib

import cv2
from jaxtyping import Bool, UInt8
import numpy as np
from PIL import Image
from scipy import ndimage

from vidcolor import files
from vidcolor.video import video_source
from vidcolor.video import webm

# Pixels around an object that have its colors, though they are transparent.
# Other colors would show as a fringe where a film is compressed or a picture is
# made smaller.
_MARGIN = 8

_Write = Callable[
    [int, video_source.VideoFrame, Bool[np.ndarray, 'height width']], None
]


def cut_out(
    frame: UInt8[np.ndarray, 'height width 3'],
    is_object: Bool[np.ndarray, 'height width'],
) -> UInt8[np.ndarray, 'height width 4']:
  """Returns RGBA: a frame that is transparent off the objects.

  Edges are soft: half transparent midway between the pixels of an object and
  those beside it. A transparent pixel has the color of the nearest pixel of an
  object, and far from them it is black.

  Args:
    frame: RGB.
    is_object: Where the objects are.
  """
  mask = np.where(is_object, np.uint8(255), np.uint8(0))
  near = cv2.dilate(mask, np.ones(2 * [2 * _MARGIN + 1], np.uint8))
  rows, columns = np.asarray(
      ndimage.distance_transform_edt(
          ~is_object, return_distances=False, return_indices=True
      )
  )
  # Beyond the edge of the frame, an object goes on.
  border = cv2.BORDER_REPLICATE
  alpha = cv2.GaussianBlur(mask, (3, 3), 0, borderType=border)
  return np.dstack([frame[rows, columns] & near[..., None], alpha])


@contextlib.contextmanager
def open_cutouts(
    output_dir: pathlib.Path, video: video_source.VideoSource
) -> Iterator[_Write]:
  """Yields a function that writes the cut-out of one frame after the other.

  Its arguments are the number of the frame, the frame, and where the objects
  are. The files are cutouts/<video>/00000.png ... and cutouts.webm, which are
  there when no error was raised. The film has square pixels, whatever the video
  has.

  Args:
    output_dir: The folder to write to.
    video: The video.

  Raises:
    UserError: A file cannot be written.
  """
  film, folder = cutout_paths(output_dir, video)
  with (
      files.atomic_folder(folder) as temporary,
      webm.open_webm(film) as write_film,
  ):

    def write(number, frame, is_object):
      rgba = cut_out(frame.rgb, is_object)
      Image.fromarray(rgba).save(temporary / f'{number:05d}.png')
      write_film(rgba, frame.seconds)

    yield write


def cutout_paths(
    output_dir: str | os.PathLike[str], video: video_source.VideoSource
) -> tuple[pathlib.Path, pathlib.Path]:
  """Returns the paths of the film and of the folder of pictures."""
  folder = pathlib.Path(output_dir)
  return folder / 'cutouts.webm', folder / 'cutouts' / video.name
