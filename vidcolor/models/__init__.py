"""Embedding networks, one file each.

A network is a module here with a class `Model(rngs=..., **options)`; a config
names the module and the options. `Model` has

  channels: 1 if it sees grey, 3 if Lab, as `color.network_input` has them;
  stride: frame pixels per embedding, and a side's multiple is 8;
  num_frames: how many frames it embeds together, 1 if each alone;
  encode(frames [b t h w channels]) -> features: what each frame gives alone;
  relate(features) -> embeddings [b t h/stride w/stride d]: the rest.
"""

import importlib
from typing import Any

from flax import nnx

from vidcolor import errors


def create(name: str, *, seed: int = 0, **options: Any) -> Any:
  """Makes the randomly initialised `Model` of `vidcolor.models.<name>`."""
  try:
    module = importlib.import_module(f'{__name__}.{name}')
  except ModuleNotFoundError as error:
    raise errors.UserError(
        f'config.model.name={name}: there is no vidcolor/models/{name}.py'
    ) from error
  return module.Model(rngs=nnx.Rngs(seed), **options)
