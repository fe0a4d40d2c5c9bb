"""Tracks many videos, each with the file beside it that marks what to track.

A fault of one video does not stop the others. A video whose results are there
already is not tracked again, so that the same command goes on after a stop.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import functools
import glob
import json
import os
import pathlib
from typing import Any, NamedTuple

import tqdm

from vidcolor import errors
from vidcolor import files
from vidcolor import prompts_over_time
from vidcolor.render import report

# What may lie beside clip.mp4, by what it is called there.
_BESIDE = {'.json': 'prompts', '.png': 'mask', '.csv': 'points', '': 'masks'}

Progress = Callable[..., Iterable]


class Marked(NamedTuple):
  """A video and what marks the objects or points in it.

  Attributes:
    video: The video.
    kind: 'prompts', 'mask', 'points' or 'masks', as the flags are called.
    prompt: The file, or the folder of masks.
  """

  video: pathlib.Path
  kind: str
  prompt: pathlib.Path


# Tracks a video into a folder; returns the content of its summary.json.
TrackOne = Callable[[Marked, pathlib.Path, Progress], Mapping[str, Any]]


def is_pattern(path: str) -> bool:
  """Returns whether a path is a pattern such as videos/*.mp4."""
  return glob.has_magic(path) and not os.path.exists(path)


def find_videos(pattern: str) -> list[pathlib.Path]:
  """Returns the matching films and folders of pictures, without their marks.

  Raises:
    UserError: None matches, or two have the same name, and so the same results.
  """
  paths = [
      path
      for path in map(pathlib.Path, sorted(glob.glob(pattern)))
      if files.is_visible(path.name)
      if path.is_dir() or path.suffix.lower() not in _BESIDE
  ]
  films = {path.with_suffix('') for path in paths if path.is_file()}
  videos = [path for path in paths if path not in films]
  if not videos:
    raise errors.UserError(f'--video={pattern}: there is no such video')
  by_name = {}
  for path in videos:
    other = by_name.setdefault(_base(path).name, path)
    if other is not path:
      raise errors.UserError(
          f'{other} and {path} would have the same results: rename one of them'
      )
  return videos


def find_marks(video: pathlib.Path) -> Marked:
  """Finds what marks a video.

  For clip.mp4, it is one of clip.json (as --prompts takes it), clip.png
  (--mask), clip.csv (--points) and the folder clip (--masks).

  Raises:
    UserError: None of them is there, or several are.
  """
  base = _base(video)
  beside = [
      Marked(video, kind, path)
      for suffix, kind in _BESIDE.items()
      if (path := base.with_name(base.name + suffix)).exists() and path != video
  ]
  if len(beside) == 1:
    return beside[0]
  names = ', '.join(f'{base.name}{suffix}' for suffix in _BESIDE if suffix)
  if beside:
    found = ' and '.join(marked.prompt.name for marked in beside)
    raise errors.UserError(f'{video} is marked by {found}: remove all but one')
  raise errors.UserError(
      f'nothing beside {video} marks what to track: give one of {names}, or a'
      f' folder {base.name} of masks'
  )


def track_each(
    videos: Sequence[pathlib.Path],
    output_dir: pathlib.Path,
    track_one: TrackOne,
    options: Mapping[str, Any],
) -> None:
  """Tracks the videos into folders of their names, and writes report.html.

  Args:
    videos: The videos.
    output_dir: The folder of these folders.
    track_one: Tracks one video.
    options: What summary.json must say for its results to be kept.

  Raises:
    UserError: Some videos could not be tracked, or not to their end.
  """
  rows, num_faults = {}, 0
  with tqdm.tqdm(videos, desc='videos', unit='video') as bar:
    for video in bar:
      name = _base(video).name
      try:
        marked = find_marks(video)
        summary = _finished(output_dir / name, marked, options)
        if summary is None:
          progress = functools.partial(_show_frame, bar, name)
          summary = track_one(marked, output_dir / name, progress)
        fault = summary['fault']
      except errors.UserError as error:
        summary, fault = {'followed': {}}, str(error)
      num_faults += fault is not None
      rows[name] = _row(summary, fault)
  _report(output_dir, rows)
  if num_faults:
    raise errors.UserError(
        f'{num_faults} of {len(videos)} videos have a fault: see the table;'
        ' after mending, run the same command again'
    )


def _base(video):
  return video if video.is_dir() else video.with_suffix('')


def _finished(folder, marked, options):
  """Returns the summary of earlier results that still hold, or None."""
  path = folder / 'summary.json'
  if not path.is_file():
    return None
  try:
    summary = json.loads(path.read_text())
  except ValueError:  # It was cut off, or another tool wrote it.
    return None
  same = all(summary.get(key) == value for key, value in options.items())
  return summary if same and path.stat().st_mtime > _newest(marked) else None


def _newest(marked):
  """Returns the time of the last change of the video or of its marks."""
  sources = [marked.video, marked.prompt]
  if marked.kind == 'prompts':  # They may name masks.
    named = prompts_over_time.read_prompts(marked.prompt).sources
    sources += map(pathlib.Path, named)
  inside = [
      p for source in sources if source.is_dir() for p in source.iterdir()
  ]
  return max(p.stat().st_mtime for p in sources + inside if p.exists())


def _show_frame(bar, name, items, *, desc, total, unit):
  """Yields items. The bar of the videos tells how many are done."""
  del unit
  for number, item in enumerate(items, 1):
    bar.set_postfix_str(f'{name}: {desc} {number}/{total or "?"}')
    yield item


def _row(summary, fault):
  tracks = summary['followed'].values()
  mean = lambda key: sum(track[key] for track in tracks) / len(tracks)
  return {
      'frames': summary.get('frames'),
      'tracked': len(tracks) or None,
      'share of frames that show them': mean('visible') if tracks else None,
      'mean confidence': mean('mean_confidence') if tracks else None,
      'fault': fault or '',
  }


def _report(output_dir, rows):
  files.make_folder(output_dir)
  report.write_page(
      output_dir / 'report.html',
      title='Tracked videos',
      sections=[
          report.Section(
              f'{len(rows)} videos',
              'The folder of each video has a page of its own.',
              table=report.Table(rows, 'Means over all tracks of a video'),
          )
      ],
  )
  width = max(map(len, rows))
  for name, row in rows.items():
    shown = row['share of frames that show them']
    told = row['fault'] or f'{row["frames"]} frames, seen in {shown:.0%}'
    print(f'{name:{width}}  {told}')
  print(f'Look at it: {output_dir / "report.html"}')
