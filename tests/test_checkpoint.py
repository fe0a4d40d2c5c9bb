"""Checkpoints: loaded and resumed elsewhere than where they were written."""

import contextlib
import json
import os
import shutil
import subprocess
import sys

from flax import nnx
import grain
import jax
import numpy as np
import pytest

from tests import programs
from tests import tiny
from tests import toy
from vidcolor import errors
from vidcolor import network
from vidcolor import sharding
from vidcolor.data import records
from vidcolor.training import checkpoint
from vidcolor.training import step as step_lib

RECORDS = {'name': 'kinetics/2.0.0', 'records': 8}
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
  checkpoints = checkpoint.Checkpoints(workdir, config, RECORDS)
  checkpoints.save(_state(config), PALETTE, batches)
  checkpoints.close()


def test_some_old_checkpoints_are_kept(tmp_path):
  config = tiny.config('', keep_every=4)
  state, batches = _state(config), _batches()
  with contextlib.closing(
      checkpoint.Checkpoints(tmp_path, config, RECORDS)
  ) as checkpoints:
    for step in range(1, 11):
      state = state.replace(step=jax.numpy.array(step))
      checkpoints.save(state, PALETTE, batches)
  kept = sorted(map(int, os.listdir(tmp_path / 'checkpoints')))
  assert kept == [4, 8, 9, 10]


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


@pytest.mark.slow
@pytest.mark.parametrize('fsdp', [1, 2])
def test_a_run_on_eight_devices_loads_on_one(of_eight_devices, fsdp):
  loaded = network.Network.load(of_eight_devices / str(fsdp))
  arrays = jax.tree.leaves(nnx.state(loaded.model))
  assert all(x.devices() == {jax.devices()[0]} for x in arrays)
  for array in arrays:
    np.testing.assert_array_equal(np.ravel(array), np.arange(array.size))


@pytest.mark.slow
@pytest.mark.parametrize('fsdp', [1, 2])
def test_a_run_on_eight_devices_resumes_on_one(of_eight_devices, fsdp):
  state, batch = _resume(of_eight_devices / str(fsdp))
  jax.tree.map(np.testing.assert_array_equal, state, _state(tiny.config('')))
  assert batch == 3


def _resume(workdir, *, identity=None, **changes):
  """Returns the state and the next batch."""
  config, batches = tiny.config('', **changes), _batches()
  checkpoints = checkpoint.Checkpoints(
      workdir, config, RECORDS | (identity or {})
  )
  with contextlib.closing(checkpoints):
    empty = jax.tree.map(lambda x: x * 0, _state(tiny.config('')))
    state, _ = checkpoints.restore_latest(empty, PALETTE, batches)
  return state, next(batches)


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run')
  save(workdir)
  return workdir


def test_a_moved_dataset_is_told_and_continues(workdir, capsys):
  assert _resume(workdir, **{'dataset.data_dir': 'moved/'})[1] == 3
  assert capsys.readouterr().out == (
      'the config changed (dataset.data_dir= there, moved/ here)\n'
  )


def test_the_same_config_is_not_told(workdir, capsys):
  assert _resume(workdir)[1] == 3
  assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ('field', 'value', 'told'),
    [
        ('target', 'values', 'target=classes there, values here'),
        ('steps', 30, 'steps=20 there, 30 here'),
        ('copy.temperature', 0.5, 'copy.temperature=0.07 there, 0.5 here'),
        ('max_grad_norm', 2.0, 'max_grad_norm=1.0 there, 2.0 here'),
        ('accumulate', 2, 'accumulate=1 there, 2 here'),
        ('tracking.recent', 9, 'tracking.recent=5 there, 9 here'),
    ],
)
def test_another_value_is_told(workdir, capsys, field, value, told):
  assert _resume(workdir, **{field: value})[1] == 3
  assert capsys.readouterr().out == f'the config changed ({told})\n'


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'batch_size': 4}, 'batch_size=2 there, 4 here'),
        ({'seed': 1}, 'seed=0 there, 1 here'),
        ({'clips.num_frames': 3}, 'clips.num_frames=2 there, 3 here'),
        ({'identity': {'records': 9}}, 'records.records=8 there, 9 here'),
        ({'identity': {'records': '8 + 2'}}, '=8 there, 8 + 2 here'),
    ],
)
def test_other_data_is_refused_or_restarted(workdir, capsys, changes, told):
  with pytest.raises(errors.UserError) as error:
    _resume(workdir, **changes)
  assert told in str(error.value) and str(workdir) in str(error.value)
  assert '--config.restart_data' in str(error.value)
  assert _resume(workdir, restart_data=True, **changes)[1] == 0
  line = capsys.readouterr().out
  assert told in line and 'the data starts from its beginning' in line


def test_another_network_is_refused(workdir):
  changes = {'model.width': 16, 'restart_data': True}
  with pytest.raises(errors.UserError, match='model.width=8 there, 16 here'):
    _resume(workdir, **changes)


def test_a_dataset_is_the_same_elsewhere(tmp_path):
  clip = [np.zeros((8, 8, 3), np.uint8)]
  toy.build(tmp_path / 'first', {'a': clip, 'b': clip})
  toy.build(tmp_path / 'other', {'a': clip})
  open_toy = lambda folder: records.open_records('toy', folder).identity
  identity = open_toy(tmp_path / 'first')
  assert identity['records'] == 2 and identity['name'] == 'toy/2.0.0'
  assert open_toy(f'{tmp_path}/first/') == identity
  assert open_toy(tmp_path / 'other') != identity
  shutil.move(tmp_path / 'first', tmp_path / 'moved')
  assert open_toy(tmp_path / 'moved') == identity


def test_a_run_of_an_earlier_version_resumes(tmp_path):
  """It names no records: the name and the split of its dataset count."""
  config = tiny.config('there')
  there = json.loads(config.to_json())
  here = json.loads(tiny.config('here').to_json())
  here |= {'records': RECORDS, 'num_processes': 1}
  changes = lambda: list(checkpoint._changes(there, here))
  assert changes() == ['dataset.data_dir']
  here['dataset']['split'] = 'train[:9]'
  assert changes() == ['dataset.data_dir', 'dataset.split', 'records.split']
