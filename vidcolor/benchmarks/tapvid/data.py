"""Reads TAP-Vid: videos with points tracked through them.

The benchmark (Doersch et al., "TAP-Vid: A Benchmark for Tracking Any Point in a
Video", NeurIPS 2022; github.com/google-deepmind/tapnet) is published as
pickles. A pickle can run any code when it is read. So the reader accepts only
NumPy arrays in lists and dicts, and refuses anything else.
"""

from collections.abc import Sequence
import dataclasses
import io
import os
import pathlib
import pickle
import re
from typing import Any

from jaxtyping import Bool, Float32, UInt8
import numpy as np
from PIL import Image

from vidcolor import errors
from vidcolor import files

# Names of the files of one benchmark in several: Kinetics and RoboTAP.
_SHARDS = (re.compile(r'\d+_of_\d+'), re.compile(r'robotap_split\d+'))

# The functions that rebuild pickled arrays.
_ARRAY_GLOBALS = (
    ('numpy', 'ndarray'),
    ('numpy', 'dtype'),
    ('numpy._core.multiarray', '_reconstruct'),
    ('numpy._core.numeric', '_frombuffer'),
)


@dataclasses.dataclass(frozen=True)
class PointSequence:
  """A video and points tracked through it.

  Attributes:
    name: Name of the video, which is a valid file name.
    points: (x, y) in pixels of `frames`. Pixel centers have whole coordinates.
    occluded: Whether a point is hidden or outside of the frame.
    size: Height and width of `frames`.
  """

  name: str
  points: Float32[np.ndarray, 'points time 2']
  occluded: Bool[np.ndarray, 'points time']
  size: tuple[int, int]
  # Arrays [height, width, 3], or the bytes of picture files.
  _video: Sequence[Any] | np.ndarray = dataclasses.field(repr=False)

  @property
  def frame_names(self) -> list[str]:
    """The frames' numbers, with five digits each."""
    return [f'{index:05}' for index in range(self.points.shape[1])]

  @property
  def frames(self) -> UInt8[np.ndarray, 'time height width 3']:
    """RGB frames, decoded and resized at every access.

    They are resized as in the published evaluation, which calls
    `mediapy.resize_video`: with Pillow's Lanczos filter, and without keeping
    the video's aspect ratio.

    Raises:
      UserError: A frame cannot be decoded.
    """
    height, width = self.size
    try:
      pictures = [
          _picture(frame).resize((width, height), Image.Resampling.LANCZOS)
          for frame in self._video
      ]
    except OSError as error:
      raise errors.UserError(
          f'cannot decode a frame of {self.name}: restore the pickle'
      ) from error
    return np.stack([np.asarray(picture) for picture in pictures])


def find(data_dir: str | os.PathLike[str]) -> list[pathlib.Path]:
  """Returns the pickles of a folder by name, or the one pickle that is given.

  Raises:
    UserError: There is none; or there are several, which are not the shards of
      Kinetics, such as 0000_of_0010.pkl, or of RoboTAP, robotap_split0.pkl.
  """
  path = pathlib.Path(data_dir)
  pickles = files.visible(path, ('.pkl',)) if path.is_dir() else [path]
  if not pickles or not pickles[0].is_file():
    raise errors.UserError(
        f'no TAP-Vid pickle in {path}: give the folder that holds'
        ' tapvid_davis.pkl or a similar file'
    )
  is_one = any(
      all(shard.fullmatch(p.stem) for p in pickles) for shard in _SHARDS
  )
  if len(pickles) > 1 and not is_one:
    alone = [
        p for p in pickles if not any(x.fullmatch(p.stem) for x in _SHARDS)
    ]
    raise errors.UserError(
        f'{path} holds more than one benchmark: give the one file, such as'
        f' {[*alone, *pickles][0]}'
    )
  return pickles


def read_pickle(
    path: str | os.PathLike[str], *, size: tuple[int, int] = (256, 256)
) -> list[PointSequence]:
  """Reads a pickle: DAVIS, RGB-Stacking, or a shard of Kinetics or RoboTAP.

  Args:
    path: A pickled dict of videos by name, or a list of videos. Each video is a
      dict of `video` (uint8 [time, height, width, 3], or the bytes of a JPEG
      file for each frame), `points` ((x, y) [points, time, 2], 0 to 1 from edge
      to edge of the frame) and `occluded` (bool [points, time]).
    size: Height and width that frames are resized to. Published scores are for
      256 x 256.

  Returns:
    The videos in the order of the file. Videos of a list are named by the file
    and their index. JPEG files are decoded on access.

  Raises:
    UserError: The file cannot be read, is no pickle of TAP-Vid, or holds
      anything but numbers, text and NumPy arrays.
  """
  path = pathlib.Path(path)
  try:
    with path.open('rb') as file:
      examples = _ArrayUnpickler(file).load()
  # Malformed pickles raise errors of any kind.
  except Exception as error:
    raise errors.UserError(
        f'cannot read {path} ({error}): restore it from the published archive'
    ) from error
  if isinstance(examples, list):
    examples = {f'{path.stem}_{i:03}': x for i, x in enumerate(examples)}
  if not isinstance(examples, dict):
    raise errors.UserError(f'{path} holds no videos: give a TAP-Vid pickle')
  try:
    return [_sequence(str(name), x, size) for name, x in examples.items()]
  except (
      AttributeError, LookupError, OSError, TypeError, ValueError
  ) as error:  # fmt: skip
    raise errors.UserError(
        f'{path} does not have the format of TAP-Vid ({error}): restore it'
    ) from error


class _ArrayUnpickler(pickle.Unpickler):
  """Rebuilds NumPy arrays, and refuses any other class or function."""

  def find_class(self, module_name: str, global_name: str) -> Any:
    # NumPy's own module was called numpy.core before NumPy 2.
    module_name = module_name.replace('numpy.core.', 'numpy._core.')
    if (module_name, global_name) not in _ARRAY_GLOBALS:
      raise pickle.UnpicklingError(
          f'it asks for {module_name}.{global_name}, which is no array'
      )
    return super().find_class(module_name, global_name)


def _sequence(name, example, size):
  if pathlib.PurePath(name).name != name:
    raise ValueError(f'{name!r} is no name of a file')
  video = example['video']
  points = np.asarray(example['points'], np.float32)
  occluded = np.asarray(example['occluded'], bool)
  if points.shape != (*occluded.shape, 2) or occluded.shape[1:] != (
      len(video),
  ):
    raise ValueError(
        f'{name}: {len(video)} frames, points {points.shape},'
        f' occluded {occluded.shape}'
    )
  _picture(video[0])  # Raises now, and not on access, if it is no picture.
  height, width = size
  # From edges at 0 and 1 to pixels, the first of which has its center at 0.
  points = points * np.array([width, height], np.float32) - np.float32(0.5)
  return PointSequence(name, points, occluded, size, video)


def _picture(frame):
  if isinstance(frame, bytes):
    picture = Image.open(io.BytesIO(frame))
  else:
    picture = Image.fromarray(frame)
  return picture.convert('RGB')
