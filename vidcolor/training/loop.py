"""The training loop."""

import contextlib
import math
import os
import pathlib
from typing import Any

import jax

from vidcolor import color
from vidcolor import errors
from vidcolor import sharding
from vidcolor.data import clips
from vidcolor.training import checkpoint
from vidcolor.training import step as step_lib
from vidcolor.training import telemetry as telemetry_lib


def train(config: Any, workdir: str | os.PathLike[str]) -> None:
  """Trains until config.steps, from the newest checkpoint if there is one.

  Args:
    config: as in experiments/configs.
    workdir: where checkpoints, metrics.jsonl and TensorBoard events go.

  Raises:
    UserError: the dataset or its palette is missing, the checkpoint is of
      another model, or the loss is no longer a number.
  """
  pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
  mesh = sharding.make_mesh()

  records = clips.open_records(**config.dataset)
  palette = color.load_palette(records.folder / 'palette.npy')
  batches = clips.training_batches(
      records,
      batch_size=config.batch_size // jax.process_count(),
      **config.clips,
      seed=config.seed,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
  )

  graphdef, state = step_lib.create_state(config, mesh)
  with contextlib.closing(
      checkpoint.Checkpoints(workdir, config)
  ) as checkpoints:
    state, palette = checkpoints.restore_latest(state, palette, batches)
    first_step = int(state.step)
    if first_step:
      print(f'resumed from step {first_step}')
    telemetry = telemetry_lib.Telemetry(
        workdir,
        first_step=first_step,
        last_step=config.steps,
        batch_size=config.batch_size,
    )
    train_step = step_lib.make_train_step(config, graphdef, palette, mesh)
    colorize = step_lib.make_colorize(config, graphdef, palette)

    with contextlib.closing(telemetry):
      for step in range(first_step + 1, config.steps + 1):
        frames = sharding.global_batch(mesh, next(batches)['frames'])
        state, metrics = train_step(state, frames)

        if _due(step, config.log_every, config.steps):
          _stop_if_nan(step, metrics)
          telemetry.scalars(step, metrics)
        if _due(step, config.images_every, config.steps):
          telemetry.images(step, colorize(state, frames)[:8])
        if _due(step, config.checkpoint_every, config.steps):
          _stop_if_nan(step, metrics)
          checkpoints.save(state, palette, batches)


def _due(step, every, last):
  return step % every == 0 or step == last


def _stop_if_nan(step, metrics):
  loss = float(metrics['loss'])
  if not math.isfinite(loss):
    raise errors.UserError(
        f'the loss is {loss} at step {step}: training'
        ' stopped, the checkpoints before are intact. Try a lower'
        ' config.learning_rate, or another config.seed'
    )
