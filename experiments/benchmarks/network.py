"""The speed of the package's network, compared with a single convolution."""

import functools
from typing import Any

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np

from experiments.benchmarks import measuring
import vidcolor

_SIZE = 360, 640  # Size at which the package's network sees 480p.
_BATCH = 4
# A convolution like the largest one of the network.
_CONVOLUTION = (1, 90, 160, 128), (3, 3, 128, 128)


def measure(settings: measuring.Settings) -> list[measuring.Measurement]:
  """Times the network, its parts and the convolution in turn."""
  model: Any = vidcolor.load_pretrained_network().model
  graphdef, variables = nnx.split(model)
  draw = lambda *shape: jnp.asarray(
      np.random.default_rng(0).normal(size=shape).astype(np.float32)
  )
  frames = draw(_BATCH, 1, *_SIZE, model.channels)
  stem = model.stem(frames[:1])
  fine = functools.reduce(lambda x, block: block(x), model.fine, stem)
  parts = {
      'one frame': (_embed, frames[:1]),
      f'{_BATCH} frames': (_embed, frames),
      'stem': (lambda model, x: model.stem(x), frames[:1]),
      'at stride 4': (
          lambda model, x: functools.reduce(_apply, model.fine, x), stem
      ),
      'at stride 8': (
          lambda model, x: functools.reduce(_apply, model.coarse, x), fine
      ),
  }  # fmt: skip
  compiled: dict[str, Any] = {
      'ceiling': (_convolve, [draw(*s) for s in _CONVOLUTION])
  }
  for name, (function, array) in parts.items():
    compiled[name] = _of_variables(graphdef, function), [variables, array]
  calls, flops = {}, {}
  for name, (function, arrays) in compiled.items():
    lowered: Any = jax.jit(function).lower(*arrays)
    calls[name] = functools.partial(lowered.compile(), *arrays)
    flops[name] = lowered.cost_analysis()['flops']
  seconds = measuring.time_in_turn(calls, settings.rounds)
  speed = {name: flops[name] / seconds[name] / 1e9 for name in calls}
  together = _BATCH * seconds['one frame'] / seconds[f'{_BATCH} frames']
  return [
      *(
          measuring.measurement(f'{name}: time', 'ms', 1e3 * value)
          for name, value in seconds.items()
      ),
      *(
          measuring.measurement(f'{name}: speed', 'GFLOP/s', value)
          for name, value in speed.items()
      ),
      measuring.measurement(
          'one frame of the ceiling',
          'times',
          speed['one frame'] / speed['ceiling'],
      ),
      measuring.measurement(
          f'{_BATCH} frames at once over one by one', 'times', together
      ),
  ]


def _embed(model, x):
  return model(x)


def _apply(x, block):
  return block(x)


def _convolve(x, kernel):
  return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )


def _of_variables(graphdef, function):
  """Returns `function` with the weights as its first argument.

  Weights that a jitted function closes over are constants, with which XLA
  computes as it compiles. That would make the measured time too short.
  """
  return lambda variables, x: function(nnx.merge(graphdef, variables), x)
