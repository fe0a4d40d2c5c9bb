"""JHMDB: 15 joints of a person, followed from the first frame.

Scored by PCK on the test videos of a split. JHMDB knows no submission: tracked
joints are written like its annotations, <class>/<video>/joint_positions.mat.
"""

from collections.abc import Callable, Iterable
import os
import pathlib
from typing import Any

import numpy as np
import tqdm

from vidcolor import errors
from vidcolor.benchmarks.jhmdb import data
from vidcolor.benchmarks.jhmdb import metrics
from vidcolor.render import overlay
from vidcolor.render import report
from vidcolor.video import mp4

_FILM_RATE = 12.0  # Frames a second.


def evaluate(
    tracker: Any,
    data_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    split: int = 1,
    frames_of: Callable[
        [data.JointSequence], Iterable[Any]
    ] = lambda sequence: sequence.frames,
) -> tuple[dict[str, Any], list[report.Section]]:
  """Tracks the joints of the test videos, and scores them as `score` does.

  Frames are fed as they are, 320 x 240; the field's code stretches them to
  320 x 320 for the sake of its networks.

  Args:
    tracker: Has `track_points(frames, points)`, which yields for each frame
      something with a `position`, (x, y) [points, 2] in pixels. A lost point's
      is negative or NaN.
    data_dir: As `data.read` takes it.
    output_dir: Folder to write to: the tracked joints to predictions/.
    split: As `data.read` takes it.
    frames_of: What the tracker is fed for a sequence: its frames, or features
      that were computed elsewhere.

  Returns:
    As `score`.

  Raises:
    UserError: as `data.read`.
  """
  sequences = data.read(data_dir, split=split)
  predictions_dir = pathlib.Path(output_dir) / 'predictions'
  for sequence in tqdm.tqdm(sequences, unit='video'):
    tracked = tracker.track_points(frames_of(sequence), sequence.joints[0])
    joints = np.stack([np.asarray(points.position) for points in tracked])
    data.write_joints(_path(predictions_dir, sequence), joints)
  return _score(predictions_dir, sequences, output_dir)


def score(
    predictions_dir: str | os.PathLike,
    data_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    split: int = 1,
) -> tuple[dict[str, Any], list[report.Section]]:
  """Scores tracked joints by PCK.

  Args:
    predictions_dir: Folder of <class>/<video>/joint_positions.mat, laid out as
      JHMDB's annotations, for all annotated frames, the first one included. A
      lost joint has a negative coordinate, after one is taken off, or NaN.
    data_dir: As `data.read` takes it.
    output_dir: Folder to write films of the best and worst video to.
    split: As `data.read` takes it.

  Returns:
    The results: PCK, in 0 to 1, by threshold ('PCK@0.1' to 'PCK@0.5'), for
    'overall', 'overall_without_lost' (see `drop_lost` in
    `metrics.normalized_distances`), and by name in 'per_joint' and 'per_sequence';
    NaN where no joint counts, as in a video of one frame. Then the sections of
    a report.

  Raises:
    UserError: as `data.read`, or a prediction is missing, unreadable or for
      another number of frames.
  """
  sequences = data.read(data_dir, split=split)
  return _score(pathlib.Path(predictions_dir), sequences, output_dir)


def _path(predictions_dir, sequence):
  return predictions_dir / sequence.name / 'joint_positions.mat'


def _read_prediction(predictions_dir, sequence):
  path = _path(predictions_dir, sequence)
  joints = data.read_joints(path)
  if joints.shape != sequence.joints.shape:
    raise errors.UserError(
        f'{path} is for {len(joints)} frames: track the'
        f' {len(sequence.joints)} annotated ones of {sequence.name}'
    )
  return joints


def _score(predictions_dir, sequences, output_dir):
  tracked = [_read_prediction(predictions_dir, s) for s in sequences]
  results = _measure(sequences, tracked)
  total = lambda pair: sum(results['per_sequence'][pair[0].name].values())
  pairs = zip(sequences, tracked, strict=True)
  ranked = sorted(
      (pair for pair in pairs if not np.isnan(total(pair))), key=total
  )
  media = []
  ends = zip(('best', 'worst'), ranked[-1:] + ranked[:1], strict=False)
  for title, (sequence, joints) in ends:
    file = f'{title}.mp4'
    film = _film(sequence, joints)
    mp4.write(pathlib.Path(output_dir) / file, film, _FILM_RATE)
    media.append(report.Media(file, f'The {title} of all: {sequence.name}.'))
  return results, _sections(results, media)


def _measure(sequences, tracked):
  measure = lambda drop_lost: [
      metrics.normalized_distances(joints, sequence.joints, drop_lost=drop_lost)
      for sequence, joints in zip(sequences, tracked, strict=True)
  ]
  distances = measure(drop_lost=False)
  everything = np.concatenate(distances)
  without_lost = np.concatenate(measure(drop_lost=True))
  by_joint = zip(data.JOINTS, metrics.pck(everything).T, strict=True)
  return {
      'overall': _row(metrics.mean_pck(everything)),
      'overall_without_lost': _row(metrics.mean_pck(without_lost)),
      'per_joint': {
          joint: _row(values)
          for joint, values in by_joint
          if not np.isnan(values).any()
      },
      'per_sequence': {
          sequence.name: _row(metrics.mean_pck(values))
          for sequence, values in zip(sequences, distances, strict=True)
      },
  }


def _row(values):
  return {
      f'PCK@{threshold}': float(value)
      for threshold, value in zip(metrics.THRESHOLDS, values, strict=True)
  }


def _film(sequence, tracked):
  """The true joints beside the tracked ones."""
  triples = zip(sequence.frames, sequence.joints, tracked, strict=True)
  for frame, *poses in triples:
    panels = [overlay.draw_joints(frame, pose, data.LIMBS) for pose in poses]
    yield overlay.side_by_side(panels, ['true joints', 'tracked'])


def _sections(results, media):
  return [
      report.Section(
          'Joints, on JHMDB',
          'PCK is the fraction of joints that are close to the true ones: by a'
          ' tenth to a half of 0.6 times the diagonal of the box around the'
          ' true joints. The first frame is given and does not count. Lost'
          ' joints are wrong; other code leaves them out, which helps whoever'
          ' loses many.',
          table=report.Table(
              {
                  'PCK': results['overall'],
                  'lost joints left out': results['overall_without_lost'],
              },
              'PCK, mean over joints',
              row_header='measure',
          ),
          media=media,
      ),
      report.Section(
          'Joint by joint',
          table=report.Table(
              results['per_joint'], 'PCK of each joint', row_header='joint'
          ),
      ),
      report.Section(
          'Video by video',
          table=report.Table(results['per_sequence'], 'PCK, mean over joints'),
      ),
  ]
