"""Every training config makes a step, and its docstring's commands work."""

import functools
import importlib
import inspect
import shlex

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import programs
from vidcolor import models
from vidcolor.data import clips
from vidcolor.data import records
from vidcolor.tracking import propagation
from vidcolor.training import objective
from vidcolor.training import step as step_lib

# The numbers of devices and processes in the docstring of each config.
CONFIGS = {
    'compact': (1, 1),
    'paper': (1, 1),
    'paper_cpu': (1, 1),
    'paper_cpu_256': (1, 1),
    'permissive': (1, 1),
    'pod': (256, 64),
    'strong': (1, 1),
}


def _module(name):
  return importlib.import_module(f'experiments.configs.{name}')


def _config(name):
  return _module(name).get_config()


def _lines(name, start):
  """The commands of a docstring, of one line each."""
  text = _module(name).__doc__.replace('\\\n', ' ')
  return [line for line in text.splitlines() if line.startswith(start)]


def test_these_are_all():
  folder = programs.ROOT / 'experiments' / 'configs'
  trains = [
      path.stem
      for path in folder.glob('*.py')
      if 'vidcolor.train ' in path.read_text()
  ]
  assert sorted(trains) == sorted(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_makes_a_state_and_a_loss(name):
  config = _config(name)
  model = nnx.eval_shape(lambda: models.create(**config.model))
  graphdef, params, batch_stats = nnx.split(model, nnx.Param, ...)
  optimizer = step_lib.make_optimizer(config)
  assert jax.eval_shape(optimizer.init, params)
  size = config.clips.crop_size
  frames = jax.ShapeDtypeStruct(
      (2, config.clips.num_frames, size, size, 3), np.uint8
  )

  def loss(params, batch_stats, frames):
    model = nnx.merge(graphdef, params, batch_stats, copy=True)
    palette = jnp.zeros((16, 2))
    return objective.predict_colors(
        model, frames, palette, target=config.target, **config.copy
    ).loss

  loss = jax.eval_shape(loss, params, batch_stats, frames)
  assert (loss.shape, loss.dtype) == ((), jnp.float32)


@pytest.mark.parametrize('name', CONFIGS)
def test_names_what_is_there(name):
  config = _config(name)
  bind = inspect.signature(clips.training_batches).bind
  bind([], batch_size=1, seed=config.seed, **config.clips)
  inspect.signature(records.open_records).bind(**config.dataset)
  propagation.PropagationOptions(**config.tracking)
  assert config.to_dict().keys() == _config('paper').to_dict().keys()


@pytest.mark.parametrize('name', CONFIGS)
def test_batch_goes_into_the_devices(name):
  config, (devices, processes) = _config(name), CONFIGS[name]
  assert config.batch_size % (devices * config.accumulate) == 0
  assert config.batch_size % processes == 0
  assert devices % config.fsdp == 0


def test_the_pod_warms_up_to_the_papers_rates_scaled():
  def rates(name):
    config = _config(name)
    schedule = step_lib.learning_rate(config)
    return np.array([schedule(f * config.steps) for f in (0, 0.1, 0.5, 1)])

  pod, paper = rates('pod'), rates('paper')
  scale = (_config('pod').batch_size / _config('paper').batch_size) ** 0.5
  assert pod[0] == 0
  np.testing.assert_allclose(pod[1:], paper[1:] * scale, rtol=0.01)


@pytest.mark.parametrize('name', CONFIGS)
def test_docstring_has_the_line_that_trains(name, tmp_path):
  (line,) = _lines(name, 'python -m vidcolor.train')
  _, _, module, *flags = line.split()
  assert f'--config=experiments/configs/{name}.py' in flags
  if '--cluster' in flags:  # There is no cluster here.
    flags.remove('--cluster')
  places = {'DATA_DIR': tmp_path / 'data', '=DIR': f'={tmp_path / "run"}'}
  flags = [
      functools.reduce(lambda f, p: f.replace(p, str(places[p])), places, flag)
      for flag in flags
  ]
  result = programs.run_here(module, *flags)
  # The command is right: only the data is missing.
  assert f'no dataset kinetics in {places["DATA_DIR"]}' in result.stderr
  assert result.returncode == 2


def test_docstring_has_the_line_that_launches():
  (line,) = _lines('pod', 'python -m experiments.launch')
  _, _, module, *flags = shlex.split(line)
  result = programs.run(module, '--dry_run', *flags)
  assert not result.returncode, result.stderr
  assert '--accelerator-type=v5litepod-256' in result.stdout
  assert '--config=experiments/configs/pod.py' in result.stdout
