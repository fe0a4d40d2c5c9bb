import jax
from jax import numpy as jnp
import numpy as np
import pytest

from vidcolor.tracking import following
from vidcolor.tracking import propagation

ROWS, COLUMNS = 16, 40

_with_moved_kept = jax.jit(following.with_moved_kept)


def _labels(*corners, side=4):
  """Labels of the background and of one square for each corner (y, x)."""
  labels = np.zeros((ROWS, COLUMNS, len(corners) + 1), np.float32)
  for number, (y, x) in enumerate(corners, 1):
    labels[y : y + side, x : x + side, number] = 1
  labels[..., 0] = 1 - labels[..., 1:].sum(-1)
  return labels


def _references(first, last):
  embeddings = np.random.default_rng(0).normal(size=(2, ROWS, COLUMNS, 3))
  return following.References(
      jnp.asarray(embeddings, jnp.float32),
      jnp.stack([first, last]),
      jnp.array([True, True]),
  )


def test_each_object_takes_the_first_frame_along():
  first, last = _labels((2, 4), (8, 30)), _labels((5, 14), (8, 24))
  references = _references(first, last)
  moved = _with_moved_kept(references)
  assert moved.valid.tolist() == [True, True, True]
  np.testing.assert_array_equal(moved.labels[0], last)
  start = references.embeddings[0]
  np.testing.assert_array_equal(
      moved.embeddings[0, 5:9, 14:18], start[2:6, 4:8]
  )
  np.testing.assert_array_equal(
      moved.embeddings[0, 8:12, 24:28], start[8:12, 30:34]
  )
  np.testing.assert_array_equal(moved.embeddings[1:], references.embeddings)


@pytest.mark.parametrize(
    'last',
    [
        _labels((2, 4)),  # It has not moved.
        np.eye(2, dtype=np.float32)[np.zeros((ROWS, COLUMNS), int)],  # Lost.
    ],
)
def test_without_motion_there_is_no_moved_frame(last):
  moved = _with_moved_kept(_references(_labels((2, 4)), last))
  assert moved.valid.tolist() == [False, True, True]


def test_labels_stay_a_distribution_at_the_border():
  first, last = _labels((2, 4)), _labels((10, 34))
  moved = _with_moved_kept(_references(first, last))
  np.testing.assert_allclose(moved.labels.sum(-1), 1)


def _moving_square(num_frames=12, shift=2):
  """Embeddings of a square that moves by cells over the ground."""
  rng = np.random.default_rng(0)
  ground = rng.normal(size=(ROWS, COLUMNS, 16))
  square = rng.normal(size=(4, 4, 16))
  frames = []
  for t in range(num_frames):
    frame, x = ground.copy(), 4 + shift * t
    frame[6:10, x : x + 4] = square
    frames.append(np.float32(frame))
  return frames


def _track(options, frames, shape=(ROWS, COLUMNS)):
  mask = np.zeros(shape, np.uint8)
  mask[6:10, 4:8] = 1
  tracker = propagation.LabelPropagator(jnp.asarray, options)
  return list(tracker.track(frames, mask))


@pytest.mark.slow
def test_finds_an_object_again_that_has_left_the_first_window():
  frames = _moving_square()
  # The right half is hidden for longer than the memory of recent frames.
  for t in range(8, 11):
    x = 4 + 2 * t
    frames[t][6:10, x + 2 : x + 4] = frames[0][6:10, x + 2 : x + 4]
  options = dict(
      temperature=0.05, radius=6, recent=2, top_k=1, unit_length=True
  )
  plain = _track(propagation.PropagationOptions(**options), frames)
  follow = propagation.PropagationOptions(**options, follow_objects=True)
  followed = _track(follow, frames)
  assert plain[-1][6:10, 28:30].sum() == 0
  truth = np.zeros((ROWS, COLUMNS), np.uint8)
  truth[6:10, 26:30] = 1
  # At the left, the square uncovers ground that was never seen.
  np.testing.assert_array_equal(followed[-1][:, 20:], truth[:, 20:])


@pytest.mark.parametrize(
    'options',
    [
        {'keep_first': False},
        {'radius': None},
        {'window_first': False},
    ],
)
def test_changes_nothing_without_a_window_in_the_first_frame(options):
  frames = _moving_square(4)
  options = {'temperature': 0.05, 'radius': 6, 'top_k': 3} | options
  plain = _track(propagation.PropagationOptions(**options), frames)
  follow = propagation.PropagationOptions(**options, follow_objects=True)
  np.testing.assert_array_equal(plain, _track(follow, frames))


@pytest.mark.slow
def test_points_are_not_followed():
  frames = _moving_square()
  points = np.array([[5.0, 7.0]])
  options = dict(
      temperature=0.05, radius=6, recent=2, top_k=1, unit_length=True
  )
  track = lambda **changes: np.stack(
      [
          tracked.position
          for tracked in propagation.LabelPropagator(
              jnp.asarray, propagation.PropagationOptions(**options, **changes)
          ).track_points(frames, points)
      ]
  )
  np.testing.assert_array_equal(track(), track(follow_objects=True))
