"""The state of training and the step that moves it, jitted over a mesh."""

from collections.abc import Callable
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
from vidcolor.training import objective


@struct.dataclass
class TrainState:
  """All that changes from step to step."""

  step: Any  # Int[Array, ''].
  params: Any  # nnx.State of nnx.Param.
  batch_stats: Any  # nnx.State of the rest.
  opt_state: Any  # optax.OptState, a type that pdoc cannot resolve.


def learning_rate(config: Any) -> optax.Schedule:
  """Straight lines between config.learning_rate's knots.

  A knot is (fraction of config.steps, rate).
  """
  fractions, rates = zip(*config.learning_rate, strict=True)
  return lambda step: jnp.interp(
      step / config.steps, jnp.array(fractions), jnp.array(rates)
  )


def make_optimizer(config: Any) -> optax.GradientTransformation:
  """Adam, with gradients clipped to a global norm of config.max_grad_norm."""
  return optax.chain(
      optax.clip_by_global_norm(config.max_grad_norm),
      optax.adam(learning_rate(config)),
  )


def create_state(
    config: Any,
    mesh: jax.sharding.Mesh,
    make_model: models.MakeModel | None = None,
) -> tuple[nnx.GraphDef, TrainState]:
  """Returns the network's structure and the randomly initialised state."""
  make = functools.partial(
      models.make, config.model, seed=config.seed, make_model=make_model
  )
  init = functools.partial(_init, config, make)
  shardings = sharding.of_state(mesh, jax.eval_shape(init))
  state = jax.jit(init, out_shardings=shardings)()
  return nnx.graphdef(nnx.eval_shape(make)), state


def _init(config, make):
  _, params, batch_stats = nnx.split(make(), nnx.Param, ...)
  opt_state = make_optimizer(config).init(params)
  return TrainState(jnp.zeros((), jnp.int32), params, batch_stats, opt_state)


def make_train_step(
    config: Any,
    graphdef: nnx.GraphDef,
    state: TrainState,
    palette: Float[np.ndarray, 'colors 2'],
    mesh: jax.sharding.Mesh,
    loss: objective.Loss | None = None,
) -> jax.stages.Wrapped:
  """Returns the jitted `step(state, frames) -> (state, metrics)`.

  The step donates the state. Metrics are scalars by name.

  Args:
    config: As in experiments/configs.
    graphdef: The network's structure.
    state: Gives the shapes of the state. Its values are not used.
    palette: The ab colours of the classes.
    mesh: The devices.
    loss: The objective. Default: the one that the config names.

  Raises:
    UserError: There is no such config.remat or config.target.
  """
  if config.remat not in layers.REMAT_POLICIES:
    raise errors.UserError(
        f'config.remat={config.remat}: give one of'
        f' {", ".join(layers.REMAT_POLICIES)}'
    )
  loss = loss or objective.make_loss(config)
  optimizer = make_optimizer(config)
  schedule = learning_rate(config)

  def loss_fn(params, batch_stats, frames):
    model = nnx.merge(graphdef, params, batch_stats, copy=True)
    model = nnx.view(model, remat=config.remat, raise_if_not_found=False)
    value, metrics = loss(model, frames, jnp.asarray(palette))
    _, _, batch_stats = nnx.split(model, nnx.Param, ...)
    return value, (batch_stats, {'loss': value} | metrics)

  def step(state, frames):
    gradients, batch_stats, metrics = _accumulate(
        loss_fn, state, frames, config.accumulate
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
      in_shardings=(of_state, sharding.over_batch(mesh)),
      out_shardings=(of_state, sharding.replicated(mesh)),
      donate_argnums=0,
  )


def count_flops(
    config: Any,
    graphdef: nnx.GraphDef,
    state: TrainState,
    loss: objective.Loss | None = None,
) -> float:
  """Counts the FLOPs of a step, of all devices together, as XLA does.

  Counted for a CPU: XLA does not count for TPUs, and misses most for GPUs. Of a
  loop it counts one round: accumulation is left out of what is counted, but a
  copy operation in blocks or windows counts for less than it does.
  """
  config = ml_collections.ConfigDict(config)
  config.remat, config.accumulate = 'none', 1
  side = config.clips.crop_size
  frames = jax.ShapeDtypeStruct(
      (config.batch_size, config.clips.num_frames, side, side, 3), jnp.uint8
  )
  mesh = sharding.make_mesh(devices=jax.local_devices(backend='cpu')[:1])
  # How many colours there are does not matter much.
  palette = np.zeros((16, 2), np.float32)
  step = make_train_step(config, graphdef, state, palette, mesh, loss)
  # Shapes alone: the state's own devices do not matter.
  shapes = jax.eval_shape(lambda: state)
  cost: Any = step.lower(shapes, frames).cost_analysis()
  return cost['flops']


def _accumulate(loss_fn, state, frames, parts):
  """Returns mean gradients, the last batch statistics and mean metrics.

  A batch in several parts needs the memory of one. Each part's normalisation
  sees that part alone.
  """

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
  # Each part has examples of every device, so that none changes its device.
  split = frames.reshape(-1, parts, *frames.shape[1:]).swapaxes(0, 1)
  _, shapes = jax.eval_shape(of_part, state.batch_stats, split[0])
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  (batch_stats, sums), _ = jax.lax.scan(add, (state.batch_stats, zeros), split)
  gradients, metrics = jax.tree.map(lambda x: x / parts, sums)
  return gradients, batch_stats, metrics


def make_colorize(
    config: Any,
    graphdef: nnx.GraphDef,
    palette: Float[np.ndarray, 'colors 2'],
    mesh: jax.sharding.Mesh,
) -> Callable[..., Float[Array, 'batch height three_widths 3']]:
  """Returns `(state, frames) -> grey, true and copied colours` to look at."""

  @functools.partial(jax.jit, out_shardings=sharding.replicated(mesh))
  def colorize(state, frames):
    model = nnx.merge(graphdef, state.params, state.batch_stats, copy=True)
    model = models.for_inference(model)
    return objective.side_by_side(
        objective.colorize(
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
) -> Callable[[TrainState], Any]:
  """Returns `state -> the network, its batch statistics fixed`, whole here."""
  join = jax.jit(lambda x: x, out_shardings=sharding.replicated(mesh))

  def inference(state):
    whole = jax.device_get(join((state.params, state.batch_stats)))
    params, batch_stats = jax.device_put(whole, jax.local_devices()[0])
    model = nnx.merge(graphdef, params, batch_stats)
    return models.for_inference(model)

  return inference
