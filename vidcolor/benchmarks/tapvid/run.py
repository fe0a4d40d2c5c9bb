"""TAP-Vid: tracks points on anything through a video.

TAP-Vid defines no files for predictions. For each video, a file <video>.npz is
written, and scored from there. It holds what the published function
`compute_tapvid_metrics` takes:

  query_points: float [queries, 3]: number of the frame, y and x;
  tracks: float [queries, time, 2]: x and y;
  occluded: bool [queries, time].

All coordinates are raster coordinates of frames of 256 x 256, 0 to 256 from
edge to edge. Queries are in the order of `metrics.sample_queries`.
"""

from collections.abc import Callable, Sequence
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import tqdm

from vidcolor import errors
from vidcolor import files
from vidcolor import tracking
from vidcolor.benchmarks import folders
from vidcolor.benchmarks.tapvid import data
from vidcolor.benchmarks.tapvid import metrics
from vidcolor.render import overlay
from vidcolor.render import panels as panels_lib
from vidcolor.render import report

_VIDEO_RATE = 24.0  # Frames per second.
_TRAIL = 12  # Frames.

Results = dict[str, Any]
FramesOf = Callable[[data.PointSequence], Sequence[Any] | np.ndarray]


class _Tracks(NamedTuple):
  position: np.ndarray  # [queries, time, 2] in pixels.
  occluded: np.ndarray  # [queries, time].


def evaluate(
    tracker: tracking.PointTracker,
    data_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    query_mode: str = 'first',
    frames_of: FramesOf = lambda sequence: sequence.frames,
) -> Results:
  """Tracks the points of every video, and scores them as `score` does.

  Points that are queried in one frame are tracked together, forward, and with
  the query mode 'strided' backward too.

  Args:
    tracker: The tracker. A point is visible if its confidence is above 0.5.
    data_dir: As `data.find` takes it.
    output_dir: Folder to write to. Tracks go to predictions/.
    query_mode: As `metrics.sample_queries` takes it.
    frames_of: Returns what the tracker gets as the frames of a video. Default:
      its frames of 256 x 256.

  Returns:
    As `score`.

  Raises:
    UserError: As `score`.
  """
  with folders.predictions_dir(output_dir) as predictions_dir:
    for sequence in _sequences(data_dir, 'tracking'):
      queries = metrics.sample_queries(sequence.occluded, query_mode)
      frames = frames_of(sequence)
      tracks = _track(tracker, frames, sequence, queries, query_mode)
      _write(predictions_dir, sequence, queries, tracks)
    return score(predictions_dir, data_dir, output_dir, query_mode=query_mode)


def score(
    predictions_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    query_mode: str = 'first',
) -> Results:
  """Scores tracks as published: each video, and the mean over videos.

  Args:
    predictions_dir: Folder of <video>.npz, as this module describes them.
    data_dir: As `data.find` takes it.
    output_dir: Folder for videos of the best and the worst video.
    query_mode: The query mode of the tracks.

  Returns:
    The metrics of `metrics.compute_metrics` for 'overall' and, by name, in
    'per_sequence'. A video in which no point is seen in a frame that counts is
    left out. Also 'query_mode'; and 'media', which maps the videos that were
    written to their captions.

  Raises:
    UserError: As `data.find` and `data.read_pickle`; or two videos have one
      name; or a prediction is missing, unreadable or for other queries; or
      there is nothing to score.
  """
  per_sequence, ranked = {}, []
  for sequence in _sequences(data_dir, 'scoring'):
    queries = metrics.sample_queries(sequence.occluded, query_mode)
    tracks = _read(pathlib.Path(predictions_dir), sequence, queries)
    scores = _measure(sequence, queries, tracks, query_mode)
    if np.isnan(scores['average_pts_within_thresh']):
      continue
    per_sequence[sequence.name] = scores
    # Of thousands of videos, only these two are kept to be drawn.
    ranked.append((scores['average_jaccard'], sequence, queries, tracks))
    ranked.sort(key=lambda entry: entry[0])
    del ranked[1:-1]
  if not per_sequence:
    raise errors.UserError(
        f'no point of {data_dir} is seen after its query: give other data'
    )
  names = next(iter(per_sequence.values()))
  results = {
      'query_mode': query_mode,
      'overall': {
          name: float(np.mean([row[name] for row in per_sequence.values()]))
          for name in names
      },
      'per_sequence': per_sequence,
  }
  if output_dir is not None:
    results['media'] = folders.write_best_and_worst(
        output_dir, [drawn for _, *drawn in ranked], _draw_video, _VIDEO_RATE
    )
  return results


def sections(
    results: Results, output_dir: str | os.PathLike[str]
) -> list[report.Section]:
  """Returns the sections of a report on the results of `score`.

  Args:
    results: The results.
    output_dir: Folder of the report. TAP-Vid has no plots to write to it.
  """
  del output_dir
  media = results.get('media', {}).items()
  overall = results['overall']
  means = ('average_jaccard', 'average_pts_within_thresh', 'occlusion_accuracy')
  by_threshold = {
      measure: {
          f'{n} px': overall[f'{measure}_{n}'] for n in metrics.THRESHOLDS
      }
      for measure in ('pts_within', 'jaccard')
  }
  pick = lambda row: {name: row[name] for name in means}
  return [
      report.Section(
          f'Points, on TAP-Vid, queried {results["query_mode"]}',
          'pts_within is the fraction of the points truly seen that were'
          ' tracked to less than so many pixels, of frames of 256 x 256, from'
          ' the true position. jaccard counts the points among them that were'
          ' predicted visible, as a fraction of all points truly seen and all'
          ' false positives. Averages are over the five thresholds.'
          ' occlusion_accuracy is the fraction of correct predictions of'
          ' whether a point is visible.',
          table=report.Table(
              by_threshold, 'Means over videos', row_header='measure'
          ),
          media=[report.Media(*item) for item in media],
      ),
      report.Section(
          'Video by video',
          'In the videos, visible points are discs, and hidden ones are rings.',
          table=report.Table(
              {
                  name: pick(row)
                  for name, row in results['per_sequence'].items()
              },
              'Each video',
              row_header='video',
              summary={'mean': pick(overall)},
          ),
      ),
  ]


def _sequences(data_dir, title):
  """Yields the videos of all pickles, and checks that their names differ."""
  names = set()
  for path in data.find(data_dir):
    for sequence in tqdm.tqdm(
        data.read_pickle(path), f'{title} {path.stem}', unit='video'
    ):
      if sequence.name in names:
        raise errors.UserError(
            f'{path} has another video {sequence.name}: rename one of the two'
        )
      names.add(sequence.name)
      yield sequence


def _track(tracker, frames, sequence, queries, query_mode):
  """Tracks the queried points. Before its query, a point is hidden."""
  count, time = len(queries.track), len(frames)
  given = sequence.points[queries.track, queries.frame]
  position = np.repeat(given[:, None], time, axis=1)
  occluded = np.ones((count, time), bool)
  for start in np.unique(queries.frame):
    queried = queries.frame == start
    directions = {1: range(start, time)}
    if query_mode == 'strided':
      directions[-1] = range(start, -1, -1)
    for step, times in directions.items():
      tracked = tracker.track_points(frames[start::step], given[queried])
      for t, points in zip(times, tracked, strict=True):
        position[queried, t] = points.position
        occluded[queried, t] = points.confidence <= 0.5
  return _Tracks(position, occluded)


def _measure(sequence, queries, tracks, query_mode):
  return metrics.compute_metrics(
      queries.frame,
      sequence.points[queries.track],
      sequence.occluded[queries.track],
      tracks.position,
      ~tracks.occluded,
      query_mode,
  )


def _query_points(sequence, queries):
  x, y = sequence.points[queries.track, queries.frame].T + 0.5
  return np.stack([queries.frame, y, x], axis=-1, dtype=np.float32)


def _write(predictions_dir, sequence, queries, tracks):
  path = predictions_dir / f'{sequence.name}.npz'
  with files.atomic_write(path) as temporary:
    np.savez_compressed(
        temporary,
        query_points=_query_points(sequence, queries),
        tracks=np.float32(tracks.position + 0.5),
        occluded=tracks.occluded,
    )


def _read(predictions_dir, sequence, queries):
  path = predictions_dir / f'{sequence.name}.npz'
  try:
    with np.load(path) as arrays:
      query_points, tracks = arrays['query_points'], arrays['tracks']
      occluded = arrays['occluded']
  # Malformed files raise errors of any kind.
  except Exception as error:
    raise errors.UserError(
        f'cannot read the tracks {path} ({error}): write query_points, tracks'
        ' and occluded there by numpy.savez'
    ) from error
  expected = _query_points(sequence, queries)
  time = sequence.points.shape[1]
  if (
      query_points.shape != expected.shape
      or not np.allclose(query_points, expected, atol=0.01)
      or tracks.shape != (len(expected), time, 2)
      or occluded.shape != (len(expected), time)
  ):
    raise errors.UserError(
        f'{path} is for other queries: track the {len(expected)} queried points'
        f' through the {time} frames, or correct --query_mode'
    )
  return _Tracks(tracks.astype(float) - 0.5, occluded.astype(bool))


def _draw_video(sequence, queries, tracks):
  """Yields true tracks beside predicted ones, each from its first query on."""
  _, firsts = np.unique(queries.track, return_index=True)
  track, start = queries.track[firsts], queries.frame[firsts]
  time = np.arange(sequence.points.shape[1])
  hidden = sequence.occluded[track]
  # A hidden point's true position is unknown: it stays where it was last seen.
  seen = np.where(hidden | (time < start[:, None]), start[:, None], time)
  last_seen = np.maximum.accumulate(seen, axis=1)
  panels = {
      'true points': (sequence.points[track[:, None], last_seen], hidden),
      'tracked': (tracks.position[firsts], tracks.occluded[firsts]),
  }
  colors = overlay.color_wheel(len(track))
  for t, frame in enumerate(sequence.frames):
    shown = start <= t
    since = max(0, t - _TRAIL)
    drawn = [
        overlay.draw_points(
            frame,
            position[shown, since : t + 1],
            ~occluded[shown, t],
            colors[shown],
        )
        for position, occluded in panels.values()
    ]
    yield panels_lib.hstack(drawn, list(panels))
