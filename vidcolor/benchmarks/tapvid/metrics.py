"""The measures of the TAP-Vid benchmark for tracked points.

As published in Doersch et al., "TAP-Vid: A Benchmark for Tracking Any Point in
a Video", NeurIPS 2022, and github.com/google-deepmind/tapnet. Positions are
(x, y) in pixels of a frame of 256 x 256, whatever the size that was tracked in.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
import numpy as np

THRESHOLDS = (1, 2, 4, 8, 16)  # Pixels.
QUERY_MODES = ('first', 'strided')
_STRIDE = 5  # Of 'strided', in frames, as published.


class Queries(NamedTuple):
  """Which tracks are asked for, and the frame each is given in."""

  track: Int[np.ndarray, ' queries']
  frame: Int[np.ndarray, ' queries']


def sample_queries(
    occluded: Bool[np.ndarray, 'tracks time'], query_mode: str
) -> Queries:
  """Chooses the points that a tracker is given.

  Args:
    occluded: Whether a point is hidden.
    query_mode: 'first' asks for each track once, from the first frame it is
      seen in; 'strided' asks for it from each of the frames 0, 5, 10, ... that
      it is seen in.

  Returns:
    The queries, in order of the track for 'first' and of the frame for
    'strided'. A track that is never seen (there) is not asked for.

  Raises:
    ValueError: the mode is neither.
  """
  _check_mode(query_mode)
  if query_mode == 'first':
    (track,) = np.nonzero(~occluded.all(axis=1))
    return Queries(track, occluded[track].argmin(axis=1))
  frame, track = np.nonzero(~occluded[:, ::_STRIDE].T)
  return Queries(track, frame * _STRIDE)


def compute_metrics(
    query_frame: Int[np.ndarray, ' queries'],
    true_points: Float[np.ndarray, 'queries time 2'],
    occluded: Bool[np.ndarray, 'queries time'],
    points: Float[np.ndarray, 'queries time 2'],
    visible: Bool[np.ndarray, 'queries time'],
    query_mode: str,
) -> dict[str, float]:
  """Compares the tracks of one video with the true ones.

  Scored are the frames after the query's ('first'), or all but the query's
  ('strided').

  Args:
    query_frame: In which each query's point was given.
    true_points: Where they truly are, in pixels of 256 x 256; of no consequence
      where occluded.
    occluded: Whether they truly are hidden.
    points: Where they were tracked to.
    visible: Whether they were said to be seen.
    query_mode: 'first' or 'strided'.

  Returns:
    In 0 to 1, by their published names:

    occlusion_accuracy: Share of the frames in which it was rightly told whether
      a point is seen.
    pts_within_N: Share of the points truly seen that were tracked to less than
      N pixels from their place; average_pts_within_thresh is the mean over
      `THRESHOLDS`, also known as delta-average.
    jaccard_N: Of the points seen, true positives (within N pixels and said to
      be seen) over all truly seen and all false positives; average_jaccard is
      the mean over `THRESHOLDS`.

    NaN where no point truly seen is left to score.

  Raises:
    ValueError: the mode is neither.
  """
  _check_mode(query_mode)
  time = np.arange(occluded.shape[1])
  after, before = time > query_frame[:, None], time < query_frame[:, None]
  scored = after if query_mode == 'first' else after | before
  seen = scored & ~occluded
  claimed = scored & visible
  told = scored & (visible != occluded)
  squared = np.sum(np.square(points - true_points), axis=-1)
  within, jaccards = {}, {}
  for threshold in THRESHOLDS:
    right = seen & (squared < threshold**2)
    within[f'pts_within_{threshold}'] = _ratio(right.sum(), seen.sum())
    jaccards[f'jaccard_{threshold}'] = _ratio(
        (right & claimed).sum(), seen.sum() + (claimed & ~right).sum()
    )
  return {
      'average_jaccard': float(np.mean(list(jaccards.values()))),
      'average_pts_within_thresh': float(np.mean(list(within.values()))),
      'occlusion_accuracy': _ratio(told.sum(), scored.sum()),
      **jaccards,
      **within,
  }


def _check_mode(query_mode):
  if query_mode not in QUERY_MODES:
    raise ValueError(f'query_mode is {query_mode!r}, not one of {QUERY_MODES}.')


def _ratio(part, whole):
  return float(part / whole) if whole else float('nan')
