"""The format of a training record: the features that it stores.

A record is a serialized tf.Example of one video clip. `data_prep` writes
records with `features`; training reads them with `parse`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

# Features that a dataset's index.npz repeats, so that no record must be read
# for them.
INDEX = (
    'frames_per_second',
    'source_frames_per_second',
    'grey',
    'still',
    'signature',
)


def features() -> dict[str, Any]:
  """Returns the TFDS features of a training record by name."""
  scalar, tensor = tfds.features.Scalar, tfds.features.Tensor
  return {
      'name': tfds.features.Text(doc='Path of the video in its folder.'),
      'label': tfds.features.Text(doc='Action shown; empty if unknown.'),
      'start': scalar(
          np.float32, doc='Seconds from the first frame of the video.'
      ),
      'frames_per_second': np.float32,
      'source_frames_per_second': scalar(
          np.float32, doc='Of the video, on average.'
      ),
      'frames': tfds.features.Sequence(
          tfds.features.Image(shape=(None, None, 3), encoding_format='jpeg')
      ),
      'shots': tensor(
          shape=(None,),
          dtype=np.int32,
          doc='First frame of each shot; between shots there is a cut.',
      ),
      'grey': scalar(np.bool_, doc='No colours to learn from.'),
      'still': scalar(np.bool_, doc='Nothing moves.'),
      'signature': tensor(
          shape=(4,),
          dtype=np.int64,
          doc='Bits, nearly the same for copies of a clip.',
      ),
  }


def parse(record: bytes) -> tuple[str, Sequence[bytes], Sequence[int]]:
  """Parses the features of a record that training uses.

  A frame is copied only when it is taken from the sequence. TFDS's own parser
  copies all frames, twice.

  Returns:
    The clip's name, its encoded frames and the first frame of each shot.
  """
  # pyrefly: ignore[missing-attribute]
  values = tf_example_pb2.Example.FromString(record).features.feature
  return (
      values['name'].bytes_list.value[0].decode(),
      values['frames'].bytes_list.value,
      values['shots'].int64_list.value,
  )
