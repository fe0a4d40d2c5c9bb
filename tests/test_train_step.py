"""The benchmark compares equal steps, and its measurements are right."""

import json
import os

import numpy as np
import pytest

from experiments.benchmarks import plain_step
from tests import programs
from tests import tiny
from vidcolor import sharding
from vidcolor.training import step as step_lib

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  return tiny.build_dataset(tmp_path_factory.mktemp('data'))


def test_the_plain_step_trains_as_ours_does(data_dir):
  config = tiny.config(data_dir, **{'model.name': 'compact'})
  rng = np.random.default_rng(0)
  palette = rng.uniform(-60, 60, (16, 2)).astype(np.float32)
  frames = rng.integers(0, 256, (2, 2, 32, 32, 3), np.uint8)
  mesh = sharding.make_mesh()
  graphdef, ours = step_lib.create_state(config, mesh)
  our_step = step_lib.make_train_step(config, graphdef, ours, palette, mesh)
  plain, by_hand = plain_step.make(config, palette)
  losses = []
  for _ in range(5):
    ours, metrics = our_step(ours, frames)
    plain, loss = by_hand(plain, frames)
    losses.append(float(loss))
    np.testing.assert_allclose(metrics['loss'], loss, rtol=1e-4)
  assert losses[-1] < losses[0]


def _measure(data_dir, output, *flags):
  """What the program writes about the tiny config."""
  overrides = tiny.overrides(data_dir).items()
  result = programs.run(
      'experiments.benchmarks.train_step',
      '--config=experiments/configs/compact.py',
      *(f'--config.{name}={value}' for name, value in overrides),
      f'--output={output}',
      '--rounds=2',
      *flags,
  )
  assert not result.returncode, result.stderr
  return json.loads(output.read_text())


def test_measures_the_loop_beside_it(data_dir, tmp_path):
  results = _measure(data_dir, tmp_path / 'results.json', '--steps=10')
  for clock in 'seconds', 'core seconds':
    for name in 'plain', 'loop':
      assert len(results[clock][name]) == 2
      assert all(0 < value < 10 for value in results[clock][name])


def test_measures_the_step_alone(data_dir, tmp_path):
  two, four = _measure(
      data_dir,
      tmp_path / 'results.json',
      '--measure=step',
      '--batch_sizes=2,4',
      '--steps=5',
      f'--profile_dir={tmp_path / "trace"}',
  )['steps']
  assert (two['batch_size'], four['batch_size']) == (2, 4)
  # Products are counted, and the optimizer has none.
  assert four['flops'] == 2 * two['flops']
  assert four['bytes']['temporary'] > two['bytes']['temporary'] > 0
  assert two['bytes']['arguments'] > 0
  assert len(two['seconds']) == 2
  for case in two, four:
    np.testing.assert_allclose(
        case['flops_per_second'], case['flops'] / np.median(case['seconds'])
    )
    seconds = [seconds for _, seconds in case['top_operations']]
    assert len(seconds) == 10 and seconds == sorted(seconds, reverse=True)
    # One thread of several may run one while another runs another.
    assert 0 < sum(seconds) < os.cpu_count() * max(case['seconds']) * 3
    assert any('conv' in name for name, _ in case['top_operations'])
