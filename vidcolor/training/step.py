"""The training state, and the jitted step that updates it over a mesh."""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

from flax import nnx
from flax import struct
import jax
from jax import numpy as jnp
from jaxtyping import Array, Float
import ml_collections
import numpy as np
import optax

from vidcolor import errors
from vidcolor import models
from vidcolor import sharding
from vidcolor.models import layers
from vidcolor.training import flops
from vidcolor.training import objective


@struct.dataclass
class TrainState:
  """Everything that changes from step to step.

  Attributes:
    step: Number of completed steps.
    params: Parameters, every `nnx.Param`.
    batch_stats: All other variables, such as batch statistics.
    opt_state: State of the optimizer, an `optax.OptState`.
  """

  # Any: these are also shapes, shardings and Orbax's placeholders.
  step: Any
  params: Any
  batch_stats: Any
  opt_state: Any


def learning_rate(config: ml_collections.ConfigDict) -> optax.Schedule:
  """Returns the schedule of the learning rate.

  It interpolates linearly between the knots in config.learning_rate. A knot is
  (fraction of config.steps, rate).
  """
  fractions, rates = zip(*config.learning_rate, strict=True)
  return lambda step: jnp.interp(
      step / config.steps, jnp.array(fractions), jnp.array(rates)
  )


def make_optimizer(
    config: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
  """Returns Adam with gradients clipped to a norm of config.max_grad_norm."""
  return optax.chain(
      optax.clip_by_global_norm(config.max_grad_norm),
      optax.adam(learning_rate(config)),
  )


def create_state(
    config: ml_collections.ConfigDict,
    mesh: jax.sharding.Mesh,
    make_model: models.MakeModel | None = None,
) -> tuple[nnx.GraphDef, TrainState]:
  """Returns the structure of the network and a randomly initialised state."""
  make = functools.partial(
      models.make, config.model, seed=config.seed, make_model=make_model
  )
  init = functools.partial(_init, config, make)
  shardings = sharding.of_state(mesh, jax.eval_shape(init))
  state = jax.jit(init, out_shardings=shardings)()
  return nnx.graphdef(nnx.eval_shape(make)), state


def start_from(state: TrainState, model: models.EmbeddingNetwork) -> TrainState:
  """Returns the state with the variables of a network instead of its own.

  Raises:
    ValueError: The variables have other names or shapes than the state's.
  """
  _, params, batch_stats = nnx.split(model, nnx.Param, ...)
  shapes = lambda tree: jax.tree.map(jnp.shape, nnx.to_pure_dict(tree))
  for old, new in ((state.params, params), (state.batch_stats, batch_stats)):
    if shapes(old) != shapes(new):
      raise ValueError('its variables have other names or shapes')
  place = lambda old, new: jax.device_put(np.asarray(new), old.sharding)
  return dataclasses.replace(
      state,
      params=jax.tree.map(place, state.params, params),
      batch_stats=jax.tree.map(place, state.batch_stats, batch_stats),
  )


def _init(config, make):
  _, params, batch_stats = nnx.split(make(), nnx.Param, ...)
  opt_state = make_optimizer(config).init(params)
  return TrainState(jnp.zeros((), jnp.int32), params, batch_stats, opt_state)


def make_train_step(
    config: ml_collections.ConfigDict,
    graphdef: nnx.GraphDef,
    state: TrainState,
    palette: Float[np.ndarray, 'colors 2'],
    mesh: jax.sharding.Mesh,
    loss: objective.Loss | None = None,
) -> jax.stages.Wrapped:
  """Returns the jitted `step(state, frames) -> (state, metrics)`.

  The step donates the state. Metrics are scalars by name. A third argument
  replaces config.remat.

  Args:
    config: As in experiments/configs.
    graphdef: The network's structure.
    state: Gives the shapes of the state. Its values are not used.
    palette: The ab colours of the classes.
    mesh: The devices.
    loss: The objective. Default: the one that the config names.

  Raises:
    UserError: config.remat or config.target is unknown.
  """
  if config.remat not in layers.REMAT_POLICIES:
    raise errors.UserError(
        f'config.remat={config.remat}: give one of'
        f' {", ".join(layers.REMAT_POLICIES)}'
    )
  loss = loss or objective.make_loss(config)
  optimizer = make_optimizer(config)
  schedule = learning_rate(config)

  def loss_fn(remat, params, batch_stats, frames):
    model = nnx.merge(graphdef, params, batch_stats, copy=True)
    model = nnx.view(model, remat=remat, raise_if_not_found=False)
    value, metrics = loss(model, frames, jnp.asarray(palette))
    _, _, batch_stats = nnx.split(model, nnx.Param, ...)
    return value, (batch_stats, {'loss': value} | metrics)

  def step(state, frames, remat=config.remat):
    gradients, batch_stats, metrics = _accumulate(
        functools.partial(loss_fn, remat), state, frames, config.accumulate
    )
    updates, opt_state = optimizer.update(
        gradients, state.opt_state, state.params
    )
    metrics |= {
        'learning_rate': schedule(state.step),
        'gradient_norm': optax.tree.norm(gradients),
        'parameter_norm': optax.tree.norm(state.params),
    }
    state = TrainState(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
    )
    return state, metrics

  of_state = sharding.of_state(mesh, jax.eval_shape(lambda: state))
  return jax.jit(
      step,
      static_argnames='remat',
      in_shardings=(of_state, sharding.over_batch(mesh)),
      out_shardings=(of_state, sharding.replicated(mesh)),
      donate_argnums=0,
  )


def batch_shape(
    config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh
) -> jax.ShapeDtypeStruct:
  """Returns the shape and the sharding of the frames of a batch."""
  side = config.clips.crop_size
  return jax.ShapeDtypeStruct(
      (config.batch_size, config.clips.num_frames, side, side, 3),
      jnp.uint8,
      sharding=sharding.over_batch(mesh),
  )


def count_flops(
    config: ml_collections.ConfigDict,
    step: jax.stages.Wrapped,
    state: TrainState,
    mesh: jax.sharding.Mesh,
) -> int:
  """Counts the FLOPs of a step, of all devices together, as `flops.count`.

  What config.remat recomputes does not count.

  Args:
    config: The config of the step.
    step: From `make_train_step`.
    state: Gives the shapes of the state. Its values are not used.
    mesh: The devices.
  """
  # It is sharded as in training, so that JAX traces the step only once.
  frames = batch_shape(config, mesh)
  remat = () if config.remat == 'none' else ('none',)
  # pyrefly: ignore[missing-attribute]
  return flops.count(step.trace(state, frames, *remat).jaxpr.jaxpr)


def _accumulate(loss_fn, state, frames, parts):
  """Returns mean gradients, the last batch statistics and mean metrics.

  It computes the parts of the batch one after another, and so needs the memory
  of one part. Each part is normalized by its own statistics.
  """
  # Not optax.microbatching: it computes all parts with the same arguments, but
  # here each part updates the batch statistics that the part before returned.

  def of_part(batch_stats, part):
    (_, (batch_stats, metrics)), gradients = jax.value_and_grad(
        loss_fn, has_aux=True
    )(state.params, batch_stats, part)
    return batch_stats, (gradients, metrics)

  def add(carry, part):
    batch_stats, sums = carry
    batch_stats, results = of_part(batch_stats, part)
    return (batch_stats, jax.tree.map(jnp.add, sums, results)), None

  if parts == 1:
    batch_stats, (gradients, metrics) = of_part(state.batch_stats, frames)
    return gradients, batch_stats, metrics
  # Every part takes examples from every device, so no example moves.
  split = frames.reshape(-1, parts, *frames.shape[1:]).swapaxes(0, 1)
  _, shapes = jax.eval_shape(of_part, state.batch_stats, split[0])
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  (batch_stats, sums), _ = jax.lax.scan(add, (state.batch_stats, zeros), split)
  gradients, metrics = jax.tree.map(lambda x: x / parts, sums)
  return gradients, batch_stats, metrics


def make_colorize(
    config: ml_collections.ConfigDict,
    graphdef: nnx.GraphDef,
    palette: Float[np.ndarray, 'colors 2'],
    mesh: jax.sharding.Mesh,
) -> Callable[..., Float[Array, 'batch height three_widths 3']]:
  """Returns a function from the state and frames to pictures.

  They show the grey input, the true colours and the copied colours, in [0, 1].
  """

  @functools.partial(jax.jit, out_shardings=sharding.replicated(mesh))
  def colorize(state, frames):
    model = nnx.merge(graphdef, state.params, state.batch_stats, copy=True)
    model = models.for_inference(model)
    return objective.side_by_side(
        objective.predict_colors(
            model,
            frames,
            jnp.asarray(palette),
            target=config.target,
            **config.copy,
        )
    )

  return colorize


def make_inference(
    graphdef: nnx.GraphDef, mesh: jax.sharding.Mesh
) -> Callable[[TrainState], models.EmbeddingNetwork]:
  """Returns a function from the state to the network for inference.

  Each process gets the whole network, on its first device.
  """
  join = jax.jit(lambda x: x, out_shardings=sharding.replicated(mesh))

  def inference(state):
    whole = jax.device_get(join((state.params, state.batch_stats)))
    params, batch_stats = jax.device_put(whole, jax.local_devices()[0])
    model = nnx.merge(graphdef, params, batch_stats)
    return models.for_inference(model)

  return inference
