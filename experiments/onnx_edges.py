"""Reads masks off labels along the edges of the frame, in NumPy alone.

It is the guided filter of `vidcolor.tracking.edges`, for onnx_track.py. To
resize or to filter is to multiply with a matrix for rows and one for columns.
"""

from collections.abc import Sequence
import functools

import numpy as np

# As in `vidcolor.tracking.edges`.
_SAMPLES, _RADIUS, _EPSILON, _BLUR = 2, 4, 3e-4, 2.0


def resize(
    planes: np.ndarray, size: Sequence[int], antialias: bool = True
) -> np.ndarray:
  """Interpolates planes linearly.

  Args:
    planes: Planes, [..., rows, columns].
    size: The new number of rows and columns.
    antialias: Whether a value is a mean over what it stands for, if they get
      fewer.
  """
  make = functools.partial(_linear, antialias=antialias)
  return _apply(map(make, planes.shape[-2:], size), planes)


def refine(labels: np.ndarray, frame: np.ndarray) -> np.ndarray:
  """Returns the labels at each pixel, [labels, height, width].

  Args:
    labels: Labels, [labels, rows, columns]. The first is the background's.
    frame: The RGB frame, uint8 [height, width, 3].
  """
  fine = [n * _SAMPLES for n in labels.shape[1:]]
  mean = lambda planes: _apply(map(_box, fine), planes)
  pixels = np.ascontiguousarray(frame.transpose(2, 0, 1), np.float32)
  colors = _apply(map(_area, pixels.shape[1:], fine), pixels)
  colors, pixels = np.rint(colors) / 255, pixels / 255
  means = mean(colors)
  covariance = mean(colors[:, None] * colors) - means[:, None] * means
  covariance = covariance.transpose(2, 3, 0, 1) + _EPSILON * np.eye(3)
  blurred = _apply(map(_gauss, labels.shape[1:]), labels)
  refined = []
  for label in resize(2 * labels - blurred, fine)[1:]:
    shared = mean(label * colors) - mean(label) * means
    slopes = np.linalg.solve(covariance, shared.transpose(1, 2, 0)[..., None])
    slopes = slopes[..., 0].transpose(2, 0, 1)
    offset = mean(label) - (slopes * means).sum(axis=0)
    line = mean(np.stack([*slopes, offset]))
    line = resize(line, frame.shape[:2], antialias=False)
    refined.append(line[3] + (line[:3] * pixels).sum(axis=0))
  return np.stack([1 - sum(refined), *refined])


def _apply(matrices, planes):
  rows, columns = matrices
  return rows @ planes @ columns.T


@functools.cache
def _linear(size, new_size, antialias):
  center = (np.arange(new_size) + 0.5) * size / new_size - 0.5
  reach = max(1, size / new_size) if antialias else 1
  away = np.abs(center[:, None] - np.arange(size))
  return _normalized(np.maximum(0, 1 - away / reach))


@functools.cache
def _area(size, new_size):
  """Returns the matrix that takes the mean over the area of a new value."""
  border = np.arange(new_size + 1)[:, None] * size / new_size
  end = np.minimum(border[1:], np.arange(size) + 1)
  start = np.maximum(border[:-1], np.arange(size))
  return _normalized(np.maximum(0, end - start))


@functools.cache
def _box(size):
  return _filter(size, np.ones(2 * _RADIUS + 1), 'symmetric')


@functools.cache
def _gauss(size):
  # As wide as OpenCV's.
  reach = round(4 * _BLUR)
  kernel = np.exp(-((np.arange(-reach, reach + 1) / _BLUR) ** 2) / 2)
  return _filter(size, kernel, 'reflect')


def _filter(size, kernel, border):
  """Returns the matrix of a filter; `border` is a mode of `np.pad`."""
  source = np.pad(np.arange(size), len(kernel) // 2, mode=border)
  matrix = np.zeros((size, size))
  for shift, weight in enumerate(kernel):
    np.add.at(matrix, (np.arange(size), source[shift : shift + size]), weight)
  return _normalized(matrix)


def _normalized(matrix):
  return np.float32(matrix / matrix.sum(axis=1, keepdims=True))
