"""The layers compute what those of flax compute, with the same parameters."""

import functools

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np
import pytest

from vidcolor.models import layers
from vidcolor.training import flops

_OPTIONS = {'rngs': nnx.Rngs(0), 'use_bias': False}
_CONVOLUTIONS = {
    'frames': lambda conv: conv(3, 4, (3, 3), **_OPTIONS),
    'dilated': lambda conv: conv(3, 4, (3, 3), kernel_dilation=2, **_OPTIONS),
    'dilated far': lambda conv: conv(
        3, 4, (3, 3), kernel_dilation=8, **_OPTIONS
    ),
    'clips': lambda conv: conv(
        3, 4, (1, 3, 3), kernel_dilation=(1, 4, 4), **_OPTIONS
    ),
    'time': lambda conv: conv(3, 4, (3, 1, 1), **_OPTIONS),
    'norm': lambda norm: norm(3, momentum=0.7, rngs=nnx.Rngs(0)),
}


def _both(case):
  ours = {'time': layers.TimeConv, 'norm': layers.BatchNorm}
  theirs = nnx.BatchNorm if case == 'norm' else nnx.Conv
  made = [
      _CONVOLUTIONS[case](kind)
      for kind in (ours.get(case, layers.Conv), theirs)
  ]
  nnx.update(made[0], nnx.state(made[1]))
  return made


def _outputs(layer, x):
  """Returns the output, the gradients, and the variables after a step."""
  graphdef, params, rest = nnx.split(layer, nnx.Param, ...)

  def loss(params, x):
    layer = nnx.merge(graphdef, params, rest, copy=True)
    y = layer(x)
    weights = jnp.arange(y.size, dtype=y.dtype).reshape(y.shape) % 7 - 2
    return jnp.sum(weights * jnp.tanh(y)), (y, nnx.state(layer))

  gradient = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
  gradients, (y, state) = gradient(params, x)
  return jax.tree.leaves((y, gradients, state))


@pytest.mark.parametrize('case', _CONVOLUTIONS)
def test_outputs_gradients_and_averages_are_those_of_flax(case):
  x = jax.random.normal(jax.random.key(1), (2, 4, 12, 10, 3)) * 2 + 1
  with jax.numpy_rank_promotion('allow'):  # flax's batch norm needs it.
    ours, theirs = (_outputs(layer, x) for layer in _both(case))
  for a, b in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize('case', ['frames', 'dilated', 'dilated far', 'clips'])
def test_the_gradient_counts_the_products_that_flax_computes(case):
  x = jnp.ones((2, 4, 12, 10, 3))
  ours, theirs = (
      flops.count(jax.make_jaxpr(functools.partial(_outputs, layer))(x).jaxpr)
      for layer in _both(case)
  )
  assert ours == theirs


def test_batch_norm_in_bfloat16_has_float32_statistics():
  norm = layers.BatchNorm(2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0), momentum=0.0)
  # Of 3,000 ones, a sum in bfloat16 has 256.
  y = norm(jnp.ones((3000, 2), jnp.bfloat16).at[:1500, 1].set(3))
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(norm.mean[...], [1, 2])
  np.testing.assert_allclose(norm.var[...], [0, 1])
