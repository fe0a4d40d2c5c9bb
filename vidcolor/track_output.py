"""Writes what was followed through a video: film, stills, masks and tracks."""

from collections.abc import Callable, Iterable, Sequence
import contextlib
import csv
import os
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from vidcolor import files
from vidcolor import lazy_sequence
from vidcolor import masks
from vidcolor import prompts
from vidcolor import video_tracker
from vidcolor.render import tracks
from vidcolor.video import mp4
from vidcolor.video import video_source

_NUM_STILLS = 8
_FRAMES_PER_SECOND = 25.0  # Of a film of frames that have no times.


def write(
    output_dir: pathlib.Path,
    video: video_source.VideoSource,
    prompt: prompts.Prompt,
    found: Iterable[video_tracker.TrackedFrame],
    progress: Callable[..., Iterable],
) -> dict[str, Any]:
  """Writes what is found as it comes, in memory that no frames fill.

  That is overlay.mp4, strip.jpg, tracks.csv, tracks.npz and, of objects,
  masks/<video>/00000.png ..., as DAVIS has them.

  Args:
    output_dir: Folder to write to.
    video: Where it is found.
    prompt: What is followed.
    found: What `Tracker.stream` yields of both.
    progress: Yields what it is given and shows how far that is; called as
      `tqdm.tqdm`, with `desc`, `total` (None: nobody knows) and `unit`.

  Returns:
    What came of it, for people and programs. 'left_out' is a line that tells
    what sound the film lacks, or None.

  Raises:
    UserError: a frame cannot be read, a file not be written, or what is given
      is wrong.
  """
  files.make_folder(output_dir)
  found = progress(found, desc='track', total=video.num_frames, unit='frame')
  limbs, names = (), ()
  if isinstance(prompt, prompts.PointPrompt):
    result, limbs, names = (
        video_tracker.collect(found),
        prompt.limbs,
        prompt.names,
    )
  else:
    result = _keep(found, output_dir / 'masks' / video.name)
  names = names or [str(number) for number in result.numbers]
  seconds, fault = _draw(output_dir, video, result, limbs, progress)
  _write_tracks(output_dir, result, seconds, names)
  return _summary(video, result, seconds, names) | {'left_out': fault}


def draw(
    video: video_tracker.Video,
    result: video_tracker.TrackResult,
    path: str | os.PathLike[str],
    *,
    limbs: Sequence[tuple[int, int]] = (),
) -> None:
  """Draws what was tracked over its video, and writes an MP4 file.

  Args:
    video: As `VideoTracker.track` took it.
    result: What `VideoTracker.track` returned for it.
    path: File to write. It is there only once it is complete.
    limbs: Pairs of points, to draw as a skeleton.

  Raises:
    UserError: The video cannot be read, or the file cannot be written.
  """
  video = video_tracker.as_frames(video)
  paint = _painter(result, limbs)
  if isinstance(video, video_source.VideoSource):
    files.refuse_to_replace(video.path, path)
    frames = (
        frame._replace(rgb=paint(number, frame.rgb))
        for number, frame in enumerate(video)
    )
    mp4.write_like(path, frames, video)
  else:
    frames = (paint(number, rgb) for number, rgb in enumerate(video))
    mp4.write(path, frames, _FRAMES_PER_SECOND)


def _painter(result, limbs):
  return tracks.painter(
      numbers=result.numbers,
      masks=result.masks,
      position=result.position,
      visible=result.visible,
      limbs=limbs,
  )


def _keep(found, folder):
  """What is found, its masks in a folder, from which they are read."""
  kept = []
  try:
    with files.atomic_folder(folder) as temporary:
      for one in found:
        masks.write(temporary / f'{one.frame:05d}.png', one.mask)
        kept.append(one._replace(mask=None))
  except BaseException:
    with contextlib.suppress(OSError):  # It holds other videos' masks.
      folder.parent.rmdir()
    raise
  paths = [folder / f'{number:05d}.png' for number in range(len(kept))]
  return video_tracker.collect(kept)._replace(
      masks=lazy_sequence.LazySequence(paths, masks.read)
  )


def _draw(output_dir, video, result, limbs, progress):
  """Writes film and stills; returns frames' times, and what the film lacks."""
  paint = _painter(result, limbs)
  count = len(result.position)
  frames = progress(video, desc='draw', total=count, unit='frame')
  still_numbers = np.linspace(0, count - 1, min(count, _NUM_STILLS)).astype(int)
  seconds, stills = [], []

  def drawn():
    for number, frame in enumerate(frames):
      rgb = paint(number, frame.rgb)
      seconds.append(frame.seconds)
      if number in still_numbers:
        stills.append(rgb)
      yield frame._replace(rgb=rgb)

  fault = mp4.write_like(output_dir / 'overlay.mp4', drawn(), video)
  titles = [f'{number}: {seconds[number]:.1f} s' for number in still_numbers]
  with files.atomic_write(output_dir / 'strip.jpg') as temporary:
    Image.fromarray(tracks.strip(stills, titles)).save(temporary, quality=92)
  return seconds, fault


def _write_tracks(output_dir, result, seconds, names):
  """tracks.csv, a line for each frame and object, and tracks.npz."""
  x, y = np.moveaxis(result.position, -1, 0)
  with files.atomic_write(output_dir / 'tracks.npz') as temporary:
    np.savez_compressed(
        temporary,
        x=x,
        y=y,
        visible=result.visible,
        confidence=result.confidence,
        names=np.array(names),
        seconds=np.array(seconds),
    )
  with (
      files.atomic_write(output_dir / 'tracks.csv') as temporary,
      open(temporary, 'w', newline='') as file,
  ):
    writer = csv.writer(file)
    writer.writerow(
        ['frame', 'seconds', 'name', 'x', 'y', 'visible', 'confidence']
    )
    for frame, row in enumerate(zip(seconds, *result[2:], strict=True)):
      second, position, visible, confidence = row
      for name, xy, seen, sure in zip(
          names, position, visible, confidence, strict=True
      ):
        place = ['' if np.isnan(v) else f'{v:.2f}' for v in xy]
        writer.writerow(
            [frame, f'{second:.3f}', name, *place, int(seen), f'{sure:.3f}']
        )


def _summary(video, result, seconds, names):
  """What came of it, for people and programs."""
  height, width = video.size
  lost = ~result.visible
  return {
      'video': str(video.path),
      'width': width,
      'height': height,
      'frames': len(seconds),
      'frames_per_second': (
          round((len(seconds) - 1) / seconds[-1], 3)
          if len(seconds) > 1
          else None
      ),
      'followed': {
          name: {
              'visible': round(float(1 - lost[:, index].mean()), 4),
              'mean_confidence': round(
                  float(result.confidence[:, index].mean()), 4
              ),
              'lost_frames': _runs(lost[:, index]),
          }
          for index, name in enumerate(names)
      },
  }


def _runs(flags_by_frame):
  """First and last frame of each run of True."""
  steps = np.diff(np.r_[0, flags_by_frame.astype(int), 0])
  starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
  return np.stack([starts, ends], axis=-1).tolist()
