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
from vidcolor.data import lazy
from vidcolor.data import sequences

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

  Below the folder, as published:
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
    The videos in the lists' order, classes by name.

  Raises:
    UserError: a list, or a listed video's annotation or frame, is missing or
      unreadable. Unreadable pixels show on access.
  """
  data_dir = pathlib.Path(data_dir)
  return [
      _find_sequence(data_dir, name) for name in _read_list(data_dir, split)
  ]


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
  with files.written_whole(path) as temporary:
    io.savemat(temporary, {'pos_img': joints.astype(float).T + 1})


def _read_list(data_dir, split):
  """The test videos of a split, as '<class>/<video>'."""
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
  if not names:
    raise errors.UserError(
        f'no test videos in {data_dir}/splits/*{ending}: mend the split, or'
        ' restore the lists'
    )
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


def _find_sequence(data_dir, name):
  folder = data_dir / 'Rename_Images' / name
  if not folder.is_dir():
    raise errors.UserError(
        f'no folder {folder}: restore it, or take {name} off the list'
    )
  joints = read_joints(
      data_dir / 'joint_positions' / name / 'joint_positions.mat'
  )
  frames = [folder / f'{index + 1:05}.png' for index in range(len(joints))]
  for frame in frames:
    if not frame.is_file():
      raise errors.UserError(
          f'no frame {frame}, one of {len(joints)} annotated: restore it'
      )
  return JointSequence(
      name,
      lazy.Lazy(frames, sequences.read_frame),
      joints,
      [frame.stem for frame in frames],
  )
