"""Checkpoints: loaded and resumed elsewhere than where they were written."""

import os
import subprocess
import sys

from flax import nnx
import grain
import jax
import numpy as np
import pytest

from tests import programs
from tests import tiny
from vidcolor import network
from vidcolor import sharding
from vidcolor.training import checkpoint
from vidcolor.training import step as step_lib

PALETTE = np.ones((16, 2), np.float32)


def _state(config):
  """A state without compilation: each array counts from 0."""
  mesh = sharding.make_mesh(config.fsdp)
  shapes = jax.eval_shape(lambda: step_lib.create_state(config, mesh)[1])
  return jax.tree.map(
      lambda x, placed: jax.device_put(
          np.arange(x.size, dtype=x.dtype).reshape(x.shape), placed
      ),
      shapes,
      sharding.of_state(mesh, shapes),
  )


def _batches():
  return iter(grain.MapDataset.range(8).to_iter_dataset())


def save(workdir, **changes):
  """Writes a checkpoint of `_state`, of step 0, after three batches."""
  config = tiny.config('', **changes)
  batches = _batches()
  for _ in range(3):
    next(batches)
  checkpoints = checkpoint.Checkpoints(workdir, config)
  checkpoints.save(_state(config), PALETTE, batches)
  checkpoints.close()


_SAVE_ON_EIGHT_DEVICES = """
import sys
from absl import flags
flags.FLAGS.mark_as_parsed()
import jax
from tests import test_checkpoint
assert jax.device_count() == 8
for fsdp in (1, 2):
  test_checkpoint.save(f'{sys.argv[1]}/{fsdp}', fsdp=fsdp)
"""


@pytest.fixture(scope='module')
def of_eight_devices(tmp_path_factory):
  folder = tmp_path_factory.mktemp('eight_devices')
  subprocess.run(
      [sys.executable, '-c', _SAVE_ON_EIGHT_DEVICES, str(folder)],
      cwd=programs.ROOT,
      env=os.environ | {'JAX_NUM_CPU_DEVICES': '8'},
      check=True,
  )
  return folder


@pytest.mark.parametrize('fsdp', [1, 2])
def test_a_run_on_eight_devices_loads_on_one(of_eight_devices, fsdp):
  loaded = network.Network.load(of_eight_devices / str(fsdp))
  arrays = jax.tree.leaves(nnx.state(loaded.model))
  assert all(x.devices() == {jax.devices()[0]} for x in arrays)
  for array in arrays:
    np.testing.assert_array_equal(np.ravel(array), np.arange(array.size))


@pytest.mark.parametrize('fsdp', [1, 2])
def test_a_run_on_eight_devices_resumes_on_one(of_eight_devices, fsdp):
  config, batches = tiny.config(''), _batches()
  expected = _state(config)
  checkpoints = checkpoint.Checkpoints(of_eight_devices / str(fsdp), config)
  state, _ = checkpoints.restore_latest(
      jax.tree.map(lambda x: x * 0, expected), PALETTE * 0, batches
  )
  checkpoints.close()
  jax.tree.map(np.testing.assert_array_equal, state, expected)
  assert next(batches) == 3
