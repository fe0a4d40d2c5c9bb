"""Prompts over time: objects, as a person marks them in several frames."""

from collections.abc import Callable, Mapping, Sequence
import functools
import json
import os
import pathlib

import numpy as np

from vidcolor import errors
from vidcolor import files
from vidcolor import masks as masks_lib
from vidcolor import prompts

_MASKS = '.png', '.bmp', '.gif', '.webp', '.tif', '.tiff'
_KINDS = 'box', 'points', 'mask'
_FORM = '[{"frame": 0, "number": 1, "box": [x0, y0, x1, y1]}, ...]'


class PromptsOverTime:
  """Prompts for objects in several frames.

  Attributes:
    name: The name in error messages, such as the flag.
    frames: The numbers of the frames with prompts, sorted.
    sources: The files or folders that the prompts are read from.
    names: The names of objects, by their numbers. Objects may have none.
  """

  def __init__(
      self,
      name: str,
      readers: Mapping[int, Callable[[], Mapping[int, prompts.ObjectPrompt]]],
      sources: Sequence[str | os.PathLike] = (),
      names: Mapping[int, str] = {},
  ):
    """Creates the prompts.

    Args:
      name: The name in error messages, such as the flag.
      readers: By the number of a frame, a function that returns the prompts
        there by the numbers of their objects, 1 to 254.
      sources: The files or folders that the prompts are read from.
      names: The names of objects, by their numbers. Objects may have none.
    """
    self.name = name
    self.names = names
    self.sources = sources
    self.frames = sorted(readers)
    self._readers = readers

  def at(self, frame: int) -> Mapping[int, prompts.ObjectPrompt]:
    """Returns the prompts of a frame by the numbers of their objects.

    Masks are read from their files.

    Raises:
      UserError: A file is missing, or it is no mask of the object.
    """
    return self._readers[frame]()


def read_prompts(path: str | os.PathLike) -> PromptsOverTime:
  """Reads prompts over time from a JSON file.

  Args:
    path: A file of the form [{"frame": 0, "number": 1, "box": [x0, y0, x1,
      y1]}, ...]. Instead of "box", an entry has "points", [[x, y, 1], [x, y,
      0]] with 1 on the object and 0 beside it; or "box" and "points", which
      correct what is found in the box; or "mask", the path of a picture, from
      the file's folder. If the picture shows several objects, the one with the
      number is taken. Objects are numbered from 1. An object begins in its
      first entry. Later entries correct it. An entry may have "name", the name
      of its object.

  Raises:
    UserError: The file has another form, or cannot be read.
  """
  name = f'--prompts={path}'
  try:
    entries = json.loads(prompts.read_text(path))
  except ValueError as error:
    raise errors.UserError(f'{name}: not JSON: {error}') from error
  if not isinstance(entries, list) or not entries:
    raise errors.UserError(f'{name}: not a list of prompts: give {_FORM}')
  folder = pathlib.Path(path).parent
  by_frame = {}
  for index, entry in enumerate(entries, 1):
    frame, number, read = _read_entry(entry, index, folder, name)
    if number in by_frame.setdefault(frame, {}):
      raise errors.UserError(
          f'{name}: two prompts for object {number} in frame {frame}: remove'
          ' one of them'
      )
    by_frame[frame][number] = read
  begun = set()
  for frame in sorted(by_frame):
    for number, read in by_frame[frame].items():
      prompt = read() if number not in begun else None
      if (
          isinstance(prompt, prompts.Clicks)
          and prompt.box is None
          and not np.any(prompts.rows_of(prompt, prompt.clicks, 3)[:, 2])
      ):
        raise errors.UserError(
            f'{prompt.name}: all clicks are beside the object, which begins'
            ' here: give one on it'
        )
    begun |= set(by_frame[frame])
  if skipped := set(range(1, max(begun))) - begun:
    raise errors.UserError(
        f'{name}: object {min(skipped)} has no prompt, and object {max(begun)}'
        ' has: number objects 1, 2, ... without gaps'
    )
  return PromptsOverTime(
      name,
      {
          frame: functools.partial(_read_all, of_frame)
          for frame, of_frame in by_frame.items()
      },
      sources=[path, *(folder / e['mask'] for e in entries if 'mask' in e)],
      names=_names(entries, name),
  )


def read_masks(
    folder: str | os.PathLike, frame_names: Sequence[str] | None
) -> PromptsOverTime:
  """Reads masks of any number of frames from a folder.

  Args:
    folder: The folder. `masks.read` reads its pictures. Objects that a mask
      does not show are not corrected in its frame.
    frame_names: The names of the frames, which masks have too, without the
      suffix. Default: their numbers, which may have leading zeros.

  Raises:
    UserError: There is no mask, one is named like no frame, two are of the same
      frame, or one cannot be read.
  """
  name = f'--masks={folder}'
  paths = files.visible(folder, _MASKS)
  if not paths:
    raise errors.UserError(f'{name}: there is no folder with pictures (.png)')
  numbers = {n: i for i, n in enumerate(frame_names or ())}
  by_frame = {}
  for path in paths:
    frame = numbers.get(path.stem)
    if frame_names is None and path.stem.isdecimal():
      frame = int(path.stem)
    if frame is None:
      form = (
          'by the number of its frame, such as 00057.png'
          if frame_names is None
          else f'as its frame, such as {frame_names[-1]}.png'
      )
      raise errors.UserError(
          f'{name}: there is no frame for {path.name}: name each mask {form}'
      )
    if frame in by_frame:
      raise errors.UserError(
          f'{name}: {by_frame[frame].name} and {path.name} are of the same'
          ' frame: remove one of them'
      )
    by_frame[frame] = path
  coding = masks_lib.common_coding(paths)
  readers = {}
  for frame, path in by_frame.items():
    read = functools.partial(_read_numbered, path, coding, name)
    if read():
      readers[frame] = read
  if not readers:
    raise errors.UserError(f'{name}: the masks mark no object')
  return PromptsOverTime(name, readers, sources=[folder])


def numbers_of(prompt: prompts.Prompt | PromptsOverTime) -> list[int]:
  """Returns the numbers of the objects or points that a prompt marks, sorted.

  Raises:
    UserError: As `PromptsOverTime.at` and `MaskPrompt.in_frame`.
  """
  if isinstance(prompt, PromptsOverTime):
    return sorted({n for frame in prompt.frames for n in prompt.at(frame)})
  if isinstance(prompt, prompts.MaskPrompt):
    size = np.shape(prompt.mask)[-2:]
    mask = prompt.in_frame(size, size)
    return [int(number) for number in np.setdiff1d(mask, 0)]
  is_box = isinstance(prompt, prompts.BoxPrompt)
  marked = prompt.corners if is_box else prompt.position
  return [n + is_box for n in range(len(np.asarray(marked)))]


def _read_all(readers):
  return {number: read() for number, read in readers.items()}


def _read_numbered(path, coding, name):
  """Returns a prompt for each object of a mask."""
  mask = masks_lib.read(path, coding=coding)
  return {
      int(number): prompts.MaskPrompt(
          (mask == number).astype(np.uint8), f'{name}: {path.name}'
      )
      for number in np.setdiff1d(mask, 0)
  }


def _names(entries, name):
  names = {}
  for entry in entries:
    given = entry.get('name')
    if given is None:
      continue
    if names.setdefault(entry['number'], given) != given:
      raise errors.UserError(
          f'{name}: object {entry["number"]} has several names: keep one'
      )
  numbers = {entry['number'] for entry in entries}
  prompts.require_names({n: names.get(n, str(n)) for n in numbers}, name)
  return names


def _read_entry(entry, index, folder, name):
  """Returns frame, number, and a function that returns the prompt."""
  name = f'{name}: prompt {index}'
  if not isinstance(entry, dict):
    raise errors.UserError(f'{name} is {json.dumps(entry)}: give {_FORM}')
  if unknown := set(entry) - {'frame', 'number', 'name', *_KINDS}:
    raise errors.UserError(
        f'{name} has an unknown key {min(unknown)!r}: give {_FORM}'
    )
  kinds = [kind for kind in _KINDS if kind in entry]
  if len(kinds) != 1 and kinds != ['box', 'points']:
    raise errors.UserError(
        f'{name} has {" and ".join(kinds) or "nothing"} to mark its object:'
        f' give one of {", ".join(_KINDS)}'
    )
  if not isinstance(entry.get('name', ''), str):
    raise errors.UserError(f'{name}: give a name in quotes')
  frame, number = (
      _whole(entry, key, low, high, name)
      for key, low, high in (('frame', 0, None), ('number', 1, 254))
  )
  name = f'{name} (frame {frame}, object {number})'
  if 'mask' not in entry:
    prompt = _box_or_clicks(entry, name)
    return frame, number, lambda: prompt
  if not isinstance(entry['mask'], str):
    raise errors.UserError(f'{name}: give the path of a mask')
  path = folder / entry['mask']
  return frame, number, functools.partial(_read_object, path, number, name)


def _box_or_clicks(entry, name):
  box = None
  if 'box' in entry:
    box = prompts.BoxPrompt([entry['box']], name)
    prompts.rows_of(box, box.corners, 4)
  if 'points' not in entry:
    return box
  prompt = prompts.Clicks(entry['points'], name, box)
  prompts.rows_of(prompt, prompt.clicks, 3)
  return prompt


def _whole(entry, key, low, high, name):
  value = entry.get(key)
  is_whole = isinstance(value, int) and not isinstance(value, bool)
  if not is_whole or value < low or (high and value > high):
    to = f' to {high}' if high else ' or more'
    raise errors.UserError(
        f'{name} has {key} {json.dumps(value)}: give a whole number, {low}{to}'
    )
  return value


def _read_object(path, number, name):
  """Returns the prompt of an object in a picture of one or of several."""
  mask = masks_lib.read_drawn(path)
  numbers = np.setdiff1d(mask, (0, masks_lib.VOID))
  if len(numbers) > 1:
    if number not in numbers:
      raise errors.UserError(
          f'{name}: {path} shows objects {", ".join(map(str, numbers))}: number'
          ' them as the prompts do'
      )
    mask = mask == number
  elif len(numbers):
    mask = mask == numbers[0]
  return prompts.MaskPrompt((mask > 0).astype(np.uint8), f'{name}: {path}')
