"""Finds the clips of Kinetics in a folder of any usual layout.

A video is a file, or a folder of numbered pictures, its frames. The videos may
be in one folder, in folders of the splits or in folders of the classes. The
tarballs of the Common Visual Data Foundation have folders of the splits, and
beside them replacements of corrupted files. Videos are named ID_START_END, with
times in seconds, or ID.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import csv
import os
import re
from typing import Any

import fsspec

from data_prep import shards
from data_prep.kinetics import frame_folders
from vidcolor import errors
from vidcolor import files

_SUFFIXES = (
    '.mp4', '.mkv', '.webm', '.avi', '.mov', '.m4v', '.mpg', '.mpeg', '.flv',
    '.wmv', '.3gp', '.ts', '.ogv',
)  # fmt: skip
# Names of splits in folders and annotations, and their names in TFDS.
_SPLITS = {
    'train': 'train',
    'val': 'validation',
    'valid': 'validation',
    'validate': 'validation',
    'validation': 'validation',
    'test': 'test',
}
# Matches videos_train, k400_val and train_256, but no class like 'crash_test'.
_SPLIT_FOLDER = re.compile(
    r'((videos?|(raw)?frames?|kinetics|k\d)[-_\d]*[-_])?'
    rf'(?P<split>{"|".join(_SPLITS)})([-_]\d+(x\d+)?)?',
    re.IGNORECASE,
)
_COLUMNS = ('youtube_id', 'time_start', 'time_end', 'split')
_ID_LENGTH = 11  # Length of YouTube's IDs.

Clips = dict[str, list[shards.ClipSpec]]


def find_clips(
    root: str,
    annotations: Sequence[str | os.PathLike] = (),
    frames_per_second: float = 25.0,
) -> tuple[Clips, list[shards.Fault]]:
  """Returns the clips of each split, and the faults.

  Links are followed. What `files.is_visible` is false for is ignored, and so
  are pictures beside video files and pictures without numbers. Every other
  video and every row of the annotations is in a clip or a fault.

  Args:
    root: Folder of videos, or folders of frames, at any depth, or its URL.
    annotations: The official CSV files, which list clips, labels and splits. If
      there are none, all videos are clips, and their folders name the split and
      the label. The default split is 'train'.
    frames_per_second: Rate of the folders of frames.

  Returns:
    Clips with the 'name' of a file or folder relative to the root, 'label',
    'path' and 'size' in bytes, or None if it is unknown. Those that are folders
    of frames also have 'frames_per_second'.

  Raises:
    UserError: There are no videos, or a folder or annotation cannot be read.
  """
  if not files.is_url(root):
    root = os.path.abspath(os.path.expanduser(root))
  sizes, folders, faults = _find_videos(root)
  if not sizes and not faults:
    raise errors.UserError(
        f'no videos in {root}: no file there ends in {", ".join(_SUFFIXES)},'
        ' and no folder holds numbered frames such as img_00001.jpg'
    )
  originals, replaced = _take_out_replaced(sizes)
  splits = {name: _split(originals.get(name, name)) for name in sizes}
  used, unused = ((split, name, '') for name, split in splits.items()), []
  if annotations:
    rows = (row for path in annotations for row in _read_annotations(path))
    used, unused = _match(rows, root, splits)
  clips: Clips = {}
  for split, name, label in used:
    clip = {
        'name': name or os.path.basename(root.rstrip('/')),
        'label': label or _label(originals.get(name, name)),
        'path': f'{root.rstrip("/")}/{name}'.rstrip('/'),
        'size': sizes[name],
    }
    if name in folders:
      clip['frames_per_second'] = frames_per_second
    clips.setdefault(split, []).append(clip)
  return clips, [*faults, *replaced, *unused]


def _find_videos(root):
  """Returns sizes by name, which of them are folders of frames, and faults."""
  sizes, folders, flow, faults = {}, {}, set(), []
  for name, size in (
      _list_url(root) if files.is_url(root) else _list_folder(root)
  ):
    if not all(map(files.is_visible, name.split('/'))):
      continue
    folder = os.path.dirname(name)
    picture = frame_folders.parse(name)
    if _has_suffix(name):
      sizes[name] = size
    elif picture and picture.is_flow:
      flow.add(folder)
    elif picture:
      folders[folder] = folders.get(folder, 0) + (size or 0)
  # Pictures beside videos are their thumbnails.
  for name in {os.path.dirname(name) for name in sizes}:
    folders.pop(name, None)
  for name in flow - folders.keys():
    reason = 'its pictures are optical flow, by their names'
    faults.append(shards.Fault(_split(name), name, reason))
  sizes |= folders
  for name in list(sizes):
    try:
      name.encode()
    except UnicodeEncodeError:
      del sizes[name]
      printable = name.encode(errors='backslashreplace').decode()
      reason = 'its name is not UTF-8: rename it'
      faults.append(shards.Fault(_split(name), printable, reason))
  return sizes, folders.keys(), faults


def _list_url(url):
  """Yields the name of each file below the URL, and its size or None."""
  try:
    system, folder = fsspec.url_to_fs(url)
    found = system.find(folder, detail=True)
  except Exception as error:  # Each file system has exceptions of its own.
    raise errors.UserError(
        f'cannot list {url}: {type(error).__name__}: {error}; give the URL of a'
        ' folder of videos'
    ) from error
  for path, info in found.items():
    yield path[len(folder) :].strip('/'), info.get('size')


def _list_folder(root):
  """Yields as `_list_url` does, with sizes of videos and pictures only."""
  if not os.path.isdir(root):
    wrong = f'{root} is a file' if os.path.exists(root) else f'no folder {root}'
    raise errors.UserError(f'{wrong}: give the folder of videos')
  seen = set()
  for folder, folders, names in os.walk(
      root, onerror=_raise_unreadable, followlinks=True
  ):
    real = os.path.realpath(folder)
    if real in seen:  # Links may form a cycle.
      folders.clear()
      continue
    seen.add(real)
    folders[:] = filter(files.is_visible, folders)
    # Links come last, because the names of real folders are more telling.
    folders.sort(key=lambda f: (os.path.islink(os.path.join(folder, f)), f))
    for name in sorted(names):
      path = os.path.join(folder, name)
      name = path[len(root) :].strip('/')
      is_read = _has_suffix(name) or frame_folders.parse(name)
      yield name, _size(path) if is_read else None


def _raise_unreadable(error):
  raise errors.UserError(
      f'cannot read the folder {error.filename}: {error.strerror}; make it'
      ' readable, or move it elsewhere'
  ) from error


def _size(path):
  try:
    return os.stat(path).st_size
  except OSError:
    return None  # Reading the video reports the error.


def _has_suffix(name):
  return os.path.splitext(name)[1].lower() in _SUFFIXES


def _take_out_replaced(sizes):
  """Removes replaced videos; returns them by replacement, and faults."""
  replacements = {}
  for name in filter(_replaces, sizes):
    replacements.setdefault(_key(name), name)
  originals, faults = {}, []
  for name in list(sizes) if replacements else ():
    replacement = replacements.get(_key(name), name)
    if replacement != name:
      del sizes[name]
      reason = f'replaced by {replacement}'
      faults.append(shards.Fault(_split(name), name, reason))
      if not _replaces(name):
        originals.setdefault(replacement, name)
  return originals, faults


def _replaces(name):
  return '/replacement' in f'/{os.path.dirname(name)}'.lower()


def _key(name):
  """Returns (ID, start, end) of a name, or its stem if it has no times."""
  stem = os.path.basename(name)
  while _has_suffix(stem):
    stem = os.path.splitext(stem)[0]
  match = re.fullmatch(r'(.+)_(\d+)_(\d+)', stem)
  if match is None or len(stem) == _ID_LENGTH:
    return stem
  return match[1], int(match[2]), int(match[3])


def _split(name):
  matches = map(_SPLIT_FOLDER.fullmatch, name.split('/')[:-1])
  return next((_SPLITS[m['split'].lower()] for m in matches if m), 'train')


def _label(name):
  folder = os.path.basename(os.path.dirname(name))
  return '' if _SPLIT_FOLDER.fullmatch(folder) or _replaces(name) else folder


_Row = tuple[str, tuple[str, int, int], str]  # Split; ID, start, end; label.


def _read_annotations(path) -> Iterator[_Row]:
  row = None
  try:
    with open(path, newline='', encoding='utf-8-sig') as file:
      reader = csv.DictReader(file)
      present = reader.fieldnames or ()
      absent = [column for column in _COLUMNS if column not in present]
      for row in reader if not absent else ():
        yield _parse(row, f'{path}, line {reader.line_num}')
  except (OSError, ValueError, csv.Error) as error:
    reason = getattr(error, 'strerror', None) or error
    raise errors.UserError(
        f'cannot read {path}: {reason}; give a CSV of Kinetics, in UTF-8'
    ) from error
  if row is None:
    raise errors.UserError(
        f'{path} is not a Kinetics CSV: it has no {", ".join(absent) or "rows"}'
    )


def _parse(row, where) -> _Row:
  split = (row['split'] or '').strip()
  if not split:
    raise errors.UserError(
        f'{where}: {row["youtube_id"]} has no split: give it one, or remove it'
    )
  try:
    times = int(float(row['time_start'])), int(float(row['time_end']))
  except (TypeError, ValueError, OverflowError):
    raise errors.UserError(
        f'{where}: {row["youtube_id"]} lacks a time in seconds: give it'
        ' time_start and time_end, or remove it'
    ) from None
  # TFDS allows no spaces, as in 'holdout test'.
  split = _SPLITS.get(split.lower(), re.sub(r'\W+', '_', split))
  # The CSV of the test split has no labels.
  return split, (row['youtube_id'], *times), row.get('label') or ''


def _match(
    rows: Iterable[_Row], root: str, splits: Mapping[str, str]
) -> tuple[list[tuple[str, str, str]], list[shards.Fault]]:
  """Pairs rows of the annotations with videos.

  If several videos match a row, the one in a folder of the row's split counts.

  Returns:
    Split, name and label of each pair, and faults for rows and videos without a
    pair.
  """
  candidates: dict[Any, list[str]] = {}
  for name in splits:
    candidates.setdefault(_key(name), []).append(name)
  pairs, faults = [], []
  used: dict[Any, str] = {}
  for split, clip, label in rows:
    key = clip if clip in candidates else clip[0]
    if key in candidates and key not in used:
      names = candidates[key]
      used[key] = next((n for n in names if splits[n] == split), names[0])
      pairs.append((split, used[key], label))
      continue
    reason = f'no video in {root}'
    if key in used:
      reason = 'its video is used for another row of the annotations'
    name = '{}_{:06d}_{:06d}'.format(*clip)
    faults.append(shards.Fault(split, name, reason))
  if not pairs:
    raise errors.UserError(f'no videos in {root} are in the annotations')
  # A whole video may be unused because every row of it has its own cut file.
  cut = {key[0]: name for key, name in used.items() if isinstance(key, tuple)}
  for key, names in candidates.items():
    by = used.get(key) or cut.get(key)
    reason = f'{by} is used for this clip' if by else 'not in the annotations'
    faults += [shards.Fault(splits[n], n, reason) for n in names if n != by]
  return pairs, faults
