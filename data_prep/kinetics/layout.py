"""Finds the clips of Kinetics in a folder, in whichever layout it came.

Those in use: all videos in one folder; in folders of the splits, as in the
tarballs of the Common Visual Data Foundation, with replacements of corrupted
files beside them; and in folders of the classes. Videos are named
ID_START_END, with times in seconds, or ID.
"""

from collections.abc import Sequence
import csv
import glob
import os
import pathlib
import re
from typing import Any

import fsspec

from data_prep import shards
from vidcolor import errors

_SUFFIXES = (
    '.mp4', '.mkv', '.webm', '.avi', '.mov', '.m4v', '.mpg', '.mpeg', '.flv',
    '.wmv', '.3gp', '.ts', '.ogv',
)  # fmt: skip
# Folders and columns name splits in these ways; TFDS in one.
_SPLITS = {
    'train': 'train',
    'val': 'validation',
    'validate': 'validation',
    'validation': 'validation',
    'test': 'test',
}
_COLUMNS = ('youtube_id', 'time_start', 'time_end', 'split')

Clips = dict[str, list[shards.ClipSpec]]


def find_clips(
    root: str, annotations: Sequence[str | os.PathLike]
) -> tuple[Clips, list[shards.Fault]]:
  """Returns the clips of each split, and what is left out.

  Args:
    root: Folder of videos, at any depth, or the URL of one.
    annotations: The official CSV files, which give clips, labels and splits.
      Without, all videos are clips, of the split and label that their folders
      say; for training, if these say none.

  Raises:
    UserError: there are no videos, or an annotation cannot be read.
  """
  videos, faults = _without_replaced(_find_videos(root))
  if not videos:
    raise errors.UserError(
        f'no videos in {root}: no file there ends in {", ".join(_SUFFIXES)}'
    )
  if annotations:
    rows = [row for path in annotations for row in _read_annotations(path)]
    clips, unmatched = _match(rows, root, videos)
    return clips, [*faults, *unmatched]
  clips: Clips = {}
  for path, named in videos.items():
    clips.setdefault(_split(named), []).append(_clip(root, path, _label(named)))
  return clips, faults


def _find_videos(root):
  if '://' in root:
    system, folder = fsspec.url_to_fs(root)
    names = [path[len(folder) :].strip('/') for path in system.find(folder)]
  else:
    names = glob.glob('**', root_dir=root, recursive=True)
  return sorted(
      name for name in names if os.path.splitext(name)[1].lower() in _SUFFIXES
  )


def _without_replaced(paths):
  """Returns videos and whose folders they stand for, and those replaced."""
  replacements = {_key(p): p for p in paths if _replaces(p)}
  videos, faults = {}, []
  for path in paths:
    replacement = replacements.get(_key(path))
    if replacement in (None, path):
      videos.setdefault(path, path)
    else:
      videos[replacement] = path
      reason = f'replaced by {replacement}'
      faults.append(shards.Fault(_split(path), path, reason))
  return videos, faults


def _replaces(path):
  return any(p.startswith('replacement') for p in pathlib.Path(path).parts[:-1])


def _key(path):
  """What a clip is identified by, however its times are written."""
  stem = pathlib.Path(path).stem
  match = re.fullmatch(r'(.+)_(\d+)_(\d+)', stem)
  if match is None:
    return stem
  return match[1], int(match[2]), int(match[3])


def _split(path):
  folders = pathlib.Path(path).parts[:-1]
  return next((_SPLITS[f] for f in folders if f in _SPLITS), 'train')


def _label(path):
  folder = pathlib.Path(path).parent.name
  return '' if folder in _SPLITS or _replaces(path) else folder


def _clip(root, path, label) -> dict[str, Any]:
  return {'name': path, 'label': label, 'path': f'{root.rstrip("/")}/{path}'}


def _read_annotations(path):
  try:
    with open(path, newline='') as file:
      rows = list(csv.DictReader(file))
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or error
    raise errors.UserError(f'cannot read {path}: {reason}') from error
  absent = [column for column in _COLUMNS if rows and column not in rows[0]]
  if absent or not rows:
    raise errors.UserError(
        f'{path} is not a Kinetics CSV: it has no {", ".join(absent) or "rows"}'
    )
  return rows


def _match(rows, root, videos):
  """Pairs annotations with videos; either may lack the other."""
  by_key = {_key(path): path for path in videos}
  clips: Clips = {}
  faults = []
  unused = set(videos)
  for row in rows:
    split = _SPLITS.get(row['split'], row['split'])
    key = row['youtube_id'], *_times(row)
    path = by_key.get(key) or by_key.get(row['youtube_id'])
    if path is None:
      name = '{}_{:06d}_{:06d}'.format(*key)
      faults.append(shards.Fault(split, name, f'no video in {root}'))
    elif path in unused:
      unused.remove(path)
      # The CSV of the test split has no labels.
      clip = _clip(root, path, row.get('label') or '')
      clips.setdefault(split, []).append(clip)
  if not clips:
    raise errors.UserError(f'no videos in {root} are in the annotations')
  faults += [
      shards.Fault(_split(path), path, 'not in the annotations')
      for path in unused
  ]
  return clips, faults


def _times(row):
  try:
    return int(float(row['time_start'])), int(float(row['time_end']))
  except (TypeError, ValueError):
    raise errors.UserError(
        f'the annotations of {row["youtube_id"]} lack a time in seconds'
    ) from None
