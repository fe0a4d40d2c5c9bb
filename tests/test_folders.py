"""Frames of benchmarks: all upright, and of one size."""

import numpy as np
from PIL import Image
import pytest

from vidcolor import errors
from vidcolor.benchmarks import folders
from vidcolor.benchmarks.davis import data as davis_data

_EXIF = Image.Exif()
_EXIF[0x0112] = 6  # Turn it clockwise to show it.


def _write(root, sizes, mask_size=(24, 32), **options):
  """Writes a sequence of DAVIS; returns the paths of its frames."""
  for kind in ('JPEGImages', 'Annotations'):
    (root / kind / '480p' / 'bear').mkdir(parents=True)
  paths = []
  for number, size in enumerate(sizes):
    path = root / 'JPEGImages/480p/bear' / f'{number}.jpg'
    frame = np.full((*size, 3), 50, np.uint8)
    frame[0:8] = 200  # Which side this is tells how the frame is turned.
    Image.fromarray(frame).save(path, **options)
    mask_path = root / 'Annotations/480p/bear' / f'{number}.png'
    Image.fromarray(np.full(mask_size, 255, np.uint8)).save(mask_path)
    paths.append(path)
  return paths


def test_frames_that_change_size_are_told_before_anything_is_scored(tmp_path):
  paths = _write(tmp_path, [(24, 32), (24, 32), (12, 16)])
  with pytest.raises(errors.UserError, match='2.jpg is 16x12, but 0.jpg 32x24'):
    folders.find_frames(paths)


def test_turned_frames_fit_upright_masks(tmp_path):
  _write(tmp_path, [(32, 24)] * 2, exif=_EXIF)
  (bear,) = davis_data.read_davis(tmp_path)
  assert bear.frames[1].shape == (*bear.masks[1].shape, 3) == (24, 32, 3)
  assert bear.frames[1][:, -6:].min() > 150 > bear.frames[1][:, :20].max()


def test_turned_frames_do_not_fit_masks_that_lie_on_their_side(tmp_path):
  _write(tmp_path, [(32, 24)] * 2, mask_size=(32, 24), exif=_EXIF)
  with pytest.raises(errors.UserError, match='24x32 but its frame is 32x24'):
    davis_data.read_davis(tmp_path)
