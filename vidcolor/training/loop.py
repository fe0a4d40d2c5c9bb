"""The training loop."""

from collections.abc import Callable
import contextlib
import os

import jax
import ml_collections

from vidcolor import color
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import models
from vidcolor import network
from vidcolor import sharding
from vidcolor.data import clips
from vidcolor.data import records as records_lib
from vidcolor.training import checkpoint
from vidcolor.training import objective
from vidcolor.training import step as step_lib
from vidcolor.training import supervision
from vidcolor.training import telemetry as telemetry_lib
from vidcolor.training import validation

_PHASE_SECONDS = 600.0  # A phase of a step that takes longer is reported.
_LOSS_EVERY = 100  # Steps between checks of the loss, if nothing is logged.


def train(
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike[str],
    *,
    make_model: models.MakeModel | None = None,
    loss: objective.Loss | None = None,
    evaluate: (
        Callable[[models.EmbeddingNetwork, int], dict[str, float]] | None
    ) = None,
    profile_steps: tuple[int, int] | None = None,
) -> None:
  """Trains until config.steps. Resumes from the newest checkpoint if any.

  Args:
    config: A config as in experiments/configs. log_every=0 switches reports
      off, images_every=0 pictures, evaluation.every=0 evaluation. With
      checkpoint_every=0 a run is saved only at its end and at SIGTERM. The
      three newest checkpoints are kept, and every keep_every'th step if it is
      given and saved. If initial_network is given, a new run starts from that
      network's variables: a run, a checkpoint, an .npz file or a name of
      `Network.load`.
    workdir: Folder for checkpoints, metrics.jsonl and TensorBoard events.
    make_model: A network class, or another function that takes `rngs` and
      returns the network. If given, config.model is not used.
    loss: The objective. If given, config.target and config.copy are not used.
    evaluate: A function from the model and the step to metrics to report. It
      is called each config.evaluation.every steps, in process 0 only.
    profile_steps: First and last step to trace, both included, if any.

  Raises:
    UserError: The config has a wrong value, the dataset or its palette is
      missing, the checkpoint is of another model, or the loss is NaN.
    PreemptedError: SIGTERM was received, and the run is saved.
  """
  validation.check_config(config, make_model)
  if files.is_url(workdir):
    raise errors.UserError(
        f'--workdir={workdir} is a URL, not a folder: mount the bucket on every'
        ' machine (with gcsfuse) and give a folder in it'
    )
  workdir = os.path.expanduser(workdir)
  files.make_folder(workdir)
  environment.enable_compilation_cache()
  mesh = sharding.make_mesh(config.fsdp)
  validation.check_batch_size(config, mesh.size)

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
    config = config.copy_and_resolve_references()
    config.model = {'name': models.import_path(make_model)}
  graphdef, state = step_lib.create_state(config, mesh, make_model)
  with (
      contextlib.closing(batches),
      # Outermost, so that a second signal does not cut the last save short.
      contextlib.closing(supervision.Preemption()) as preemption,
      contextlib.closing(
          checkpoint.Checkpoints(workdir, config, records.identity)
      ) as checkpoints,
  ):
    state, palette = checkpoints.restore_latest(state, palette, batches)
    first_step = int(state.step)
    if not first_step and config.get('initial_network'):
      state = _start_from(state, config.initial_network, make_model)
    train_step = step_lib.make_train_step(
        config, graphdef, state, palette, mesh, loss
    )
    telemetry = telemetry_lib.Telemetry(
        workdir,
        first_step=first_step,
        last_step=config.steps,
        batch_size=config.batch_size,
        flops=step_lib.count_flops(config, train_step, state, mesh),
    )
    if first_step:
      telemetry.print(f'resumed from step {first_step}')
    elif records.summary:
      telemetry.print(f'data: {records.summary}; the first gives the palette')
    colorize = step_lib.make_colorize(config, graphdef, palette, mesh)
    inference = step_lib.make_inference(graphdef, mesh)

    monitor, metrics = supervision.LossMonitor(), {}
    with (
        contextlib.closing(telemetry),
        contextlib.closing(supervision.Watchdog(_PHASE_SECONDS)) as watchdog,
        contextlib.closing(
            telemetry_lib.Profile(workdir, profile_steps)
        ) as profile,
    ):
      for step in range(first_step + 1, config.steps + 1):
        profile.before_step(step, state)
        watchdog.enter(f'step {step}, waiting for data')
        with telemetry.waiting_for_data(metrics):
          batch = next(batches)
        watchdog.enter(f'step {step}, computing')
        frames = sharding.global_batch(mesh, batch['frames'])
        state, metrics = train_step(state, frames)
        monitor.add(step, metrics['loss'], batch['name'])
        checkpoints.check()

        if _due(step, config.log_every or _LOSS_EVERY, config.steps):
          telemetry.print(*monitor.check())
        if _due(step, config.log_every, config.steps):
          telemetry.scalars(step, metrics)
        if _due(step, config.images_every, config.steps):
          telemetry.images(step, colorize(state, frames)[:8])
        stop = preemption.reached(step)
        # The last step is saved even if config.checkpoint_every is 0.
        every = config.checkpoint_every or config.steps
        if stop or _due(step, every, config.steps):
          telemetry.print(*monitor.check())
          watchdog.enter(f'step {step}, saving')
          checkpoints.save(state, palette, batches)
        if stop and step < config.steps:
          raise errors.PreemptedError(
              f'stopped after step {step}: run the same command again to'
              ' continue'
          )
        if evaluate and _due(step, config.evaluation.every, config.steps):
          watchdog.enter(f'step {step}, evaluating')
          model = inference(state)
          if jax.process_index() == 0:
            with telemetry.pause():
              telemetry.evaluation(step, evaluate(model, step))


def _start_from(state, path, make_model):
  model = network.Network.load(path, make_model=make_model).model
  try:
    return step_lib.start_from(state, model)
  except ValueError as error:
    raise errors.UserError(
        f'config.initial_network={path} is another network than config.model:'
        f' {error}'
    ) from error


def _due(step, every, last):
  """Returns whether something is done after a step; never if `every` is 0."""
  return every > 0 and (step % every == 0 or step == last)
