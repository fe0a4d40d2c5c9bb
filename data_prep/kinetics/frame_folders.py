"""Videos that are stored as folders of frames, one picture a frame.

The pictures have numbers, as in img_00001.jpg or frame000001.jpg, and nothing
in them tells how many a second there were. Such a folder may also hold pictures
that are no frames: optical flow, depth or masks.
"""

from collections.abc import Iterator
import fractions
import os
import re
from typing import NamedTuple

import av
import cv2
import fsspec
import numpy as np
from PIL import Image

from vidcolor import errors
from vidcolor import files
from vidcolor.data import images

_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')
_NUMBERED = re.compile(r'(?P<before>.*?)(?P<number>\d+)(?P<after>\D*)')
# Matches folders such as tvl1_flow and flow_x; x_00001.jpg is flow too.
_FLOW = r'((optical|tvl1|warped)[-_]?)?flows?([-_]?(x|y|u|v|frames?|images?))?'
_FLOW_FOLDER = re.compile(_FLOW, re.IGNORECASE)
_FLOW_PICTURE = re.compile(f'({_FLOW}|[xyuv])[-_]*', re.IGNORECASE)


class Picture(NamedTuple):
  """What the name of a picture says.

  Attributes:
    series: The name with * in place of its number, such as img_*.jpg.
    number: The number. It orders the pictures of a series.
    is_flow: Whether the picture shows optical flow.
  """

  series: str
  number: int
  is_flow: bool


def parse(name: str) -> Picture | None:
  """Parses the path of a file. Returns None unless it is a numbered picture."""
  folders, file = os.path.split(name)
  stem, suffix = os.path.splitext(file)
  match = _NUMBERED.fullmatch(stem)
  if match is None or suffix.lower() not in _SUFFIXES:
    return None
  is_flow = _FLOW_PICTURE.fullmatch(match['before']) or any(
      map(_FLOW_FOLDER.fullmatch, folders.split('/'))
  )
  series = f'{match["before"]}*{match["after"]}{suffix.lower()}'
  return Picture(series, int(match['number']), bool(is_flow))


def decode_frames(
    path: str, frames_per_second: float
) -> Iterator[av.VideoFrame]:
  """Yields the frames of a folder, as `decoding.decode_frames` does.

  The frames are the one series of pictures in colour. Frames follow one another
  in the order of their numbers, whether or not numbers are missing.

  Args:
    path: The folder, or its URL.
    frames_per_second: The rate at which the frames were taken.

  Raises:
    UserError: (while iterating) There is no such series or more than one, or a
      picture cannot be read or has another size than the first.
  """
  system, folder = fsspec.url_to_fs(path)
  rate = fractions.Fraction(frames_per_second).limit_denominator(1001)
  first = None
  for index, picture in enumerate(_find_frames(system, folder, path)):
    rgb = _read(system, picture)
    first = rgb if first is None else first
    if rgb.shape != first.shape:
      size, other = ('{1} x {0}'.format(*x.shape) for x in (rgb, first))
      raise errors.UserError(
          f'{picture} has {size} pixels, but the frames before it {other}'
      )
    frame = av.VideoFrame.from_ndarray(rgb, 'rgb24')
    frame.pts, frame.duration, frame.time_base = index, 1, 1 / rate
    yield frame


def _find_frames(system, folder, path):
  """Returns the paths of a folder's frames in their order."""
  series = {}
  for picture in system.ls(folder, detail=False):
    name = os.path.basename(picture)
    parsed = parse(name)
    if parsed and not parsed.is_flow and files.is_visible(name):
      numbered = series.setdefault(parsed.series, [])
      numbered.append((parsed.number, picture))
  first = {name: min(numbered)[1] for name, numbered in series.items()}
  in_color = [
      name for name in sorted(series) if _has_color(system, first[name])
  ]
  if not in_color:
    raise errors.UserError(
        f'{path} holds no frames: its pictures have one channel or a palette,'
        ' as masks, depth and flow have'
    )
  if len(in_color) > 1:
    raise errors.UserError(
        f'{path} holds several series of pictures ({", ".join(in_color)}): give'
        ' each a folder of its own'
    )
  return [picture for _, picture in sorted(series[in_color[0]])]


def _has_color(system, path):
  try:
    with system.open(path, 'rb') as file, Image.open(file) as picture:
      return len(picture.getbands()) > 2
  except FileNotFoundError:
    raise
  except (OSError, SyntaxError, ValueError) as error:
    raise _unreadable(path) from error


def _read(system, path) -> np.ndarray:
  try:
    return images.decode(system.cat_file(path))
  except FileNotFoundError:
    raise
  except (OSError, cv2.error) as error:
    raise _unreadable(path) from error


def _unreadable(path):
  return errors.UserError(f'cannot read the picture {path}')
