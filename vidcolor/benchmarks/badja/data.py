"""Reads BADJA: joints of animals in about every fifth frame of DAVIS.

The dataset is that of Biggs et al., "Creatures Great and SMAL: Recovering the
Shape and Motion of Animals from Video", ACCV 2018 (github.com/benjiebob/BADJA).
"""

from collections.abc import Sequence
import dataclasses
import itertools
import json
import os
import pathlib
from typing import NamedTuple
import warnings

from jaxtyping import Bool, Float, Int, UInt8
import numpy as np

from vidcolor import errors
from vidcolor import files
from vidcolor import lazy_sequence
from vidcolor import masks
from vidcolor.benchmarks.davis import data as davis_data

# In the order of `AnimalSequence.joints`, with their index in the annotations.
# These are the twenty that published scores are for.
JOINTS = {
    'right elbow': 8, 'right wrist': 9, 'right front paw': 10,
    'left elbow': 12, 'left wrist': 13, 'left front paw': 14, 'neck': 15,
    'right knee': 18, 'right ankle': 19, 'right hind paw': 20,
    'left knee': 22, 'left ankle': 23, 'left hind paw': 24,
    'tail base': 25, 'tail middle': 28, 'tail tip': 31,
    'jaw': 32, 'nose': 33, 'right ear': 35, 'left ear': 36,
}  # fmt: skip

# Pairs of joints to connect by a line: legs, tail, spine and head.
LIMBS = (
    (6, 0), (0, 1), (1, 2), (6, 3), (3, 4), (4, 5),
    (13, 7), (7, 8), (8, 9), (13, 10), (10, 11), (11, 12),
    (13, 14), (14, 15), (13, 6), (6, 16), (16, 17), (6, 18), (6, 19),
)  # fmt: skip

Size = tuple[int, ...]

_NUM_ANNOTATED = 37
# Of the frames that were annotated: rows and columns.
_FULL_RESOLUTION = 'Full-Resolution'
_FULL_SIZE = 1080, 1920
_RESOLUTIONS = ('480p', _FULL_RESOLUTION)


class Annotations(NamedTuple):
  """The contents of a file of joints.

  Attributes:
    frame_names: Names of the annotated frames, in the order of the video.
    joints: (row, column) of `JOINTS` in pixels of the frame at full resolution;
      NaN if unknown.
    visible: Whether the joint can be seen.
  """

  frame_names: list[str]
  joints: Float[np.ndarray, 'annotated 20 2']
  visible: Bool[np.ndarray, 'annotated 20']


@dataclasses.dataclass(frozen=True)
class AnimalSequence:
  """A video of an animal, with its joints in some of the frames.

  Attributes:
    name: Name of the sequence.
    frames: RGB frames, read on access.
    frame_names: Names of the frames' files, without the suffix.
    annotated: The indices of the annotated frames, in order.
    joints: (x, y) of `JOINTS` in the annotated frames, in pixels. Pixel centers
      have whole coordinates. NaN if unknown. Hidden joints are guesses.
    visible: Whether the joint can be seen.
    masks: Masks of the animal in the annotated frames, read on access. What is
      annotated beside it, as the rider of a horse, belongs to it.
    full_size: Rows and columns at full resolution.
  """

  name: str
  frames: Sequence[UInt8[np.ndarray, 'height width 3']]
  frame_names: Sequence[str]
  annotated: Int[np.ndarray, ' annotated']
  joints: Float[np.ndarray, 'annotated 20 2']
  visible: Bool[np.ndarray, 'annotated 20']
  masks: Sequence[masks.Mask]
  full_size: Size


def read_badja(
    data_dir: str | os.PathLike[str], *, resolution: str | None = None
) -> list[AnimalSequence]:
  """Finds the sequences of DAVIS whose joints BADJA gives.

  As published, the folder holds joint_annotations/<sequence>.json and DAVIS, or
  DAVIS is beside it. The folder may also be that of DAVIS, with
  joint_annotations in it or beside it, or in a folder badja or BADJA beside it.

  Sequences whose frames are not in DAVIS are left out, and a warning names
  them. Of the published ones, these are the videos in extra_videos, which
  published scores leave out too.

  Args:
    data_dir: The folder.
    resolution: The folder of DAVIS's frames: 480p, or Full-Resolution. Default:
      480p if it is there.

  Returns:
    The sequences by name.

  Raises:
    UserError: There are no joints, or no frames of any sequence; or a file is
      missing or unreadable. Pixels that cannot be decoded raise it on access.
  """
  joints_dir, davis_dir = _find_folders(pathlib.Path(data_dir).absolute())
  frames_dir = davis_dir / 'JPEGImages'
  resolution = resolution or next(
      (name for name in _RESOLUTIONS if (frames_dir / name).is_dir()),
      _RESOLUTIONS[0],
  )
  paths = {path.stem: path for path in files.visible(joints_dir, ('.json',))}
  has_frames = lambda name: (frames_dir / resolution / name).is_dir()
  found, missing = filter(has_frames, paths), [
      *itertools.filterfalse(has_frames, paths)
  ]
  if len(missing) == len(paths):
    raise errors.UserError(
        f'{frames_dir / resolution} has no sequence of {joints_dir}: give the'
        ' folder that holds joint_annotations and DAVIS'
    )
  if missing:
    warnings.warn(
        f'left out, since {frames_dir / resolution} has no frames of them:'
        f' {", ".join(missing)}',
        stacklevel=2,
    )
  return [
      _find_sequence(davis_dir, resolution, name, read_annotations(paths[name]))
      for name in found
  ]


def read_annotations(path: str | os.PathLike[str]) -> Annotations:
  """Reads a file of joints.

  It is a list of annotated frames. Each is a dict of `image_path`, whose name
  is that of the frame, `joints`, 37 pairs (row, column), and `visibility` of
  each. [0, 0] is an unknown joint.

  Raises:
    UserError: The file is missing or unreadable, or is no such list.
  """
  indices = list(JOINTS.values())
  try:
    entries = json.loads(pathlib.Path(path).read_text('utf-8'))
    entries.sort(key=lambda entry: entry['image_path'])
    joints = np.array([entry['joints'] for entry in entries], float)
    visible = np.array([entry['visibility'] for entry in entries], bool)
    names = [pathlib.PurePath(entry['image_path']).stem for entry in entries]
    joints, visible = joints[:, indices], visible[:, indices]
    if joints.shape != (*visible.shape, 2):
      raise ValueError('joints are no pairs')
  except (
      AttributeError, LookupError, OSError, TypeError, ValueError
  ) as error:  # fmt: skip
    raise errors.UserError(
        f'{path} does not list joints as BADJA does: restore it'
    ) from error
  known = np.abs(joints).max(axis=-1) > 0
  joints = np.where(known[..., None], joints, np.nan)
  return Annotations(names, joints, visible & known)


def write_annotations(
    path: str | os.PathLike[str], annotations: Annotations
) -> None:
  """Writes joints as `read_annotations` reads them, in one atomic step."""
  indices = list(JOINTS.values())
  entries = []
  for name, joints, visible in zip(*annotations, strict=True):
    every = np.zeros((_NUM_ANNOTATED, 2))
    every[indices] = np.nan_to_num(joints)
    is_visible = np.zeros(_NUM_ANNOTATED, bool)
    is_visible[indices] = visible
    entries.append(
        {
            'image_path': f'{name}.jpg',
            'joints': every.tolist(),
            'visibility': is_visible.tolist(),
        }
    )
  pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
  files.write_json(path, entries)


def to_frame(
    joints: Float[np.ndarray, '*any 2'], full_size: Size, size: Size
) -> Float[np.ndarray, '*any 2']:
  """Brings (row, column) at full resolution to (x, y) in pixels of a frame.

  Args:
    joints: The joints.
    full_size: Rows and columns at full resolution.
    size: Rows and columns of the frame.
  """
  scale = np.divide(size, full_size)
  return ((joints + 0.5) * scale - 0.5)[..., ::-1]


def from_frame(
    joints: Float[np.ndarray, '*any 2'], full_size: Size, size: Size
) -> Float[np.ndarray, '*any 2']:
  """Reverses `to_frame`."""
  scale = np.divide(full_size, size)
  return (joints[..., ::-1] + 0.5) * scale - 0.5


def _find_folders(data_dir):
  """Returns the folder of joints, and that of DAVIS."""
  beside = data_dir.parent
  holders = data_dir, beside, beside / 'BADJA', beside / 'badja'
  joints_dirs = [holder / 'joint_annotations' for holder in holders]
  joints_dir = next((path for path in joints_dirs if path.is_dir()), None)
  if joints_dir is None:
    raise errors.UserError(
        f'no folder {joints_dirs[0]}: give the folder that holds'
        ' joint_annotations and DAVIS'
    )
  davis_dirs = data_dir / 'DAVIS', data_dir, beside / 'DAVIS'
  has_frames = lambda path: (path / 'JPEGImages').is_dir()
  return joints_dir, next(filter(has_frames, davis_dirs), data_dir)


def _find_sequence(davis_dir, resolution, name, given):
  found = davis_data.find_sequence(
      davis_dir, name, year=2016, resolution=resolution
  )
  index = {frame: i for i, frame in enumerate(found.frame_names)}
  absent = [frame for frame in given.frame_names if frame not in index]
  if absent or len(found.masks) < len(found.frames):
    what = f'frame {absent[0]}' if absent else 'mask of every frame'
    raise errors.UserError(f'{davis_dir} has no {what} of {name}: restore it')
  annotated = np.array([index[frame] for frame in given.frame_names])
  size = found.frames[0].shape[:2]
  full_size = size if resolution == _FULL_RESOLUTION else _FULL_SIZE
  return AnimalSequence(
      name,
      found.frames,
      found.frame_names,
      annotated,
      to_frame(given.joints, full_size, size),
      given.visible,
      lazy_sequence.LazySequence(annotated, found.masks.__getitem__),
      full_size,
  )
