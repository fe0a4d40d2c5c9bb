"""JHMDB: tracks 15 joints of a person from the first frame, scored by PCK.

JHMDB defines no files for predictions. Tracked joints are written like its
annotations, <class>/<video>/joint_positions.mat.
"""

from collections.abc import Callable, Iterable
import os
import pathlib
from typing import Any

import numpy as np
import tqdm

from vidcolor import errors
from vidcolor import tracking
from vidcolor.benchmarks import folders
from vidcolor.benchmarks.jhmdb import data
from vidcolor.benchmarks.jhmdb import metrics
from vidcolor.render import report

_VIDEO_RATE = 12.0  # Frames per second.

Results = dict[str, Any]
FramesOf = Callable[[data.JointSequence], Iterable[Any]]


def evaluate(
    tracker: tracking.PointTracker,
    data_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    split: int | str = 1,
    frames_of: FramesOf = lambda sequence: sequence.frames,
) -> Results:
  """Tracks the joints of the test videos, and scores them as `score` does.

  The tracker gets frames of 320 x 240 as they are. The code that other papers
  share (github.com/ajabri/videowalk) stretches them to 320 x 320 for its
  networks.

  Args:
    tracker: The tracker. A joint is lost where its position is negative or NaN.
    data_dir: As `data.read_jhmdb` takes it.
    output_dir: Folder to write to. Tracked joints go to predictions/.
    split: As `data.read_jhmdb` takes it.
    frames_of: Returns what the tracker gets as the frames of a sequence.
      Default: its frames.

  Returns:
    As `score`.

  Raises:
    UserError: As `data.read_jhmdb`.
  """
  sequences = data.read_jhmdb(data_dir, split=split)
  with folders.predictions_dir(output_dir) as predictions_dir:
    for sequence in tqdm.tqdm(sequences, unit='video'):
      tracked = tracker.track_points(frames_of(sequence), sequence.joints[0])
      joints = np.stack([np.asarray(points.position) for points in tracked])
      data.write_joints(_path(predictions_dir, sequence), joints)
    return _score(predictions_dir, sequences, output_dir)


def score(
    predictions_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    split: int | str = 1,
) -> Results:
  """Scores tracked joints by PCK.

  Args:
    predictions_dir: Folder of <class>/<video>/joint_positions.mat, in the
      format of JHMDB's annotations, for all annotated frames with the first
      one. A joint is lost where its position is negative, after one is
      subtracted, or NaN.
    data_dir: As `data.read_jhmdb` takes it.
    output_dir: Folder for videos of the best and the worst video.
    split: As `data.read_jhmdb` takes it.

  Returns:
    PCK, in 0 to 1, by threshold ('PCK@0.1' to 'PCK@0.5'): for 'overall', for
    'overall_without_lost' (see `drop_lost` in `metrics.normalized_distances`),
    and by name in 'per_joint' and 'per_sequence'. NaN where no joint counts, as
    in a video of one frame. 'media' maps the videos that were written to their
    captions.

  Raises:
    UserError: As `data.read_jhmdb`, or a prediction is missing, unreadable or
      for another number of frames.
  """
  sequences = data.read_jhmdb(data_dir, split=split)
  return _score(pathlib.Path(predictions_dir), sequences, output_dir)


def sections(
    results: Results, output_dir: str | os.PathLike[str]
) -> list[report.Section]:
  """Returns the sections of a report on the results of `score`.

  Args:
    results: The results.
    output_dir: Folder of the report. JHMDB has no plots to write to it.
  """
  del output_dir
  media = results.get('media', {}).items()
  return [
      report.Section(
          'Joints, on JHMDB',
          'PCK is the fraction of joints that are close to the true ones: by a'
          ' tenth to a half of 0.6 times the diagonal of the box around the'
          ' true joints. The first frame is given and does not count. Lost'
          ' joints are wrong. Other code leaves them out, which helps trackers'
          ' that lose many.',
          table=report.Table(
              {
                  'PCK': results['overall'],
                  'lost joints left out': results['overall_without_lost'],
              },
              'PCK, mean over joints',
              row_header='measure',
          ),
          media=[report.Media(*item) for item in media],
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
  if output_dir is not None:
    ranked = _ranked(sequences, tracked, results)
    results['media'] = folders.write_best_and_worst(
        output_dir, ranked, _draw_video, _VIDEO_RATE
    )
  return results


def _ranked(sequences, tracked, results):
  """Returns pairs of a sequence and its tracked joints, the worst first."""
  total = lambda pair: sum(results['per_sequence'][pair[0].name].values())
  pairs = zip(sequences, tracked, strict=True)
  return sorted(
      (pair for pair in pairs if not np.isnan(total(pair))), key=total
  )


def _measure(sequences, tracked) -> Results:
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


def _draw_video(sequence, tracked):
  return folders.true_beside_tracked(
      sequence.frames, sequence.joints, tracked, data.LIMBS
  )
