"""Annotated sequences to evaluate on: frames, each with a mask of objects."""

from collections.abc import Sequence
import dataclasses
import os
import pathlib

import cv2
from jaxtyping import UInt8
import numpy as np
from PIL import Image

from vidcolor import errors
from vidcolor import masks
from vidcolor.data import clips
from vidcolor.data import lazy


@dataclasses.dataclass(frozen=True)
class AnnotatedSequence:
  """A video with a mask for each frame.

  Attributes:
    name: Of the sequence.
    frames: RGB, UInt8[np.ndarray, 'height width 3'] each, read when asked for.
    masks: UInt8[np.ndarray, 'height width'] each, read when asked for: 0 where
      there is background, 1 to n on the objects, 255 where nobody can tell.
      One for each frame, or for the first alone, as where a benchmark keeps
      the others to itself.
    frame_names: Of the frames' files, without the suffix.
  """

  name: str
  frames: Sequence[np.ndarray]
  masks: Sequence[np.ndarray]
  frame_names: Sequence[str]


def read_davis(
    data_dir: str | os.PathLike,
    *,
    year: int | None = None,
    split: str = 'val',
) -> list[AnnotatedSequence]:
  """Finds the sequences of a folder laid out as DAVIS at 480p.

  The frames are JPEGImages/480p/<sequence>/*.jpg, their masks
  Annotations/480p/<sequence>/*.png, and the sequences are those listed in
  ImageSets/<year>/<split>.txt, or all where there is no folder ImageSets.

  Args:
    data_dir: The folder that holds JPEGImages.
    year: 2016 makes one object of all, as that year's benchmark does; 2017
      keeps them apart. If None, the latest year listed in ImageSets.
    split: Name of the list.

  Returns:
    The sequences in the list's order (else by name). Files are opened only for
    their sizes.

  Raises:
    UserError: a list, sequence, frame or mask is missing or unreadable, or a
      mask differs in size from its frame. Unreadable pixels show on access.
  """
  data_dir = pathlib.Path(data_dir)
  images = data_dir / 'JPEGImages' / '480p'
  if not images.is_dir():
    raise errors.UserError(
        f'no folder {images}: give the DAVIS folder that holds JPEGImages/480p'
    )
  lists = data_dir / 'ImageSets'
  if not lists.is_dir():
    names = sorted(path.name for path in images.iterdir() if path.is_dir())
  else:
    if year is None:
      year = max(
          (int(path.name) for path in lists.iterdir() if path.name.isdigit()),
          default=2017,
      )
    names = _read_list(lists / str(year) / f'{split}.txt')
  return [_find_sequence(data_dir, name, year == 2016) for name in names]


def read_tfds(
    name: str, data_dir: str | os.PathLike, split: str
) -> list[AnnotatedSequence]:
  """Reads annotated clips that were prepared by TensorFlow Datasets.

  Args:
    name: Of the dataset, whose features are `name` (text) and the sequences
      `frames` (JPEG) and `masks` (PNG with a single channel).
    data_dir: Where it was prepared, in the array_record format.
    split: As TFDS writes it: 'test', or 'test[:10]'.

  Returns:
    The sequences; they are held as encoded and decoded when asked for.

  Raises:
    UserError: there is no such dataset in the folder, or no such split in it.
  """
  return [
      AnnotatedSequence(
          record['name'].decode(),
          lazy.Lazy(record['frames'], clips.decode_frame),
          lazy.Lazy(record['masks'], masks.decode),
          [f'{index:05}' for index in range(len(record['frames']))],
      )
      for record in clips.open_source(name, data_dir, split)
  ]


def _read_list(path):
  """Names of sequences: one a line, or official lines with two paths."""
  try:
    lines = path.read_text().split('\n')
  except (OSError, UnicodeError) as error:
    raise errors.UserError(
        f'no list {path}: mend the year or split, or restore the file'
    ) from error
  if not ''.join(lines).strip():
    raise errors.UserError(f'no sequence in the list {path}: restore it')
  first_words = [line.split()[0] for line in lines if line.strip()]
  names = [
      pathlib.PurePosixPath(word).parent.name if '/' in word else word
      for word in first_words
  ]
  return list(dict.fromkeys(names))


def _find_sequence(data_dir, name, one_object):
  frames_dir = data_dir / 'JPEGImages' / '480p' / name
  masks_dir = data_dir / 'Annotations' / '480p' / name
  for folder in frames_dir, masks_dir:
    if not folder.is_dir():
      raise errors.UserError(
          f'no folder {folder}: restore it or take {name} off the list'
      )
  frames = sorted(frames_dir.glob('*.jpg'))
  names = [frame.stem for frame in frames]
  mask_paths = [masks_dir / f'{stem}.png' for stem in names]
  if not frames:
    raise errors.UserError(f'no .jpg frames in {frames_dir}: restore them')
  existing = sorted(masks_dir.glob('*.png'))
  for mask in existing:
    if mask.stem not in names:
      raise errors.UserError(
          f'no frame {frames_dir / mask.stem}.jpg for {mask}: restore it'
      )
  if existing == mask_paths[:1]:
    mask_paths = existing
  for frame, mask in zip(frames, mask_paths, strict=False):
    if not mask.exists():
      raise errors.UserError(f'no mask {mask} for {frame}: restore it')
    if _size(mask) != _size(frame):
      raise errors.UserError(
          f'{mask} is {_size(mask)} but its frame is {_size(frame)}: '
          'replace the mask by one of the same size'
      )
  return AnnotatedSequence(
      name,
      lazy.Lazy(frames, read_frame),
      lazy.Lazy(
          mask_paths, lambda path: masks.read(path, one_object=one_object)
      ),
      names,
  )


def _size(path):
  try:
    with Image.open(path) as picture:
      return f'{picture.width}x{picture.height}'
  except OSError as error:
    raise errors.UserError(f'{path} is no picture: restore it') from error


def read_frame(path: pathlib.Path) -> UInt8[np.ndarray, 'height width 3']:
  """Reads a picture as RGB; raises a UserError that names the file."""
  try:
    return clips.decode_frame(path.read_bytes())
  except (OSError, cv2.error) as error:
    raise errors.UserError(
        f'cannot read the frame {path}: restore it'
    ) from error
