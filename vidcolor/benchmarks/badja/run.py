"""BADJA: tracks the joints of animals from the first annotated frame.

BADJA defines no files for predictions. Tracked joints are written like its
annotations, <sequence>.json.
"""

from collections.abc import Callable, Sequence
import os
import pathlib
from typing import Any

import numpy as np
import tqdm

from vidcolor import errors
from vidcolor import tracking
from vidcolor.benchmarks import folders
from vidcolor.benchmarks.badja import data
from vidcolor.benchmarks.badja import metrics
from vidcolor.render import report

_VIDEO_RATE = 4.0  # Annotated frames per second.
_MEASURE = f'PCK@{metrics.THRESHOLD}'

Results = dict[str, Any]
FramesOf = Callable[[data.AnimalSequence], Sequence[Any]]


def evaluate(
    tracker: tracking.PointTracker,
    data_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    resolution: str | None = None,
    frames_of: FramesOf = lambda sequence: sequence.frames,
) -> Results:
  """Tracks the joints of all animals, and scores them as `score` does.

  Args:
    tracker: The tracker. A joint is lost where its position is NaN.
    data_dir: As `data.read_badja` takes it.
    output_dir: Folder to write to. Tracked joints go to predictions/.
    resolution: As `data.read_badja` takes it.
    frames_of: Returns what the tracker gets as the frames of a sequence.
      Default: its frames.

  Returns:
    As `score`.

  Raises:
    UserError: As `data.read_badja`.
  """
  sequences = data.read_badja(data_dir, resolution=resolution)
  with folders.predictions_dir(output_dir) as predictions_dir:
    for sequence in tqdm.tqdm(sequences, unit='video'):
      joints = _track(tracker, frames_of(sequence), sequence)
      _write(predictions_dir, sequence, joints)
    return _score(predictions_dir, sequences, output_dir)


def score(
    predictions_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    resolution: str | None = None,
) -> Results:
  """Scores tracked joints by PCK.

  Args:
    predictions_dir: Folder of <sequence>.json, in the format of BADJA's
      annotations, for all annotated frames with the first one. A joint is lost
      where it is [0, 0].
    data_dir: As `data.read_badja` takes it.
    output_dir: Folder for videos of the best and the worst sequence.
    resolution: As `data.read_badja` takes it.

  Returns:
    PCK, in 0 to 1, for 'overall', the mean over sequences, and by name in
    'per_sequence'. NaN where no joint counts. 'media' maps the videos that were
    written to their captions.

  Raises:
    UserError: As `data.read_badja`, or a prediction is missing, unreadable or
      for other frames.
  """
  sequences = data.read_badja(data_dir, resolution=resolution)
  return _score(pathlib.Path(predictions_dir), sequences, output_dir)


def sections(
    results: Results, output_dir: str | os.PathLike[str]
) -> list[report.Section]:
  """Returns the sections of a report on the results of `score`.

  Args:
    results: The results.
    output_dir: Folder of the report. BADJA has no plots to write to it.
  """
  del output_dir
  media = results.get('media', {}).items()
  return [
      report.Section(
          'Joints of animals, on BADJA',
          'PCK is the fraction of joints that are closer to the true ones than'
          f' {metrics.THRESHOLD} times the square root of the area of the'
          ' animal’s mask. Hidden joints do not count, and neither does the'
          ' first annotated frame, which is given.',
          table=report.Table(
              results['per_sequence'],
              'Each sequence',
              summary={'mean': results['overall']},
          ),
          media=[report.Media(*item) for item in media],
      )
  ]


def _track(tracker, frames, sequence):
  """Returns (x, y) in the annotated frames; NaN for joints not given."""
  first, last = sequence.annotated[[0, -1]]
  given = sequence.joints[0]
  is_given = np.isfinite(given).all(axis=-1)
  tracked = tracker.track_points(frames[first : last + 1], given[is_given])
  joints = np.full(sequence.joints.shape, np.nan)
  wanted = dict(zip(sequence.annotated - first, joints, strict=True))
  for index, points in enumerate(tracked):
    if index in wanted:
      wanted[index][is_given] = points.position
  return joints


def _size(sequence):
  return sequence.masks[0].shape


def _write(predictions_dir, sequence, joints):
  names = [sequence.frame_names[index] for index in sequence.annotated]
  joints = data.from_frame(joints, sequence.full_size, _size(sequence))
  data.write_annotations(
      predictions_dir / f'{sequence.name}.json',
      data.Annotations(names, joints, ~np.isnan(joints[..., 0])),
  )


def _read(predictions_dir, sequence):
  path = predictions_dir / f'{sequence.name}.json'
  if not path.is_file():
    raise errors.UserError(f'no prediction {path}: write it')
  given = data.read_annotations(path)
  names = [sequence.frame_names[index] for index in sequence.annotated]
  if given.frame_names != names:
    raise errors.UserError(
        f'{path} is for other frames: track the {len(names)} annotated ones of'
        f' {sequence.name}'
    )
  return data.to_frame(given.joints, sequence.full_size, _size(sequence))


def _score(predictions_dir, sequences, output_dir):
  tracked = {s.name: _read(predictions_dir, s) for s in sequences}
  scores = {s.name: _measure(s, tracked[s.name]) for s in sequences}
  counted = [x for x in scores.values() if not np.isnan(x)]
  results: Results = {
      'overall': {_MEASURE: float(np.mean(counted)) if counted else np.nan},
      'per_sequence': {name: {_MEASURE: x} for name, x in scores.items()},
  }
  if output_dir is not None:
    ranked = [s for s in sequences if not np.isnan(scores[s.name])]
    ranked.sort(key=lambda s: scores[s.name])
    results['media'] = folders.write_best_and_worst(
        output_dir,
        [(s, tracked[s.name]) for s in ranked],
        _draw_video,
        _VIDEO_RATE,
    )
  return results


def _measure(sequence, joints):
  areas = np.array([mask.sum() for mask in sequence.masks], float)
  return metrics.pck_by_area(
      metrics.distances_by_area(
          joints, sequence.joints, sequence.visible, areas
      )
  )


def _draw_video(sequence, tracked):
  frames = (sequence.frames[number] for number in sequence.annotated)
  return folders.true_beside_tracked(
      frames, sequence.joints, tracked, data.LIMBS
  )
