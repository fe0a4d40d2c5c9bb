import functools

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np
import pytest

from vidcolor import errors
from vidcolor import models
from vidcolor.models import layers
from vidcolor.models import resnet3d


def _num_params(model):
  return sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param)))


@functools.cache
def _paper_network():
  return models.create('resnet3d')


def _randomised_statistics(model):
  """Batch statistics as after training, so that nothing cancels by chance."""
  rng = np.random.default_rng(0)
  for _, norm in nnx.iter_modules(model):
    if isinstance(norm, nnx.BatchNorm):
      norm.mean[...] = jnp.asarray(rng.normal(0, 0.1, norm.mean.shape), 'f')
      norm.var[...] = jnp.asarray(rng.uniform(0.5, 2, norm.var.shape), 'f')
  return nnx.view(model, use_running_average=True)


@nnx.jit
def _embed(model, frames):
  return model(frames)


def test_resnet3d_is_the_papers_network():
  model = nnx.eval_shape(lambda: models.create('resnet3d'))
  conv = lambda size, channels_in, channels_out: (
      size * channels_in * channels_out + 2 * channels_out  # With its norm.
  )
  block = lambda channels_in, channels_out: (
      conv(9, channels_in, channels_out) + conv(9, channels_out, channels_out)
  )
  trunk = (
      conv(49, 1, 64)
      + (block(64, 64) + conv(1, 64, 64) + block(64, 64))
      + (block(64, 128) + conv(1, 64, 128) + block(128, 128))
      + (block(128, 256) + conv(1, 128, 256) + block(256, 256))
      + 2 * block(256, 256)
  )
  temporal = conv(9, 258, 256) + 4 * conv(9, 256, 256) + 5 * conv(3, 256, 256)
  embed = 256 * 64 + 64
  assert _num_params(model) == trunk + temporal + embed == 9_100_416

  clips = jax.ShapeDtypeStruct((2, 4, 256, 256, 1), jnp.float32)

  def embed(model, grey):
    features = model.encode(grey)
    return features, model.relate(features)

  features, embeddings = nnx.eval_shape(embed, model, clips)
  assert features.shape == (2, 4, 32, 32, 258)
  assert embeddings.shape == (2, 4, 32, 32, 64)


@pytest.mark.slow
def test_compact_shapes_and_unit_embeddings():
  model = models.create('compact', width=32, embedding_dim=16)
  grey = jax.random.normal(jax.random.key(0), (2, 3, 64, 48, 1))
  embeddings = _embed(model, grey)
  assert embeddings.shape == (2, 3, 16, 12, 16)
  norms = jnp.linalg.norm(embeddings, axis=-1)
  np.testing.assert_allclose(norms, np.ones(norms.shape), atol=1e-3)


@pytest.mark.slow
def test_compact_embeds_each_frame_alone():
  model = _randomised_statistics(models.create('compact', width=16))
  grey = jax.random.normal(jax.random.key(0), (1, 3, 32, 32, 1))
  together = _embed(model, grey)
  alone = jnp.concatenate([model(grey[:, [t]]) for t in range(3)], axis=1)
  np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.slow
def test_resnet3d_embeds_frames_together():
  model = _randomised_statistics(nnx.clone(_paper_network()))
  # At first, the weights of other frames are zero.
  for block in model.temporal:
    kernel = block.time.kernel
    kernel[...] += 0.05 * jax.random.normal(jax.random.key(1), kernel.shape)
  grey = jax.random.normal(jax.random.key(0), (1, 4, 16, 16, 1))
  changed = grey.at[:, 3].add(1.0)
  difference = jnp.abs(_embed(model, grey) - _embed(model, changed)).max(
      axis=(0, 2, 3, 4)
  )
  assert (difference > 1e-6).all()


@pytest.mark.slow
@pytest.mark.parametrize('name', ['resnet3d', 'compact'])
def test_bfloat16_computes_over_float32_parameters(name):
  grey = jax.random.normal(jax.random.key(0), (1, 4, 32, 32, 1))
  exact = _paper_network() if name == 'resnet3d' else models.create(name)
  exact = _randomised_statistics(nnx.clone(exact))
  low = nnx.eval_shape(lambda: models.create(name, dtype='bfloat16'))
  low = nnx.view(low, use_running_average=True)
  nnx.update(low, nnx.state(exact))
  assert {x.dtype for x in jax.tree.leaves(nnx.state(low, nnx.Param))} == {
      jnp.dtype('float32')
  }
  expected, actual = _embed(exact, grey), _embed(low, grey).astype(jnp.float32)
  error = jnp.abs(actual - expected).max() / jnp.abs(expected).max()
  assert 0 < error < 0.1


@pytest.mark.parametrize('size', [3, 7])
def test_stem_is_the_strided_convolution(size):
  stem = layers.Stem(1, 8, size=size, dtype=jnp.float32, rngs=nnx.Rngs(0))
  x = jax.random.normal(jax.random.key(1), (2, 3, 20, 28, 1))

  def plain(kernel, x):
    out = jax.lax.conv_general_dilated(
        x.reshape(-1, 20, 28, 1),
        kernel,
        window_strides=(2, 2),
        padding=[(size // 2, size // 2)] * 2,
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )
    return out.reshape(2, 3, 10, 14, 8)

  np.testing.assert_allclose(stem(x), plain(stem.kernel[...], x), atol=1e-5)


def test_position_runs_from_minus_one_to_one():
  position = layers.append_position(jnp.zeros((1, 5, 3, 2)))[0, ..., 2:]
  np.testing.assert_allclose(position[0, 0], [-1, -1])
  np.testing.assert_allclose(position[2, 1], [0, 0], atol=1e-7)
  np.testing.assert_allclose(position[4, 2], [1, 1])


def test_the_former_name_of_resnet3d_is_known():
  former, current = {'name': 'colorizer'}, {'name': 'resnet3d'}
  assert models.same_config(former, current)
  assert not models.same_config(former, current | {'channels': 3})
  model = nnx.eval_shape(lambda: models.create(**former))
  assert isinstance(model, resnet3d.Model)


def test_unknown_model_is_one_line():
  with pytest.raises(errors.UserError, match='config.model.name=resnet9000'):
    models.create('resnet9000')
