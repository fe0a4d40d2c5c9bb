"""Trains for real: resumed, refused, on one and eight devices."""

import contextlib
import functools
import os
import shutil
import struct
import subprocess
import sys
import types

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from data_prep.synthetic_clips import synthetic_clips
from experiments.configs import strong
from tests import programs
from tests import tiny
from vidcolor import color
from vidcolor import errors
from vidcolor import models
from vidcolor import network
from vidcolor import sharding
from vidcolor.benchmarks import davis
from vidcolor.benchmarks.davis import during_training
from vidcolor.data import synthetic
from vidcolor.tracking import propagation
from vidcolor.training import checkpoint
from vidcolor.training import loop
from vidcolor.training import step as step_lib
from vidcolor.training import telemetry

pytestmark = pytest.mark.slow

_FOUR_STEPS = {'steps': 4, 'checkpoint_every': 2, 'images_every': 0}


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  return tiny.build_dataset(tmp_path_factory.mktemp('videos'))


@pytest.fixture(scope='module')
def trained(data_dir, tmp_path_factory):
  """A run of four steps. No test may change it."""
  workdir = tmp_path_factory.mktemp('run')
  loop.train(tiny.config(data_dir, **_FOUR_STEPS), workdir)
  return workdir


def _run(data_dir, workdir, *flags, run=programs.run, **changes):
  """Runs the program."""
  fields = tiny.overrides(data_dir) | changes
  return run(
      'vidcolor.train',
      '--config=experiments/configs/compact.py',
      f'--workdir={workdir}',
      *(f'--config.{name}={value}' for name, value in fields.items()),
      *flags,
  )


def _leaves(workdir):
  model, palette, _ = checkpoint.load_model(workdir)
  return [*jax.tree.leaves(nnx.state(model)), palette]


_LOSSES = """
import jax
jax.config.update('jax_num_cpu_devices', 8)
from absl import flags
flags.FLAGS.mark_as_parsed()
import numpy as np
from tests import tiny
from vidcolor import sharding
from vidcolor.training import step as step_lib
config = tiny.config('', batch_size=8)
for devices, fsdp in ((1, 1), (8, 1), (8, 4)):
  mesh = sharding.make_mesh(fsdp, jax.devices()[:devices])
  assert mesh.size == devices
  rng = np.random.default_rng(0)
  palette = rng.uniform(-60, 60, (16, 2)).astype(np.float32)
  graphdef, state = step_lib.create_state(config, mesh)
  parts = [x.addressable_shards[0].data.size for x in jax.tree.leaves(state)]
  whole = [x.size for x in jax.tree.leaves(state)]
  assert (parts != whole) == (fsdp > 1)
  step = step_lib.make_train_step(config, graphdef, state, palette, mesh)
  for _ in range(8):
    frames = rng.integers(0, 256, (8, 3, 32, 32, 3), np.uint8)
    state, metrics = step(state, sharding.global_batch(mesh, frames))
    print(float(metrics['loss']))
"""


def test_any_number_of_devices_gives_the_same_losses():
  """Also where the state is split over some of them."""
  result = subprocess.run(
      [sys.executable, '-c', _LOSSES],
      cwd=programs.ROOT,
      capture_output=True,
      text=True,
  )
  assert result.returncode == 0, result.stderr
  losses = np.reshape([float(x) for x in result.stdout.split()], (3, 8))
  assert len(set(losses[0])) == 8
  np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
  np.testing.assert_allclose(losses[2], losses[0], rtol=1e-5)


def test_gradients_of_the_parts_of_a_batch_are_averaged():
  rng = np.random.default_rng(0)
  palette = rng.uniform(-60, 60, (16, 2)).astype(np.float32)
  frames = rng.integers(0, 256, (2, 2, 32, 32, 3), np.uint8)
  mesh = sharding.make_mesh()
  # Both parts are `frames`, so that the step is the same as with them alone.
  states = []
  for parts in (1, 2):
    config = tiny.config('', accumulate=parts)
    graphdef, state = step_lib.create_state(config, mesh)
    step = step_lib.make_train_step(config, graphdef, state, palette, mesh)
    state, metrics = step(state, jnp.asarray(frames.repeat(parts, axis=0)))
    states.append((state.params, metrics))
  for whole, parts in zip(*map(jax.tree.leaves, states), strict=True):
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-6)


def test_a_run_starts_from_another_network(data_dir, trained, tmp_path):
  config = tiny.config(
      data_dir,
      steps=1,
      seed=1,
      learning_rate=((0.0, 0.0), (1.0, 0.0)),
      initial_network=str(trained),
  )
  loop.train(config, tmp_path)
  params = lambda workdir: jax.tree.leaves(
      nnx.state(checkpoint.load_model(workdir)[0], nnx.Param)
  )
  for here, there in zip(params(tmp_path), params(trained), strict=True):
    np.testing.assert_array_equal(here, there)
  # A run that resumes does not need the other network any more.
  config.update(steps=2, initial_network='gone')
  loop.train(config, tmp_path)
  assert telemetry.read_metrics(tmp_path)['step'].tolist() == [1, 2]


def test_a_start_from_another_kind_of_network_is_refused(
    data_dir, trained, tmp_path
):
  config = tiny.config(
      data_dir, **{'model.width': 16, 'initial_network': str(trained)}
  )
  with pytest.raises(errors.UserError, match='initial_network=.* is another'):
    loop.train(config, tmp_path)


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'model.width': 16}, 'width=8 there, 16 here'),
        ({'clips.num_workers': 2}, 'num_workers=0 there, 2 here'),
    ],
)
def test_another_models_or_datas_checkpoint_is_refused(
    data_dir, trained, changes, told
):
  with pytest.raises(errors.UserError) as error:
    loop.train(tiny.config(data_dir, **changes), trained)
  message = str(error.value)
  assert told in message
  assert str(trained) in message and '--workdir' in message


def _damage(checkpoint_dir, how):
  if how == 'config gone':
    shutil.rmtree(checkpoint_dir / 'config')
  for path in checkpoint_dir.rglob('*'):
    if path.is_file() and how == 'short':
      path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize('how', ['short', 'config gone'])
def test_a_damaged_checkpoint_is_renamed(
    data_dir, trained, tmp_path, capsys, how
):
  config, damaged = tiny.config(data_dir, **_FOUR_STEPS), tmp_path / 'damaged'
  shutil.copytree(trained, damaged)
  _damage(damaged / 'checkpoints' / '4', how)
  loop.train(config, damaged)
  told = capsys.readouterr().out.splitlines()
  assert 'checkpoints/4 is damaged and was renamed damaged_4' in told[0]
  assert told[1] == 'resumed from step 2'
  assert sorted(os.listdir(damaged / 'checkpoints')) == [
      '2', '4', 'damaged_4'
  ]  # fmt: skip
  for whole, again in zip(_leaves(trained), _leaves(damaged), strict=True):
    np.testing.assert_array_equal(again, whole)

  for step in '24':
    _damage(damaged / 'checkpoints' / step, how)
  with pytest.raises(
      errors.UserError, match=r'none of the checkpoints .* \(step 4:'
  ):
    loop.train(config, damaged)


def test_nan_stops_the_run_and_keeps_the_checkpoint_before(
    data_dir, trained, tmp_path
):
  workdir = tmp_path / 'run'
  shutil.copytree(trained, workdir)
  config = tiny.config(data_dir, steps=9)
  config.learning_rate = ((0.0, float('nan')), (1.0, float('nan')))
  with pytest.raises(errors.UserError, match='loss is nan at step 6'):
    loop.train(config, workdir)
  assert sorted(os.listdir(workdir / 'checkpoints')) == ['2', '4']
  assert all(np.isfinite(x).all() for x in _leaves(workdir))


def test_several_datasets_are_told_and_the_first_gives_the_palette(
    data_dir, trained, tmp_path, capsys
):
  other = tmp_path / 'data'
  shutil.copytree(data_dir, other)
  other_palette = np.full((16, 2), 7, np.float32)
  color.save_palette(
      other / 'kinetics' / '2.0.0' / 'palette.npy', other_palette
  )
  config = tiny.config(f'{data_dir},{other}', steps=1)
  loop.train(config, tmp_path / 'run')
  told = capsys.readouterr().out.splitlines()[0]
  assert told.startswith(f'data: {data_dir}/kinetics/2.0.0 (5 records, 50%), ')
  assert told.endswith('the first gives the palette')
  palettes = [_leaves(run)[-1] for run in (trained, tmp_path / 'run')]
  np.testing.assert_array_equal(*palettes)


def test_zero_switches_reports_off(data_dir, tmp_path, capsys):
  off = {f'{name}_every': 0 for name in ('log', 'images', 'checkpoint')}
  off['evaluation.every'] = 0
  never = lambda *_: pytest.fail('evaluated')
  loop.train(tiny.config(data_dir, steps=2, **off), tmp_path, evaluate=never)
  assert not capsys.readouterr().out
  assert not telemetry.read_metrics(tmp_path)
  # The result is never lost.
  assert [p.name for p in (tmp_path / 'checkpoints').iterdir()] == ['2']


def test_the_strong_configs_network_sees_colours():
  config = strong.get_config()
  changes = tiny.overrides('') | {'model.name': 'compact'}
  config.update_from_flattened_dict(changes)
  model = models.for_inference(models.make(config.model))
  frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
  options = propagation.PropagationOptions()
  embed = lambda frame: np.asarray(propagation.encode(model, frame, options))
  # Other colours of much the same lightness.
  assert np.abs(embed(frame) - embed(frame[..., ::-1])).max() > 0.05


def test_workdir_without_checkpoint_is_one_line(tmp_path):
  with pytest.raises(errors.UserError, match=f'{tmp_path} holds no checkpoint'):
    checkpoint.load_model(tmp_path)


@pytest.mark.parametrize(
    'field, told',
    [
        ('--config.stepz=3', 'Did you mean "steps" instead of "stepz"?'),
        ('--config.model.widht=3', 'Did you mean "width" instead of "widht"?'),
        ('--config.steps=many', '--config.steps=many'),
    ],
)
def test_wrong_config_field_is_one_line(tmp_path, field, told):
  result = _run('', tmp_path / 'run', field, run=programs.run_here)
  assert result.returncode == 2
  assert told in result.stderr
  assert len(result.stderr.strip().splitlines()) == 1
  assert not (tmp_path / 'run').exists()


def test_missing_config_is_one_line(tmp_path):
  result = programs.run_here(
      'vidcolor.train', '--config=nowhere.py', f'--workdir={tmp_path / "run"}'
  )
  assert result.returncode == 2
  assert result.stderr == 'error: --config=nowhere.py: there is no such file\n'


def test_workdir_in_a_bucket_is_one_line(tmp_path):
  with pytest.raises(
      errors.UserError, match='gs://a/b is a URL, not a folder: mount'
  ):
    loop.train(tiny.config(str(tmp_path)), 'gs://a/b')


def test_missing_dataset_is_one_line(tmp_path):
  config = tiny.config(str(tmp_path / 'nowhere'))
  with pytest.raises(errors.UserError, match='data_prep.build') as error:
    loop.train(config, tmp_path / 'run')
  assert '\n' not in str(error.value)


def _read_events(path):
  """Parses TFRecords: length, its checksum, content and its checksum."""
  data, start = path.read_bytes(), 0
  while start < len(data):
    (length,) = struct.unpack_from('Q', data, start)
    yield event_pb2.Event.FromString(data[start + 12 : start + 12 + length])
    start += length + 16


def test_tensorboard_gets_every_metric_of_the_file(tmp_path):
  log = telemetry.Telemetry(tmp_path, first_step=2, last_step=9, batch_size=4)
  names = ('loss', 'accuracy', 'accuracy_same_place')
  log.scalars(3, {name: jnp.array(0.5) for name in names})
  log.close()
  metrics = telemetry.read_metrics(tmp_path)
  assert metrics.pop('step') == 3
  assert {'steps_per_second', 'examples_per_second'} < metrics.keys()
  version, start, *events = _read_events(next(tmp_path.glob('events.out.*')))
  assert version.file_version == 'brain.Event:2'
  assert start.session_log.status and start.step == 3  # Hides steps from 3 on.
  assert {event.step for event in events} == {3}
  written = [event.summary.value[0] for event in events]
  assert [value.tag for value in written] == list(metrics)
  np.testing.assert_allclose(
      [[value.simple_value] for value in written], list(metrics.values())
  )


def test_share_of_peak_and_time_without_pauses(monkeypatch, tmp_path):
  now = [0.0]
  monkeypatch.setattr(telemetry.time, 'perf_counter', lambda: now[0])
  monkeypatch.setattr(telemetry.hardware, 'peak_flops', lambda _: 500.0)
  log = telemetry.Telemetry(
      tmp_path, first_step=0, last_step=9, batch_size=4, flops=1000
  )
  done = {'loss': types.SimpleNamespace(is_ready=lambda: True)}
  busy = {'loss': types.SimpleNamespace(is_ready=lambda: False)}
  for context, seconds in (
      (contextlib.nullcontext(), 3.0),
      (log.waiting_for_data({}), 1.5),
      (log.waiting_for_data(done), 0.5),
      (log.waiting_for_data(busy), 3.0),
      (log.pause(), 90.0),
  ):
    with context:
      now[0] += seconds
  names = ('loss', 'accuracy', 'accuracy_same_place')
  log.scalars(2, {name: jnp.array(0.5) for name in names})
  log.close()
  metrics = telemetry.read_metrics(tmp_path)
  for name, value in {
      'steps_per_second': 0.25,
      'examples_per_second': 1.0,
      'seconds_waiting_for_data': 1.0,
      'seconds_computing': 3.0,
      'model_flops_per_second': 250.0,
      'share_of_peak_flops': 0.5 / jax.device_count(),
  }.items():
    np.testing.assert_allclose(metrics[name], [value])
  assert metrics['device_memory_gib'] > 0


def test_flops_are_those_of_the_products():
  """They are three times those of a forward pass, without recomputation."""

  @functools.cache
  def count(**changes):
    config = tiny.config('', **{'model.name': 'compact'} | changes)
    mesh, palette = sharding.make_mesh(), np.zeros((16, 2), np.float32)
    graphdef, state = step_lib.create_state(config, mesh)
    step = step_lib.make_train_step(config, graphdef, state, palette, mesh)
    return step_lib.count_flops(config, step, state, mesh)

  # What two more channels of the embedding cost: their part in the last
  # convolutions, at strides 4 and 8, in the affinity of 64 cells, and in the
  # enlargement from 4 x 4 cells, whose weights have no gradient.
  frames, cells, pairs = 4, 64, 2
  convolutions = 2 * frames * 2 * (cells * 8 + cells // 4 * 16)
  affinity = 2 * pairs * 2 * cells**2
  enlargement = 2 * frames * 2 * (8 * 4 * 4 + 8 * 8 * 4)
  more = count(**{'model.embedding_dim': 10}) - count()
  assert more == 3 * (convolutions + affinity) + 2 * enlargement
  assert count(remat='blocks', accumulate=2) == count()


def test_training_evaluates_and_traces(data_dir, tmp_path):
  davis_dir = tiny.write_davis(tmp_path / 'davis')
  changes = {
      'steps': 3,
      'evaluation.data_dir': davis_dir,
      'evaluation.every': 2,
      'tracking.short_side': 32,
  }
  result = _run(data_dir, tmp_path / 'run', '--profile=2:2', **changes)
  assert result.returncode == 0, result.stderr
  lines = [x for x in result.stdout.splitlines() if x.startswith('after step')]
  assert [line.split()[2] for line in lines] == ['2', '3']
  events = _read_events(next((tmp_path / 'run').glob('events.out.*')))
  told = {
      (event.step, value.tag): value.simple_value
      for event in events
      for value in event.summary.value
      if value.tag.startswith('davis2016')
  }
  assert set(told) == {
      (step, f'davis2016_{name}') for step in (2, 3) for name in 'JF'
  }
  assert f'davis2016_J {told[3, "davis2016_J"]:.3f}' in lines[1]
  # The last one is that of the checkpoint.
  model, _, config = checkpoint.load_model(tmp_path / 'run')
  tracker = propagation.LabelPropagator(
      model, propagation.PropagationOptions(**config.tracking)
  )
  results = davis.evaluate(tracker, davis_dir, tmp_path / 'alone', year=2016)
  assert told[3, 'davis2016_J'] == pytest.approx(results['overall']['J_mean'])
  evaluated = tmp_path / 'run' / 'evaluations' / '3' / 'predictions'
  assert len(list(evaluated.glob('*/*.png'))) == 11
  assert list((tmp_path / 'run').glob('plugins/profile/*/*.xplane.pb'))


@pytest.mark.parametrize(
    ('flag', 'told'),
    [
        ('--profile=20', 'the first and the last step'),
        ('--profile=3:2', 'the first and the last step'),
        ('--num_processes=2', '--process_id together'),
    ],
)
def test_wrong_flags_are_one_line(tmp_path, flag, told):
  result = _run('', tmp_path / 'run', flag, run=programs.run_here)
  assert result.returncode == 2
  assert told in result.stderr and result.stderr.count('\n') == 1


def test_wrong_evaluations_are_one_line(tmp_path):
  config = tiny.config('', **{'evaluation.data_dir': 'nowhere'})
  with pytest.raises(errors.UserError, match='nowhere'):
    during_training.make_evaluator(config, tmp_path)


def test_a_torn_line_of_metrics_is_cut_off(tmp_path):
  whole = '{"step": 1, "loss": 2.0}\n'
  (tmp_path / 'metrics.jsonl').write_text(whole + '{"step": 2, "lo')
  telemetry.Telemetry(tmp_path, first_step=1, last_step=9, batch_size=4).close()
  assert (tmp_path / 'metrics.jsonl').read_text() == whole


def test_learning_rate_joins_its_knots():
  config = tiny.config('', steps=100)
  config.learning_rate = ((0.0, 1.0), (0.15, 1.0), (0.15, 0.1), (1.0, 0.0))
  rates = [float(step_lib.learning_rate(config)(s)) for s in (0, 14, 15, 100)]
  np.testing.assert_allclose(rates, [1.0, 1.0, 0.1, 0.0], atol=1e-6)


def _mean_j(trained, sequences):
  js = []
  for clip in sequences:
    _, scores = davis.track_and_score(
        trained.propagator(short_side=96), clip.frames, clip.masks
    )
    js.append(scores.j.mean())
  return np.mean(js)


def test_a_little_training_beats_none(tmp_path):
  builder = synthetic_clips.SyntheticClips(
      num_train=6, num_test=0, data_dir=tmp_path
  )
  builder.download_and_prepare()
  colors = np.random.default_rng(0).uniform(-60, 60, (16, 2))
  color.save_palette(builder.data_path / 'palette.npy', np.float32(colors))
  run = programs.run(
      'vidcolor.train',
      '--config=experiments/configs/compact.py',
      f'--workdir={tmp_path / "run"}',
      f'--config.dataset.name={builder.name}',
      f'--config.dataset.data_dir={tmp_path}',
      '--config.clips.crop_size=64',
      '--config.model.width=32',
      '--config.steps=40',
  )
  assert run.returncode == 0, run.stderr
  trained = network.Network.load(tmp_path / 'run')
  # Of other seeds than the training clips.
  sequences = [
      synthetic.render_clip(10_000 + seed, num_frames=12, height=96, width=128)
      for seed in range(3)
  ]
  j = _mean_j(trained, sequences)
  control = _mean_j(trained.untrained(), sequences)
  print(f'J {j:.3f}, untrained {control:.3f}')
  # By 0.17 where it was tried.
  assert j > control + 0.08
