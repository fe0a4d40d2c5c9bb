"""Masks of objects: what their numbers mean, and how files hold them.

As in the DAVIS benchmark, a mask is 0 on the background and 1 to n on the
objects.
"""

import contextlib
import io
import os
import pathlib

from jaxtyping import UInt8
import numpy as np
from PIL import Image

from vidcolor import errors
from vidcolor import files

Mask = UInt8[np.ndarray, 'height width']

# Marks pixels that annotators could not assign to an object. Scores skip them.
VOID = 255

# A drawn mask has at most this share of its pixels in smooth edges. A picture
# with more is a photograph.
_MAX_EDGE_SHARE = 0.1


def without_void(mask: Mask) -> Mask:
  """Returns the mask with background in place of void (255)."""
  if mask.max(initial=0) < VOID:  # Hardly any mask has void. Saves a copy.
    return mask
  return np.where(mask == VOID, np.uint8(0), mask)


def palette() -> UInt8[np.ndarray, '256 3']:
  """Returns the RGB color of each object number, as in PASCAL VOC and DAVIS.

  Bits 0, 3 and 6 of a number become the highest bits of red, bits 1, 4 and 7
  those of green, bits 2 and 5 those of blue. So close numbers get distant
  colors.
  """
  numbers = np.arange(256)[:, None]
  colors = np.zeros((256, 3), int)
  for bit in range(8):
    colors |= (numbers >> np.arange(3) & 1) << (7 - bit)
    numbers = numbers >> 3
  return colors.astype(np.uint8)


def read(path: str | os.PathLike, *, one_object: bool = False) -> Mask:
  """Reads a mask.

  Args:
    path: One of these pictures. A palette picture: its indices are the object
      numbers (255: void). A grey picture: its values are the object numbers,
      or only 0 and 255, which is one object. An RGB picture of black and one
      other color: that color is the one object.
    one_object: Whether to merge all objects, of any color, into object 1.

  Returns:
    The mask. It may be read-only.

  Raises:
    UserError: The file is missing, or it is no such picture.
  """
  try:
    return decode_mask(pathlib.Path(path).read_bytes(), one_object=one_object)
  except _SeveralColorsError as error:
    raise errors.UserError(
        f'{path} has several colors, which do not give the object numbers:'
        ' write palette masks'
    ) from error
  except OSError as error:
    raise errors.UserError(
        f'cannot read the mask {path}: restore or remove it'
    ) from error


def read_drawn(path: str | os.PathLike) -> Mask:
  """Reads a mask that a person drew with any program.

  Each color but black is an object. If all colors are in `palette`, it gives
  the object numbers. Otherwise colors are numbered in the order of their red,
  then green, then blue. Transparent pixels are background.

  A drawing program may smooth edges. A color that fills no square of two by
  two pixels counts as such an edge and becomes the nearest other color. In a
  picture of black, white and greys, each grey becomes the nearer of black and
  white.

  Args:
    path: A picture as above, or one that `read` takes.

  Returns:
    The mask. It may be read-only.

  Raises:
    UserError: As `read`, or the picture is a photograph.
  """
  with contextlib.suppress(OSError), Image.open(path) as picture:
    if picture.mode in ('RGB', 'RGBA', 'L', 'LA'):
      rgb = np.asarray(picture.convert('RGB'))
      if picture.has_transparency_data:
        alpha = np.asarray(picture.convert('RGBA'))[..., 3:]
        rgb = np.where(alpha < 128, np.uint8(0), rgb)
      if (rgb != rgb[..., :1]).any():
        return _numbered(rgb, path)
      grey = rgb[..., 0]
      is_smooth = ((grey >= 128) & (grey < VOID)).any() and grey.max() == VOID
      if is_smooth or picture.has_transparency_data:
        return (grey >= 128).view(np.uint8)
  return read(path)


def _numbered(rgb, path):
  """Returns the number of each pixel's color; black is 0."""
  code = lambda colors: colors.astype(int) @ (1 << 16, 1 << 8, 1)
  codes = code(rgb)
  colors, indices = np.unique(codes, return_inverse=True)
  indices = indices.reshape(codes.shape)
  known = code(palette()[:VOID])
  if np.isin(colors, known).all():
    order = np.argsort(known)
    numbers = order[np.searchsorted(known, colors, sorter=order)]
    return numbers.astype(np.uint8)[indices]
  solid = _solid(codes)
  is_edge = ~np.isin(colors, solid)
  if len(solid) > VOID or is_edge[indices].mean() > _MAX_EDGE_SHARE:
    raise errors.UserError(
        f'{path} has {len(colors)} colors, as a photograph has: draw each'
        ' object in one color, and save the mask as PNG'
    )
  parts = lambda codes: (codes[:, None] >> (16, 8, 0)) & 255
  # |a - b|^2 without |a|^2, which is the same for all b.
  distance = (parts(solid) ** 2).sum(axis=1) - 2 * parts(colors) @ parts(
      solid
  ).T
  numbers = distance.argmin(axis=1) + (solid[0] != 0)
  return numbers.astype(np.uint8)[indices]


def _solid(codes):
  """Returns the colors that fill a square of two by two pixels, sorted."""
  corners = codes[:-1, :-1], codes[1:, :-1], codes[:-1, 1:], codes[1:, 1:]
  is_same = np.logical_and.reduce([corners[0] == x for x in corners[1:]])
  return np.unique(corners[0][is_same])


class _SeveralColorsError(OSError):
  """Several colors, where only object numbers or one color are valid."""


def decode_mask(data: bytes, *, one_object: bool = False) -> Mask:
  """Decodes the bytes of a mask file, as `read` does.

  Raises:
    OSError: They are no such picture.
  """
  with Image.open(io.BytesIO(data)) as picture:
    if picture.mode not in ('P', 'L', '1'):
      picture = picture.convert('RGB')
      if not one_object and picture.getcolors(2) is None:
        raise _SeveralColorsError
    if picture.mode not in ('P', 'L'):
      picture = picture.convert('L').point(bool)
    mask = np.asarray(picture)
    if mask.max() == VOID and _is_grey(picture):
      numbered = without_void(mask)
      mask = numbered if numbered.any() else (mask > 0).view(np.uint8)
  return (without_void(mask) > 0).view(np.uint8) if one_object else mask


def _is_grey(picture):
  """Returns whether the picture, or its palette, is grey."""
  return picture.mode == 'L' or picture.getpalette()[-3:] == [255] * 3


def write_png(path: str | os.PathLike, mask: Mask) -> None:
  """Writes a mask as a palette PNG, as DAVIS does, in one atomic step."""
  picture = Image.fromarray(mask)
  picture.putpalette(palette().ravel().tolist())
  with files.atomic_write(path) as temporary:
    picture.save(temporary, 'PNG')
