"""Converts between sRGB and CIE Lab, and quantizes ab colours by a palette.

Lab is in true units (L in [0, 100], a and b in about [-110, 110]) with D65
white and the 2-degree observer, as in scikit-image. OpenCV's 8-bit Lab rescales
the channels and is different.
"""

import os

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, UInt8
import numpy as np

from vidcolor import errors
from vidcolor import files

# Linear sRGB to CIE XYZ (IEC 61966-2-1), rows X, Y, Z.
XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_RGB_FROM_XYZ = np.linalg.inv(XYZ_FROM_RGB)
WHITE = np.array([0.95047, 1.0, 1.08883])  # D65, 2-degree observer.
# Lab's companding is a cube root above this value and linear below it. These
# and the matrix are public for the ONNX graph.
EPSILON = (6 / 29) ** 3
SLOPE = 841 / 108


def rgb_to_lab(
    rgb: Float[Array, '*shape 3'] | UInt8[Array, '*shape 3'],
) -> Float[Array, '*shape 3']:
  """Converts sRGB to CIE Lab.

  Args:
    rgb: Colours, uint8 in [0, 255] or float in [0, 1].

  Returns:
    L in [0, 100], a and b, as float32.
  """
  # Computed channel by channel: on a CPU, XLA takes a fifth of the time.
  planes = jnp.moveaxis(rgb, -1, 0)
  if rgb.dtype == jnp.uint8:
    linear = jax.lax.platform_dependent(
        planes, default=_linear_from_bytes, cpu=_linear_from_table
    )
  else:
    linear = linear_from_srgb(planes.astype(jnp.float32))
  x, y, z = _compand(_mix(XYZ_FROM_RGB / WHITE[:, None], linear))
  lab = jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
  return jnp.moveaxis(lab, 0, -1)


def linear_from_srgb(
    srgb: Float[Array | np.ndarray, '*shape'],
) -> Float[Array, '*shape']:
  """Returns the linear intensity, 0 to 1, of sRGB values from 0 to 1."""
  return jnp.where(
      srgb > 0.04045,
      (jnp.maximum(srgb, 0.04045) / 1.055 + 0.055 / 1.055) ** 2.4,
      srgb / 12.92,
  )


def lab_to_rgb(lab: Float[Array, '*shape 3']) -> Float[Array, '*shape 3']:
  """Converts CIE Lab to sRGB in [0, 1]; colours out of gamut are clipped."""
  lightness, a, b = jnp.moveaxis(lab, -1, 0)
  y = (lightness + 16) / 116
  f = jnp.stack([y + a / 500, y, jnp.maximum(y - b / 200, 0)])
  xyz = jnp.where(f > 6 / 29, f**3, (f - 4 / 29) / SLOPE)
  linear = jnp.clip(_mix(_RGB_FROM_XYZ * WHITE, xyz), 0, 1)
  return jnp.moveaxis(_srgb_from_linear(linear), 0, -1)


def _linear_from_table(values):
  # A table of the 256 values is exact. On a CPU, it is faster than powers.
  table = jnp.asarray(linear_from_srgb(np.arange(256) / 255), jnp.float32)
  return table[values]


def _linear_from_bytes(values):
  return linear_from_srgb(values.astype(jnp.float32) / 255)


def _mix(matrix, planes):
  """Multiplies the channels of each pixel, [3, *shape], by a matrix."""
  matrix = jnp.asarray(matrix, jnp.float32)
  return jnp.tensordot(matrix, planes, 1, precision=jax.lax.Precision.HIGHEST)


def _compand(xyz):
  # The maximum avoids a NaN gradient at zero, in the unused branch of `where`.
  # On CPUs, XLA vectorizes exp and log, but not `cbrt`.
  root = jnp.exp(jnp.log(jnp.maximum(xyz, EPSILON)) / 3)
  return jnp.where(xyz > EPSILON, root, SLOPE * xyz + 4 / 29)


def _srgb_from_linear(linear):
  return jnp.where(
      linear > 0.0031308,
      1.055 * jnp.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055,
      12.92 * linear,
  )


def network_input(
    lab: Float[Array, '*shape 3'], channels: int
) -> Float[Array, '*shape {channels}']:
  """Scales Lab for a network.

  Args:
    lab: Frames in Lab.
    channels: 1 for lightness alone, 3 for lightness, a and b.

  Returns:
    Lightness in [-1, 1], then a and b scaled to vary about as much. Zeros in a
    and b are grey.
  """
  seen = [lab[..., :1] / 50 - 1, lab[..., 1:] / 25]
  return jnp.concatenate(seen, axis=-1)[..., :channels]


def quantize(
    ab: Float[Array, '*shape 2'], palette: Float[Array, 'num_colors 2']
) -> Int[Array, '*shape']:
  """Returns the index of the palette colour nearest to each colour."""
  # |ab - p|^2 without |ab|^2, which does not change the argmin.
  cross = jnp.matmul(ab, palette.T, precision=jax.lax.Precision.HIGHEST)
  norms = jnp.broadcast_to(jnp.sum(palette**2, axis=-1), cross.shape)
  return jnp.argmin(norms - 2 * cross, axis=-1)


def save_palette(
    path: str | os.PathLike[str], palette: Float[np.ndarray, 'num_colors 2']
) -> None:
  """Writes a palette to an .npy file atomically."""
  with files.atomic_write(path) as temporary:
    np.save(temporary, palette)


def load_palette(
    path: str | os.PathLike[str],
) -> Float[np.ndarray, 'num_colors 2']:
  """Reads a palette that `save_palette` wrote.

  Raises:
    UserError: The file does not exist.
  """
  try:
    return np.load(path)
  except FileNotFoundError as error:
    raise errors.UserError(
        f'no palette at {path}: run `python -m data_prep.build` on the dataset'
    ) from error
