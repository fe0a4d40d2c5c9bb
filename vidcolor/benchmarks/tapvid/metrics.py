"""The metrics of the TAP-Vid benchmark for tracked points.

They are those of Doersch et al., "TAP-Vid: A Benchmark for Tracking Any Point
in a Video", NeurIPS 2022, and github.com/google-deepmind/tapnet. Positions are
(x, y) in pixels of a frame of 256 x 256. The tracker may have used frames of
another size.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
import numpy as np

THRESHOLDS = (1, 2, 4, 8, 16)  # Pixels.
QUERY_MODES = ('first', 'strided')
_STRIDE = 5  # Of 'strided', in frames, as published.


class Queries(NamedTuple):
  """The tracks that are queried, and the frame of each query."""

  track: Int[np.ndarray, ' queries']
  frame: Int[np.ndarray, ' queries']


def sample_queries(
    occluded: Bool[np.ndarray, 'tracks time'], query_mode: str
) -> Queries:
  """Chooses the points that a tracker is given.

  Args:
    occluded: Whether a point is hidden.
    query_mode: 'first' queries each track once, in the first frame where it is
      seen. 'strided' queries it in each of the frames 0, 5, 10, ... where it is
      seen.

  Returns:
    The queries, in order of tracks for 'first' and of frames for 'strided'. A
    track that is never seen in these frames has no query.

  Raises:
    ValueError: There is no such query mode.
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

  In the mode 'first', only the frames after a query's frame are measured. In
  the mode 'strided', all frames except the query's frame are measured.

  Args:
    query_frame: Frame of each query.
    true_points: True positions (x, y) in pixels of 256 x 256. Where a point is
      occluded, its position is ignored and may be NaN.
    occluded: Whether a point is truly hidden.
    points: Predicted positions (x, y) in the same pixels.
    visible: Whether a point is predicted to be visible.
    query_mode: 'first' or 'strided'.

  Returns:
    Metrics in 0 to 1, by their published names:

    occlusion_accuracy: Fraction of the measured points whose visibility is
      predicted correctly.
    pts_within_N: Fraction of the truly visible points that were tracked to less
      than N pixels from their true position. average_pts_within_thresh is the
      mean over `THRESHOLDS`, also known as delta-average.
    jaccard_N: True positives (visible, predicted visible, and within N pixels)
      divided by the truly visible points plus the false positives (predicted
      visible, but occluded or not within N pixels).
      average_jaccard is the mean over `THRESHOLDS`.

    A metric is NaN if it has nothing to measure: no point is truly visible in
    a measured frame.

  Raises:
    ValueError: There is no such query mode.
  """
  _check_mode(query_mode)
  time = np.arange(occluded.shape[1])
  after, before = time > query_frame[:, None], time < query_frame[:, None]
  scored = after if query_mode == 'first' else after | before
  seen = scored & ~occluded
  predicted = scored & visible
  right = scored & (visible != occluded)
  squared = np.sum(np.square(points - true_points), axis=-1)
  within, jaccards = {}, {}
  for threshold in THRESHOLDS:
    near = seen & (squared < threshold**2)
    within[f'pts_within_{threshold}'] = _ratio(near.sum(), seen.sum())
    jaccards[f'jaccard_{threshold}'] = _ratio(
        (near & predicted).sum(), seen.sum() + (predicted & ~near).sum()
    )
  return {
      'average_jaccard': float(np.mean(list(jaccards.values()))),
      'average_pts_within_thresh': float(np.mean(list(within.values()))),
      'occlusion_accuracy': _ratio(right.sum(), scored.sum()),
      **jaccards,
      **within,
  }


def _check_mode(query_mode):
  if query_mode not in QUERY_MODES:
    raise ValueError(f'query_mode is {query_mode!r}, not one of {QUERY_MODES}.')


def _ratio(part, whole):
  return float(part / whole) if whole else float('nan')
