"""Encodes and decodes single pictures."""

import cv2
from jaxtyping import UInt8
import numpy as np


def decode(data: bytes) -> UInt8[np.ndarray, 'height width 3']:
  """Decodes a JPEG, a PNG or another picture as RGB.

  Raises:
    OSError: The data is not a picture.
  """
  rgb = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
  if rgb is None:
    raise OSError('the data is not a picture')
  return rgb


def encode_jpeg(
    rgb: UInt8[np.ndarray, 'height width 3'], quality: int
) -> bytes:
  """Encodes an RGB picture as JPEG, with a quality from 0 to 100.

  Raises:
    ValueError: A side is longer than JPEG allows, 65,500 pixels.
  """
  bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
  options = [cv2.IMWRITE_JPEG_QUALITY, quality]
  is_encoded, data = cv2.imencode('.jpg', bgr, options)
  if not is_encoded:
    raise ValueError(f'JPEG cannot hold a picture of {rgb.shape}')
  return data.tobytes()
