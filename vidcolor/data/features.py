"""Reads features of frames that another network computed."""

from collections.abc import Sequence
import math
import os
import pathlib
from typing import NamedTuple, Protocol, runtime_checkable
import warnings
import zipfile

import ml_dtypes
import numpy as np

from vidcolor import errors
from vidcolor import lazy_sequence

# The axes of rows, columns and channels, in each order that people write.
_ORDERS = {
    (0, 1, 2): '[rows, columns, channels]',
    (1, 0, 2): '[columns, rows, channels]',
    (1, 2, 0): '[channels, rows, columns]',
    (2, 1, 0): '[channels, columns, rows]',
}
# Cropping or padding of frames changes their proportions by at most so much.
_MOST_CROPPED = 0.15


class FrameFeatures(NamedTuple):
  """The embeddings of a frame, which take its place as a tracker's input.

  Attributes:
    embeddings: Float32 array [rows, columns, channels].
    shape: Shape of the frame, in whose pixels points are given.
  """

  embeddings: np.ndarray
  shape: tuple[int, ...]


@runtime_checkable
class VideoSequence(Protocol):
  """A sequence of any benchmark."""

  @property
  def name(self) -> str:
    """Name of the sequence."""
    ...

  @property
  def frames(self) -> Sequence[np.ndarray] | np.ndarray:
    """The frames, [height, width, 3] each."""
    ...

  @property
  def frame_names(self) -> Sequence[str]:
    """Names of the frames' files, without the suffix."""
    ...


def read_features(
    features_dir: str | os.PathLike[str], sequence: VideoSequence
) -> lazy_sequence.LazySequence:
  """Finds the features of a sequence.

  They are in files <features_dir>/<sequence>/<frame>.npy, one for each frame,
  [rows, columns, channels], or in the file <features_dir>/<sequence>.npy,
  [frames, rows, columns, channels]. An .npz file of one array may replace any
  of them. Numbers are floats, also bfloat16.

  If the axes are in another order, the proportions of the frames tell which
  one, and a warning says so. Where rows and columns cannot be told apart, rows
  come first. As many rows as columns are taken as features of frames that were
  stretched to a square, which a warning says too.

  Args:
    features_dir: The folder.
    sequence: The sequence.

  Returns:
    `FrameFeatures` of each frame. All have one shape. Numbers are read on
    access, except for those of an .npz file of a sequence.

  Raises:
    UserError: A file is missing or unreadable, or holds no such array or one of
      another shape than the first; or the file of a sequence has another number
      of frames; or the proportions fit no order of the axes, or fit channels
      both first and last. Features that are not finite raise it on access.
  """
  folder = pathlib.Path(features_dir) / sequence.name
  names = sequence.frame_names
  if folder.is_dir():
    keys = [_find_frame(folder / name) for name in names]
    load, shape = _open_frame, _common_shape(keys)
  else:
    array = _open_sequence(folder, len(names))
    keys, load, shape = range(len(names)), array.__getitem__, array.shape[1:]
  frame_shape = sequence.frames[0].shape
  order = _order(shape, frame_shape, folder)

  def read(key):
    features = np.asarray(load(key), np.float32)
    if not np.isfinite(features).all():
      where = key if folder.is_dir() else f'frame {key} of {folder}'
      raise errors.UserError(
          f'{where} has numbers that are not finite: compute it again'
      )
    return FrameFeatures(features.transpose(order), frame_shape)

  return lazy_sequence.LazySequence(keys, read)


def _find(stem, missing):
  """Returns the file <stem>.npy or <stem>.npz."""
  suffixes = '.npy', '.npz', '.pt', '.pth'
  paths = [pathlib.Path(f'{stem}{suffix}') for suffix in suffixes]
  found = next((path for path in paths if path.is_file()), None)
  if found is None:
    raise errors.UserError(missing)
  if found not in paths[:2]:
    raise errors.UserError(
        f'{found} is of PyTorch: convert it by numpy.save("{paths[0]}",'
        f' torch.load("{found}").detach().float().cpu().numpy())'
    )
  return found


def _find_frame(stem):
  return _find(
      stem, f'no features {stem}.npy: write them, [rows, columns, channels]'
  )


def _common_shape(paths):
  """Checks that the features of all frames have one shape, and returns it."""
  shape = _open_frame(paths[0]).shape
  for path in paths:
    if (found := _open_frame(path).shape) != shape:
      raise errors.UserError(
          f'{path} is {found} but {paths[0].name} is {shape}: write features of'
          ' one shape for all frames of a sequence'
      )
  return shape


def _open_frame(path):
  array = _open(path)
  if array.ndim == 4 and len(array) == 1:  # A batch of one.
    array = array[0]
  if array.ndim != 3:
    _refuse(path, array, '[rows, columns, channels]')
  return array


def _open_sequence(folder, num_frames):
  axes = '[frames, rows, columns, channels]'
  path = _find(
      folder,
      f'no folder {folder}: write <frame>.npy there for each frame, or all in'
      f' {folder}.npy, {axes}',
  )
  array = _open(path)
  if array.ndim != 4:
    _refuse(path, array, axes)
  if len(array) != num_frames:
    raise errors.UserError(
        f'{path} has {len(array)} frames but {folder.name} has {num_frames}:'
        ' write features of all its frames, and of no others'
    )
  return array


def _open(path):
  """Opens a file of floats; reads only the header of an .npy file."""
  try:
    array = np.load(path, mmap_mode='r')
    if isinstance(array, np.lib.npyio.NpzFile):
      with array as arrays:
        (array,) = arrays.values()
  except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
    raise errors.UserError(
        f'{path} is no array: write one array with numpy.save'
    ) from error
  if array.dtype == 'V2':  # NumPy does not know bfloat16, and writes it so.
    array = array.view(ml_dtypes.bfloat16)
  if array.dtype not in (ml_dtypes.bfloat16, *'efdg') or not array.size:
    _refuse(path, array, '[rows, columns, channels]')
  return array


def _refuse(path, array, axes):
  raise errors.UserError(
      f'{path} is {array.dtype.name} {array.shape}: write floats, {axes}'
  )


def _order(shape, frame_shape, folder):
  """Returns the axes of rows, columns and channels."""
  height, width = frame_shape[:2]

  def change(order):
    """Returns how much the proportions of the frames were changed."""
    return abs(math.log(shape[order[0]] * width / shape[order[1]] / height))

  fitting = lambda fits: [order for order in _ORDERS if fits(order)]
  found = (
      fitting(lambda order: change(order) < 1e-9)
      # The numbers of rows and of columns are rounded.
      or fitting(lambda x: change(x) <= 1 / shape[x[0]] + 1 / shape[x[1]])
      or fitting(lambda order: change(order) <= _MOST_CROPPED)
      or fitting(lambda order: shape[order[0]] == shape[order[1]])
  )
  # Of two orders with the same axis of channels, rows come first.
  found = list({order[2]: order for order in reversed(found)}.values())
  if len(found) != 1:
    reason = 'channels both first and last' if found else 'no order of axes'
    mend = 'append channels of zeros' if found else 'embed whole frames'
    raise errors.UserError(
        f'the features {folder} are {list(shape)}, and the frames are'
        f' {height} x {width}, which fits {reason}: write [rows, columns,'
        f' channels], and {mend}'
    )
  (order,) = found
  # These texts do not name the sequence, so that they are shown once.
  if order != (0, 1, 2):
    warnings.warn(
        f'the features are {_ORDERS[order]}, as the proportions of the frames'
        ' tell',
        stacklevel=3,
    )
  if shape[order[0]] == shape[order[1]] and change(order) > _MOST_CROPPED:
    warnings.warn(
        'the features have as many rows as columns: they are taken as those of'
        ' frames that were stretched to squares',
        stacklevel=3,
    )
  return order
