"""A minimal training step, the baseline for the training loop."""

from collections.abc import Callable
import functools
from typing import Any

from flax import nnx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Float
import ml_collections
import numpy as np
import optax

from vidcolor import models
from vidcolor.training import objective
from vidcolor.training import step as step_lib


def make(
    config: ml_collections.ConfigDict, palette: Float[np.ndarray, 'colors 2']
) -> tuple[Any, Callable[..., tuple[Any, Float[Array, '']]]]:
  """Returns a state, and `step(state, frames) -> (state, loss)`.

  The step runs on one device and donates the state.
  """
  optimizer = optax.chain(
      optax.clip_by_global_norm(config.max_grad_norm),
      optax.adam(step_lib.learning_rate(config)),
  )
  model = models.create(**config.model, seed=config.seed)
  graphdef, params, batch_stats = nnx.split(model, nnx.Param, ...)

  def loss_fn(params, batch_stats, frames):
    model = nnx.merge(graphdef, params, batch_stats, copy=True)
    result = objective.predict_colors(
        model,
        frames,
        jnp.asarray(palette),
        target=config.target,
        **config.copy,
    )
    return result.loss, nnx.state(model, nnx.Not(nnx.Param))

  @functools.partial(jax.jit, donate_argnums=0)
  def step(state, frames):
    params, batch_stats, opt_state = state
    (loss, batch_stats), gradients = jax.value_and_grad(loss_fn, has_aux=True)(
        params, batch_stats, frames
    )
    updates, opt_state = optimizer.update(gradients, opt_state, params)
    params = optax.apply_updates(params, updates)
    return (params, batch_stats, opt_state), loss

  return (params, batch_stats, optimizer.init(params)), step
