"""Mask trackers that learn nothing, to compare with.

A mask tracker is any callable of RGB frames and the first frame's mask, 0 or
the number of an object in each pixel, that yields a mask for every frame; the
first frame's is the one it was given.
"""

from collections.abc import Iterable, Iterator

import cv2
from jaxtyping import UInt8
import numpy as np

from vidcolor import masks


def identity(
    frames: Iterable[UInt8[np.ndarray, 'height width 3']],
    first_mask: UInt8[np.ndarray, 'height width'],
) -> Iterator[UInt8[np.ndarray, 'height width']]:
  """Yields the first mask for every frame, as if nothing moved."""
  first_mask = masks.without_void(first_mask)
  for _ in frames:
    yield first_mask


def optical_flow(
    frames: Iterable[UInt8[np.ndarray, 'height width 3']],
    first_mask: UInt8[np.ndarray, 'height width'],
) -> Iterator[UInt8[np.ndarray, 'height width']]:
  """Warps the masks from frame to frame by dense optical flow.

  The flow is DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse
  Search", ECCV 2016) from each frame back to the one before. Each object's
  mask is warped as a soft one; the likeliest object takes the pixel.
  """
  estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
  first_mask = masks.without_void(first_mask)
  height, width = first_mask.shape
  y, x = np.mgrid[:height, :width].astype(np.float32)
  numbers = np.arange(first_mask.max() + 1, dtype=np.uint8)
  labels = [(first_mask == number).astype(np.float32) for number in numbers]
  edge = cv2.BORDER_REPLICATE
  before = None
  for frame in frames:
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    if before is None:
      yield first_mask
    else:
      # pyrefly: ignore[no-matching-overload]
      flow = estimator.calc(grey, before, None)
      from_x, from_y = x + flow[..., 0], y + flow[..., 1]
      labels = [
          cv2.remap(label, from_x, from_y, cv2.INTER_LINEAR, borderMode=edge)
          for label in labels
      ]
      yield np.argmax(labels, 0).astype(np.uint8)
    before = grey
