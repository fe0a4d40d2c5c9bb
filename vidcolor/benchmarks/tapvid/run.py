"""TAP-Vid: points on anything, followed through a video.

TAP-Vid knows no submission: of each video a file <video>.npz is written, and
scored from there, with what the published `compute_tapvid_metrics` takes:

  query_points: float [queries, 3], the frame's number, y and x;
  tracks: float [queries, time, 2], x and y;
  occluded: bool [queries, time];

all in raster coordinates of frames of 256 x 256, 0 to 256 from edge to edge, in
the order of `evaluation.tapvid.sample_queries`.
"""

from collections.abc import Callable, Sequence
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import tqdm

from vidcolor import errors
from vidcolor import files
from vidcolor.benchmarks.tapvid import data
from vidcolor.benchmarks.tapvid import metrics
from vidcolor.render import overlay
from vidcolor.render import report
from vidcolor.video import mp4

_FILM_RATE = 24.0  # Frames a second.
_TRAIL = 12  # Frames.


class _Tracks(NamedTuple):
  position: np.ndarray  # [queries, time, 2] in pixels.
  occluded: np.ndarray  # [queries, time].


def evaluate(
    tracker: Any,
    data_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    split: str | None = None,
    query_mode: str = 'first',
    frames_of: Callable[
        [data.PointSequence], Sequence[Any] | np.ndarray
    ] = lambda sequence: sequence.frames,
) -> tuple[dict[str, Any], list[report.Section]]:
  """Tracks the points of every video, and scores them as `score` does.

  The points that are given in one frame are tracked together, forward, and
  where `query_mode` is 'strided' backward too.

  Args:
    tracker: Has `track_points(frames, points)`, which yields for each frame a
      `position` and a `confidence` (visible above 0.5) of the points.
    data_dir: As `data.read_all` takes it.
    output_dir: Folder to write to: the tracks to predictions/.
    split: As `data.read_all` takes it.
    query_mode: As `metrics.sample_queries` takes it.
    frames_of: What the tracker is fed for a video: its frames of 256 x 256, or
      features that were computed elsewhere.

  Returns:
    As `score`.

  Raises:
    UserError: as `data.read_all`, or two videos have one name.
  """
  predictions_dir = pathlib.Path(output_dir) / 'predictions'
  predictions_dir.mkdir(parents=True, exist_ok=True)
  for sequence in _sequences(data_dir, split, 'tracking'):
    queries = metrics.sample_queries(sequence.occluded, query_mode)
    tracks = _track(tracker, frames_of(sequence), sequence, queries, query_mode)
    _write(predictions_dir, sequence, queries, tracks)
  return score(
      predictions_dir,
      data_dir,
      output_dir,
      split=split,
      query_mode=query_mode,
  )


def score(
    predictions_dir: str | os.PathLike,
    data_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    split: str | None = None,
    query_mode: str = 'first',
) -> tuple[dict[str, Any], list[report.Section]]:
  """Scores tracks as published: each video, and the mean over videos.

  Args:
    predictions_dir: Folder of <video>.npz, see above.
    data_dir: As `data.read_all` takes it.
    output_dir: Folder to write films of the best and the worst video to.
    split: As `data.read_all` takes it.
    query_mode: That of the tracks.

  Returns:
    The metrics of `metrics.compute_metrics` for 'overall' and, by name, in
    'per_sequence'. A video in which no point is seen in a frame that counts is
    left out. Then the sections of a report.

  Raises:
    UserError: as `evaluate`; or a prediction is missing, unreadable or for
      other queries; or there is nothing to score.
  """
  per_sequence, ranked = {}, []
  for sequence in _sequences(data_dir, split, 'scoring'):
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
    raise errors.UserError(f'no point of {data_dir} is seen after it is given')
  names = next(iter(per_sequence.values()))
  results = {
      'query_mode': query_mode,
      'overall': {
          name: float(np.mean([row[name] for row in per_sequence.values()]))
          for name in names
      },
      'per_sequence': per_sequence,
  }
  media = []
  for title, (_, *drawn) in ('best', ranked[-1]), ('worst', ranked[0]):
    path = pathlib.Path(output_dir) / f'{title}.mp4'
    mp4.write(path, _film(*drawn), _FILM_RATE)
    media.append(
        report.Media(path.name, f'The {title} of all: {drawn[0].name}.')
    )
  return results, _sections(results, media)


def _sequences(data_dir, split, title):
  """The videos of a benchmark, which have to differ in name."""
  names = set()
  for origin, sequences in data.read_all(data_dir, split=split):
    for sequence in tqdm.tqdm(
        sequences, f'{title} {pathlib.Path(origin).stem}', unit='video'
    ):
      if sequence.name in names:
        raise errors.UserError(
            f'{origin} has another video {sequence.name}: rename one of the two'
        )
      names.add(sequence.name)
      yield sequence


def _track(tracker, frames, sequence, queries, query_mode):
  """Tracks what is asked for; before its query a point stays and is hidden."""
  count, time = len(queries.track), len(frames)
  given = sequence.points[queries.track, queries.frame]
  position = np.repeat(given[:, None], time, axis=1)
  occluded = np.ones((count, time), bool)
  for start in np.unique(queries.frame):
    asked = queries.frame == start
    ways = {1: range(start, time)}
    if query_mode == 'strided':
      ways[-1] = range(start, -1, -1)
    for step, times in ways.items():
      tracked = tracker.track_points(frames[start::step], given[asked])
      for t, points in zip(times, tracked, strict=True):
        position[asked, t] = points.position
        occluded[asked, t] = points.confidence <= 0.5
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
        f'{path} is for other queries: track the {len(expected)} points asked'
        f' for through the {time} frames, or mend --query_mode'
    )
  return _Tracks(tracks.astype(float) - 0.5, occluded.astype(bool))


def _film(sequence, queries, tracks):
  """The true tracks beside the predicted ones, each from its first query on."""
  _, firsts = np.unique(queries.track, return_index=True)
  track, start = queries.track[firsts], queries.frame[firsts]
  time = np.arange(sequence.points.shape[1])
  hidden = sequence.occluded[track]
  # A hidden point's true place is not known: it stays where it was last seen.
  seen = np.where(hidden | (time < start[:, None]), start[:, None], time)
  last_seen = np.maximum.accumulate(seen, axis=1)
  panels = {
      'true points': (sequence.points[track[:, None], last_seen], hidden),
      'tracked': (tracks.position[firsts], tracks.occluded[firsts]),
  }
  colours = overlay.wheel(len(track))
  for t, frame in enumerate(sequence.frames):
    shown = start <= t
    since = max(0, t - _TRAIL)
    drawn = [
        overlay.draw_points(
            frame,
            position[shown, since : t + 1],
            ~occluded[shown, t],
            colours[shown],
        )
        for position, occluded in panels.values()
    ]
    yield overlay.side_by_side(drawn, list(panels))


def _sections(results, media):
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
          ' their place. jaccard counts those of them that were said to be'
          ' seen, of all that are seen and all that were wrongly said to be.'
          ' Averages are over the five thresholds. occlusion_accuracy is how'
          ' often it was rightly told whether a point is seen.',
          table=report.Table(
              by_threshold, 'Means over videos', row_header='measure'
          ),
          media=media,
      ),
      report.Section(
          'Video by video',
          'In the films, points said to be seen are discs, hidden ones rings.',
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
