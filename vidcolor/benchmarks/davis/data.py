"""Annotated sequences to evaluate on: frames, each with a mask of objects."""

from collections.abc import Sequence
import dataclasses
import functools
import os
import pathlib

import cv2
from jaxtyping import UInt8
import numpy as np
from PIL import Image

from vidcolor import errors
from vidcolor import lazy_sequence
from vidcolor import masks
from vidcolor.data import built
from vidcolor.data import clips


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
    attributes: Such as OCC, occlusion, where the dataset holds them.
  """

  name: str
  frames: Sequence[np.ndarray]
  masks: Sequence[np.ndarray]
  frame_names: Sequence[str]
  attributes: Sequence[str] = ()


def read_davis(
    data_dir: str | os.PathLike,
    *,
    year: int | None = None,
    split: str = 'val',
) -> list[AnnotatedSequence]:
  """Finds the sequences of DAVIS at 480p.

  The folder is one in which `data_prep.build` built davis, or the published
  one. There the frames are JPEGImages/480p/<sequence>/*.jpg, their masks
  Annotations/480p/<sequence>/*.png, and the sequences are those listed in
  ImageSets/<year>/<split>.txt, or all where there is no folder ImageSets.

  Args:
    data_dir: The folder that holds davis, or JPEGImages.
    year: 2016 makes one object of all, as that year's benchmark does; 2017
      keeps them apart. If None, the latest year that has a list.
    split: Name of the list.

  Returns:
    The sequences in the list's order (else by name). Files are opened only for
    their sizes; of a built dataset they are held as encoded.

  Raises:
    UserError: a list, sequence, frame or mask is missing or unreadable, or a
      mask differs in size from its frame. Unreadable pixels show on access.
  """
  if splits := built.splits('davis', data_dir):
    year = year or max(int(name.rpartition('_')[2]) for name in splits)
    split = f'{split}_{year}'
    return read_tfds('davis', data_dir, split, one_object=year == 2016)
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
  read_mask = functools.partial(masks.read, one_object=year == 2016)
  found = [(name, *find_files(data_dir, name)) for name in names]
  return [
      AnnotatedSequence(
          name,
          lazy_sequence.LazySequence(frame_paths, read_frame),
          lazy_sequence.LazySequence(mask_paths, read_mask),
          [path.stem for path in frame_paths],
      )
      for name, frame_paths, mask_paths in found
  ]


def read_tfds(
    name: str,
    data_dir: str | os.PathLike,
    split: str,
    *,
    one_object: bool = False,
) -> list[AnnotatedSequence]:
  """Reads annotated clips that were prepared by TensorFlow Datasets.

  Args:
    name: Of the dataset, whose features are `name` (text) and the sequences
      `frames` (JPEG) and `masks` (PNG); and maybe `frame_names` and
      `attributes`, sequences of text.
    data_dir: Where it was prepared, in the array_record format.
    split: As TFDS writes it: 'test', or 'test[:10]'.
    one_object: Whether to make one object of all.

  Returns:
    The sequences; they are held as encoded and decoded when asked for.

  Raises:
    UserError: there is no such dataset in the folder, or no such split in it.
      Unreadable pixels show on access.
  """
  decode_mask = functools.partial(masks.decode, one_object=one_object)
  sequences = []
  for record in clips.open_source(name, data_dir, split):
    title = record['name'].decode()
    origin = f'{title} in {data_dir}'
    numbers = [b'%05d' % index for index in range(len(record['frames']))]
    sequences.append(
        AnnotatedSequence(
            title,
            built.pictures(record['frames'], clips.decode_frame, origin),
            built.pictures(record['masks'], decode_mask, origin),
            [text.decode() for text in record.get('frame_names', numbers)],
            [text.decode() for text in record.get('attributes', ())],
        )
    )
  return sequences


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


def find_files(
    data_dir: str | os.PathLike, name: str
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
  """The frames and masks of a sequence in the published folder of DAVIS.

  Returns:
    The frames' files, and the masks' of all of them or of the first.

  Raises:
    UserError: as `read_davis`.
  """
  frames_dir = pathlib.Path(data_dir) / 'JPEGImages' / '480p' / name
  masks_dir = pathlib.Path(data_dir) / 'Annotations' / '480p' / name
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
  return frames, mask_paths


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
