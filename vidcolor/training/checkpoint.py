"""Checkpoints, each of which holds everything that resumes a run.

A checkpoint is an Orbax step with five items: `model` (parameters and batch
statistics, all that tracking needs), `training` (step number and optimizer
state), `data` (state of the Grain iterator), `palette` and `config`.
"""

from collections.abc import Mapping
import contextlib
import functools
import json
import os
import pathlib
import shutil

from etils import epath
from flax import nnx
import grain.python as grain
import jax
from jax.experimental import multihost_utils
from jaxtyping import Float
import ml_collections
import numpy as np
from orbax import checkpoint as ocp

from vidcolor import errors
from vidcolor import files
from vidcolor import models
from vidcolor.training import step as step_lib

_SMALL_FILES_BYTES = 1e6  # Metadata of the arrays, and logs.
# A run resumes only with the same values of these parts of its saved config, or
# starts the data from its beginning. It tells which other fields have changed.
_NETWORK = ('model',)
_DATA = ('records', 'clips', 'batch_size', 'seed', 'num_processes')


class Checkpoints:
  """The checkpoints of one run, in `workdir`/checkpoints."""

  def __init__(
      self,
      workdir: str | os.PathLike[str],
      config: ml_collections.ConfigDict,
      records: Mapping[str, str | int],
  ):
    """Opens the folder.

    Args:
      workdir: Folder of the run.
      config: Config of the run, which is saved in each checkpoint. The three
        newest checkpoints are kept, and those whose step is a multiple of
        config.keep_every if it has this field.
      records: `records.Records.identity` of its datasets, which is too.
    """
    self._config = json.loads(config.to_json()) | {
        'records': dict(records),
        'num_processes': jax.process_count(),
    }
    self._workdir = workdir
    self._manager = _manager(workdir, keep_every=config.get('keep_every'))

  def save(
      self,
      state: step_lib.TrainState,
      palette: Float[np.ndarray, 'colors 2'],
      batches: grain.DatasetIterator,
  ) -> None:
    """Waits for the previous save, then saves in the background.

    Raises:
      UserError: The disk has too little space, or the previous save failed.
    """
    self.wait()
    self._require_room(state)
    with self._errors_in_one_line():
      self._manager.save(
          int(state.step),
          args=ocp.args.Composite(
              model=ocp.args.StandardSave(_model_item(state)),
              training=ocp.args.StandardSave(_training_item(state)),
              data=grain.PyGrainCheckpointSave(batches),
              palette=ocp.args.JsonSave(palette.tolist()),
              config=ocp.args.JsonSave(self._config),
          ),
      )

  def restore_latest(
      self,
      state: step_lib.TrainState,
      palette: Float[np.ndarray, 'colors 2'],
      batches: grain.DatasetIterator,
  ) -> tuple[step_lib.TrainState, Float[np.ndarray, 'colors 2']]:
    """Restores the newest checkpoint, if there is one, and the data iterator.

    A damaged checkpoint is renamed, and the one before it is restored. It
    prints which fields of the config have changed since.

    Args:
      state: State that gives shapes and shardings.
      palette: Palette of a new run.
      batches: Iterator, which is set to the position of the checkpoint.

    Returns:
      The state and the palette of the checkpoint. Without a checkpoint, the
      arguments.

    Raises:
      UserError: The checkpoint is of another network or, without
        config.restart_data, of other data. Or no checkpoint can be read.
    """
    damaged = {}
    for step in sorted(self._manager.all_steps(), reverse=True):
      try:
        restored = self._restore(step, state, batches)
      except errors.UserError:
        raise
      # Each library has its own errors for damaged files.
      except Exception as error:  # pylint: disable=broad-exception-caught
        damaged[step] = error
      else:
        self._rename_damaged(damaged)
        return restored
    if damaged:
      step, error = next(iter(damaged.items()))
      raise errors.UserError(
          f'none of the checkpoints in {self._workdir} can be read (step'
          f' {step}: {error}): restore one, or give another --workdir'
      )
    return state, palette

  def _restore(self, step, state, batches):
    saved = self._manager.restore(
        step, args=ocp.args.Composite(config=ocp.args.JsonRestore())
    )['config']
    changes = _changes(saved, self._config)
    restarts = self._check_changes(changes)
    data = {} if restarts else {'data': grain.PyGrainCheckpointRestore(batches)}
    like = functools.partial(jax.tree.map, ocp.utils.to_shape_dtype_struct)
    restored = self._manager.restore(
        step,
        args=ocp.args.Composite(
            model=ocp.args.StandardRestore(like(_model_item(state))),
            training=ocp.args.StandardRestore(like(_training_item(state))),
            palette=ocp.args.JsonRestore(),
            **data,
        ),
    )
    state = step_lib.TrainState(
        step=restored['training']['step'],
        params=restored['model']['params'],
        batch_stats=restored['model']['batch_stats'],
        opt_state=restored['training']['opt_state'],
    )
    if changes and jax.process_index() == 0:
      data = ': the data starts from its beginning' if restarts else ''
      print(f'the config changed ({"; ".join(changes.values())}){data}')
    return state, np.array(restored['palette'], np.float32)

  def check(self) -> None:
    """Raises the error of the background save, if it has failed.

    Raises:
      UserError: The save failed. Earlier checkpoints are intact.
    """
    if not self._manager.is_saving_in_progress():
      self.wait()

  def wait(self) -> None:
    """Waits for the background save.

    Raises:
      UserError: The save failed. Earlier checkpoints are intact.
    """
    with self._errors_in_one_line():
      self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for the background save and closes the manager."""
    with self._errors_in_one_line():
      self._manager.close()

  @contextlib.contextmanager
  def _errors_in_one_line(self):
    try:
      with files.report_full_disk(self._workdir):
        yield
    except errors.UserError:
      raise
    except Exception as error:
      reason = ' '.join(str(error).split())[:200]
      raise errors.UserError(
          f'no checkpoint could be saved in {self._workdir} ({reason}): fix'
          ' that, then run the same command again to continue from the last'
          ' checkpoint'
      ) from error

  def _require_room(self, state):
    """Raises a `UserError` if the disk has too little space for a save.

    If the disk fills up during a save, some libraries print their own errors.
    """
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    needed = (1.1 * needed + _SMALL_FILES_BYTES) / 1e6
    with self._errors_in_one_line():
      free = shutil.disk_usage(self._workdir).free / 1e6
    if free < needed:
      raise errors.UserError(
          f'{self._workdir} has room for {free:.1f} MB, but a checkpoint takes'
          f' {needed:.1f} MB: free some space, then run the same command again'
          ' to continue from the last checkpoint'
      )

  def _rename_damaged(self, damaged):
    """Renames checkpoints that cannot be read, so that Orbax ignores them."""
    for step, error in damaged.items():
      path = pathlib.Path(self._manager.directory) / str(step)
      if jax.process_index() == 0:
        reason = ' '.join(str(error).split())[:200]
        print(f'{path} is damaged and was renamed damaged_{step}: {reason}')
        path.rename(path.with_name(f'damaged_{step}'))
    if damaged:
      multihost_utils.sync_global_devices('damaged checkpoints were renamed')
      self._manager.reload()

  def _check_changes(self, changes):
    """Returns whether the data starts from its beginning.

    Raises:
      UserError: The network or, without config.restart_data, the data changed.
    """
    network = _within(changes, _NETWORK)
    if network:
      raise errors.UserError(
          f'{self._workdir} holds a checkpoint of another network'
          f' ({network}): give another --workdir, or the config of the'
          ' checkpoint'
      )
    data = _within(changes, _DATA)
    if data and not self._config['restart_data']:
      raise errors.UserError(
          f'{self._workdir} holds a position in other data ({data}): give'
          ' another --workdir or the config of the checkpoint, or start the'
          ' data from its beginning with --config.restart_data'
      )
    return bool(data)


def _changes(there, here):
  """Returns a text for each field that differs between two saved configs."""
  there, here = {'num_processes': 1} | there, dict(here)
  if models.same_config(there['model'], here['model']):
    here['model'] = there['model']
  if 'records' not in there:  # An earlier version wrote the checkpoint.
    for config in (there, here):
      # A dataset may move.
      config['records'] = config['dataset'] | {'data_dir': None}
  there, here = _flat(there), _flat(here)
  return {
      key: f'{key}={there.get(key)} there, {here.get(key)} here'
      for key in sorted(there.keys() | here.keys())
      if there.get(key) != here.get(key)
  }


def _flat(config, prefix=''):
  flat = {}
  for key, value in config.items():
    if isinstance(value, dict):
      flat |= _flat(value, f'{prefix}{key}.')
    else:
      flat[prefix + key] = value
  return flat


def _within(changes, parts):
  """Joins the texts of the changes within some parts of the config."""
  return '; '.join(
      text for key, text in changes.items() if key.split('.')[0] in parts
  )


def load_model(
    workdir: str | os.PathLike[str],
    make_model: models.MakeModel | None = None,
) -> tuple[
    models.EmbeddingNetwork,
    Float[np.ndarray, 'colors 2'],
    ml_collections.ConfigDict,
]:
  """Reads the parts of a `network.Network` from a checkpoint.

  Args:
    workdir: Folder of a run, whose newest checkpoint is read, or of one of its
      checkpoints, `workdir`/checkpoints/<step>.
    make_model: As `network.Network.load` takes it.

  Returns:
    The model with its batch statistics fixed, on this process's first device
    whatever devices it was trained on, the palette and the config.

  Raises:
    UserError: There is no checkpoint in `workdir`.
  """
  run, step = pathlib.Path(workdir).resolve(), None
  if run.parent.name == 'checkpoints' and run.name.isdigit():
    run, step = run.parent.parent, int(run.name)
  with _manager(run, read_only=True) as manager:
    if step is None:
      step = manager.latest_step()
    if step not in manager.all_steps():
      raise errors.UserError(
          f'{workdir} holds no checkpoint: give the folder of a training run'
      )
    described = manager.restore(
        step,
        args=ocp.args.Composite(
            config=ocp.args.JsonRestore(), palette=ocp.args.JsonRestore()
        ),
    )
    graphdef, params, batch_stats = nnx.split(
        nnx.eval_shape(
            lambda: models.make(
                described['config']['model'], make_model=make_model
            )
        ),
        nnx.Param,
        ...,
    )
    # The checkpoint may be of devices that this machine does not have.
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    item = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        {'params': params, 'batch_stats': batch_stats},
    )
    item = manager.restore(
        step,
        args=ocp.args.Composite(model=ocp.args.StandardRestore(item)),
    )['model']
  model = nnx.merge(graphdef, item['params'], item['batch_stats'])
  return (
      models.for_inference(model),
      np.array(described['palette'], np.float32),
      ml_collections.ConfigDict(described['config']),
  )


def _manager(workdir, read_only=False, keep_every=None):
  return ocp.CheckpointManager(
      epath.Path(pathlib.Path(workdir).resolve()) / 'checkpoints',
      options=ocp.CheckpointManagerOptions(
          max_to_keep=3,
          keep_period=keep_every or None,
          create=not read_only,
          read_only=read_only,
          # Deletes checkpoints that a killed run did not finish.
          cleanup_tmp_directories=not read_only,
          # Else a save waits six minutes for a folder that cannot be made.
          async_options=ocp.AsyncOptions(
              create_directories_asynchronously=False
          ),
      ),
  )


def _model_item(state):
  return {'params': state.params, 'batch_stats': state.batch_stats}


def _training_item(state):
  return {'step': state.step, 'opt_state': state.opt_state}
