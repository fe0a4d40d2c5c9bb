"""The curve of J against training steps: measured, resumed and drawn."""

import contextlib
import json

import grain
import jax
import pytest

from experiments.configs import tracking_window
from tests import programs
from tests import test_checkpoint
from tests import tiny
from vidcolor import network as network_lib
from vidcolor import sharding
from vidcolor.benchmarks import davis
from vidcolor.training import checkpoint
from vidcolor.training import step as step_lib

pytestmark = pytest.mark.slow


def _write_run(workdir, steps):
  """Writes checkpoints of the initial network."""
  config = tiny.config(
      '',
      **{'model.name': 'tests.toy_network.Net', 'clips.num_frames': 3},
  )
  config.tracking.short_side = 48
  state = step_lib.create_state(config, sharding.make_mesh(1))[1]
  with contextlib.closing(
      checkpoint.Checkpoints(workdir, config, test_checkpoint.RECORDS)
  ) as checkpoints:
    for step in steps:
      state = state.replace(step=jax.numpy.array(step))
      batches = iter(grain.MapDataset.range(8).to_iter_dataset())
      checkpoints.save(state, test_checkpoint.PALETTE, batches)


def test_it_measures_every_doubling_and_goes_on(tmp_path):
  davis_dir = tiny.write_davis(tmp_path / 'davis')
  _write_run(tmp_path / 'run', (2, 3, 4))
  flags = (
      f'--workdir={tmp_path / "run"}',
      f'--davis_dir={davis_dir}',
      '--split=val',
      '--leave_out=dogs',
      f'--output_dir={tmp_path / "out"}',
  )
  result = programs.run('experiments.emergence', *flags)
  assert not result.returncode, result.stderr
  results_file = tmp_path / 'out' / 'results.json'
  saved = json.loads(results_file.read_text())
  results = saved['by_step']
  assert list(results) == ['0', '2', '4']
  # All three are the same network: training did not change it.
  assert results['0'] == results['2'] == results['4']
  assert all(0 <= value <= 1 for value in results['2'].values())
  network = network_lib.Network.load(tmp_path / 'run' / 'checkpoints' / '4')
  options = tracking_window.get_config().tracking
  scores = davis.evaluate(
      network.propagator(**options), davis_dir, sequences=['bear']
  )
  assert 0 < results['2']["the field's way"] == scores['overall']['J_mean']
  assert result.stdout.count('\n| ') == 3
  assert (tmp_path / 'out' / 'emergence.png').stat().st_size > 1000

  # What is measured already is not measured again.
  results['2']["the paper's way"] = 0.123
  results_file.write_text(json.dumps(saved))
  again = programs.run('experiments.emergence', *flags)
  assert '| 0.123 |' in again.stdout

  # Nor is it taken for a measurement with other flags.
  for flag, told in (
      ('--max_frames=4', 'is of other flags'),
      ('--leave_out=cat', 'has no cat to leave out, but bear, dogs'),
      ('--steps=x', 'holds no step x'),
  ):
    result = programs.run_here('experiments.emergence', *flags, flag)
    assert result.returncode == 2 and told in result.stderr
