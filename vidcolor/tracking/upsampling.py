"""Coarse values brought to full resolution along the edges of a guide."""

import cv2
from jaxtyping import Float
import numpy as np

# Chosen by copied colours in two frames of each of four sequences of DAVIS, at
# 8 pixels a cell: PSNR in Lab 27.09 dB, distance in a and b at edges 10.30.
# Bilinear has 26.97 and 10.65, cubic alone 27.03 and 10.46, the guided filter
# itself 26.64 and 11.05, a joint bilateral filter 27.02 and 10.50 (2026-11-23).

# In coarse cells: the windows that slopes are fitted in.
_RADIUS = 1
# In the guide's units squared: variance of it that counts as texture.
_EPSILON = 100.0


def guided(
    coarse: Float[np.ndarray, 'rows columns channels'],
    guide: Float[np.ndarray, 'height width'],
) -> Float[np.ndarray, 'height width channels']:
  """Enlarges values; within a cell they vary as the guide does around it.

  Around each cell values are a linear function of the guide (He et al. 2010,
  Guided Image Filtering), fitted at the coarse resolution (He and Sun 2015,
  Fast Guided Filter). Only its slope is used, and only for what the guide has
  lost in the cells: the filter itself would replace values by their fit, which
  washes colours out.

  Args:
    coarse: The values, one a cell.
    guide: What shows the edges; in the units of lightness, 0 to 100.
  """
  shrunk = cv2.resize(guide, coarse.shape[1::-1], interpolation=cv2.INTER_AREA)[
      ..., None
  ]
  mean_guide, mean_values = _mean(shrunk), _mean(coarse)
  covariance = _mean(shrunk * coarse) - mean_guide * mean_values
  variance = _mean(shrunk**2) - mean_guide**2
  slope = _mean(covariance / (variance + _EPSILON))
  detail = guide[..., None] - _enlarged(shrunk, guide.shape)
  return _enlarged(coarse, guide.shape) + _enlarged(slope, guide.shape) * detail


def _mean(values):
  side = 2 * _RADIUS + 1
  mean = cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_REFLECT)
  return mean.reshape(values.shape)


def _enlarged(values, shape):
  enlarged = cv2.resize(values, shape[::-1], interpolation=cv2.INTER_CUBIC)
  return enlarged.reshape(*shape, values.shape[-1])
