"""Rematerialization changes memory, not results."""

import importlib

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np
import pytest

from tests import tiny
from vidcolor import errors
from vidcolor import models
from vidcolor import sharding
from vidcolor.models import layers
from vidcolor.training import step as step_lib

pytestmark = pytest.mark.slow

_PALETTE = np.random.default_rng(0).uniform(-60, 60, (16, 2)).astype(np.float32)


def test_the_step_is_the_same():
  rng = np.random.default_rng(1)
  frames = jnp.asarray(rng.integers(0, 256, (2, 2, 32, 32, 3), np.uint8))
  results = []
  for remat in layers.REMAT_POLICIES:
    config = tiny.config('', remat=remat, **{'model.name': 'compact'})
    mesh = sharding.make_mesh()
    graphdef, state = step_lib.create_state(config, mesh)
    step = step_lib.make_train_step(config, graphdef, state, _PALETTE, mesh)
    results.append(step(state, frames))
  for result in results[1:]:
    leaves = map(jax.tree.leaves, (result, results[0]))
    for actual, expected in zip(*leaves, strict=True):
      np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', ['compact', 'paper'])
def test_less_is_kept_for_the_gradient(name):
  """Measures what JAX keeps, because XLA on CPUs undoes rematerialization."""
  module = importlib.import_module(f'experiments.configs.{name}')
  options = module.get_config().model

  def kept(remat):
    model = nnx.eval_shape(lambda: models.create(**options))
    graphdef, params, rest = nnx.split(
        nnx.view(model, remat=remat), nnx.Param, ...
    )

    def gradient(params, rest, grey):
      model = lambda params: nnx.merge(graphdef, params, rest, copy=True)(grey)
      return jax.vjp(model, params)[1]

    grey = jax.ShapeDtypeStruct((8, 4, 256, 256, 1), jnp.float32)
    arrays = jax.tree.leaves(jax.eval_shape(gradient, params, rest, grey))
    return sum(x.size * x.dtype.itemsize for x in arrays)

  model = nnx.eval_shape(lambda: models.create(**options))
  parameters = 4 * sum(x.size for x in jax.tree.leaves(nnx.state(model)))
  everything, norms, blocks = (
      kept(remat) - parameters for remat in layers.REMAT_POLICIES
  )
  assert norms < 0.6 * everything
  assert blocks < 0.8 * norms


def test_an_unknown_policy_is_one_line():
  config, mesh = tiny.config('', remat='all'), sharding.make_mesh()
  graphdef, state = step_lib.create_state(config, mesh)
  with pytest.raises(errors.UserError, match='config.remat=all: give one of'):
    step_lib.make_train_step(config, graphdef, state, _PALETTE, mesh)
