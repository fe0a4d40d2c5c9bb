"""Writes what was tracked through a video: film, stills, masks and tracks."""

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import csv
import functools
import os
import pathlib
from typing import Any

from jaxtyping import UInt8
import numpy as np
from scipy import ndimage

from vidcolor import cutouts
from vidcolor import errors
from vidcolor import export_formats
from vidcolor import files
from vidcolor import lazy_sequence
from vidcolor import masks
from vidcolor import prompts
from vidcolor import prompts_over_time
from vidcolor import sessions
from vidcolor import track_report
from vidcolor import video_tracker
from vidcolor.render import overlay
from vidcolor.render import panels
from vidcolor.video import camera
from vidcolor.video import mp4
from vidcolor.video import video_source

_NUM_STILLS = 8
# The columns of an object: its box, whose corners are pixel centres, and area.
_SHAPE = ('left', 'top', 'right', 'bottom', 'area')
_DECIMALS = {'x': 2, 'y': 2, 'confidence': 3}
_FRAMES_PER_SECOND = 25.0  # The rate of a film whose frames have no times.


def write_tracking(
    output_dir: pathlib.Path,
    video: video_source.VideoSource,
    prompt: prompts.Prompt | prompts_over_time.PromptsOverTime,
    tracked: Iterable[sessions.TrackedFrame],
    progress: Callable[..., Iterable],
    *,
    export: Sequence[str] = (),
    with_cutouts: bool = False,
    colors: overlay.Colors | None = None,
    names: Mapping[int, str] = {},
) -> dict[str, Any]:
  """Tracks and writes the results, one frame at a time.

  The files are overlay.mp4, strip.jpg, confidence.png, report.html, which shows
  these three, tracks.csv, tracks.npz and, for objects,
  masks/<video>/00000.png ..., in the format of DAVIS. If the video cannot be
  read to its end, they hold what was tracked.

  Args:
    output_dir: The folder to write to.
    video: The video.
    prompt: What is tracked.
    tracked: What `VideoTracker.stream` yields for the video and the prompt.
    progress: Yields the items of an iterable and shows how many are done. It is
      called like `tqdm.tqdm`, with `desc`, `total` (None if unknown) and
      `unit`.
    export: Names of `export_formats.FORMATS` to write objects in as well.
    with_cutouts: Whether to write what `cutouts.open_cutouts` does as well.
    colors: The color of each object. Default: colors that stand out.
    names: The name of each object, by its number. Default: the prompt's names,
      or numbers.

  Returns:
    A summary of the video and of each track. 'left_out' is a line that says
    which sound the film lacks, or None. 'fault' is a line that says why the
    results end before the video does, or None.

  Raises:
    UserError: No frame can be read, a file cannot be written, the prompt is not
      valid, a format is unknown, or it is points that are to be exported.
  """
  export_formats.find_writers(export)
  if isinstance(prompt, prompts.PointPrompt) and (export or with_cutouts):
    raise errors.UserError(
        'points have no masks: leave out --export and --cutouts, or track'
        ' objects'
    )
  files.make_folder(output_dir)
  readable = video_source.ReadablePart(tracked)
  tracked = progress(
      readable, desc='track', total=video.num_frames, unit='frame'
  )
  limbs, shapes, names = (), None, {**_names_of(prompt), **names}
  with files.report_full_disk(output_dir):
    if isinstance(prompt, prompts.PointPrompt):
      result, limbs = video_tracker.collect(tracked), prompt.limbs
    else:
      folder = output_dir / 'masks' / video.name
      result, shapes = _write_masks(tracked, folder)
    if colors is None:
      colors = _choose_colors(video, result)
    draw_on = functools.partial(
        draw_frame, result=result, limbs=limbs, colors=colors, names=names
    )
    seconds, sound_fault = _write_pictures(
        output_dir, video, result, draw_on, progress, with_cutouts
    )
    track_names = _name_each(result.numbers, names)
    _write_tracks(output_dir, result, shapes, seconds, track_names)
    if export:
      rate = _rate(seconds) or _FRAMES_PER_SECOND
      export_formats.export(
          output_dir, video, result, export, frames_per_second=rate
      )
    summary = _summary(video.path, video.size, result, seconds, track_names)
    summary |= {
        'left_out': sound_fault,
        'fault': readable.describe(len(seconds)),
    }
    track_report.write_report(output_dir, summary, result)
  return summary


def write_live(
    output_dir: pathlib.Path,
    source: camera.Camera,
    prompt: prompts.Prompt,
    tracked: Iterable[tuple[video_source.VideoFrame, sessions.TrackedFrame]],
    names: Mapping[int, str] = {},
) -> dict[str, Any]:
  """Writes the results of frames that are there only once, as they come.

  The files are those of `write_tracking`, with the masks in masks/camera.

  Args:
    output_dir: The folder to write to.
    source: The camera.
    prompt: What is tracked.
    tracked: The frames, and what is tracked in each: see `live.follow`.
    names: As in `write_tracking`.

  Returns:
    As `write_tracking`.

  Raises:
    UserError: There is no frame, or a file cannot be written.
  """
  files.make_folder(output_dir)
  are_points = isinstance(prompt, prompts.PointPrompt)
  limbs = prompt.limbs if are_points else ()
  names = {**_names_of(prompt), **names}
  folder = output_dir / 'masks' / 'camera'
  with files.report_full_disk(output_dir):
    opened = contextlib.nullcontext() if are_points else _open_masks(folder)
    film, kept, seconds = output_dir / 'overlay.mp4', [], []
    with opened as write_mask:
      drawn = _draw_live(tracked, limbs, names, write_mask, kept, seconds)
      mp4.write_like(film, drawn, None)
    shapes = None
    if are_points:
      result = video_tracker.collect(kept)
    else:
      result, shapes = _collect_masks(kept, folder)
    track_names = _name_each(result.numbers, names)
    still_numbers = _still_numbers(len(kept))
    drawn = video_source.VideoSource(film)
    stills = [drawn.frame(number)[1].rgb for number in still_numbers]
    _write_strip(output_dir, stills, still_numbers, seconds)
    _write_tracks(output_dir, result, shapes, seconds, track_names)
    name = f'camera {source.name}'
    summary = _summary(name, source.size, result, seconds, track_names)
    summary |= {'left_out': None, 'fault': None}
    track_report.write_report(output_dir, summary, result)
  return summary


def draw(
    video: video_tracker.Video,
    result: video_tracker.TrackResult,
    path: str | os.PathLike[str],
    *,
    limbs: Sequence[tuple[int, int]] = (),
    names: Mapping[int, str] = {},
) -> None:
  """Draws what was tracked over its video, and writes an MP4 file.

  A film of frames from memory plays at 25 frames a second.

  Args:
    video: The video that was given to `VideoTracker.track`.
    result: The result of `VideoTracker.track` for that video.
    path: The file to write, in one atomic step.
    limbs: Pairs of point indices, to draw as a skeleton.
    names: The names of objects, by their numbers, to draw on them.

  Raises:
    UserError: The video cannot be read, or the file cannot be written.
  """
  video = video_tracker.open_video(video)
  draw_on = functools.partial(
      draw_frame,
      result=result,
      limbs=limbs,
      colors=_choose_colors(video, result),
      names=names,
  )
  if isinstance(video, video_source.VideoSource):
    files.refuse_to_replace(video.path, path)
    frames = (
        frame._replace(rgb=draw_on(frame.rgb, number))
        for number, frame in enumerate(video_source.ReadablePart(video))
    )
    mp4.write_like(path, frames, video)
  else:
    frames = (draw_on(rgb, number) for number, rgb in enumerate(video))
    mp4.write(path, frames, _FRAMES_PER_SECOND)


def draw_frame(
    frame: UInt8[np.ndarray, 'height width 3'],
    number: int,
    result: video_tracker.TrackResult,
    limbs: Sequence[tuple[int, int]] = (),
    colors: overlay.Colors | None = None,
    names: Mapping[int, str] = {},
) -> UInt8[np.ndarray, 'height width 3']:
  """Draws what was tracked over one frame.

  Args:
    frame: RGB.
    number: The number of the frame in the video.
    result: What was tracked.
    limbs: Pairs of point indices, to draw as a skeleton.
    colors: The color of each object. Default: `overlay.object_colors`.
    names: The names of objects, by their numbers, to draw on them.

  Returns:
    A new frame.
  """
  return overlay.draw_tracks(
      frame,
      number,
      numbers=result.numbers,
      masks=result.masks,
      position=result.position,
      visible=result.visible,
      limbs=limbs,
      colors=colors,
      names=names,
  )


def _names_of(prompt):
  """Returns the names that a prompt has for numbers of points or objects."""
  if isinstance(prompt, prompts.PointPrompt):
    return dict(enumerate(prompt.names))
  if isinstance(prompt, prompts_over_time.PromptsOverTime):
    return dict(prompt.names)
  return {}


def _name_each(numbers, names):
  return [names.get(number, str(number)) for number in numbers.tolist()]


def _choose_colors(video, result):
  """Returns colors for the first frame that shows most objects, or None."""
  if result.masks is None:
    return None
  number = int(result.visible.sum(axis=1).argmax())
  is_source = isinstance(video, video_source.VideoSource)
  frame = video.frame(number)[1].rgb if is_source else video[number]
  return overlay.contrasting_colors(frame, result.masks[number])


def _draw_live(tracked, limbs, names, write_mask, kept, seconds):
  """Yields the drawn frames. Appends what is found, and the frames' times."""
  colors, first = None, None
  # Points are drawn with trails.
  num_recent = 1 if write_mask else 1 + overlay.TRAIL_LENGTH
  recent = collections.deque(maxlen=num_recent)
  for frame, found in tracked:
    if write_mask and colors is None:
      colors = overlay.contrasting_colors(frame.rgb, found.mask)
    recent.append(found)
    result, last = video_tracker.collect(recent), len(recent) - 1
    kept.append(write_mask(found) if write_mask else found)
    first = frame.seconds if first is None else first
    seconds.append(frame.seconds - first)
    rgb = draw_frame(frame.rgb, last, result, limbs, colors, names)
    yield video_source.VideoFrame(rgb, seconds[-1])


@contextlib.contextmanager
def _open_masks(folder) -> Iterator[Callable]:
  """Yields a function that writes the mask of a frame.

  It returns what else is found in the frame, and its `_shapes`. The masks are
  there when no error was raised.
  """
  try:
    with files.atomic_folder(folder) as temporary:

      def write(found):
        path = temporary / f'{found.frame:05d}.png'
        masks.write_png(path, found.mask)
        return found._replace(mask=None), _shapes(found.mask, found.numbers)

      yield write
  except BaseException:
    with contextlib.suppress(OSError):  # It may hold masks of other videos.
      folder.parent.rmdir()
    raise


def _write_masks(tracked, folder):
  with _open_masks(folder) as write:
    kept = [write(found) for found in tracked]
  return _collect_masks(kept, folder)


def _collect_masks(kept, folder):
  """Returns a result that reads the masks, and the shapes of all objects.

  The shapes are [time, objects, columns of `_SHAPE`].
  """
  paths = [folder / f'{number:05d}.png' for number in range(len(kept))]
  result = video_tracker.collect(found for found, _ in kept)._replace(
      masks=lazy_sequence.LazySequence(paths, masks.read)
  )
  shapes = np.full((*result.visible.shape, len(_SHAPE)), np.nan)
  for found, of_objects in kept:
    shapes[found.frame, np.isin(result.numbers, found.numbers)] = of_objects
  return result, shapes


def _shapes(mask, numbers):
  """Returns the columns `_SHAPE` of each object; NaN where it has no pixel."""
  rows = np.full((len(numbers), len(_SHAPE)), np.nan)
  rows[:, -1] = 0
  boxes = ndimage.find_objects(mask, max_label=max(numbers, default=0))
  areas = np.bincount(mask.ravel())
  for row, number in zip(rows, numbers, strict=True):
    if boxes[number - 1]:
      y, x = boxes[number - 1]
      row[:] = x.start, y.start, x.stop - 1, y.stop - 1, areas[number]
  return rows


def _write_pictures(output_dir, video, result, draw_on, progress, with_cutouts):
  """Writes films and stills; returns the frames' times and any sound fault."""
  count = len(result.position)
  readable = video_source.ReadablePart(video)
  frames = progress(readable, desc='draw', total=count, unit='frame')
  still_numbers = _still_numbers(count)
  seconds, stills = [], []

  def drawn(write_cutout):
    for number, frame in enumerate(frames):
      rgb = draw_on(frame.rgb, number)
      if write_cutout:
        shown = result.numbers[result.visible[number]]
        write_cutout(number, frame, np.isin(result.masks[number], shown))
      seconds.append(frame.seconds)
      if number in still_numbers:
        stills.append(rgb)
      yield frame._replace(rgb=rgb)

  opened = contextlib.nullcontext()
  if with_cutouts:
    opened = cutouts.open_cutouts(output_dir, video)
  with opened as write_cutout:
    sound_fault = mp4.write_like(
        output_dir / 'overlay.mp4', drawn(write_cutout), video
    )
  _write_strip(output_dir, stills, still_numbers, seconds)
  return seconds, sound_fault


def _still_numbers(count):
  return np.linspace(0, count - 1, min(count, _NUM_STILLS)).astype(int).tolist()


def _write_strip(output_dir, stills, numbers, seconds):
  titles = [f'{number}: {seconds[number]:.1f} s' for number in numbers]
  strip = panels.still_grid(stills, titles)
  panels.write_picture(output_dir / 'strip.jpg', strip)


def _write_tracks(output_dir, result, shapes, seconds, names):
  """Writes tracks.npz and tracks.csv.

  tracks.csv has a line for each frame and each track that has begun there.
  """
  x, y = np.moveaxis(result.position, -1, 0)
  columns = {'x': x, 'y': y}
  columns |= {'visible': result.visible, 'confidence': result.confidence}
  if shapes is not None:
    columns |= zip(_SHAPE, np.moveaxis(shapes, -1, 0), strict=True)
  with files.atomic_write(output_dir / 'tracks.npz') as temporary:
    np.savez_compressed(
        temporary,
        **columns,
        numbers=result.numbers,
        names=np.array(names),
        begins=result.begins,
        seconds=np.array(seconds),
    )
  with (
      files.atomic_write(output_dir / 'tracks.csv') as temporary,
      open(temporary, 'w', newline='') as file,
  ):
    writer = csv.writer(file)
    writer.writerow(['frame', 'seconds', 'name', *columns])
    for frame, second in enumerate(seconds):
      for track in np.flatnonzero(result.has_begun[frame]):
        cells = [
            _cell(values[frame, track], _DECIMALS.get(title, 0))
            for title, values in columns.items()
        ]
        writer.writerow([frame, f'{second:.3f}', names[track], *cells])


def _cell(value, decimals):
  return '' if np.isnan(value) else f'{float(value):.{decimals}f}'


def _summary(video, size, result, seconds, names):
  """Returns the content of summary.json that depends on the results."""
  height, width = size
  return {
      'video': str(video),
      'width': width,
      'height': height,
      'frames': len(seconds),
      'frames_per_second': _rate(seconds),
      'followed': {
          name: _summarize_track(result, index)
          for index, name in enumerate(names)
      },
  }


def _summarize_track(result, index):
  begins = int(result.begins[index])
  visible = result.visible[begins:, index]
  confidence = result.confidence[begins:, index]
  return {
      'first_frame': begins,
      'visible': round(float(visible.mean()), 4),
      'mean_confidence': round(float(confidence.mean()), 4),
      'lost_frames': [
          [begins + first, begins + last] for first, last in _runs(~visible)
      ],
  }


def _rate(seconds):
  """Returns the mean number of frames a second, None of a single frame."""
  count = len(seconds) - 1
  return float(f'{count / seconds[-1]:.6g}') if count else None


def _runs(flags_by_frame):
  """Returns the first and last index of each run of True."""
  steps = np.diff(np.r_[0, flags_by_frame.astype(int), 0])
  starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
  return np.stack([starts, ends], axis=-1).tolist()
