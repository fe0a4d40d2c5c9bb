"""Evaluation sets that `data_prep.build` has built, read record by record.

Their pictures are stored as they were published, byte for byte, so that what is
read is the same as from the published files.
"""

from collections.abc import Callable
import os
from typing import Any

import cv2
import tensorflow_datasets as tfds

from vidcolor import errors
from vidcolor import lazy_sequence
from vidcolor.data import clips


def splits(name: str, data_dir: str | os.PathLike) -> list[str]:
  """The splits of the dataset of a name in a folder; none if there is none."""
  builder = clips.find_builder(name, data_dir)
  return list(builder.info.splits) if builder else []


def records(
    name: str, data_dir: str | os.PathLike, split: str
) -> lazy_sequence.LazySequence:
  """The records of a split, read when asked for.

  Each is a dict of features: tensors are arrays, text and pictures the bytes
  that are stored.

  Raises:
    UserError: the dataset or its split is not there.
  """
  source = clips.open_source(name, data_dir, split)
  features: Any = source.dataset_info.features

  def read(index):
    return {
        key: features[key].decode_example_np(value)
        if isinstance(features[key], tfds.features.Tensor)
        else value
        for key, value in source[index].items()
    }

  return lazy_sequence.LazySequence(range(len(source)), read)


def pictures(
    encoded: Any, decode: Callable[[bytes], Any], origin: str
) -> lazy_sequence.LazySequence:
  """The pictures of a record, decoded when asked for.

  Args:
    encoded: The files' bytes.
    decode: Decodes one.
    origin: What they are of, for the error.

  Raises:
    UserError: on access, one cannot be decoded.
  """

  def read(data):
    try:
      return decode(data)
    except (OSError, cv2.error) as error:
      raise errors.UserError(
          f'cannot decode a picture of {origin} ({error}): restore its file'
          ' and build the dataset again'
      ) from error

  return lazy_sequence.LazySequence(encoded, read)
