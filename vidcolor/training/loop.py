"""The training loop."""

from collections.abc import Callable
import contextlib
import os
from typing import Any

import jax
import ml_collections

from vidcolor import color
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import models
from vidcolor import sharding
from vidcolor.data import clips
from vidcolor.data import records as records_lib
from vidcolor.training import checkpoint
from vidcolor.training import loss_monitor
from vidcolor.training import objective
from vidcolor.training import preemption
from vidcolor.training import profile as profile_lib
from vidcolor.training import step as step_lib
from vidcolor.training import telemetry as telemetry_lib
from vidcolor.training import watchdog as watchdog_lib

_STEP_SECONDS = 600.0  # After which a step is said to take too long.


def train(
    config: Any,
    workdir: str | os.PathLike[str],
    *,
    make_model: models.MakeModel | None = None,
    loss: objective.Loss | None = None,
    evaluate: (
        Callable[[models.EmbeddingNetwork, int], dict[str, float]] | None
    ) = None,
    profile_steps: tuple[int, int] | None = None,
) -> None:
  """Trains until config.steps, from the newest checkpoint if there is one.

  Args:
    config: as in experiments/configs.
    workdir: where checkpoints, metrics.jsonl and TensorBoard events go.
    make_model: Makes the network from `rngs`, such as a network class, in
      place of config.model.
    loss: The objective, in place of config.target and config.copy.
    evaluate: (model, step) -> figures to report each config.evaluation.every
      steps, called by process 0 alone.
    profile_steps: first and last step to trace, if any.

  Raises:
    UserError: the dataset or its palette is missing, the checkpoint is of
      another model, or the loss is no longer a number.
    PreemptedError: SIGTERM was received, and all is saved.
  """
  if files.is_url(workdir):
    raise errors.UserError(
        f'--workdir={workdir} is no folder: mount the bucket (by gcsfuse, on'
        ' every machine) and give a folder of it'
    )
  files.make_folder(workdir)
  environment.enable_compilation_cache()
  mesh = sharding.make_mesh(config.fsdp)
  _check_batch_size(config, mesh)

  records = records_lib.open_records(**config.dataset)
  palette = color.load_palette(records.folder / 'palette.npy')
  batches = clips.training_batches(
      records,
      batch_size=config.batch_size // jax.process_count(),
      **config.clips,
      seed=config.seed,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
  )

  if make_model:
    config = ml_collections.ConfigDict(config)
    config.model = {'name': models.import_path(make_model)}
  graphdef, state = step_lib.create_state(config, mesh, make_model)
  with (
      contextlib.closing(batches),
      # Also the last save is not to be cut short by a second signal.
      contextlib.closing(preemption.Preemption()) as preempted,
      contextlib.closing(
          checkpoint.Checkpoints(workdir, config)
      ) as checkpoints,
  ):
    state, palette = checkpoints.restore_latest(state, palette, batches)
    first_step = int(state.step)
    telemetry = telemetry_lib.Telemetry(
        workdir,
        first_step=first_step,
        last_step=config.steps,
        batch_size=config.batch_size,
        flops=step_lib.count_flops(config, graphdef, state, loss),
    )
    if first_step:
      telemetry.tell(f'resumed from step {first_step}')
    train_step = step_lib.make_train_step(
        config, graphdef, state, palette, mesh, loss
    )
    colorize = step_lib.make_colorize(config, graphdef, palette, mesh)
    inference = step_lib.make_inference(graphdef, mesh)

    watch, metrics = loss_monitor.LossMonitor(), {}
    with (
        contextlib.closing(telemetry),
        contextlib.closing(watchdog_lib.Watchdog(_STEP_SECONDS)) as watchdog,
        contextlib.closing(
            profile_lib.Profile(workdir, profile_steps)
        ) as profile,
    ):
      for step in range(first_step + 1, config.steps + 1):
        profile.at(step, state)
        watchdog.at(f'step {step}, waiting for data')
        with telemetry.waiting(metrics):
          batch = next(batches)
        watchdog.at(f'step {step}, computing')
        frames = sharding.global_batch(mesh, batch['frames'])
        state, metrics = train_step(state, frames)
        watch.add(step, metrics['loss'], batch['name'])
        checkpoints.check()

        if _due(step, config.log_every, config.steps):
          telemetry.tell(*watch.check())
          telemetry.scalars(step, metrics)
        if _due(step, config.images_every, config.steps):
          telemetry.images(step, colorize(state, frames)[:8])
        stops = preempted.reached(step)
        if stops or _due(step, config.checkpoint_every, config.steps):
          telemetry.tell(*watch.check())
          watchdog.at(f'step {step}, saving')
          checkpoints.save(state, palette, batches)
        if stops and step < config.steps:
          raise errors.PreemptedError(
              f'stopped after step {step}: run the same line again to go on'
          )
        if evaluate and _due(step, config.evaluation.every, config.steps):
          watchdog.at(f'step {step}, evaluating')
          model = inference(state)
          if jax.process_index() == 0:
            with telemetry.pause():
              telemetry.figures(step, evaluate(model, step))


def _due(step, every, last):
  return step % every == 0 or step == last


def _check_batch_size(config, mesh):
  parts = mesh.size * config.accumulate
  if config.batch_size % parts:
    raise errors.UserError(
        f'config.batch_size={config.batch_size} does not go into {mesh.size}'
        f' devices times config.accumulate={config.accumulate}: give a multiple'
        f' of {parts}'
    )
