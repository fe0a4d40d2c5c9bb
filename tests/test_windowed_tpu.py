import functools

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from vidcolor import copying
from vidcolor import windowed
from vidcolor import windowed_tpu
from vidcolor.training import compiled

# Neither axis is a multiple of a tile, and tiles see more than the frame.
TIME, HEIGHT, WIDTH, DIM, CHANNELS = 2, 11, 21, 8, 3
RADIUS, TOP_K = 3.5, 5


def _inputs():
  rng = np.random.default_rng(0)
  normal = lambda *shape: rng.normal(0, 1, shape).astype(np.float32)
  return (
      normal(HEIGHT, WIDTH, DIM),
      normal(TIME, HEIGHT, WIDTH, DIM),
      normal(TIME, HEIGHT, WIDTH, CHANNELS),
  )


@functools.cache
def _kernel(radius=RADIUS, square=False, top_k=TOP_K):
  copy = lambda *arrays: windowed_tpu.copy_best(
      *arrays, radius, square, top_k, True
  )
  # Without this, XLA takes long to optimize what only interprets the kernel.
  return jax.jit(copy, compiler_options={'xla_backend_optimization_level': 0})


def _numpy_copy(target, reference, values, valid, radius, square, top_k):
  """The definition in float64. Of equal matches, all take part."""
  target, reference, values = (
      np.asarray(x, np.float64) for x in (target, reference, values)
  )
  scores = np.einsum('yxd,tuvd->yxtuv', target, reference)
  y, x = np.indices((HEIGHT, WIDTH))
  distance = (np.maximum if square else np.hypot)(
      abs(y[:, :, None, None] - y), abs(x[:, :, None, None] - x)
  )
  near = (distance <= radius)[:, :, None] & valid[:, None, None]
  scores = np.where(near, scores, -np.inf).reshape(HEIGHT, WIDTH, -1)
  kth = np.sort(scores, axis=-1)[..., [-top_k]]
  weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
  weights *= scores >= kth
  weights /= weights.sum(axis=-1, keepdims=True)
  return weights @ values.reshape(-1, CHANNELS)


def _assert_exact(valid, **options):
  inputs = _inputs()
  valid = np.array(valid)
  copied = _kernel(**options)(*inputs, valid)
  options = {'radius': RADIUS, 'square': False, 'top_k': TOP_K} | options
  expected = _numpy_copy(*inputs, valid, **options)
  np.testing.assert_allclose(copied, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('valid', [(True, True), (False, True)])
def test_agrees_with_float64_numpy(valid):
  _assert_exact(valid)


@pytest.mark.slow  # Each compiles the interpreted kernel again.
@pytest.mark.parametrize(
    'options',
    [
        {'radius': 4, 'square': True, 'top_k': 7},
        {'radius': 40, 'top_k': 6},
        {'radius': 6, 'top_k': 1},
    ],
)
def test_agrees_with_float64_numpy_for_other_windows(options):
  _assert_exact((True, True), **options)


@pytest.mark.slow
def test_equal_matches_take_no_more_than_their_places():
  target, reference, values = _inputs()
  twice = lambda x: jnp.stack([x[0], x[0]])
  copied = _kernel()(target, twice(reference), twice(values), jnp.ones(2, bool))
  # Of five places, a pair of equal matches has two, and a third pair has one.
  expected = windowed.copy_windowed(
      jnp.asarray(target),
      twice(jnp.asarray(reference)),
      twice(jnp.asarray(values)),
      jnp.ones(2, bool),
      radius=RADIUS,
      square=False,
      unwindowed=0,
      top_k=TOP_K,
  )
  np.testing.assert_allclose(copied, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_gradient_is_that_of_the_definition():
  arrays = [x[None] for x in _inputs()]

  def gradients(kernel):
    copy = functools.partial(
        copying.copy, radius=RADIUS, top_k=TOP_K, kernel=kernel
    )
    loss = lambda *arrays: jnp.sum(copy(*arrays) ** 2)
    return jax.grad(loss, argnums=(0, 1, 2))(*arrays)

  for ours, expected in zip(gradients(True), gradients(False), strict=True):
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_the_kernel_is_for_windows_and_best_matches_that_fit_on_the_chip():
  can = functools.partial(
      windowed_tpu.can_copy, radius=18, unwindowed=0, top_k=5
  )
  tracked = 1, 6, 90, 160, 64
  assert can(tracked)
  assert not can(tracked, radius=None)
  assert not can(tracked, top_k=None)
  assert not can(tracked, unwindowed=1)
  assert not can((1, 20, 180, 320, 256))


@pytest.mark.slow
@pytest.mark.parametrize('kernel', [True, False])
@pytest.mark.usefixtures('libtpu')
def test_a_tpu_gets_the_kernel_if_told(kernel):
  shape = lambda *s: jax.ShapeDtypeStruct(s, jnp.float32)
  found = compiled.on_one_chip(
      functools.partial(copying.copy, radius=5, top_k=5, kernel=kernel),
      shape(2, 19, 37, 64),
      shape(2, 3, 19, 37, 64),
      shape(2, 3, 19, 37, 3),
  )
  assert any('best_matches' in name for name in found['kernels']) == kernel
