import functools

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np
import pytest

from vidcolor import models
from vidcolor.tracking import labels
from vidcolor.tracking import propagation

SIDE = 64


class _Pixels(nnx.Module):
  """Embeds a cell by its pixels: tracks what keeps its texture exactly."""

  channels = 1
  stride = 4
  num_frames = 1

  def encode(self, grey):
    batch, time, height, width, _ = grey.shape
    cells = grey.reshape(batch, time, height // 4, 4, width // 4, 4)
    cells = cells.transpose(0, 1, 2, 4, 3, 5)
    cells = cells.reshape(batch, time, height // 4, width // 4, 16)
    return cells / jnp.linalg.norm(cells, axis=-1, keepdims=True)

  def relate(self, features):
    return features


@functools.cache
def _propagator(**options):
  """A propagator of pixels, which compiles once for all tests."""
  return propagation.LabelPropagator(
      _Pixels(), propagation.PropagationOptions(**options)
  )


def _moving_square(num_frames, shift=4):
  """A textured square that moves by whole cells over a textured ground."""
  rng = np.random.default_rng(0)
  ground = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
  texture = rng.integers(0, 256, (16, 16, 3), np.uint8)
  frames, masks = [], []
  for t in range(num_frames):
    frame, mask = ground.copy(), np.zeros((SIDE, SIDE), np.uint8)
    x = 8 + shift * t
    frame[24:40, x : x + 16], mask[24:40, x : x + 16] = texture, 1
    frames.append(frame)
    masks.append(mask)
  return frames, masks


@pytest.mark.parametrize(
    'options',
    [
        {'top_k': 1},
        {'recent': 1, 'keep_first': False},
        {'radius': None, 'top_k': None, 'keep_first': False},
    ],
)
def test_follows_a_square(options):
  frames, masks = _moving_square(8)
  tracker = _propagator(temperature=0.01, **options)
  tracked = list(tracker.track(frames, masks[0]))
  assert len(tracked) == len(frames)
  for actual, expected in zip(tracked, masks, strict=True):
    # Corners are rounded off by bilinear labels, and ground that the square
    # uncovers was never seen; a mask left in place scores 0 in the end.
    assert np.sum(actual & expected) / np.sum(actual | expected) > 0.75


def test_state_is_as_large_after_many_frames_as_after_one():
  frames, masks = _moving_square(6, shift=0)
  tracker = _propagator(recent=2)
  state = tracker.init(frames[0], labels.from_mask(jnp.asarray(masks[0]), 2))
  shapes = jax.tree.map(jnp.shape, state)
  for frame in frames[1:]:
    state, _ = tracker.step(state, frame)
    assert jax.tree.map(jnp.shape, state) == shapes


def test_keeps_the_first_frame_and_the_recent_ones_in_order():
  tracker = propagation.LabelPropagator(
      _Pixels(), propagation.PropagationOptions(recent=2, keep_first=True)
  )

  # Flat frames of their own brightness: the features tell which is which.
  class _Brightness(_Pixels):

    def encode(self, grey):
      return grey.mean(axis=(2, 3), keepdims=True) * jnp.ones((1, 1, 2, 2, 4))

  tracker = propagation.LabelPropagator(
      _Brightness(),
      propagation.PropagationOptions(recent=2, keep_first=True, radius=1),
  )
  flat = lambda value: np.full((8, 8, 3), value, np.uint8)
  state = tracker.init(flat(0), jnp.ones((8, 8, 1)))
  np.testing.assert_array_equal(state.valid, [True, False, False])
  for value in (60, 120, 180):
    state, _ = tracker.step(state, flat(value))
  assert state.valid.all()
  brightness = np.asarray(state.features[:, 0, 0, 0])
  assert brightness[0] == pytest.approx(-1)
  assert brightness[0] < brightness[1] < brightness[2]
  assert brightness[1] == pytest.approx(-0.01, abs=0.02)  # L of sRGB 120.


def test_without_recent_frames_copies_from_the_first_alone():
  frames, masks = _moving_square(3)
  tracker = _propagator(recent=0)
  given = labels.from_mask(jnp.asarray(masks[0]), 2)
  state = tracker.init(frames[0], given)
  first = jax.tree.map(np.asarray, state)
  for frame in frames[1:]:
    state, _ = tracker.step(state, frame)
    jax.tree.map(np.testing.assert_array_equal, state, first)


@pytest.mark.slow
def test_labels_stay_a_distribution_for_any_number_of_objects():
  frames, masks = _moving_square(3)
  mask = masks[0] + 2 * np.roll(masks[0], -20, axis=0)
  tracker = _propagator()
  state = tracker.init(frames[0], labels.from_mask(jnp.asarray(mask), 3))
  for frame in frames[1:]:
    state, soft = tracker.step(state, frame)
    assert soft.shape == (SIDE // 4, SIDE // 4, 3)
    np.testing.assert_allclose(soft.sum(-1), np.ones(soft.shape[:2]), rtol=1e-5)


@pytest.mark.slow
def test_papers_network_and_scheme_run_on_any_frame_size():
  model = nnx.view(models.create('resnet3d'), use_running_average=True)
  tracker = propagation.LabelPropagator(
      model,
      propagation.PropagationOptions(
          recent=3,
          keep_first=False,
          temperature=0.5,
          radius=None,
          top_k=None,
          short_side=32,
      ),
  )
  frames = np.random.default_rng(0).integers(0, 256, (3, 45, 70, 3), np.uint8)
  mask = np.zeros((45, 70), np.uint8)
  mask[10:30, 20:50] = 1
  for tracked in tracker.track(frames, mask):
    assert tracked.shape == mask.shape


def test_network_over_time_refuses_another_number_of_references():
  model = nnx.eval_shape(lambda: models.create('resnet3d'))
  with pytest.raises(ValueError, match='needs 3 references, not 4'):
    propagation.LabelPropagator(
        model, propagation.PropagationOptions(recent=4, keep_first=False)
    )


@pytest.mark.slow
def test_any_callable_embeds():
  frames, masks = _moving_square(4)
  model = _Pixels()
  options = propagation.PropagationOptions(temperature=0.01)
  embeddings = [propagation.encode(model, frame, options) for frame in frames]
  expected = propagation.LabelPropagator(model, options).track(frames, masks[0])
  # Such as features that were computed elsewhere.
  tracked = propagation.LabelPropagator(lambda x: x, options).track(
      embeddings, masks[0]
  )
  np.testing.assert_array_equal(list(tracked), list(expected))


def test_void_in_the_first_mask_is_background():
  frames, masks = _moving_square(3)
  void = masks[0].copy()
  void[:8] = 255
  tracker = _propagator()
  np.testing.assert_array_equal(
      list(tracker.track(frames, void)), list(tracker.track(frames, masks[0]))
  )


def test_copies_from_every_frame_with_given_labels():
  frames, masks = _moving_square(3, shift=0)
  tracker = _propagator(temperature=0.01, top_k=1)
  one_hot = lambda mask: labels.from_mask(jnp.asarray(mask), 2)
  state = tracker.init(frames[0], one_hot(np.zeros_like(masks[0])))
  state = tracker.observe(state, frames[1], one_hot(masks[1]))
  assert bool(state.valid[0]) and bool(state.valid[-1])
  assert float(state.labels[0, ..., 1].max()) == 0
  assert float(state.labels[-1, ..., 1].max()) == 1


def test_follows_points_through_a_square_that_moves_over_one():
  frames, _ = _moving_square(8)
  # Two on the square, and one on the ground that it soon covers and uncovers.
  points = np.array([[15.5, 30.5], [17.0, 33.0], [29.5, 32.5]])
  tracker = _propagator(temperature=0.01, top_k=1)
  tracked = list(tracker.track_points(iter(frames), points))
  assert len(tracked) == len(frames)
  np.testing.assert_array_equal(tracked[0].position, points)
  assert (tracked[0].confidence == 1).all()
  for t, found in enumerate(tracked):
    # Within half a cell: the square is but four cells wide.
    moved = points[:2] + [4 * t, 0]
    np.testing.assert_allclose(found.position[:2], moved, atol=2.0)
    assert (found.confidence[:2] > 0.5).all()
  covered = [t for t in range(8) if 8 + 4 * t <= 24 and 24 + 4 * t >= 36]
  for t, found in enumerate(tracked):
    assert (found.confidence[2] <= 0.5) == (t in covered), t
  np.testing.assert_allclose(tracked[-1].position[2], points[2], atol=2.0)


@pytest.mark.slow
def test_points_do_not_depend_on_how_many_there_are():
  frames, _ = _moving_square(3)
  points = np.random.default_rng(0).uniform(0, SIDE - 1, (300, 2))
  tracker = _propagator()
  few = list(tracker.track_points(frames, points[:3]))
  many = list(tracker.track_points(frames, points))
  assert many[-1].position.shape == (300, 2)
  for a, b in zip(few, many, strict=True):
    np.testing.assert_allclose(a.position, b.position[:3], atol=1e-3)
    np.testing.assert_allclose(a.confidence, b.confidence[:3], atol=1e-5)


def test_no_points_stay_no_points():
  frames, _ = _moving_square(3)
  tracker = _propagator()
  tracked = list(tracker.track_points(frames, np.zeros((0, 2))))
  assert [points.position.shape for points in tracked] == 3 * [(0, 2)]
  assert [points.confidence.shape for points in tracked] == 3 * [(0,)]


def test_single_image_embeds_a_video_that_stands_still():
  class _Sum(_Pixels):
    num_frames = 3

    def relate(self, features):
      return jnp.cumsum(features, axis=1)

  (frame, *_), _ = _moving_square(1)
  embed = propagation.single_image(_Sum(), propagation.PropagationOptions())
  np.testing.assert_allclose(
      embed(frame),
      3
      * propagation.encode(_Pixels(), frame, propagation.PropagationOptions()),
      atol=1e-5,
  )


def test_refuses_an_unknown_way_to_shrink_labels():
  with pytest.raises(ValueError, match="shrink_labels is 'area', not one of"):
    propagation.PropagationOptions(shrink_labels='area')


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, (32, 48)),
        ({'short_side': 16}, (16, 24)),
        ({'short_side': 64}, (32, 48)),
        ({'short_side': 64, 'max_enlargement': 3.0}, (64, 96)),
        ({'short_side': 64, 'max_enlargement': 1.5}, (48, 72)),
    ],
)
def test_frames_are_shrunk_and_enlarged_to_the_short_side(options, expected):
  frame = np.zeros((32, 48, 3), np.uint8)
  options = propagation.PropagationOptions(**options)
  features = jax.eval_shape(
      lambda frame: propagation.encode(_Pixels(), frame, options), frame
  )
  assert tuple(4 * cells for cells in features.shape[:2]) == expected
