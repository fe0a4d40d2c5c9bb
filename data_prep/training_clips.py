"""Records of clips to train on: what they hold, and what is noted of them."""

from collections.abc import Sequence
from typing import Any

import cv2
from jaxtyping import UInt8
import numpy as np
import tensorflow_datasets as tfds

from data_prep import content

# Features that are wanted without reading records.
INDEX = (
    'frames_per_second',
    'source_frames_per_second',
    'grey',
    'still',
    'signature',
)

Thumbnail = UInt8[np.ndarray, '48 48 3']


def features() -> dict[str, Any]:
  """What TFDS stores of a clip."""
  tensor = tfds.features.Tensor
  return {
      'name': tfds.features.Text(doc='Path of the video in its folder.'),
      'label': tfds.features.Text(doc='Action shown; empty if unknown.'),
      'start': tfds.features.Scalar(
          np.float32, doc='Seconds from the first frame of the video.'
      ),
      'frames_per_second': np.float32,
      'source_frames_per_second': tfds.features.Scalar(
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
      'grey': tfds.features.Scalar(np.bool_, doc='No colours to learn from.'),
      'still': tfds.features.Scalar(np.bool_, doc='Nothing moves.'),
      'signature': tensor(
          shape=(4,),
          dtype=np.int64,
          doc='Bits, nearly the same for copies of a clip.',
      ),
  }


def noted(
    thumbnails: Sequence[Thumbnail], shots: Sequence[int]
) -> dict[str, Any]:
  """Returns the features that are found by looking at a clip.

  Args:
    thumbnails: Of its frames.
    shots: First frame of each shot.
  """
  return {
      'shots': np.array(shots, np.int32),
      'grey': content.is_grey(thumbnails),
      'still': content.is_still(thumbnails),
      'signature': content.signature(thumbnails).view(np.int64),
  }


def encode_jpeg(
    rgb: UInt8[np.ndarray, 'height width 3'], quality: int
) -> bytes:
  """Encodes a frame; `quality` is of 100."""
  bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
  options = [cv2.IMWRITE_JPEG_QUALITY, quality]
  return cv2.imencode('.jpg', bgr, options)[1].tobytes()
