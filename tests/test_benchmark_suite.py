import json
import os

import numpy as np
from PIL import Image
import pytest

from experiments.benchmarks import copy_operation
from experiments.benchmarks import growth
from experiments.benchmarks import measuring
from experiments.benchmarks import peers
from tests import programs
from vidcolor import copying
from vidcolor import errors

pytestmark = pytest.mark.slow


def test_a_measurement_is_the_median_with_its_quartiles():
  measured = measuring.measurement('copy', 'ms', [1.0, 2.0, 3.0, 4.0, 100.0])
  assert measured[2:5] == (3.0, 2.0, 4.0)
  assert measured.aim() == ''


@pytest.mark.parametrize(
    'aim, words',
    [
        ({'at_least': 2.0}, 'at least 2: missed'),
        ({'at_least': 1.0}, 'at least 1: met'),
        ({'at_most': 2.0}, 'at most 2: met'),
        ({'at_most': 1.0}, 'at most 1: missed'),
    ],
)
def test_an_aim_is_met_or_missed(aim, words):
  assert measuring.measurement('ratio', 'times', 1.5, **aim).aim() == words


def test_an_estimate_has_one_row():
  report = {
      'step_seconds': 0.009,
      'share_of_peak': 0.5,
      'flops_per_device': 885e9,
      'bytes_per_device': 27.3e9,
      'memory_per_device': {'total': 1e9, 'temporaries': 0.84e9},
      'collectives': {'all-reduce': {'count': 55, 'bytes': 18e6}},
  }
  columns = measuring.Estimate('paper.py', report).columns()
  assert list(columns.values()) == [
      '9.00 ms',
      '50%',
      '885.0',
      '27.3',
      '1.00',
      '0.84',
      '55 all-reduce, 18 MB',
  ]
  without = report | {'step_seconds': None, 'share_of_peak': None}
  columns = measuring.Estimate('on a GPU', without).columns()
  assert list(columns.values())[:2] == ['no estimate', '']
  too_large = measuring.Estimate('paper.py', None, 'needs 20 GB')
  assert too_large.columns() == {'time': 'needs 20 GB'}


def test_calls_have_their_turns_in_each_round(monkeypatch):
  calls, now = [], [0.0]
  monkeypatch.setattr(measuring.time, 'perf_counter', lambda: now[0])

  def call(name, seconds):
    calls.append(name)
    now[0] += seconds

  seconds = measuring.time_in_turn(
      {'a': lambda: call('a', 1.0), 'b': lambda: call('b', 0.15)}, 2
  )
  # Both compile and are tried; then `b` warms up, and has two calls a turn.
  assert ''.join(calls) == 'aabb' + 2 * 'abbb'
  np.testing.assert_allclose(seconds['a'], [1.0, 1.0])
  np.testing.assert_allclose(seconds['b'], [0.15, 0.15])


def _take(megabytes):
  memory = measuring.Memory()
  np.ones(megabytes << 17)
  return memory.peak()


def test_a_new_process_has_its_own_peak_of_memory():
  held = np.ones(300 << 17)
  taken = measuring.in_new_process(_take, 100) / 2**20
  assert 95 <= taken < 150 < held.nbytes / 2**20


def test_a_process_that_dies_is_one_line():
  with pytest.raises(errors.UserError, match='died: it may need more memory'):
    measuring.in_new_process(os._exit, 1)


def test_growth_is_measured_and_drawn(tmp_path):
  run = lambda *case: measuring.in_new_process(
      growth._track, growth.Case(*case)
  )
  (seconds, small), (_, large) = run(5, 3, 64, 2), run(5, 50, 240, 2)
  assert 0 < seconds < 60
  assert large > small + 50e6  # As labels are, of all objects and pixels.
  curve = measuring.Curve('objects', [1, 2], 'a frame', [0.1, 0.2], [1e8, 1e8])
  growth.draw([curve, curve], tmp_path / 'growth.png')
  with Image.open(tmp_path / 'growth.png') as picture:
    assert picture.size[0] > 500


@pytest.mark.parametrize('top_k', [None, 5])
def test_what_is_compared_computes_the_same(monkeypatch, top_k):
  monkeypatch.setattr(copy_operation, '_GRID', (14, 15))
  arrays = copy_operation._arrays((14, 15), 2)
  copied = copying.copy(*arrays)
  flat = lambda x: np.asarray(x).reshape(14 * 15, -1)
  for other in copy_operation._blockwise, copy_operation._jax_attention:
    np.testing.assert_allclose(flat(other(*arrays)), flat(copied), atol=1e-5)
  for other in copy_operation._torch_attention(arrays, 'forward').values():
    np.testing.assert_allclose(flat(other()), flat(copied), atol=1e-5)
  np.testing.assert_allclose(
      flat(copy_operation._dense_masked(*arrays, top_k=top_k)),
      flat(copying.copy(*arrays, radius=12, top_k=top_k, temperature=0.07)),
      atol=1e-5,
  )


def test_squares_are_as_many_as_asked_for():
  mask = growth._squares(50, (240, 424))
  assert set(np.unique(mask)) == set(range(51))
  areas = np.bincount(mask.ravel())[1:]
  assert (areas == areas[0]).all()


def test_a_benchmark_by_name_ends_in_tables(tmp_path):
  output = tmp_path / 'results.json'
  done = programs.run(
      'experiments.benchmarks.run',
      'network',
      f'--output={output}',
      '--rounds=1',
  )
  assert done.returncode == 0, done.stderr
  results = json.loads(output.read_text())
  assert list(results['results']) == ['network']
  network = results['results']['network']
  measurements = {measured['name']: measured for measured in network}
  assert measurements['one frame: speed']['median'] > 0
  assert '| one frame: speed |' in done.stdout
  page = output.with_suffix('.html').read_text()
  assert 'one frame: speed' in page and results['machine'] in page


def test_an_unknown_benchmark_is_one_line(tmp_path):
  done = programs.run_here(
      'experiments.benchmarks.run', 'speed', f'--output={tmp_path}/a.json'
  )
  assert done.returncode == 2
  assert done.stderr.startswith(
      'error: no benchmark speed: give some of copy_op'
  )
  assert not any(tmp_path.iterdir())


def test_the_folder_of_other_code_is_required(tmp_path):
  output = f'--output={tmp_path}/a.json'
  done = programs.run_here('experiments.benchmarks.run', 'propagation', output)
  assert done.returncode == 2
  assert '--peers_dir' in done.stderr and done.stderr.count('\n') == 1


def test_windows_of_other_code_are_ours():
  near = peers._near((4, 5), 1, np.maximum).reshape(4, 5, 4, 5)
  assert near[0, 0].sum() == 4 and near[1, 1].sum() == 9
  near = peers._near((4, 5), 1, np.add).reshape(4, 5, 4, 5)
  assert near[1, 1].sum() == 5


def test_missing_other_code_is_one_line(tmp_path):
  pytest.importorskip('torch')
  with pytest.raises(errors.UserError, match='clone the repository'):
    peers.crw(str(tmp_path), peers.CommonOptions())
