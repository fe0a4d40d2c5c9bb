"""Reads JHMDB: short videos of a person, with 15 joints in every frame.

The dataset is Jhuang et al., "Towards Understanding Action Recognition", ICCV
2013 (jhmdb.is.tue.mpg.de). Trackers are scored on the test videos of its first
split.
"""

from collections.abc import Sequence
import dataclasses
import os
import pathlib

from jaxtyping import Float
import numpy as np
from scipy import io

from vidcolor import errors
from vidcolor import files
from vidcolor import lazy_sequence
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.data import built
from vidcolor.data import clips

# In the annotations' order; right is the person's own right.
JOINTS = (
    'neck', 'belly', 'face', 'right shoulder', 'left shoulder', 'right hip',
    'left hip', 'right elbow', 'left elbow', 'right knee', 'left knee',
    'right wrist', 'left wrist', 'right ankle', 'left ankle',
)  # fmt: skip

# Pairs of joints to draw a line between: spine and head, arms, legs.
LIMBS = (
    (1, 0), (0, 2),
    (0, 3), (3, 7), (7, 11), (0, 4), (4, 8), (8, 12),
    (1, 5), (5, 9), (9, 13), (1, 6), (6, 10), (10, 14),
)  # fmt: skip

Joints = Float[np.ndarray, 'time 15 2']

SPLITS = (1, 2, 3)


@dataclasses.dataclass(frozen=True)
class JointSequence:
  """A video with the joints of one person.

  Attributes:
    name: Class and name of the video, as in 'walk/video'.
    frames: RGB, UInt8[np.ndarray, 'height width 3'] each, read when asked for.
    joints: (x, y) of `JOINTS` in pixels, whose centres have whole coordinates.
      Those of hidden joints are guessed, and some are outside of the frame.
    frame_names: Of the frames' files, without the suffix.
  """

  name: str
  frames: Sequence[np.ndarray]
  joints: Joints
  frame_names: Sequence[str]


def read(data_dir: str | os.PathLike, *, split: int = 1) -> list[JointSequence]:
  """Finds the test videos of a split.

  The folder is one in which `data_prep.build` built jhmdb, or the published
  one. Below the latter are
  Rename_Images/<class>/<video>/00001.png and so on,
  joint_positions/<class>/<video>/joint_positions.mat, and
  splits/<class>_test_split<split>.txt, lines of '<video>.avi 2', where other
  numbers are not for testing. Instead of the folder splits there may be
  testlist_split<split>.txt, the list that the field's code reads: in each line
  a video's folder of frames, of which the last two names matter.

  As in that code, frames after the last annotated one are left out.

  Args:
    data_dir: The folder.
    split: Its number.

  Returns:
    The videos in the lists' order, classes by name. The frames of a built
    dataset are held as encoded.

  Raises:
    UserError: a list, or a listed video's annotation or frame, is missing or
      unreadable. Unreadable pixels show on access.
  """
  if built.splits('jhmdb', data_dir):
    return _read_built(data_dir, split)
  names = list_names(data_dir, split)
  if not names:
    raise errors.UserError(
        f'no test videos in {data_dir}/splits/*_test_split{split}.txt: mend the'
        ' split, or restore the lists'
    )
  return [_find_sequence(data_dir, name) for name in names]


def read_joints(path: str | os.PathLike) -> Joints:
  """Reads a joint_positions.mat, whose pixels MATLAB counts from one.

  Raises:
    UserError: it is missing or unreadable, or holds no `pos_img` of 15 joints.
  """
  try:
    with open(path, 'rb') as file:
      positions = io.loadmat(file, variable_names='pos_img').get('pos_img')
  # Malformed files raise errors of any kind.
  except Exception as error:
    raise errors.UserError(
        f'cannot read the joints {path}: restore them'
    ) from error
  positions = np.asarray(positions)
  if positions.ndim == 2:  # MATLAB stores no third dimension of one.
    positions = positions[..., None]
  if positions.ndim != 3 or positions.shape[:2] != (2, len(JOINTS)):
    raise errors.UserError(
        f'{path}: pos_img is {list(positions.shape)}, not [2, 15, frames]:'
        ' restore it'
    )
  return positions.astype(float).T - 1


def write_joints(path: str | os.PathLike, joints: Joints) -> None:
  """Writes joints for `read_joints`; the file is there only once complete."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  with files.atomic_write(path) as temporary:
    io.savemat(temporary, {'pos_img': joints.astype(float).T + 1})


def list_names(data_dir: str | os.PathLike, split: int) -> list[str]:
  """The test videos of a split, as '<class>/<video>'; none without a list."""
  data_dir = pathlib.Path(data_dir)
  ending = f'_test_split{split}.txt'
  lists = sorted((data_dir / 'splits').glob(f'*{ending}'))
  names = [
      f'{path.name.removesuffix(ending)}/{line[0].removesuffix(".avi")}'
      for path in lists
      for line in _words(path)
      if line[1:] == ['2']
  ]
  if not lists:
    names = [
        '/'.join(pathlib.PurePosixPath(word).parts[-2:])
        for line in _words(data_dir / f'testlist_split{split}.txt')
        for word in line
        if not word.endswith('.mat')
    ]
  return names


def _words(path):
  """The words of each line; nothing where there is no such file."""
  if not path.is_file():
    return []
  try:
    return [line.split() for line in path.read_text().splitlines()]
  except (OSError, ValueError) as error:
    raise errors.UserError(
        f'cannot read the list {path}: restore it'
    ) from error


def find_files(
    data_dir: str | os.PathLike, name: str
) -> tuple[list[pathlib.Path], Joints]:
  """The frames' files of a video in the published folder, and its joints.

  Raises:
    UserError: as `read`.
  """
  data_dir = pathlib.Path(data_dir)
  folder = data_dir / 'Rename_Images' / name
  if not folder.is_dir():
    raise errors.UserError(
        f'no folder {folder}: restore it, or take {name} off the list'
    )
  joints = read_joints(
      data_dir / 'joint_positions' / name / 'joint_positions.mat'
  )
  frames = [folder / f'{frame}.png' for frame in _frame_names(joints)]
  for frame in frames:
    if not frame.is_file():
      raise errors.UserError(
          f'no frame {frame}, one of {len(joints)} annotated: restore it'
      )
  return frames, joints


def _find_sequence(data_dir, name):
  frames, joints = find_files(data_dir, name)
  frames = lazy_sequence.LazySequence(frames, davis_data.read_frame)
  return JointSequence(name, frames, joints, _frame_names(joints))


def _read_built(data_dir, split):
  found = []
  for record in built.records('jhmdb', data_dir, f'test_{split}'):
    name, joints = record['name'].decode(), record['joints']
    frames = built.pictures(
        record['frames'], clips.decode_frame, f'{name} in {data_dir}'
    )
    found.append(JointSequence(name, frames, joints, _frame_names(joints)))
  return found


def _frame_names(joints):
  return [f'{index + 1:05}' for index in range(len(joints))]
