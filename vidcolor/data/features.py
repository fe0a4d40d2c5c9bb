"""Features of frames that were computed elsewhere, as by another network."""

import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from vidcolor import errors
from vidcolor import lazy_sequence


class FrameFeatures(NamedTuple):
  """Embeddings in the place of the frame that they are of.

  Attributes:
    embeddings: Float32[np.ndarray, 'rows columns channels'].
    shape: Of the frame, in whose pixels points are given.
  """

  embeddings: np.ndarray
  shape: tuple[int, ...]


def read(
    features_dir: str | os.PathLike, sequence: Any
) -> lazy_sequence.LazySequence:
  """Finds a sequence's features, <features_dir>/<sequence>/<frame>.npy.

  Args:
    features_dir: Folder of a folder for each sequence.
    sequence: One of a benchmark's: has `name`, `frames` and `frame_names`.

  Returns:
    `FrameFeatures` for each frame, all of one shape, read when asked for. Files
    are opened only for their shapes.

  Raises:
    UserError: a file is missing, unreadable, no such array or of another shape
      than the first one's. Features that are not finite show on access.
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
  """Opens a file without reading the numbers."""
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
        f'{path} is {features.dtype.name} {features.shape}: write numbers with'
        ' a fraction, [rows, columns, channels]'
    )
  return features


def _read(path):
  features = np.asarray(_open(path), np.float32)
  if not np.isfinite(features).all():
    raise errors.UserError(
        f'{path} has numbers that are not finite: compute it again'
    )
  return features
