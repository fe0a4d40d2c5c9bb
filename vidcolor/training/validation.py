"""Checks a training config before anything else is done with it."""

from collections.abc import Callable
import inspect
import math
from typing import Any, NamedTuple

from flax import nnx
import ml_collections

from vidcolor import copying
from vidcolor import errors
from vidcolor import models
from vidcolor.models import layers
from vidcolor.tracking import propagation


class _Rule(NamedTuple):
  holds: Callable[[Any], bool]
  text: str  # What to give instead.


def _whole(minimum, text=''):
  return _Rule(
      lambda x: isinstance(x, int) and x >= minimum,
      f'a whole number of {minimum} or more{text}',
  )


def _one_of(*values):
  return _Rule(lambda x: x in values, f'one of {", ".join(values)}')


def _are_knots(value):
  try:
    knots = [(float(fraction), float(rate)) for fraction, rate in value]
  except (TypeError, ValueError):
    return False
  fractions = [fraction for fraction, _ in knots]
  return (
      bool(knots)
      and fractions == sorted(fractions)
      and all(0 <= fraction <= 1 for fraction in fractions)
      and not any(rate < 0 for _, rate in knots)
  )


_POSITIVE = _Rule(
    lambda x: isinstance(x, (int, float)) and x > 0, 'a positive number'
)
_EVERY = _whole(0, '; 0 switches it off')

_RULES = {
    'seed': _Rule(
        lambda x: isinstance(x, int) and 0 <= x < 2**32,
        'a whole number from 0 to 2**32 - 1',
    ),
    'steps': _whole(1),
    'batch_size': _whole(1),
    'accumulate': _whole(1),
    'fsdp': _whole(1),
    'remat': _one_of(*layers.REMAT_POLICIES),
    'target': _one_of('classes', 'values'),
    'max_grad_norm': _POSITIVE,
    'learning_rate': _Rule(
        _are_knots,
        'pairs of a fraction of the steps, which do not decrease from 0 to 1,'
        ' and a rate, such as ((0.0, 1e-3), (1.0, 1e-3)) for a constant rate',
    ),
    'clips.num_frames': _whole(2, ': references and one target'),
    'clips.max_frame_step': _whole(1),
    'clips.crop_size': _whole(1),
    'clips.min_scale': _Rule(
        lambda x: isinstance(x, (int, float)) and 0 < x <= 1,
        'a number above 0, at most 1',
    ),
    'clips.num_workers': _whole(0, '; 0 for threads'),
    'log_every': _EVERY,
    'images_every': _EVERY,
    'checkpoint_every': _whole(0, '; 0 saves only the last step'),
}
# These are checked only where a config has them and they are not None.
_OPTIONAL_RULES = {
    'evaluation.every': _EVERY,
    'keep_every': _whole(0, '; 0 keeps none but the newest'),
    'clips.max_shift': _Rule(
        lambda x: isinstance(x, (int, float)) and 0 <= x < 1,
        'a number of 0 or more, below 1',
    ),
    'copy.temperature': _POSITIVE,
    'copy.radius': _POSITIVE,
    'copy.top_k': _whole(1),
    'copy.block_size': _whole(1),
}


def check_config(
    config: ml_collections.ConfigDict,
    make_model: models.MakeModel | None = None,
) -> None:
  """Checks the values of a training config.

  The numbers of devices and processes and the dataset are not checked here.

  Args:
    config: A config as in experiments/configs.
    make_model: As `loop.train` takes it.

  Raises:
    UserError: A field is missing or has a value that training cannot use.
  """
  flat = _flat(config)
  for field, rule in _RULES.items():
    if field not in flat:
      raise errors.UserError(
          f'config.{field} is missing: give {rule.text}, as in'
          ' experiments/configs/compact.py'
      )
    _check(field, flat[field], rule)
  for field, rule in _OPTIONAL_RULES.items():
    if flat.get(field) is not None:
      _check(field, flat[field], rule)
  _check_copy(config.copy)
  if 'tracking' in config:
    propagation.PropagationOptions.from_config(config)
  _check_model(config, make_model)


def check_batch_size(config: ml_collections.ConfigDict, devices: int) -> None:
  """Checks that the batch can be split over a number of devices.

  Raises:
    UserError: It cannot.
  """
  parts = devices * config.accumulate
  if config.batch_size % parts:
    raise errors.UserError(
        f'config.batch_size={config.batch_size} is not divisible by {devices}'
        f' devices times config.accumulate={config.accumulate}: give a multiple'
        f' of {parts}'
    )


def _flat(config):
  return {
      f'{part}.{field}' if isinstance(values, dict) else part: value
      for part, values in config.to_dict().items()
      for field, value in (
          values.items() if isinstance(values, dict) else [('', values)]
      )
  }


def _check(field, value, rule):
  if not rule.holds(value):
    raise errors.UserError(f'config.{field}={value}: give {rule.text}')


def _check_copy(options):
  known = inspect.signature(copying.copy).parameters
  for name in options:
    if name not in known:
      raise errors.UserError(
          f'config.copy.{name}: copying.copy has no such option'
      )
  windowed = [k for k in ('radius', 'top_k') if options.get(k) is not None]
  if windowed and options.get('block_size') is not None:
    raise errors.UserError(
        f'config.copy.block_size cannot be combined with {windowed[0]}: leave'
        ' one of them out'
    )


def _check_model(config, make_model):
  model = nnx.eval_shape(
      lambda: models.make(config.model, make_model=make_model)
  )
  # The sides of frames are multiples of 8 for every network.
  multiple = math.lcm(8, model.stride)
  if config.clips.crop_size % multiple:
    raise errors.UserError(
        f'config.clips.crop_size={config.clips.crop_size}: give a multiple of'
        f' {multiple}'
    )
