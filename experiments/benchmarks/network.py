"""The package's embedding network against the speed of a bare convolution."""

import functools
from typing import Any

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np

from experiments.benchmarks import measuring
import vidcolor

_SIZE = 360, 640  # What the package's network sees of 480p.
_BATCH = 4
# A convolution as large as the network's largest, of as many channels.
_CONVOLUTION = (1, 90, 160, 128), (3, 3, 128, 128)


def measure(settings: measuring.Settings) -> list[measuring.Figure]:
  """Times the network, what it is made of, and the convolution in turn."""
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
  seconds = measuring.in_turn(calls, settings.rounds)
  speed = {name: flops[name] / seconds[name] / 1e9 for name in calls}
  together = _BATCH * seconds['one frame'] / seconds[f'{_BATCH} frames']
  return [
      *(
          measuring.figure(f'{name}: time', 'ms', 1e3 * value)
          for name, value in seconds.items()
      ),
      *(
          measuring.figure(f'{name}: speed', 'GFLOP/s', value)
          for name, value in speed.items()
      ),
      measuring.figure(
          'one frame of the ceiling',
          'times',
          speed['one frame'] / speed['ceiling'],
      ),
      measuring.figure(
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
  """Parameters are arguments, or XLA would compute with them beforehand."""
  return lambda variables, x: function(nnx.merge(graphdef, variables), x)
