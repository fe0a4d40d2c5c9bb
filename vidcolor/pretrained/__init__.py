"""Networks in one small file each: the one that is shipped, and any other's.

A file is an .npz of the parameters in float16, the batch statistics in float32,
the palette, and the config as JSON. MODEL_CARD.md says what is shipped.
"""

import json
import os
import pathlib
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

_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    zipfile.BadZipFile,
)
SHIPPED = pathlib.Path(__file__).with_name('strong.npz')


def save(
    path: str | os.PathLike[str],
    model: Any,
    palette: Float[np.ndarray, 'colors 2'],
    config: ml_collections.ConfigDict,
) -> None:
  """Writes a network to a file, its parameters rounded to float16."""
  arrays = {
      _key(names): np.asarray(
          variable[...],
          np.float16 if isinstance(variable, nnx.Param) else np.float32,
      )
      for names, variable in nnx.to_flat_state(nnx.state(model))
  }
  about = {'palette': palette, 'config': np.array(config.to_json())}
  with files.atomic_write(path) as temporary:
    np.savez_compressed(temporary, allow_pickle=False, **about, **arrays)


def load(
    path: str | os.PathLike[str] = SHIPPED,
) -> tuple[Any, Float[np.ndarray, 'colors 2'], ml_collections.ConfigDict]:
  """Loads a network for inference; from here on compiled code is kept.

  Args:
    path: What `save` has written, an .npz, by default what is shipped; or a
      run, or one checkpoint of it, as `checkpoint.load_model` takes them.

  Returns:
    The model with its batch statistics fixed, the palette and the config.

  Raises:
    UserError: there is no such file, or it holds no network of this version.
  """
  environment.enable_compilation_cache()
  if not os.fspath(path).endswith('.npz'):
    # Here, as Orbax takes a second to import.
    from vidcolor.training import checkpoint

    return checkpoint.load_model(path)
  try:
    with np.load(path) as file:
      arrays = dict(file)
    config = ml_collections.ConfigDict(json.loads(arrays['config'].item()))
    model = nnx.eval_shape(lambda: models.create(**config.model))
    graphdef, state = nnx.split(model)
    flat = [
        (names, variable.replace(_filled(variable, arrays[_key(names)])))
        for names, variable in nnx.to_flat_state(state)
    ]
  except FileNotFoundError as error:
    raise errors.UserError(f'there is no file {path}') from error
  except _UNREADABLE as why:
    raise errors.UserError(
        f'{path} holds no network of this version of vidcolor ({why}): write it'
        ' anew by `python -m experiments.export`'
    ) from why
  model = nnx.merge(graphdef, nnx.from_flat_state(flat))
  model = nnx.view(model, use_running_average=True)
  return model, arrays['palette'], config


def _key(names):
  return '/'.join(map(str, names))


def _filled(variable, array):
  if variable.shape != array.shape:
    raise ValueError(f'an array is {array.shape}, not {variable.shape}')
  # Converted by NumPy: JAX would compile that for every shape.
  return jnp.asarray(array.astype(variable.dtype))
