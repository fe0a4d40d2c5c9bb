"""The table of ablations: trained, resumed, and computed right."""

import functools
import json

import pytest

from experiments import ablation_table
from tests import programs
from tests import tiny

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  folder = tmp_path_factory.mktemp('ablate')
  return tiny.build_dataset(folder), tiny.write_davis(folder / 'davis')


def _run(davis_dir, output_dir, *flags, run=programs.run):
  return run(
      'experiments.ablate',
      f'--davis_dir={davis_dir}',
      f'--output_dir={output_dir}',
      *flags,
  )


def test_trains_tracks_and_goes_on(folders, tmp_path):
  data_dir, davis_dir = folders
  tiny_fields = {
      'batch_size': 2,
      'clips.crop_size': 32,
      'model.width': 8,
      'model.name': 'tests.toy_network.Net',
      'tracking.max_enlargement': 1.0,
      # The masks of so small a network vanish along edges.
      'tracking.refine_edges': False,
  }
  flags = (
      *(f'--config.{name}={value}' for name, value in tiny_fields.items()),
      f'--data_dir={data_dir}',
      '--steps=2',
      '--seeds=2',
      '--max_frames=4',
      '--held_out=dogs',
      '--only=Lab 64 classes,tracking: only stride 8',
  )
  result = _run(davis_dir, tmp_path, *flags)
  assert not result.returncode, result.stderr
  rows = json.loads((tmp_path / 'results.json').read_text())['rows']
  assert [(row['change'], row['seed']) for row in rows] == [
      ('strong', 0),
      ('strong', 1),
      ('Lab 64 classes', 0),
      ('tracking: only stride 8', 0),
  ]
  assert all(row['by_sequence'].keys() == {'bear'} for row in rows)
  assert all(0 < row['J'] < 1 for row in rows)
  assert len({row['J'] for row in rows}) > 2
  assert 0 < rows[0]['untrained'] < 1
  config = tmp_path / 'Lab_64_classes_0' / 'checkpoints' / '2' / 'config'
  assert 'data_64' in next(config.iterdir()).read_text()
  table = (tmp_path / 'table.md').read_text()
  assert '| Lab 64 classes |' in table and '| strong |' in table

  again = _run(davis_dir, tmp_path, *flags)
  assert not again.returncode and 'step ' not in again.stdout
  other = _run(davis_dir, tmp_path, *flags, '--steps=3', run=programs.run_here)
  assert other.returncode == 2 and 'is of another run' in other.stderr


def test_mistakes_are_one_line(folders, tmp_path):
  run = functools.partial(_run, folders[1], tmp_path, run=programs.run_here)
  result = run()
  assert result.returncode == 2
  assert 'give --data_dir or --workdir' in result.stderr
  result = run('--workdir=w', '--held_out=cat')
  assert result.returncode == 2
  assert 'has no cat to leave out, but bear, dogs' in result.stderr


def test_differences_and_whether_they_are_clear():
  row = lambda j, by_sequence=(0.5,): {
      'J': j,
      'J&F': j,
      'seconds_per_frame': 1.0,
      'by_sequence': dict(enumerate(by_sequence)),
  }
  table = ablation_table.tabulate(
      {
          ('strong', 0): row(0.50, (0.4, 0.6, 0.5)),
          ('strong', 1): row(0.54),
          ('better', 0): row(0.62),
          ('alike', 0): row(0.55),
          ('tracking: surely', 0): row(0.6, (0.5, 0.7, 0.6)),
          ('tracking: perhaps', 0): row(0.6, (0.3, 0.6, 0.9)),
      },
      'strong',
  )
  assert table['strong']['J'] == pytest.approx(0.52)
  assert (table['strong']['least'], table['strong']['most']) == (0.50, 0.54)
  # The deviation over seeds is 0.028; of one less the mean of two, 0.035.
  assert table['better']['gain in J'] == pytest.approx(0.10)
  assert table['tracking: perhaps']['gain in J'] == pytest.approx(0.10)
  clear = {name: figures['clear'] for name, figures in table.items()}
  assert clear == {
      'strong': 'no',
      'better': 'yes',
      'alike': 'no',
      'tracking: surely': 'yes',
      'tracking: perhaps': 'no',
  }
