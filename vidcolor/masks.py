"""Masks of objects: what their numbers mean, and their files.

A mask is 0 where there is background and 1 to n on the objects, as in the
DAVIS benchmark.
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

# Pillow's PILLOW_BLOCKS_MAX: pictures get used memory again. Fresh pages are a
# sixth of the time that scoring takes.
Image.core.set_blocks_max(8)

Mask = UInt8[np.ndarray, 'height width']

# What annotators could not tell apart.
VOID = 255

# Of a drawn mask, in smooth edges; else it is no mask but a photograph.
_MOST_EDGE = 0.1


def without_void(mask: Mask) -> Mask:
  """The mask with background where nobody could tell."""
  if mask.max(initial=0) < VOID:  # As hardly any mask has void: saves a copy.
    return mask
  return np.where(mask == VOID, np.uint8(0), mask)


def palette() -> UInt8[np.ndarray, '256 3']:
  """RGB colours of objects by number, as in PASCAL VOC and DAVIS.

  Bits 0, 3, 6 of a number become the highest bits of its red, bits 1, 4, 7 of
  its green and bits 2, 5 of its blue, so close numbers get distant colours.
  """
  numbers = np.arange(256)[:, None]
  colours = np.zeros((256, 3), int)
  for bit in range(8):
    colours |= (numbers >> np.arange(3) & 1) << (7 - bit)
    numbers = numbers >> 3
  return colours.astype(np.uint8)


def read(path: str | os.PathLike, *, one_object: bool = False) -> Mask:
  """Reads a mask.

  Args:
    path: A palette picture, whose indices are the objects (255: void); or a
      grey one of the objects' numbers, or of 0 and 255 for one object; or one
      where all that is not black, and of one colour, is the object.
    one_object: Whether to make one object of all, of any colours.

  Returns:
    The mask, which may be read-only.

  Raises:
    UserError: the file is missing or no such picture.
  """
  try:
    return decode(pathlib.Path(path).read_bytes(), one_object=one_object)
  except _ColoursError as error:
    raise errors.UserError(
        f'{path} has objects of several colours, which tell no numbers: write'
        ' palette masks'
    ) from error
  except OSError as error:
    raise errors.UserError(
        f'cannot read the mask {path}: restore or remove it'
    ) from error


def read_drawn(path: str | os.PathLike) -> Mask:
  """Reads a mask that a person drew, with any program.

  Args:
    path: What `read` takes; or a picture where each colour but black is an
      object: if all are of `palette`, with the numbers there, else numbered in
      the order of red, green and blue. What is transparent is background.
      Smooth edges belong to what is nearest to them: colours that nowhere fill
      two by two pixels, and the greys between black and white.

  Returns:
    The mask, which may be read-only.

  Raises:
    UserError: as `read`, or it has colours as a photograph has.
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
  """The number of each pixel's colour; 0 of black."""
  code = lambda colours: colours.astype(int) @ (1 << 16, 1 << 8, 1)
  codes = code(rgb)
  colours, indices = np.unique(codes, return_inverse=True)
  indices = indices.reshape(codes.shape)
  known = code(palette()[:VOID])
  if np.isin(colours, known).all():
    order = np.argsort(known)
    numbers = order[np.searchsorted(known, colours, sorter=order)]
    return numbers.astype(np.uint8)[indices]
  solid = _solid(codes)
  is_edge = ~np.isin(colours, solid)
  if len(solid) > VOID or is_edge[indices].mean() > _MOST_EDGE:
    raise errors.UserError(
        f'{path} has {len(colours)} colours: draw an object in one, and save it'
        ' as PNG'
    )
  parts = lambda codes: (codes[:, None] >> (16, 8, 0)) & 255
  # |a - b|^2 without |a|^2, which is the same for all b.
  distance = (parts(solid) ** 2).sum(axis=1) - 2 * parts(colours) @ parts(
      solid
  ).T
  numbers = distance.argmin(axis=1) + (solid[0] != 0)
  return numbers.astype(np.uint8)[indices]


def _solid(codes):
  """The colours that somewhere fill two by two pixels, in their order."""
  corners = codes[:-1, :-1], codes[1:, :-1], codes[:-1, 1:], codes[1:, 1:]
  is_same = np.logical_and.reduce([corners[0] == x for x in corners[1:]])
  return np.unique(corners[0][is_same])


class _ColoursError(OSError):
  """Several colours, where numbers of objects are wanted."""


def decode(data: bytes, *, one_object: bool = False) -> Mask:
  """Decodes a picture as `read` does.

  Raises:
    OSError: it is none.
  """
  with Image.open(io.BytesIO(data)) as picture:
    if picture.mode not in ('P', 'L', '1'):
      picture = picture.convert('RGB')
      if not one_object and picture.getcolors(2) is None:
        raise _ColoursError
    if picture.mode not in ('P', 'L'):
      picture = picture.convert('L').point(bool)
    mask = np.asarray(picture)
    if mask.max() == VOID and _is_grey(picture):
      numbered = without_void(mask)
      mask = numbered if numbered.any() else (mask > 0).view(np.uint8)
  return (without_void(mask) > 0).view(np.uint8) if one_object else mask


def _is_grey(picture):
  """Whether it is a grey picture, or one written with a palette of greys."""
  return picture.mode == 'L' or picture.getpalette()[-3:] == [255] * 3


def write(path: str | os.PathLike, mask: Mask) -> None:
  """Writes a palette PNG, as DAVIS has them; it is there only once complete."""
  picture = Image.fromarray(mask)
  picture.putpalette(palette().ravel().tolist())
  with files.atomic_write(path) as temporary:
    picture.save(temporary, 'PNG')
