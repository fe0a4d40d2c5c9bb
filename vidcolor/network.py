"""A trained network: its parameters, its palette and its config.

    network = Network.load('run')           # A run, a checkpoint or an .npz.
    tracker = network.propagator(recent=3)  # Other options as in its config.

An .npz file holds the parameters in float16, the batch statistics in float32,
the palette, and the config as JSON.
"""

import dataclasses
import json
import os
from typing import Any
import zipfile

from flax import nnx
from jax import numpy as jnp
from jaxtyping import Float
import ml_collections
import numpy as np

from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import models
from vidcolor import presets
from vidcolor import pretrained
from vidcolor.tracking import propagation

_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    zipfile.BadZipFile,
)


@dataclasses.dataclass(frozen=True)
class Network:
  """An embedding network with its palette and its config.

  Attributes:
    model: The embedding network. It does not update its batch statistics.
    palette: The colors of the classes, as a and b of Lab. None if `create` made
      the network.
    config: The config of its training, as in experiments/configs.
  """

  model: models.EmbeddingNetwork
  palette: Float[np.ndarray, 'colors 2'] | None
  config: ml_collections.ConfigDict

  @classmethod
  def load(
      cls,
      path: str | os.PathLike[str] | None = None,
      *,
      make_model: models.MakeModel | None = None,
  ) -> 'Network':
    """Loads a network, and turns on JAX's compilation cache on disk.

    Args:
      path: A training run, one of its checkpoints, or an .npz file that `save`
        wrote. Or 'strong', 'permissive' or 'paper', the networks in the
        package. Default: 'strong'.
      make_model: Function that makes the network. It is needed if training was
        given a `make_model` that cannot be imported by its name.

    Raises:
      UserError: There is no such file, or this version of vidcolor cannot read
        a network from it. Or the path names both a file or folder here and a
        network in the package.
    """
    environment.enable_compilation_cache()
    path = os.path.expanduser(path or pretrained.SHIPPED)
    if path in pretrained.NETWORKS:
      if os.path.exists(path):
        raise errors.UserError(
            f'{path} is here, and it is the name of a network in the package:'
            f' give ./{path}, or {pretrained.NETWORKS[path]}'
        )
      path = os.fspath(pretrained.NETWORKS[path])
    if path.endswith('.npz'):
      return cls(*_read_npz(path, make_model))
    # Importing Orbax takes a second, which .npz files do not need.
    from vidcolor.training import checkpoint

    return cls(*checkpoint.load_model(path, make_model))

  @classmethod
  def create(cls, config: ml_collections.ConfigDict) -> 'Network':
    """Makes a randomly initialized network without a palette."""
    model = models.create(**config.model, seed=config.seed)
    return cls(models.for_inference(model), None, config)

  def untrained(self, seed: int | None = None) -> 'Network':
    """Returns the same network with its initial parameters.

    Args:
      seed: Seed of the parameters. Default: `config.seed`, as in training.
    """
    seed = self.config.seed if seed is None else seed
    model = models.create(**self.config.model, seed=seed)
    return dataclasses.replace(self, model=models.for_inference(model))

  def propagator(
      self, preset: str = 'default', **changes: Any
  ) -> propagation.LabelPropagator:
    """Returns a label propagator with the options of `config.tracking`.

    Args:
      preset: A name of `presets.PRESETS`.
      **changes: Fields of `PropagationOptions` whose values replace those of
        the config and of the preset.

    Raises:
      UserError: `config.tracking` or the changes are not valid, or the preset
        is not for this network.
    """
    if preset not in presets.PRESETS:
      raise errors.UserError(
          f'there is no preset {preset}: give one of'
          f' {", ".join(presets.PRESETS)}'
      )
    of_preset = presets.PRESETS[preset]
    if of_preset and self.model.num_frames != 1:
      raise errors.UserError(
          f'the preset {preset} is for networks that embed each frame alone:'
          ' leave it out'
      )
    options = propagation.PropagationOptions.from_config(
        self.config, **(of_preset | changes)
    )
    try:
      return propagation.LabelPropagator(self.model, options)
    except ValueError as error:
      raise errors.UserError(
          f'correct `tracking` of the config: {error}'
      ) from error

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes the network to an .npz file, without config.dataset.data_dir.

    Args:
      path: Path of the file.

    Raises:
      ValueError: The network has no palette.
    """
    if self.palette is None:
      raise ValueError('an untrained network has no palette to save')
    arrays = {
        _key(names): np.asarray(
            variable[...],
            np.float16 if isinstance(variable, nnx.Param) else np.float32,
        )
        for names, variable in nnx.to_flat_state(nnx.state(self.model))
    }
    config = self.config.copy_and_resolve_references()
    if 'dataset' in config:
      config.dataset.data_dir = None  # It says nothing on another machine.
    config = np.array(config.to_json())
    with files.atomic_write(path) as temporary:
      np.savez_compressed(
          temporary,
          allow_pickle=False,
          palette=self.palette,
          config=config,
          **arrays,
      )


def _read_npz(path, make_model):
  try:
    with np.load(path) as file:
      arrays = dict(file)
    config = ml_collections.ConfigDict(json.loads(arrays['config'].item()))
    model = nnx.eval_shape(
        lambda: models.make(config.model, make_model=make_model)
    )
    graphdef, state = nnx.split(model)
    flat = [
        (names, variable.replace(_filled(variable, arrays[_key(names)])))
        for names, variable in nnx.to_flat_state(state)
    ]
  except FileNotFoundError as error:
    raise errors.UserError(f'there is no file {path}') from error
  except _UNREADABLE as error:
    raise errors.UserError(
        f'{path} holds no network of this version of vidcolor ({error}): write'
        ' it again with `python -m experiments.export`'
    ) from error
  model = nnx.merge(graphdef, nnx.from_flat_state(flat))
  return models.for_inference(model), arrays['palette'], config


def _key(names):
  return '/'.join(map(str, names))


def _filled(variable, array):
  if variable.shape != array.shape:
    raise ValueError(f'an array is {array.shape}, not {variable.shape}')
  # NumPy converts the array. JAX would compile a conversion for every shape.
  return jnp.asarray(array.astype(variable.dtype))
