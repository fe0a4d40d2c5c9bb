"""Files that all benchmarks read and write."""

from collections.abc import Iterator
import contextlib
import os
import pathlib
import tempfile

import cv2
from jaxtyping import UInt8
import numpy as np

from vidcolor import errors
from vidcolor.data import images


def read_frame(
    path: str | os.PathLike[str],
) -> UInt8[np.ndarray, 'height width 3']:
  """Reads a picture as RGB.

  Raises:
    UserError: The file is missing, or it is no picture.
  """
  try:
    return images.decode(pathlib.Path(path).read_bytes())
  except (OSError, cv2.error) as error:
    raise errors.UserError(
        f'cannot read the frame {path}: restore it'
    ) from error


@contextlib.contextmanager
def predictions_dir(
    output_dir: str | os.PathLike[str] | None,
) -> Iterator[pathlib.Path]:
  """Yields the folder for a tracker's predictions.

  Args:
    output_dir: Output folder, whose folder `predictions` is made and yielded.
      None: a temporary folder, which is removed at the end.
  """
  if output_dir is None:
    with tempfile.TemporaryDirectory(prefix='vidcolor_') as temporary:
      yield pathlib.Path(temporary)
    return
  folder = pathlib.Path(output_dir) / 'predictions'
  folder.mkdir(parents=True, exist_ok=True)
  yield folder
