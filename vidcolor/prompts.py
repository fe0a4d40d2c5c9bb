"""Prompts: what to track, as a person marks it in one frame of a video.

Positions are (x, y) in pixels of the upright video, before it is shrunk. Pixel
centres have whole coordinates.
"""

from collections.abc import Iterable, Mapping, Sequence
import contextlib
import csv
import json
import os
import pathlib
import re
from typing import NamedTuple

import cv2
from jaxtyping import Bool, Float, Int, UInt8
import numpy as np
from numpy import typing as npt

from vidcolor import errors
from vidcolor import masks as masks_lib

Size = tuple[int, int]  # Height and width.

MIN_BOX_SIDE = 2  # Pixels.

_MAX_NAME = 40  # Letters.

_TABLES = '.csv', '.tsv', '.txt'


class MaskPrompt(NamedTuple):
  """A mask of one or more objects.

  Attributes:
    mask: [height width], 0 or the number of an object, 1 to 254; or only 0 and
      255 for one object; or bool [objects height width], where later objects
      cover earlier ones.
    name: The name in error messages, such as the flag.
  """

  mask: npt.ArrayLike
  name: str = 'masks'

  def in_frame(self, full_size: Size, size: Size) -> UInt8[np.ndarray, '_ _']:
    """Returns the mask of a frame that was shrunk from `full_size` to `size`.

    Raises:
      UserError: The mask has another size than the full frame, an invalid
        number, or no object; or an object is covered by others.
    """
    mask = np.asarray(self.mask)
    if mask.dtype == bool:
      stack = mask.reshape(-1, *mask.shape[-2:])
      mask = paint(list(stack), self.name, range(len(stack)))
    if mask.shape != full_size:
      raise errors.UserError(
          f'{self.name}: the mask is {_by(mask.shape)} and the frame'
          f' {_by(full_size)}: draw it on a frame of the video'
      )
    numbers = np.unique(mask)
    if numbers[0] < 0 or numbers[-1] > masks_lib.VOID or (numbers % 1).any():
      raise errors.UserError(
          f'{self.name}: the mask has numbers {numbers[0]:g} to'
          f' {numbers[-1]:g}: objects are 1 to 254, background is 0'
      )
    if numbers.tolist() == [0, masks_lib.VOID]:  # One object, in white.
      mask = mask > 0
    mask = masks_lib.without_void(mask.astype(np.uint8))
    if not mask.any():
      raise errors.UserError(f'{self.name}: the mask marks no object')
    if size != full_size:
      mask = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST)
    return mask


class PointPrompt(NamedTuple):
  """Points; or joints, which have names and limbs.

  Attributes:
    position: [points 2], (x, y).
    name: The name in error messages, such as the flag.
    names: The name of each point. May be empty.
    limbs: Pairs of point indices, to draw as a skeleton.
  """

  position: npt.ArrayLike
  name: str = 'points'
  names: tuple[str, ...] = ()
  limbs: tuple[tuple[int, int], ...] = ()

  def in_frame(
      self, full_size: Size, size: Size
  ) -> Float[np.ndarray, 'points 2']:
    """Returns the points in a frame that was shrunk from `full_size` to `size`.

    Raises:
      UserError: There are no points, or one is outside of the frame.
    """
    points = rows_of(self, self.position, 2)
    height, width = full_size
    if ((points >= 0) & (points <= 1)).all() and (points % 1).any():
      raise errors.UserError(
          f'{self.name}: all points are in the first pixel: give pixels, not'
          ' fractions of the frame'
      )
    for x, y in points:
      if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        raise errors.UserError(
            f'{self.name}: the point {x:g},{y:g} is outside of the frame, which'
            f' is {_by(full_size)}'
        )
    return _shrunk(points, full_size, size)


class BoxPrompt(NamedTuple):
  """A box around each object.

  Attributes:
    corners: [boxes 4], (x0, y0, x1, y1).
    name: The name in error messages, such as the flag.
  """

  corners: npt.ArrayLike
  name: str = 'boxes'

  def in_frame(
      self, full_size: Size, size: Size
  ) -> Float[np.ndarray, 'boxes 4']:
    """Returns the boxes in a frame that was shrunk from `full_size` to `size`.

    Raises:
      UserError: There are no boxes, or one is empty, upside down or outside of
        the frame.
    """
    boxes = rows_of(self, self.corners, 4)
    height, width = full_size
    for x0, y0, x1, y1 in boxes:
      box = f'{x0:g},{y0:g},{x1:g},{y1:g}'
      if x0 >= x1 or y0 >= y1:
        raise errors.UserError(
            f'{self.name}: the box {box} is empty or upside down: give'
            ' left,top,right,bottom'
        )
      if min(x1 - x0, y1 - y0) < MIN_BOX_SIDE:
        raise errors.UserError(
            f'{self.name}: the box {box} is less than {MIN_BOX_SIDE} pixels'
            ' wide or high: give pixels, not fractions of the frame'
        )
      if x1 <= 0 or y1 <= 0 or x0 >= width - 1 or y0 >= height - 1:
        raise errors.UserError(
            f'{self.name}: the box {box} is outside of the frame, which is'
            f' {_by(full_size)}'
        )
    corners = boxes.reshape(-1, 2).clip(0, (width - 1, height - 1))
    return _shrunk(corners, full_size, size).reshape(-1, 4)


class Clicks(NamedTuple):
  """Clicks on one object and beside it.

  Attributes:
    clicks: [clicks 3], (x, y, 1) on the object, or (x, y, 0) beside it.
    name: The name in error messages, such as the flag.
    box: A box around the object, or None. With a box, the clicks correct the
      mask that is found in it.
  """

  clicks: npt.ArrayLike
  name: str = 'clicks'
  box: BoxPrompt | None = None

  def in_frame(
      self, full_size: Size, size: Size
  ) -> Float[np.ndarray, 'clicks 3']:
    """Returns the clicks in a frame that was shrunk from `full_size` to `size`.

    Raises:
      UserError: There are no clicks, one is outside of the frame, the last
        number of one is not 0 or 1, or the box is not valid.
    """
    if self.box is not None:
      self.box.in_frame(full_size, size)
    clicks = rows_of(self, self.clicks, 3)
    if not np.isin(clicks[:, 2], (0, 1)).all():
      raise errors.UserError(
          f'{self.name}: give x, y and 1 for a click on the object, or x, y and'
          ' 0 for one beside it'
      )
    points = PointPrompt(clicks[:, :2], self.name).in_frame(full_size, size)
    return np.column_stack([points, clicks[:, 2]])


Prompt = MaskPrompt | PointPrompt | BoxPrompt
ObjectPrompt = MaskPrompt | BoxPrompt | Clicks  # Of one object.


def paint(
    objects: Sequence[Bool[np.ndarray, 'height width']],
    name: str,
    order: Iterable[int],
    numbers: Sequence[int] | None = None,
) -> Int[np.ndarray, 'height width']:
  """Merges masks of single objects, which may overlap, into one mask.

  Args:
    objects: The mask of each object. The objects get the numbers 1, 2, ...
    name: The name of the objects in error messages.
    order: Indices of the objects, from the bottom to the top.
    numbers: The numbers of the objects in error messages. Default: 1, 2, ...

  Raises:
    UserError: There are more than 254 objects, or one is empty or covered.
  """
  if len(objects) >= masks_lib.VOID:
    raise errors.UserError(
        f'{name}: there are {len(objects)} objects: give at most 254'
    )
  mask = np.zeros(objects[0].shape, int)
  for index in order:
    mask[objects[index]] = index + 1
  missing = np.setdiff1d(np.arange(len(objects)) + 1, mask)
  if len(missing):
    number = missing[0] if numbers is None else numbers[missing[0] - 1]
    raise errors.UserError(
        f'{name}: object {number} has no pixel, or other objects cover it:'
        ' remove it, or make the objects overlap less'
    )
  return mask


def require_names(names: Mapping[int, str], name: str) -> None:
  """Checks names of objects or points.

  Args:
    names: The name of each number. One without a name is called by its number.
    name: The name of the names in error messages.

  Raises:
    UserError: A name is empty, too long or not printable, or two have the same.
  """
  every = list(names.values())
  for given in every:
    if not (0 < len(given) <= _MAX_NAME and given.isprintable()):
      raise errors.UserError(
          f'{name}: {given!r} is no name: give 1 to {_MAX_NAME} letters'
      )
    if every.count(given) > 1:
      raise errors.UserError(
          f'{name}: {given!r} is the name of several: give each its own'
      )


def read_mask(path: str | os.PathLike) -> MaskPrompt:
  """Reads a mask of any number of objects: see `masks.read_drawn`."""
  return MaskPrompt(masks_lib.read_drawn(path), f'--mask={path}')


def read_points(text: str) -> PointPrompt:
  """Reads points.

  Args:
    text: 'x,y;x,y'; or the path of a table, whose suffix is one of `_TABLES`.
      Commas, semicolons, tabs or spaces separate its columns. Titles x, y and,
      if points have names, name say which column is which. Without titles, the
      first column of numbers is x and the second y, no other column has
      numbers, and a column of text holds the names.

  Raises:
    UserError: The text or the file has another form, or cannot be read.
  """
  name = f'--points={text}'
  if not text.lower().endswith(_TABLES):
    return PointPrompt(
        _numbers(text, name, 'x,y;x,y or a file points.csv'), name
    )
  rows = _read_table(text, name)
  # A line of titles holds no number.
  if rows and not any(map(_is_number, rows[0])):
    titles = [cell.lower() for cell in rows.pop(0)]
    columns = _titled_columns(titles, rows, name)
  else:
    columns = _untitled_columns(rows, name)
  try:
    points = [[float(row[column]) for column in columns[:2]] for row in rows]
    names = tuple(row[column] for row in rows for column in columns[2:])
  except (ValueError, IndexError) as error:
    raise errors.UserError(
        f'{name}: a line does not hold the numbers x and y'
    ) from error
  if len(set(names)) < len(names):
    again = next(name for name in names if names.count(name) > 1)
    raise errors.UserError(
        f'{name}: several points are called {again}: give each its own name'
    )
  return PointPrompt(points, name, names)


def read_boxes(text: str) -> BoxPrompt:
  """Reads boxes from the text 'x0,y0,x1,y1;...'.

  Raises:
    UserError: The text has another form.
  """
  name = f'--boxes={text}'
  return BoxPrompt(_numbers(text, name, 'left,top,right,bottom;...'), name)


def read_pose(path: str | os.PathLike) -> PointPrompt:
  """Reads joints from a JSON file.

  Args:
    path: A file of the form {"joints": {NAME: [x, y], ...}, "limbs": [[NAME,
      NAME], ...]}. Limbs may be missing.

  Raises:
    UserError: The file has another form, or cannot be read.
  """
  name = f'--pose={path}'
  form = '{"joints": {"neck": [x, y], ...}, "limbs": [["neck", "hip"], ...]}'
  try:
    content = json.loads(read_text(path))
    joints = content['joints']
    numbers = {joint: number for number, joint in enumerate(joints)}
    limbs = tuple(
        (numbers[first], numbers[second])
        for first, second in content.get('limbs', ())
    )
    position = [[float(x), float(y)] for x, y in joints.values()]
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise errors.UserError(f'{name}: not of the form {form}') from error
  return PointPrompt(position, name, tuple(numbers), limbs)


def read_text(path: str | os.PathLike) -> str:
  """Returns the text of a file, without a byte order mark.

  Raises:
    UserError: The file cannot be read, or it is not text.
  """
  try:
    return pathlib.Path(path).read_text(encoding='utf-8-sig')
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, 'strerror', None) or 'it is not text'
    raise errors.UserError(f'cannot read {path}: {reason}') from error


def rows_of(
    prompt: PointPrompt | BoxPrompt | Clicks, values: npt.ArrayLike, length: int
) -> Float[np.ndarray, 'rows length']:
  """Returns the values of a prompt as a finite array.

  Raises:
    UserError: There are none, or a row has not `length` numbers.
  """
  with contextlib.suppress(ValueError, TypeError):
    rows = np.asarray(values, np.float32)
    if len(rows) and rows.shape[1:] == (length,) and np.isfinite(rows).all():
      return rows
  raise errors.UserError(
      f'{prompt.name}: give {length} numbers for each, and at least one of them'
  )


def _read_table(path, name):
  """Returns the rows of a table that hold anything, as stripped cells."""
  lines = [
      line for line in read_text(path).lstrip('# ').splitlines() if line.strip()
  ]
  separator = next((mark for mark in '\t;,' if lines and mark in lines[0]), '')
  try:
    rows = (
        csv.reader(lines, delimiter=separator)
        if separator
        else map(str.split, lines)  # Spaces may pad the columns.
    )
    rows = [[cell.strip() for cell in row] for row in rows]
  except csv.Error as error:
    raise errors.UserError(f'{name}: not a CSV file ({error})') from error
  if separator in ('\t', ';'):  # Numbers may have a decimal comma.
    rows = [
        [re.sub(r'^([-+]?\d*),(\d+)$', r'\1.\2', cell) for cell in row]
        for row in rows
    ]
  return [row for row in rows if any(row)]


def _titled_columns(titles, rows, name):
  """Returns the indices of the columns x and y, and name if there is one."""
  if not {'x', 'y'} <= set(titles):
    raise errors.UserError(f'{name}: no columns are called x and y')
  if 'frame' in titles:
    column = titles.index('frame')
    if len({row[column] for row in rows if len(row) > column}) > 1:
      raise errors.UserError(
          f'{name}: the points are of several frames: keep those of one, and'
          ' say which by --query_frame'
      )
  return [
      titles.index(title) for title in ('x', 'y', 'name') if title in titles
  ]


def _untitled_columns(rows, name):
  """Returns the indices of the columns x and y, and name if there is one."""
  first = rows[0] if rows else ['0', '0']
  numbers = [index for index, cell in enumerate(first) if _is_number(cell)]
  if len(numbers) != 2:
    raise errors.UserError(
        f'{name}: there is not one column of x and one of y: say in a first'
        ' line of titles, such as id,x,y, which they are'
    )
  text = [index for index, cell in enumerate(first) if not _is_number(cell)]
  return numbers + [index for index in text if first[index]][:1]


def _numbers(text, name, form):
  try:
    return [
        [float(cell) for cell in part.split(',')]
        for part in text.split(';')
        if part.strip()
    ]
  except ValueError as error:
    raise errors.UserError(f'{name}: give {form}') from error


def _is_number(text):
  try:
    float(text)
  except ValueError:
    return False
  return True


def _shrunk(points, full_size, size):
  scale = np.divide(size, full_size)[::-1]
  return ((points + 0.5) * scale - 0.5).astype(np.float32)


def _by(size):
  return ' x '.join(str(side) for side in size[::-1])
