"""Training and tracking, compiled for accelerators that are not there.

Nothing is run: the times are the compiler's estimates, without the transfers
between chips. The JSON file has the dearest operations of each.
"""

import functools
import importlib.util

import jax
from jax import numpy as jnp

from experiments.benchmarks import measuring
from experiments.configs import paper
from experiments.configs import pod
import vidcolor
from vidcolor import copying
from vidcolor import errors
from vidcolor.tracking import propagation
from vidcolor.training import compiled

_SIZE = 480, 854
_NUM_LABELS = 2  # An object and the background.


def measure(settings: measuring.Settings) -> list[measuring.Estimate]:
  """Compiles each case in a new process, which takes some minutes."""
  del settings
  cases = {
      'paper.py, v5e:2x4': functools.partial(
          _train, paper.get_config, 32, 'v5e:2x4'
      ),
      'paper.py, v5e:1x1': functools.partial(
          _train, paper.get_config, 32, 'v5e:1x1'
      ),
      'paper.py, v6e:2x4': functools.partial(
          _train, paper.get_config, 32, 'v6e:2x4'
      ),
      'pod.py, v5e:16x16': functools.partial(
          _train, pod.get_config, 1024, 'v5e:16x16'
      ),
      'track 480p, v5e:1x1': _track,
  }
  if importlib.util.find_spec('jax_cuda12_plugin'):
    cases |= {
        'paper.py, h100': functools.partial(
            _train, paper.get_config, 32, 'h100'
        ),
        'paper.py of 128 clips, h100x8': functools.partial(
            _train, paper.get_config, 128, 'h100x8'
        ),
    }
  return [_estimate(name, case) for name, case in cases.items()]


def _estimate(name, case):
  try:
    return measuring.Estimate(name, measuring.in_new_process(case))
  except errors.UserError as error:
    return measuring.Estimate(name, None, str(error))


def _train(get_config, batch_size, devices):
  config = get_config()
  config.batch_size = batch_size
  return compiled.of_training(config, devices)


def _track():
  """Compiles a step of tracking by default: embedding and copy."""
  network = vidcolor.load_pretrained_network()
  propagator = propagation.LabelPropagator(
      network.model,
      propagation.PropagationOptions.from_config(network.config),
      copy=functools.partial(copying.copy, kernel=True),
  )
  frame = jax.ShapeDtypeStruct((*_SIZE, 3), jnp.uint8)
  labels = jax.ShapeDtypeStruct((*_SIZE, _NUM_LABELS), jnp.float32)
  state = jax.eval_shape(propagator.init, frame, labels)
  return compiled.on_one_chip(propagator.step, state, frame)
