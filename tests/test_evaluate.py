"""The program as a user runs it."""

import json

import numpy as np
import pytest

from tests import programs
from tests import tiny
import vidcolor
from vidcolor.tracking import baselines
from vidcolor.training import loop

pytestmark = pytest.mark.slow


def _evaluate(*args):
  return programs.run('vidcolor.evaluate', *args)


def _results(output_dir, *args):
  done = _evaluate(*args, f'--output_dir={output_dir}')
  assert done.returncode == 0, done.stderr
  assert (output_dir / 'report.html').stat().st_size > 1000
  assert not list(output_dir.rglob('*.tmp*'))
  return json.loads((output_dir / 'results.json').read_text())


@pytest.fixture(name='davis', scope='module')
def fixture_davis(tmp_path_factory):
  data_dir = tiny.write_davis(tmp_path_factory.mktemp('davis') / 'DAVIS')
  return ['--dataset=davis2017', f'--data_dir={data_dir}']


@pytest.fixture(name='workdir', scope='module')
def fixture_workdir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('run')
  config = tiny.config(tiny.build_dataset(folder), steps=2, checkpoint_every=1)
  loop.train(config, folder / 'run')
  return folder / 'run'


def test_results_of_a_part_name_it(davis, tmp_path):
  part = '--sequences=dogs', '--max_frames=4', '--baseline=identity'
  done = _evaluate(*davis, *part, f'--output_dir={tmp_path}')
  results = json.loads((tmp_path / 'results.json').read_text())
  name = 'a part of davis2017 (dogs; the first 4 frames of each sequence)'
  assert results['dataset'] == name
  assert f'These figures are of {name}, not of the' in done.stdout
  assert name in (tmp_path / 'report.html').read_text()


def test_model_then_its_predictions_alone(workdir, davis, tmp_path):
  results = _results(
      tmp_path / 'model', f'--workdir={workdir}', '--color_failure', *davis
  )
  assert results['overall'].keys() == {
      'J_mean', 'J_recall', 'J_decay', 'F_mean', 'F_recall', 'F_decay', 'J&F'
  }  # fmt: skip
  assert results['per_object'].keys() == {'bear_1', 'dogs_1', 'dogs_2'}
  assert results['color_failure']['color_error'].keys() == {'bear', 'dogs'}
  assert results['dataset'] == 'davis2017'
  predictions = tmp_path / 'model' / 'predictions'
  again = _results(tmp_path / 'again', f'--predictions={predictions}', *davis)
  assert again['overall'] == results['overall']
  assert 'color_failure' not in again


def test_config_gives_other_settings_and_checkpoint_another_step(
    workdir, davis, tmp_path
):
  steps = sorted(path.name for path in (workdir / 'checkpoints').iterdir())
  assert steps == ['1', '2']
  config = 'experiments/configs/compact.py'
  jf = {}
  for radius in (1, 12):
    results = _results(
        tmp_path / f'{radius}',
        f'--checkpoint={workdir / "checkpoints" / "1"}',
        f'--config={config}',
        f'--config.tracking.radius={radius}',
        *davis,
    )
    jf[radius] = results['overall']['J&F']
  assert jf[1] != jf[12]


def test_the_network_in_the_package_is_the_default(davis, tmp_path):
  ours = _results(tmp_path / 'ours', *davis)
  assert ours['method'] == 'the network in the package'
  untrained = _results(
      tmp_path / 'un', '--baseline=untrained', '--preset=fast', *davis
  )
  assert untrained['method'] == 'untrained, fast'
  assert untrained['overall'] != ours['overall']


def test_results_are_set_side_by_side(davis, tmp_path):
  overall = {
      name: _results(tmp_path / name, f'--baseline={name}', *davis)['overall']
      for name in ('identity', 'optical_flow')
  }
  done = programs.run(
      'experiments.compare',
      *(str(tmp_path / name) for name in overall),
      f'--output_dir={tmp_path / "both"}',
  )
  assert done.returncode == 0, done.stderr
  for name, figures in overall.items():
    assert f'| {name} | {figures["J_mean"]:.3f} |' in done.stdout
    assert (
        f'{figures["J&F"]:.3f}' in (tmp_path / 'both/report.html').read_text()
    )


def test_features_track_as_the_network_that_made_them(davis, tmp_path):
  """Of the square's own place: features that tell all, and scores of one."""
  for name, num_frames in ('bear', 5), ('dogs', 6):
    (tmp_path / 'features' / name).mkdir(parents=True)
    for t in range(num_frames):
      features = np.zeros((24, 32, 3), np.float32)
      features[..., 0] = 1
      features[5:15, 4 + t : 14 + t] = [0, 1, 0]
      if name == 'dogs':
        features[18:22] = [0, 0, 1]
      np.save(tmp_path / 'features' / name / f'{t:05}.npy', features)
  results = _results(
      tmp_path / 'out', f'--features_dir={tmp_path / "features"}', *davis
  )
  assert results['overall']['J_mean'] > 0.9
  identity = _results(tmp_path / 'identity', '--baseline=identity', *davis)
  assert results['overall']['J&F'] > identity['overall']['J&F']


@pytest.mark.parametrize(
    'args, told',
    [
        (['--checkpoint=nothing.npz'], 'there is no file nothing.npz'),
        (['--workdir=a', '--predictions=b'], '--workdir or --predictions'),
        (['--workdir=nothing'], 'nothing holds no checkpoint'),
        (['--predictions=nothing'], 'no prediction nothing/bear/00001.png'),
        (['--baseline=identity', '--color_failure'], '--color_failure is for'),
        (
            ['--predictions=p', '--color_failure'],
            '--color_failure is not for the scoring of predictions on davis',
        ),
        (
            ['--dataset=jhmdb', '--max_frames=9', '--baseline=identity'],
            '--max_frames is not for jhmdb',
        ),
        (['--query_mode=strided'], '--query_mode is not for davis2017'),
        (['--resolution=1080p'], 'that holds JPEGImages/1080p'),
        (['--dataset=davis'], '--dataset=davis: give one of davis2016, '),
        (['--preset=fast', '--baseline=identity'], '--preset is for networks'),
        (['--preset=fast', '--predictions=p'], '--preset is for networks'),
        (['--dataset=jhmdb', '--split=4'], 'JHMDB has splits 1, 2 and 3'),
        (
            ['--dataset=kinetics_color', '--baseline=identity'],
            'kinetics_color is for networks',
        ),
        (
            ['--dataset=kinetics_color', '--predictions=p'],
            '--predictions is not for kinetics_color',
        ),
        (
            ['--dataset=kinetics_color', '--features_dir=f'],
            '--features_dir is not for kinetics_color',
        ),
        (
            ['--dataset=tests.toy', '--baseline=identity'],
            'tests.toy: the module has no function `evaluate`',
        ),
    ],
)
def test_tells_what_is_wrong_in_one_line(davis, tmp_path, args, told):
  done = programs.run_here(
      'vidcolor.evaluate', *davis, *args, f'--output_dir={tmp_path / "out"}'
  )
  assert done.returncode == 2
  (line,) = [s for s in done.stderr.splitlines() if s.startswith('error: ')]
  assert told in line
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'out' / 'results.json').exists()


def test_a_benchmark_from_outside_of_the_package(tmp_path):
  square = np.zeros((12, 16), np.uint8)
  square[4:8, 4:8] = 1
  np.save(tmp_path / 'square.npy', square)
  toy = [
      '--dataset=tests.toy_benchmark',
      f'--data_dir={tmp_path}',
      '--baseline=identity',
  ]
  results = _results(tmp_path / 'out', '--split=left', *toy)
  assert results['split'] == 'left'
  # Two columns of four pixels are wrong per step.
  expected = 1 - 8 * np.mean([0, 1, 2, 3]) / square.size
  assert results['overall'] == {'accuracy': pytest.approx(expected)}
  done = _evaluate(*toy, '--num_clips=2', f'--output_dir={tmp_path / "no"}')
  assert done.returncode == 2
  assert '--num_clips is not for tests.toy_benchmark' in done.stderr


def test_benchmarks_are_attributes_and_need_no_output_folder(davis):
  data_dir = davis[1].removeprefix('--data_dir=')
  results = vidcolor.benchmarks.davis.evaluate(baselines.Identity(), data_dir)
  assert results['year'] == 2017 and 'media' not in results
  assert results['overall']['J_mean'] > 0.5
  for name in vidcolor.benchmarks.__all__:
    assert callable(getattr(vidcolor.benchmarks, name).evaluate)
