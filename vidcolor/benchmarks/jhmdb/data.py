"""Reads JHMDB: short videos of a person, with 15 joints in every frame.

The dataset is that of Jhuang et al., "Towards Understanding Action
Recognition", ICCV 2013 (jhmdb.is.tue.mpg.de). Trackers are scored on the test
videos of its first split.
"""

from collections.abc import Sequence
import dataclasses
import os
import pathlib

from jaxtyping import Float, UInt8
import numpy as np
from scipy import io

from vidcolor import errors
from vidcolor import files
from vidcolor.benchmarks import folders

# In the order of the annotations. Right is the person's own right.
JOINTS = (
    'neck', 'belly', 'face', 'right shoulder', 'left shoulder', 'right hip',
    'left hip', 'right elbow', 'left elbow', 'right knee', 'left knee',
    'right wrist', 'left wrist', 'right ankle', 'left ankle',
)  # fmt: skip

# Pairs of joints to connect by a line: spine and head, arms, legs.
LIMBS = (
    (1, 0), (0, 2),
    (0, 3), (3, 7), (7, 11), (0, 4), (4, 8), (8, 12),
    (1, 5), (5, 9), (9, 13), (1, 6), (6, 10), (10, 14),
)  # fmt: skip

Joints = Float[np.ndarray, 'time 15 2']

_SPLITS = ('1', '2', '3')


@dataclasses.dataclass(frozen=True)
class JointSequence:
  """A video with the joints of one person.

  Attributes:
    name: Class and name of the video, such as 'walk/video'.
    frames: RGB frames, read on access.
    joints: (x, y) of `JOINTS` in pixels. Pixel centers have whole coordinates.
      Positions of hidden joints are guesses, and some are outside of the frame.
    frame_names: Names of the frames' files, without the suffix.
  """

  name: str
  frames: Sequence[UInt8[np.ndarray, 'height width 3']]
  joints: Joints
  frame_names: Sequence[str]


def read_jhmdb(
    data_dir: str | os.PathLike[str], *, split: int | str = 1
) -> list[JointSequence]:
  """Finds the test videos of a split in the published folder.

  The folder holds Rename_Images/<class>/<video>/00001.png and so on, and
  joint_positions/<class>/<video>/joint_positions.mat. Videos are listed in
  splits/<class>_test_split<split>.txt: each line is '<video>.avi 2', and videos
  with another number than 2 are not for testing. In place of the folder
  splits, there may be testlist_split<split>.txt, the list that other code
  reads (github.com/ajabri/videowalk). Each of its lines has the folder of a
  video's frames, of which the last two names count.

  As in that code, frames after the last annotated one are left out.

  Args:
    data_dir: The folder.
    split: 1, 2 or 3.

  Returns:
    The videos in the order of the lists. Classes are sorted by name.

  Raises:
    UserError: There is no such split; or a list, an annotation or a frame is
      missing or unreadable. Pixels that cannot be decoded raise it on access.
  """
  if str(split) not in _SPLITS:
    raise errors.UserError(f'--split={split}: JHMDB has splits 1, 2 and 3')
  names = _list_names(pathlib.Path(data_dir), split)
  if not names:
    raise errors.UserError(
        f'no test videos in {data_dir}/splits/*_test_split{split}.txt: correct'
        ' --split, or restore the lists'
    )
  return [_find_sequence(pathlib.Path(data_dir), name) for name in names]


def read_joints(path: str | os.PathLike[str]) -> Joints:
  """Reads a joint_positions.mat. Its pixels are counted from one, as in MATLAB.

  Raises:
    UserError: The file is missing or unreadable, or it holds no `pos_img` of 15
      joints.
  """
  try:
    with open(path, 'rb') as file:
      positions = io.loadmat(file, variable_names='pos_img').get('pos_img')
  except NotImplementedError as error:
    raise errors.UserError(
        f'{path} is a file of MATLAB 7.3: load it there, and save pos_img with'
        ' -v7'
    ) from error
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


def write_joints(path: str | os.PathLike[str], joints: Joints) -> None:
  """Writes joints as `read_joints` reads them, in one atomic step."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  with files.atomic_write(path) as temporary:
    io.savemat(temporary, {'pos_img': joints.astype(float).T + 1})


def _list_names(data_dir, split):
  """Returns the test videos of a split, as '<class>/<video>'."""
  ending = f'_test_split{split}.txt'
  lists = [
      path
      for path in files.visible(data_dir / 'splits')
      if path.name.endswith(ending)
  ]
  if lists:
    return [
        f'{path.name.removesuffix(ending)}/{line[0].removesuffix(".avi")}'
        for path in lists
        for line in _read_words(path)
        if line[1:] == ['2']
    ]
  path = data_dir / f'testlist_split{split}.txt'
  return [
      '/'.join(pathlib.PurePosixPath(word).parts[-2:])
      for line in (_read_words(path) if path.is_file() else [])
      for word in line
      if not word.endswith('.mat')
  ]


def _read_words(path):
  """Returns the words of each line of a list."""
  try:
    return folders.read_words(path)
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
  path = data_dir / 'joint_positions' / name / 'joint_positions.mat'
  joints = read_joints(path)
  frame_names = [f'{index + 1:05}' for index in range(len(joints))]
  frames = [folder / f'{frame}.png' for frame in frame_names]
  for frame in frames:
    if not frame.is_file():
      raise errors.UserError(
          f'no frame {frame}, one of {len(joints)} annotated: restore it'
      )
  return JointSequence(name, folders.find_frames(frames), joints, frame_names)
