"""Embedding networks, one in each file, and their common interface.

A config names a network in `config.model.name`: 'compact' for the `Model` of
vidcolor/models/compact.py, or the import path of any class, such as
'my_package.my_module.MyNet'. The other fields of `config.model` are arguments
of its constructor, which also takes `rngs`.
"""

from collections.abc import Callable, Mapping
import importlib
from typing import Any, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array, Float
import ml_collections

from vidcolor import errors

# Names of networks in earlier versions. Old checkpoints contain them.
_RENAMED = {'colorizer': 'resnet3d'}


@runtime_checkable
class EmbeddingNetwork(Protocol):
  """A `flax.nnx.Module` that training and tracking can use.

  Attributes:
    channels: 1 if the network sees grey, 3 if it sees Lab; see
      `color.network_input`.
    stride: Distance between neighbouring embeddings in pixels. The sides of
      frames are multiples of 8.
    num_frames: Number of frames that it embeds together; 1 if it embeds each
      frame alone.
  """

  channels: int
  stride: int
  num_frames: int

  def encode(
      self, frames: Float[Array, 'batch time height width channels']
  ) -> Float[Array, 'batch time rows columns features']:
    """Computes the features of each frame alone."""
    ...

  def relate(
      self, features: Float[Array, 'batch time rows columns features']
  ) -> Float[Array, 'batch time rows columns dim']:
    """Computes embeddings from the features of all frames of a clip."""
    ...


# Called as `make_model(rngs=...)`: a network class, or a partial of one.
MakeModel = Callable[..., EmbeddingNetwork]


def create(name: str, *, seed: int = 0, **options: Any) -> EmbeddingNetwork:
  """Makes a randomly initialized network.

  Args:
    name: Name or import path of the network, as in `config.model.name`.
    seed: Seed of the initial parameters.
    **options: Arguments of its constructor: the other fields of
      `config.model`.

  Raises:
    UserError: The network cannot be imported, or does not take the options or
      their values.
  """
  name = _RENAMED.get(name, name)
  path = name if '.' in name else f'{__name__}.{name}.Model'
  module, _, attribute = path.rpartition('.')
  try:
    model_class = getattr(importlib.import_module(module), attribute)
  except (ImportError, AttributeError) as error:
    raise errors.UserError(
        f'config.model.name={name}: cannot import {path} ({error}): name a file'
        ' of vidcolor/models, or give the import path of a class'
    ) from error
  try:
    return model_class(rngs=nnx.Rngs(seed), **options)
  except (TypeError, ValueError) as error:
    raise errors.UserError(f'config.model does not fit {path}: {error}') from (
        error
    )


def make(
    config: ml_collections.ConfigDict | Mapping[str, Any],
    *,
    seed: int = 0,
    make_model: MakeModel | None = None,
) -> EmbeddingNetwork:
  """Makes a randomly initialized network with `make_model` or from a config.

  Args:
    config: `config.model`. Unused if `make_model` is given.
    seed: Seed of the initial parameters.
    make_model: A function of `rngs` that makes the network, such as its class.
  """
  if make_model is not None:
    return make_model(rngs=nnx.Rngs(seed))
  return create(**dict(config.items()), seed=seed)


def import_path(make_model: MakeModel) -> str:
  """Returns the `config.model.name` that stands for a class or function.

  `create` cannot import a class that is defined within a function.
  """
  name = getattr(make_model, '__qualname__', type(make_model).__qualname__)
  return f'{make_model.__module__}.{name}'


def same_config(first: dict[str, Any], second: dict[str, Any]) -> bool:
  """Returns whether two `config.model` make the same network."""
  current = lambda config: config | {
      'name': _RENAMED.get(config['name'], config['name'])
  }
  return current(first) == current(second)


def for_inference(model: EmbeddingNetwork) -> EmbeddingNetwork:
  """Returns a view of the network that does not update batch statistics."""
  return nnx.view(model, use_running_average=True, raise_if_not_found=False)
