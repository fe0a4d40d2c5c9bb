"""Converts masks and points to soft label maps and back."""

import functools

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, UInt8
import numpy as np

# The label of a point is a Gaussian. These are its standard deviation, and the
# distance from the peak of a copied label within which the point is located,
# both in cells. Measured by delta-average (TAP-Vid) in rendered clips of 24 and
# 60 frames at stride 4: 0.62 and 0.53; with 0.5 cells and the mean of the best
# 3, as in earlier work, 0.58 and 0.51; with a new Gaussian drawn in each frame,
# 0.60 and 0.47.
_SIGMA = 0.75
_REACH = 3
# The confidence is 0.5 if this share of the label is found around its peak. The
# share separates visible from hidden points with an area under the ROC curve of
# 0.87; the value of the peak has 0.82; whether tracking back returns to the
# point in the first frame has 0.75, in the previous frame 0.68. In the clips of
# 60 frames, 8% of the points are hidden: average Jaccard is 0.41, against 0.39
# if all points count as visible; occlusion accuracy is 0.90, against 0.92.
_HALF_SURE = 0.1


def from_mask(
    mask: UInt8[Array, 'height width'], num_labels: int
) -> Float[Array, 'height width num_labels']:
  """Returns one-hot labels. The background, 0, is a label too."""
  return jax.nn.one_hot(mask, num_labels)


@functools.partial(jax.jit, static_argnames=('height', 'width', 'stretch'))
def to_mask(
    labels: Float[Array, 'rows columns num_labels'],
    height: int,
    width: int,
    *,
    stretch: bool = False,
) -> UInt8[Array, 'height width']:
  """Returns the most likely label of each pixel.

  The labels are interpolated bilinearly.

  Args:
    labels: Copied labels.
    height: Height of the frame in pixels.
    width: Width of the frame in pixels.
    stretch: Whether each label is first stretched over the frame, so that its
      minimum is 0 and its maximum is 1.
  """
  shape = (height, width, labels.shape[-1])
  labels = jax.image.resize(labels, shape, 'bilinear')
  if stretch:
    low = labels.min((0, 1), keepdims=True)
    high = labels.max((0, 1), keepdims=True)
    labels = (labels - low) / jnp.maximum(high - low, 1e-12)
  return labels.argmax(axis=-1).astype(jnp.uint8)


@functools.partial(jax.jit, static_argnums=(1, 2))
def from_points(
    position: Float[Array | np.ndarray, 'points 2'],
    size: tuple[int, int],
    grid: tuple[int, int],
) -> Float[Array, 'rows columns points']:
  """Returns a Gaussian around each point. The sum of each Gaussian is 1.

  Args:
    position: Positions (x, y) in pixels. Points outside the frame are moved to
      its border.
    size: Height and width of the frame in pixels.
    grid: Number of rows and columns of the labels.
  """
  x, y = position.T
  y, x = _gaussian(y, size[0], grid[0]), _gaussian(x, size[1], grid[1])
  return y[:, None] * x[None]


@functools.partial(jax.jit, static_argnums=1)
def to_points(
    labels: Float[Array, 'rows columns points'], size: tuple[int, int]
) -> tuple[Float[Array, 'points 2'], Float[Array, ' points']]:
  """Finds each point around the peak of its label, to a fraction of a cell.

  Args:
    labels: Labels of `from_points`, copied to another frame.
    size: Height and width of the frame in pixels.

  Returns:
    The positions (x, y) in pixels, NaN where the label is 0 everywhere; and the
    confidence, 0 to 1.
  """
  rows, columns, _ = labels.shape
  peak = labels.reshape(rows * columns, -1).argmax(axis=0)
  y, near_y = _window(peak // columns, rows)
  x, near_x = _window(peak % columns, columns)
  add_up = lambda y, x: jnp.einsum('rcp,rp,cp->p', labels, y, x)
  share = add_up(near_y, near_x)
  y, x = add_up(near_y * y, near_x) / share, add_up(near_y, near_x * x) / share
  y, x = (y + 0.5) * size[0] / rows - 0.5, (x + 0.5) * size[1] / columns - 0.5
  return jnp.stack([x, y], axis=-1), share / (share + _HALF_SURE)


def _gaussian(pixel, num_pixels, num_cells):
  cell = (pixel + 0.5) * num_cells / num_pixels - 0.5
  distance = jnp.arange(num_cells)[:, None] - cell.clip(0, num_cells - 1)[None]
  return jax.nn.softmax(-(distance**2) / (2 * _SIGMA**2), axis=0)


def _window(centre, num_cells):
  """Returns cell indices, and whether each is within reach [cells, points]."""
  cell = jnp.arange(num_cells)[:, None]
  return cell, jnp.abs(cell - centre[None]) <= _REACH
