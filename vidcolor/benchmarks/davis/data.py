"""Reads DAVIS, and other videos with masks.

In DAVIS, all frames have masks, or only the first one, and objects are those of
the first mask. In the layout of YouTube-VOS, LVOS and MOSE, some frames have
masks, and an object starts in the first mask that shows it.
"""

from collections.abc import Sequence
import dataclasses
import functools
import os
import pathlib

from jaxtyping import UInt8
import numpy as np

from vidcolor import errors
from vidcolor import files
from vidcolor import lazy_sequence
from vidcolor import masks
from vidcolor.benchmarks import folders
from vidcolor.data import images

_LATEST_YEAR = 2017
_RESOLUTION = '480p'
_FRAME_SUFFIXES = ('.jpg', '.jpeg', '.png')


@dataclasses.dataclass(frozen=True)
class AnnotatedSequence:
  """A video with masks. Frames and masks are read on access.

  Attributes:
    name: Name of the sequence.
    frames: RGB frames.
    masks: The masks: 0 is background, 1 to n are objects, 255 is void. There
      is one for each frame, or only the first one, as in DAVIS's test-dev; or
      one for each frame in `annotated`.
    frame_names: Names of the frames' files, without the suffix.
    annotated: The indices of the frames with masks, in the layout of
      YouTube-VOS; None in that of DAVIS.
  """

  name: str
  frames: Sequence[UInt8[np.ndarray, 'height width 3']]
  masks: Sequence[masks.Mask]
  frame_names: Sequence[str]
  annotated: Sequence[int] | None = None

  @property
  def num_objects(self) -> int:
    """The highest number of an object that is given."""
    given = map(masks.without_void, self.starts.values())
    return max((int(mask.max()) for mask in given), default=0)

  @property
  def starts(self) -> dict[int, masks.Mask]:
    """The mask of the objects that start in a frame, by the frame's index."""
    return self._given_and_true[0]

  @property
  def true_frames(self) -> Sequence[int]:
    """The indices of the frames to score.

    In DAVIS, these are all but the first and the last one. In other layouts,
    they are the frames with a mask after that in which the first object starts.
    If some frames have no mask, a mask that shows only starting objects is left
    out: it does not tell where the other objects are.
    """
    return self._given_and_true[1]

  def true_mask(self, index: int) -> masks.Mask:
    """Returns the mask of one of `true_frames`."""
    annotated = self.annotated
    return self.masks[index if annotated is None else annotated.index(index)]

  def first(self, num_frames: int) -> 'AnnotatedSequence':
    """Returns the sequence of the first frames alone."""
    annotated, num_masks = self.annotated, num_frames
    if annotated is not None:
      annotated = [index for index in annotated if index < num_frames]
      num_masks = len(annotated)
    return dataclasses.replace(
        self,
        frames=self.frames[:num_frames],
        masks=self.masks[:num_masks],
        frame_names=self.frame_names[:num_frames],
        annotated=annotated,
    )

  @functools.cached_property
  def _given_and_true(self):
    if self.annotated is None:
      has_truth = len(self.masks) > 1
      true_frames = range(1, len(self.frames) - 1) if has_truth else range(0)
      return {0: self.masks[0]}, true_frames
    is_complete = len(self.masks) == len(self.frames)
    started, starts, true_frames = set(), {}, []
    for index, mask in zip(self.annotated, self.masks, strict=True):
      mask = masks.without_void(mask)
      numbers = set(np.unique(mask).tolist()) - {0}
      new = numbers - started
      if started and (is_complete or not new or new < numbers):
        true_frames.append(index)
      if new:
        starts[index] = np.where(np.isin(mask, list(new)), mask, np.uint8(0))
      started |= new
    return starts, true_frames


def read_davis(
    data_dir: str | os.PathLike[str],
    *,
    year: int | None = None,
    split: str = 'val',
    resolution: str = _RESOLUTION,
    sparse: bool = False,
) -> list[AnnotatedSequence]:
  """Finds the sequences of DAVIS in the published folder.

  Frames are JPEGImages/480p/<sequence>/*.jpg (or .jpeg or .png), and their
  masks are Annotations/480p/<sequence>/*.png. If there is no folder
  Annotations, Annotations_unsupervised replaces it. The file
  ImageSets/<year>/<split>.txt lists the sequences. For 2016, it may be
  ImageSets/480p/<split>.txt, as published. Without a folder ImageSets, all
  sequences are taken.

  Args:
    data_dir: The folder that holds JPEGImages.
    year: 2016 merges all objects into one, as that year's benchmark does. 2017
      keeps them apart. Default: `latest_year`.
    split: Name of the list.
    resolution: Name of the folder used instead of 480p, such as
      Full-Resolution.
    sparse: Whether to also read the layout of YouTube-VOS, LVOS and MOSE. It
      has no folders 480p, some frames have no mask, and objects may start late.

  Returns:
    The sequences in the order of the list, or by name without a list. Only the
    files' sizes are read.

  Raises:
    UserError: A list, a sequence, a frame or a mask is missing or unreadable,
      or a mask and its frame differ in size. Pixels that cannot be decoded
      raise it when they are read.
  """
  data_dir = pathlib.Path(data_dir)
  frames_dir = data_dir / 'JPEGImages' / resolution
  if sparse and _is_flat(frames_dir.parent):
    resolution, frames_dir = '.', frames_dir.parent
  if not frames_dir.is_dir():
    raise errors.UserError(
        f'no folder {frames_dir}: give the DAVIS folder that holds'
        f' JPEGImages/{resolution}'
    )
  year = year or latest_year(data_dir)
  if (data_dir / 'ImageSets').is_dir():
    names = _read_list(_list_path(data_dir, year, split, resolution))
  else:
    names = [path.name for path in files.visible(frames_dir) if path.is_dir()]
  return [
      find_sequence(data_dir, name, year=year, resolution=resolution)
      for name in names
  ]


def latest_year(data_dir: str | os.PathLike[str]) -> int:
  """Returns the latest year with lists of sequences; 2017 without lists.

  DAVIS 2016 was published with lists in ImageSets/480p.
  """
  names = [path.name for path in files.visible(f'{data_dir}/ImageSets')]
  years = [int(name) for name in names if name.isdigit()]
  return max(years, default=2016 if _RESOLUTION in names else _LATEST_YEAR)


def _is_flat(frames_dir):
  """Returns whether the folder holds folders of frames, and no resolutions."""
  paths = (
      path
      for folder in files.visible(frames_dir)
      for path in files.visible(folder, _FRAME_SUFFIXES)
  )
  return any(paths)


def _list_path(data_dir, year, split, resolution):
  names = [str(year)] + [resolution, _RESOLUTION] * (year == 2016)
  paths = [data_dir / 'ImageSets' / name / f'{split}.txt' for name in names]
  return next((path for path in paths if path.is_file()), paths[0])


def read_scorable(
    data_dir: str | os.PathLike[str],
    *,
    year: int | None = None,
    split: str = 'val',
    resolution: str = _RESOLUTION,
    sparse: bool = False,
    names: Sequence[str] = (),
    max_frames: int | None = None,
) -> list[AnnotatedSequence]:
  """Reads sequences as `read_davis` does, and checks that they can be scored.

  Args:
    data_dir: As for `read_davis`, as are `year` to `sparse`.
    year: 2016 or 2017.
    split: Name of the list.
    resolution: Name of the folder used instead of 480p.
    sparse: Whether to also read the layout of YouTube-VOS.
    names: The sequences of the list to take. Default: all.
    max_frames: Only so many frames of each are taken. Default: all.

  Raises:
    UserError: As `read_davis`; or a name is not in the list; or a sequence has
      fewer than three frames, or no object in its first mask, or in none if it
      need not be the first; or some sequences of DAVIS have all their masks and
      others only the first one.
  """
  sequences = read_davis(
      data_dir, year=year, split=split, resolution=resolution, sparse=sparse
  )
  if unknown := set(names) - {sequence.name for sequence in sequences}:
    raise errors.UserError(
        f'no sequence {", ".join(sorted(unknown))}: give some of'
        f' {", ".join(sequence.name for sequence in sequences)}'
    )
  if names:
    sequences = [sequence for sequence in sequences if sequence.name in names]
  if max_frames:
    sequences = [sequence.first(max_frames) for sequence in sequences]
  for sequence in sequences:
    if len(sequence.frames) < 3:
      raise errors.UserError(
          f'{sequence.name} has {len(sequence.frames)} frames, and the first'
          ' and the last one do not count: take it off the list'
      )
    is_davis = sequence.annotated is None
    if not sequence.num_objects:
      which = 'the first mask' if is_davis else 'no mask'
      has = 'has no' if is_davis else 'has an'
      raise errors.UserError(
          f'{which} of {sequence.name} {has} object: take it off the list'
      )
    if is_davis and bool(sequence.true_frames) != bool(
        sequences[0].true_frames
    ):
      raise errors.UserError(
          f'only one of {sequences[0].name} and {sequence.name} has more than a'
          ' first mask: restore the others, or list them apart'
      )
  return sequences


def read_fully_annotated(
    data_dir: str | os.PathLike[str],
    *,
    year: int | None = None,
    split: str = 'val',
    leave_out: Sequence[str] = (),
) -> list[AnnotatedSequence]:
  """Reads sequences as `read_scorable` does, and checks that masks are known.

  Args:
    data_dir: As for `read_davis`, as are `year` and `split`.
    year: 2016 or 2017.
    split: Name of the list.
    leave_out: Names of sequences of the list to leave out.

  Raises:
    UserError: As `read_scorable`; or a name to leave out is not in the list; or
      nothing is left; or the sequences have only their first masks.
  """
  sequences = read_scorable(data_dir, year=year, split=split)
  names = [sequence.name for sequence in sequences]
  if unknown := set(leave_out) - set(names):
    raise errors.UserError(
        f'{data_dir} has no {min(unknown)} to leave out, but'
        f' {", ".join(sorted(names))}'
    )
  if len(sequences[0].masks) == 1:
    raise errors.UserError(f'{data_dir} has only first masks')
  sequences = [s for s in sequences if s.name not in leave_out]
  if not sequences:
    raise errors.UserError(f'all sequences of {data_dir} are left out')
  return sequences


def read_tfds(
    name: str, data_dir: str | os.PathLike[str], split: str
) -> list[AnnotatedSequence]:
  """Reads annotated clips that TensorFlow Datasets prepared.

  Args:
    name: Name of the dataset. Its features are `name` (text), `frames`
      (sequence of JPEG images) and `masks` (sequence of PNG images).
    data_dir: Folder that it was prepared in, in the array_record format.
    split: Split as TFDS writes it, such as 'test' or 'test[:10]'.

  Returns:
    The sequences. Images stay encoded in memory and are decoded on access.

  Raises:
    UserError: There is no such dataset in the folder, or no such split.
  """
  # Imported late: TensorFlow Datasets is not needed for DAVIS.
  from vidcolor.data import records

  return [
      AnnotatedSequence(
          record['name'].decode(),
          lazy_sequence.LazySequence(record['frames'], images.decode),
          lazy_sequence.LazySequence(record['masks'], masks.decode_mask),
          [f'{index:05}' for index in range(len(record['frames']))],
      )
      for record in records.open_source(name, data_dir, split)
  ]


def _read_list(path):
  """Returns the sequences that a list names.

  A line is a name, or the paths of a frame and of its mask, as in DAVIS 2016.
  """
  try:
    first_words = [words[0] for words in folders.read_words(path)]
  except (OSError, ValueError) as error:
    raise errors.UserError(
        f'no list {path}: correct the year or split, or restore the file'
    ) from error
  if not first_words:
    raise errors.UserError(f'no sequence in the list {path}: restore it')
  names = [
      pathlib.PurePosixPath(word).parent.name if '/' in word else word
      for word in first_words
  ]
  return list(dict.fromkeys(names))


def find_sequence(
    data_dir: str | os.PathLike[str],
    name: str,
    *,
    year: int,
    resolution: str = _RESOLUTION,
) -> AnnotatedSequence:
  """Finds one sequence, as `read_davis` finds all.

  Args:
    data_dir: As `read_davis` takes it.
    name: Name of the sequence.
    year: As `read_davis` takes it.
    resolution: As `read_davis` takes it; '.' for the layout of YouTube-VOS.
  """
  is_sparse = resolution == '.'
  frames, mask_paths = _find_files(
      pathlib.Path(data_dir), name, resolution, is_sparse
  )
  paths = list(mask_paths.values())

  @functools.cache
  def coding():
    # As in the first mask, so that no frame's void is taken for an object.
    first = masks.common_coding(paths[:1])
    is_clear = first in (masks.Coding.WHITE, masks.Coding.NUMBERS)
    return first if is_clear else masks.common_coding(paths)

  read_mask = lambda path: masks.read(
      path, one_object=year == 2016, coding=coding()
  )
  stems = list(frames)
  return AnnotatedSequence(
      name,
      folders.find_frames(list(frames.values())),
      lazy_sequence.LazySequence(paths, read_mask),
      stems,
      [stems.index(stem) for stem in mask_paths] if is_sparse else None,
  )


def _find_files(data_dir, name, resolution, is_sparse):
  """Returns the paths of the frames and of their masks, by their names."""
  annotations_dir = data_dir / 'Annotations'
  if not annotations_dir.is_dir():
    annotations_dir = data_dir / 'Annotations_unsupervised'
  frames_dir = data_dir / 'JPEGImages' / resolution / name
  masks_dir = annotations_dir / resolution / name
  for folder in frames_dir, masks_dir:
    if not folder.is_dir():
      raise errors.UserError(
          f'no folder {folder}: restore it or take {name} off the list'
      )
  frames = _by_name(frames_dir, _FRAME_SUFFIXES)
  existing = _by_name(masks_dir, ('.png',))
  if not frames:
    raise errors.UserError(f'no .jpg frames in {frames_dir}: restore them')
  for stem, mask in existing.items():
    if stem not in frames:
      raise errors.UserError(
          f'no frame {frames_dir / stem}.jpg for {mask}: restore it'
      )
  is_first_alone = list(existing) == list(frames)[:1]
  if is_sparse and not existing:
    raise errors.UserError(f'no masks in {masks_dir}: restore them')
  for stem in existing if is_sparse or is_first_alone else frames:
    mask = existing.get(stem, masks_dir / f'{stem}.png')
    if not mask.exists():
      raise errors.UserError(f'no mask {mask} for {frames[stem]}: restore it')
    size, frame_size = map(folders.picture_size, (mask, frames[stem]))
    if size != frame_size:
      raise errors.UserError(
          f'{mask} is {size} but its frame is {frame_size}:'
          ' replace the mask by one of the same size'
      )
  return frames, existing


def _by_name(folder, suffixes):
  """Returns the paths of pictures by their names without the suffix."""
  paths = {}
  for path in files.visible(folder, suffixes):
    if path.stem in paths:
      raise errors.UserError(
          f'{path} and {paths[path.stem].name} are of the same frame: remove'
          ' one of them'
      )
    paths[path.stem] = path
  return paths
