"""Masks of objects: what their numbers mean, and how files hold them.

As in the DAVIS benchmark, a mask is 0 on the background and 1 to n on the
objects.
"""

from collections.abc import Iterable
import dataclasses
import enum
import io
import os
import pathlib
import warnings

from jaxtyping import UInt8
import numpy as np
from PIL import Image

from vidcolor import errors
from vidcolor import files

Mask = UInt8[np.ndarray, 'height width']

# Marks pixels that annotators could not assign to an object. Scores skip them.
VOID = 255

_WIDE_WHITE = 65535  # White in pictures of 16 bits.
_THRESHOLD = 128  # Of white, in a picture of black, white and greys.

# Compression changes the values of these pictures' pixels.
_LOSSY_FORMATS = ('JPEG', 'MPO', 'AVIF')

# In grey pictures, at most so many objects are solid, and at most so many are
# not. Beside more white, numbers of objects that are not solid are at most the
# third number. Pictures with other greys have soft edges.
_MAX_SOLID_NUMBERS = 64
_MAX_THIN_OBJECTS = 8
_MAX_THIN_NUMBER = 20

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


class Coding(enum.IntEnum):
  """What the values of a grey mask mean.

  One coding holds for all masks of a sequence: see `common_coding`.
  """

  EMPTY = 0  # All pixels are background.
  WHITE = 1  # Only black and white: white is one object.
  NUMBERS = 2  # Object numbers. White is void.
  SOFT = 3  # One object with soft edges.


def common_coding(paths: Iterable[str | os.PathLike]) -> Coding:
  """Returns the coding of a sequence of masks, or of one.

  It is the highest one of all masks, seen by themselves. But an object that is
  thin in one mask looks like a soft edge of the void beside it. If it is solid
  in another, all are numbers. The indices of a palette with colors are object
  numbers.

  Raises:
    UserError: A file is missing, or it is no picture.
  """
  found = [_attempt(path, _examine) for path in paths]
  highest = max((coding for coding, *_ in found), default=Coding.EMPTY)
  if all(coding != Coding.NUMBERS for coding, *_ in found):
    return highest
  greys = set().union(*(greys for _, greys, _ in found))
  solid = set().union(*(solid for _, _, solid in found))
  is_solid = greys <= solid and len(greys) <= _MAX_SOLID_NUMBERS
  return Coding.NUMBERS if is_solid else highest


def _examine(data):
  """Returns the coding of a mask, its greys, and those that fill squares."""
  with Image.open(io.BytesIO(data)) as picture:
    if picture.mode == 'P' and not _has_white(picture):
      return Coding.NUMBERS, set(), set()  # Pixels need not be decoded.
  picture = _load(data)
  coding = picture.coding()
  if coding < Coding.NUMBERS or picture.pixels.ndim == 3:
    return coding, set(), set()
  greys = set(np.unique(picture.pixels).tolist()) - {0, picture.white}
  solid = () if picture.is_lossy else _solid(picture.pixels).tolist()
  return coding, greys, set(solid)


def read(
    path: str | os.PathLike,
    *,
    one_object: bool = False,
    coding: Coding = Coding.EMPTY,
) -> Mask:
  """Reads a mask.

  Args:
    path: One of these pictures. A palette picture: its indices are the object
      numbers (255: void). A grey picture, also in RGB or with a palette of
      greys: its values are the object numbers, or only 0 and 255, which is one
      object. An RGB picture of black and one other color: that color is the one
      object.
    one_object: Whether to merge all objects, of any color, into object 1. Grey
      pictures may then have soft edges: values of at least 128 are the object.
    coding: The coding of the sequence, for grey pictures. Default: that of the
      file.

  Returns:
    The mask. It may be read-only.

  Raises:
    UserError: The file is missing, or it is no such picture.
  """
  return _attempt(
      path,
      lambda data: decode_mask(data, one_object=one_object, coding=coding),
  )


def _attempt(path, decode):
  try:
    return decode(pathlib.Path(path).read_bytes())
  except _UnfitError as error:
    raise errors.UserError(f'{path} {error}') from error
  except OSError as error:
    raise errors.UserError(
        f'cannot read the mask {path}: restore or remove it'
    ) from error


def read_drawn(path: str | os.PathLike) -> Mask:
  """Reads a mask that a person drew with any program.

  Each color but black is an object. If all colors are in `palette`, it gives
  the object numbers. Otherwise colors are numbered in the order of their red,
  then green, then blue. Transparent pixels are background. The values of a
  picture with more than 8 bits are numbered in their order if they exceed 255,
  and a warning tells how.

  A drawing program may smooth edges. A color that fills no square of two by
  two pixels counts as such an edge and becomes the nearest other color. In a
  picture of black, white and greys, each grey becomes the nearer of black and
  white.

  Args:
    path: A picture as above, or one that `read` takes.

  Returns:
    The mask. It may be read-only.

  Raises:
    UserError: As `read`, or the picture is a photograph, or it is JPEG, or it
      has more than 254 objects.
  """

  def decode(data):
    picture = _load(data)
    if picture.is_lossy:
      raise _UnfitError(_LOSSY)
    if picture.pixels.ndim == 3:
      return _numbered(picture.pixels)
    coding = picture.coding()
    if picture.pixels.dtype != np.uint8 and coding == Coding.NUMBERS:
      return _renumbered(picture.pixels, path)
    return _to_mask(picture, one_object=coding == Coding.SOFT)

  return _attempt(path, decode)


def _numbered(rgb):
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
  if not solid.any():  # All objects are thin.
    solid = colors
  is_edge = ~np.isin(colors, solid)
  if len(solid) > VOID or is_edge[indices].mean() > _MAX_EDGE_SHARE:
    raise _UnfitError(
        f'has {len(colors)} colors, as a photograph has: draw each object in'
        ' one color, and save the mask as PNG'
    )
  parts = lambda codes: (codes[:, None] >> (16, 8, 0)) & 255
  # |a - b|^2 without |a|^2, which is the same for all b.
  distance = (parts(solid) ** 2).sum(axis=1) - 2 * parts(colors) @ parts(
      solid
  ).T
  numbers = distance.argmin(axis=1) + (solid[0] != 0)
  return numbers.astype(np.uint8)[indices]


def _solid(codes):
  """Returns the values that fill a square of two by two pixels, sorted."""
  corners = codes[:-1, :-1], codes[1:, :-1], codes[:-1, 1:], codes[1:, 1:]
  is_same = np.logical_and.reduce([corners[0] == x for x in corners[1:]])
  return np.unique(corners[0][is_same])


def _renumbered(values, path):
  """Numbers the values from 1 in their order, and warns how."""
  found, indices = np.unique(values, return_inverse=True)
  objects = found[found > 0].tolist()
  if len(objects) >= VOID:
    raise _UnfitError(f'has {len(objects)} objects: keep at most {VOID - 1}')
  pairs = ', '.join(f'{n} is {value}' for n, value in enumerate(objects, 1))
  # Not in the log, which programs turn off.
  warnings.warn(f'objects in {path} are numbered anew: {pairs}', stacklevel=2)
  numbers = indices.reshape(values.shape) + (found[0] != 0)
  return numbers.astype(np.uint8)


_LOSSY = 'is a lossy picture such as JPEG, which changes numbers: save as PNG'


class _UnfitError(OSError):
  """A picture that is no mask; the text continues the name of the file."""


@dataclasses.dataclass(frozen=True)
class _Picture:
  """A decoded picture.

  Attributes:
    pixels: Palette indices or greys [height, width], with more than 8 bits only
      if a value exceeds 255; or RGB [height, width, 3] with colors.
    has_white: Whether 255 is white.
    has_greys: Whether all values are greys.
    is_lossy: Whether compression changed the values.
  """

  pixels: np.ndarray
  has_white: bool = True
  has_greys: bool = True
  is_lossy: bool = False

  def coding(self) -> Coding:
    if self.pixels.ndim == 3 or not self.has_white:
      return Coding.NUMBERS
    if self.is_lossy:
      return Coding.SOFT
    values, areas = np.unique(self.pixels, return_counts=True)
    is_number = (values > 0) & (values != self.white)
    numbers = values[is_number]
    if not len(numbers):
      return Coding(int(values[-1] > 0))
    num_thin = np.count_nonzero(~np.isin(numbers, _solid(self.pixels)))
    if not self.has_greys:
      # Soft edges of 16 bits may end below white. Most labels are solid.
      is_soft = num_thin > max(_MAX_THIN_OBJECTS, len(numbers) / 2)
      is_soft &= self.pixels.dtype != np.uint8 and values[-1] < self.white
      return Coding.SOFT if is_soft else Coding.NUMBERS
    if not num_thin and len(numbers) <= _MAX_SOLID_NUMBERS:
      return Coding.NUMBERS
    if num_thin > _MAX_THIN_OBJECTS:
      return Coding.SOFT
    has_white = values[-1] == self.white
    is_low = numbers[-1] <= _MAX_THIN_NUMBER
    if is_low and (not has_white or areas[is_number].sum() >= areas[-1]):
      return Coding.NUMBERS
    return Coding.NUMBERS if values[-1] < _THRESHOLD else Coding.SOFT

  @property
  def white(self) -> int:
    return VOID if self.pixels.dtype == np.uint8 else _WIDE_WHITE


def _load(data):
  with Image.open(io.BytesIO(data)) as picture:
    is_lossy = picture.format in _LOSSY_FORMATS
    if picture.mode == 'P':
      colors = np.array(picture.getpalette()).reshape(-1, 3)
      return _Picture(
          np.asarray(picture),
          has_white=_has_white(picture),
          has_greys=bool((colors == colors[:, :1]).all()),
      )
    if picture.mode[0] in 'IF':
      values = _whole(np.asarray(picture))
      return _Picture(values, has_greys=int(values.max()) == _WIDE_WHITE)
    if picture.mode in ('L', '1') and not picture.has_transparency_data:
      return _Picture(np.asarray(picture.convert('L')), is_lossy=is_lossy)
    rgb = np.asarray(picture.convert('RGB'))
    if picture.has_transparency_data:
      alpha = np.asarray(picture.convert('RGBA'))[..., 3:]
      rgb = np.where(alpha < 128, np.uint8(0), rgb)
  has_greys = (rgb == rgb[..., :1]).all()
  return _Picture(rgb[..., 0] if has_greys else rgb, is_lossy=is_lossy)


def _has_white(picture):
  """Returns whether the highest color of a palette is white."""
  return picture.getpalette()[-3:] == [255] * 3


def _whole(values):
  """Returns whole numbers, in 8 bits if they fit."""
  if not ((values >= 0) & (values % 1 == 0)).all():
    raise _UnfitError('has negative or fractional values: number the objects')
  return values.astype(np.uint8 if values.max() <= VOID else np.int64)


def decode_mask(
    data: bytes,
    *,
    one_object: bool = False,
    coding: Coding = Coding.EMPTY,
) -> Mask:
  """Decodes the bytes of a mask file, as `read` does.

  Raises:
    OSError: They are no such picture.
  """
  return _to_mask(_load(data), one_object, coding)


def _to_mask(picture, one_object, coding=Coding.EMPTY):
  pixels = picture.pixels
  if picture.is_lossy and (pixels.ndim == 3 or not one_object):
    raise _UnfitError(_LOSSY)
  if pixels.ndim == 3:
    if one_object:
      return (_numbered(pixels) > 0).view(np.uint8)
    if Image.fromarray(pixels).getcolors(2) is None:
      raise _UnfitError(
          'has several colors, which do not give the object numbers: write'
          ' palette masks'
      )
    return pixels.any(axis=-1).view(np.uint8)
  if not coding or not picture.has_white or picture.is_lossy:
    coding = picture.coding()
  if coding != Coding.NUMBERS:
    if not one_object and ((pixels > 0) & (pixels < picture.white)).any():
      raise _UnfitError(
          'has greys between black and white, as soft edges have, which are no'
          ' object numbers: write palette masks'
      )
    threshold = _THRESHOLD * (picture.white + 1) // 256
    return (pixels >= threshold).view(np.uint8)
  if one_object:
    return ((pixels > 0) & (pixels != picture.white)).view(np.uint8)
  if pixels.dtype != np.uint8:
    raise _UnfitError(
        f'has an object {pixels.max()}: number objects 1 to {VOID - 1}'
    )
  return without_void(pixels) if picture.has_white else pixels


def write_png(path: str | os.PathLike, mask: Mask) -> None:
  """Writes a mask as a palette PNG, as DAVIS does, in one atomic step."""
  picture = Image.fromarray(mask)
  picture.putpalette(palette().ravel().tolist())
  with files.atomic_write(path) as temporary:
    picture.save(temporary, 'PNG')
