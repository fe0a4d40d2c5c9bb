"""Reads features of frames that another network computed."""

from collections.abc import Sequence
import os
import pathlib
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from vidcolor import errors
from vidcolor import lazy_sequence


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
  """Finds a sequence's features, <features_dir>/<sequence>/<frame>.npy.

  Args:
    features_dir: Folder with a folder for each sequence.
    sequence: The sequence.

  Returns:
    `FrameFeatures` of each frame, which are read on access. All have one shape.
    Until then, only the files' headers are read.

  Raises:
    UserError: A file is missing or unreadable, or holds no such array or one of
      another shape than the first. Features that are not finite raise it on
      access.
  """
  folder = pathlib.Path(features_dir) / sequence.name
  if not folder.is_dir():
    raise errors.UserError(
        f'no folder {folder}: write <frame>.npy there for each frame'
    )
  paths = [folder / f'{name}.npy' for name in sequence.frame_names]
  shape = _open(paths[0]).shape
  for path in paths:
    if (features := _open(path)).shape != shape:
      raise errors.UserError(
          f'{path} is {features.shape} but {paths[0].name} is {shape}: write'
          ' features of one shape for all frames of a sequence'
      )
  frame_shape = sequence.frames[0].shape
  return lazy_sequence.LazySequence(
      paths, lambda path: FrameFeatures(_read(path), frame_shape)
  )


def _open(path):
  """Opens a file and reads only its header."""
  try:
    features = np.load(path, mmap_mode='r')
  except FileNotFoundError as error:
    raise errors.UserError(
        f'no features {path}: write them, [rows, columns, channels]'
    ) from error
  except (OSError, ValueError, EOFError) as error:
    raise errors.UserError(
        f'{path} is no array: write it again with numpy.save'
    ) from error
  if features.ndim != 3 or features.dtype.kind != 'f' or not features.size:
    raise errors.UserError(
        f'{path} is {features.dtype.name} {features.shape}: write floats,'
        ' [rows, columns, channels]'
    )
  return features


def _read(path):
  features = np.asarray(_open(path), np.float32)
  if not np.isfinite(features).all():
    raise errors.UserError(
        f'{path} has numbers that are not finite: compute it again'
    )
  return features
