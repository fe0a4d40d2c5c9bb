import jax
from jax import numpy as jnp
import numpy as np
import pytest

from vidcolor import copying

BATCH, TIME, HEIGHT, WIDTH, DIM, CHANNELS = 2, 3, 9, 13, 8, 5
TEMPERATURE = 0.7
FORMS = {
    'plain': {},
    'blockwise': {'block_size': 50},
    'windowed': {'radius': 3},
    'windowed top-k': {'radius': 4.5, 'top_k': 7},
    'square window': {'radius': 3.5, 'square_window': True},
    'unwindowed top-k': {'radius': 3, 'unwindowed': 2, 'top_k': 7},
    'global top-k': {'top_k': 6},
    'window larger than the frame': {'radius': 40},
}


def _inputs(dtype=np.float32):
  rng = np.random.default_rng(0)
  normal = lambda *shape: rng.normal(0, 1, shape).astype(dtype)
  return (
      normal(BATCH, HEIGHT, WIDTH, DIM),
      normal(BATCH, TIME, HEIGHT, WIDTH, DIM),
      normal(BATCH, TIME, HEIGHT, WIDTH, CHANNELS),
  )


def _flat(array):
  array = np.asarray(array, np.float64)
  return array.reshape(BATCH, -1, array.shape[-1])


def _numpy_copy(
    target,
    reference,
    values,
    valid,
    radius=np.inf,
    square_window=False,
    unwindowed=0,
    top_k=None,
):
  """The definition in float64: returns copied values and the affinity."""
  _, height, width, _ = target.shape
  target, reference, values = map(_flat, (target, reference, values))
  scores = target @ reference.transpose(0, 2, 1) / TEMPERATURE
  y, x = np.divmod(np.arange(height * width), width)
  distance = (np.maximum if square_window else np.hypot)(
      abs(y[:, None] - y), abs(x[:, None] - x)
  )
  anywhere = np.arange(TIME) < unwindowed
  near = (distance <= radius)[:, None, :] | anywhere[:, None]
  mask = near & valid[:, None, :, None]
  scores = np.where(mask.reshape(scores.shape), scores, -np.inf)
  if top_k is not None:
    kth = np.sort(scores, axis=-1)[..., [-top_k]]
    scores = np.where(scores >= kth, scores, -np.inf)
  weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
  affinity = weights / weights.sum(axis=-1, keepdims=True)
  return affinity @ values, affinity


def _numpy_gradients(target, reference, values, affinity, gradient):
  """Gradients of sum(copied * gradient), by hand, in float64."""
  shapes = target.shape, reference.shape, values.shape
  target, reference, values = map(_flat, (target, reference, values))
  transpose = lambda x: x.transpose(0, 2, 1)
  inner = gradient @ transpose(values)
  mean = np.sum(affinity * inner, axis=-1, keepdims=True)
  scores_gradient = affinity * (inner - mean) / TEMPERATURE
  gradients = (
      scores_gradient @ reference,
      transpose(scores_gradient) @ target,
      transpose(affinity) @ gradient,
  )
  return [g.reshape(shape) for g, shape in zip(gradients, shapes, strict=True)]


def _assert_close(actual, expected, rtol=1e-5):
  scale = np.abs(expected).max()
  np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize('options', FORMS.values(), ids=FORMS)
def test_agrees_with_float64_numpy_with_gradients(options):
  inputs = _inputs()
  valid = np.array([[False, True, True], [True, False, False]])
  weight = np.random.default_rng(1).normal(
      0, 1, (BATCH, HEIGHT, WIDTH, CHANNELS)
  )

  def loss(target, reference, values):
    copied = copying.copy(
        target,
        reference,
        values,
        temperature=TEMPERATURE,
        valid=jnp.asarray(valid),
        **options,
    )
    return jnp.sum(copied * weight.astype(np.float32)), copied

  gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))
  gradients, copied = gradient(*inputs)
  options = {k: v for k, v in options.items() if k != 'block_size'}
  expected, affinity = _numpy_copy(*inputs, valid, **options)
  _assert_close(copied, expected.reshape(copied.shape))
  # A copy of equal values needs no scores, but its gradient does.
  (_, _, actual), _ = gradient(*inputs[:2], np.ones_like(inputs[2]))
  _assert_close(_flat(actual), affinity.transpose(0, 2, 1) @ _flat(weight))
  weight = weight.reshape(BATCH, -1, CHANNELS)
  for actual, wanted in zip(
      gradients, _numpy_gradients(*inputs, affinity, weight), strict=True
  ):
    _assert_close(actual, wanted)


def _labels(**objects):
  """Returns labels of a background and two objects, at slices of frames."""
  labels = np.zeros((BATCH, TIME, 24, 40, 3), np.float32)
  labels[..., 0] = 1
  for name, place in objects.items():
    labels[place] = np.eye(3)[['background', 'first', 'second'].index(name)]
  return labels


# Tiles of targets are in three rows and five columns. Most see no object.
LABELS = {
    'no object': _labels(),
    'all object': _labels(first=np.s_[:]),
    'one at the border': _labels(first=np.s_[:, :, :6, 35:]),
    'two that overlap': _labels(
        first=np.s_[:, :, 8:16, 8:14], second=np.s_[:, 1:, 12:20, 12:16]
    ),
    'one in a frame that takes no part': _labels(first=np.s_[0, 0, :9, :9]),
    'a few cells, in one frame': _labels(second=np.s_[1, 1, 21:, 20:23]),
    'a faint one': 0.998 * _labels()
    + 0.002 * _labels(first=np.s_[:, 1, 4:7, 30:33]),
    'soft': np.random.default_rng(0).dirichlet(np.ones(3), (BATCH, 3, 24, 40)),
}


@pytest.mark.parametrize(
    'name',
    ['windowed', 'windowed top-k', 'square window', 'unwindowed top-k'],
)
def test_labels_agree_with_float64_numpy(name):
  rng = np.random.default_rng(0)
  target = rng.normal(0, 1, (BATCH, 24, 40, DIM)).astype(np.float32)
  reference = rng.normal(0, 1, (BATCH, TIME, 24, 40, DIM)).astype(np.float32)
  valid = np.array([[False, True, True], [True, True, True]])
  _, affinity = _numpy_copy(target, reference, reference, valid, **FORMS[name])
  for labels in LABELS.values():
    copied = copying.copy(
        target,
        reference,
        labels.astype(np.float32),
        temperature=TEMPERATURE,
        valid=valid,
        **FORMS[name],
    )
    _assert_close(_flat(copied), affinity @ _flat(labels))


def test_computes_no_scores_far_from_objects():
  rng = np.random.default_rng(0)
  labels = _labels(first=np.s_[:, :, :5, :5])
  # Labels that were copied have rounding errors.
  labels[:, 1:] *= 1 + rng.uniform(-1, 1, labels[:, 1:].shape) * 2.0**-20
  target = rng.normal(0, 1, (BATCH, 24, 40, DIM)).astype(np.float32)
  target[:, :, 8:] = np.nan
  reference = np.repeat(target[:, None], TIME, axis=1)
  copied = copying.copy(target, reference, labels, radius=3, top_k=4)
  np.testing.assert_array_equal(copied[:, :, 8:], _labels()[:, 0, :, 8:])


@pytest.mark.slow
@pytest.mark.parametrize('options', FORMS.values(), ids=FORMS)
def test_softmax_is_float32_for_bfloat16_embeddings(options):
  target, reference, values = _inputs()
  target = jnp.asarray(target, jnp.bfloat16)
  reference = jnp.asarray(reference, jnp.bfloat16)
  copied = copying.copy(target, reference, values, **options)
  exact = copying.copy(
      target.astype(jnp.float32),
      reference.astype(jnp.float32),
      values,
      **options,
  )
  assert copied.dtype == jnp.float32
  _assert_close(copied, exact)


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_blocks_have_the_plain_gradients_in_many_tiles(dtype):
  rng = np.random.default_rng(0)
  # Targets fill a tile on a CPU, and a part of a second one.
  shape = 1, 40, 16, 8
  target = jnp.asarray(rng.normal(size=shape), dtype)
  reference = jnp.asarray(rng.normal(size=(1, *shape)), dtype)
  values = jnp.asarray(rng.normal(size=(1, *shape[:-1], 3)), jnp.float32)

  def gradients(**options):
    loss = lambda *x: (copying.copy(*x, **options) ** 2).sum()
    return jax.grad(loss, argnums=(0, 1, 2))(target, reference, values)

  for plain, blockwise in zip(
      gradients(), gradients(block_size=100), strict=True
  ):
    assert plain.dtype == blockwise.dtype
    tolerance = 1e-5 if dtype == jnp.float32 else 1e-2
    scale = float(jnp.abs(plain).max())
    np.testing.assert_allclose(
        np.asarray(blockwise, np.float32) / scale,
        np.asarray(plain, np.float32) / scale,
        atol=tolerance,
    )


def test_copies_the_best_match_at_low_temperature():
  embeddings = np.eye(HEIGHT * WIDTH, dtype=np.float32)
  embeddings = embeddings.reshape(1, HEIGHT, WIDTH, -1)
  shifted = np.roll(embeddings, (1, 2), axis=(1, 2))
  values = np.random.default_rng(0).normal(size=(1, 1, HEIGHT, WIDTH, 2))
  values = values.astype(np.float32)
  copied = copying.copy(shifted, embeddings[:, None], values, temperature=0.01)
  expected = np.roll(values[:, 0], (1, 2), axis=(1, 2))
  np.testing.assert_allclose(copied, expected, atol=1e-6)


def _temporary_bytes(function, *inputs):
  return jax.jit(function).lower(*inputs).compile().memory_analysis()


@pytest.mark.slow
@pytest.mark.parametrize(
    'options', [{'block_size': 64}, {'radius': 4}, {'radius': 4, 'top_k': 5}]
)
def test_memory_does_not_grow_with_references_times_targets(options):

  def peak(height, time):
    shape = lambda *s: jax.ShapeDtypeStruct(s, jnp.float32)
    inputs = (
        shape(1, height, 16, 8),
        shape(1, time, height, 16, 8),
        shape(1, time, height, 16, 3),
    )
    loss = lambda *x: copying.copy(*x, **options).sum()
    gradient = jax.grad(loss, argnums=(0, 1, 2))
    return _temporary_bytes(gradient, *inputs).temp_size_in_bytes

  # Four times the targets and, with as many frames, sixteen times the affinity.
  growth = peak(128, 4) / peak(32, 4)
  assert growth < 6


@pytest.mark.slow
def test_a_window_for_no_reference_is_none():
  np.testing.assert_allclose(
      copying.copy(*_inputs(), radius=3, unwindowed=TIME, top_k=6),
      copying.copy(*_inputs(), top_k=6),
      rtol=1e-4,
      atol=1e-5,
  )


def test_block_size_with_a_window_is_refused():
  with pytest.raises(ValueError, match='block_size'):
    copying.copy(*_inputs(), radius=3, block_size=8)
