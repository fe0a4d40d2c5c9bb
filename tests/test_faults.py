"""Interrupts training in every way. The result must always be the same.

One run of 200 steps is not interrupted. Others are killed, lose their data
workers or fill their disk, and are started again with the same command. Their
parameters, optimizer states, data positions and metrics must equal those of the
first run to the last bit.
"""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
from orbax import checkpoint as ocp
import pytest

from tests import programs
from tests import tiny
from vidcolor import errors
from vidcolor.training import loop
from vidcolor.training import telemetry

pytestmark = pytest.mark.slow

STEPS = 200


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  return tiny.build_dataset(tmp_path_factory.mktemp('videos'))


@pytest.fixture(scope='module')
def whole(data_dir, tmp_path_factory):
  """The run that is not interrupted."""
  workdir = tmp_path_factory.mktemp('whole')
  run = programs.run(*_command(data_dir, workdir), timeout=300)
  assert run.returncode == 0 and run.stderr == ''
  return workdir


def test_it_learns(whole):
  losses = telemetry.read_metrics(whole)['loss']
  assert losses[-50:].mean() < 0.8 * losses[:20].mean()
  assert list(whole.glob('events.out.tfevents*'))


def _command(data_dir, workdir, program='vidcolor.train', **changes):
  fields = tiny.overrides(data_dir) | {'steps': STEPS, 'images_every': STEPS}
  return [
      program,
      '--config=experiments/configs/compact.py',
      f'--workdir={workdir}',
      *(f'--config.{name}={v}' for name, v in (fields | changes).items()),
  ]


def _wait_for_steps(process, number):
  """Reads `number` lines of progress; returns the last step."""
  for line in process.stdout:
    if line.startswith('step'):
      number -= 1
      if not number:
        return int(line.split()[1].split('/')[0])
  return None


def _assert_as_whole(workdir, whole):
  left, right = [], []
  for folder, leaves in ((whole, left), (workdir, right)):
    with ocp.CheckpointManager(
        folder / 'checkpoints',
        options=ocp.CheckpointManagerOptions(read_only=True),
    ) as manager:
      restored = manager.restore(
          STEPS,
          args=ocp.args.Composite(
              model=ocp.args.StandardRestore(),
              training=ocp.args.StandardRestore(),
          ),
      )
    leaves += jax.tree.leaves((restored['model'], restored['training']))
    metrics = telemetry.read_metrics(folder)
    leaves += [metrics[name] for name in ('step', 'loss', 'accuracy')]
  assert len(left) > 20 and len(metrics['step']) == STEPS
  for expected, actual in zip(left, right, strict=True):
    np.testing.assert_array_equal(actual, expected)


def _data_state(workdir):
  path = f'checkpoints/{STEPS}/data/process_0-of-1.json'
  return (workdir / path).read_text()


def _break_off(command, rng, startup, workdir):
  """Starts a run and kills it; returns the last step that it reported.

  Args:
    command: Command of the run.
    rng: Chooses the time and the signal.
    startup: Seconds within which to kill the run. None to kill it after some
      steps, of which every tenth is saved.
    workdir: Folder of the run.
  """
  kind = rng.choice([signal.SIGKILL, signal.SIGTERM])
  last_step = None
  with programs.Program(*command) as process:
    if startup:
      time.sleep(rng.uniform(0, startup))
    else:
      last_step = _wait_for_steps(process, rng.randint(1, 20))
      time.sleep(rng.uniform(0, 0.05))
    process.send_signal(kind)
    twice = kind == signal.SIGTERM and rng.random() < 0.5
    if twice:
      time.sleep(rng.uniform(0, 0.2))
      process.send_signal(kind)
    _, told = process.communicate(timeout=60)
  print(kind.name, 'twice' * twice, 'after step', last_step)
  code = process.returncode
  if code == os.EX_TEMPFAIL:
    last_step = int(told.split()[3].rstrip(':'))
    assert told == (
        f'stopped after step {last_step}: run the same command again to'
        ' continue\n'
    )
    assert (workdir / 'checkpoints' / str(last_step)).is_dir()
  else:
    # A signal ends a run that does not handle signals yet or any more.
    assert code == -kind and 'Traceback' not in told
    assert kind == signal.SIGKILL or last_step is None or twice
  return last_step or 0


def test_twenty_random_kills_change_nothing(data_dir, whole, tmp_path):
  seed = random.randrange(1000)
  print('seed', seed)
  rng = random.Random(seed)
  command = _command(data_dir, tmp_path)
  start = time.monotonic()
  with programs.Program(*command) as process:
    _wait_for_steps(process, 1)
    startup = time.monotonic() - start
  last_steps = [
      _break_off(command, rng, startup if number % 2 else None, tmp_path)
      for number in range(20)
  ]
  assert 0 < max(last_steps) < STEPS

  resumed = programs.run(*command, timeout=300)
  assert resumed.returncode == 0 and resumed.stderr == ''
  _assert_as_whole(tmp_path, whole)
  assert _data_state(tmp_path) == _data_state(whole)
  left = os.listdir(tmp_path / 'checkpoints')
  assert len(left) == 3 and all(name.isdigit() for name in left)


def _workers(process):
  tasks = pathlib.Path(f'/proc/{process.pid}/task').glob('*/children')
  children = [child for task in tasks for child in task.read_text().split()]
  return [
      int(child)
      for child in children
      if 'spawn_main' in pathlib.Path(f'/proc/{child}/cmdline').read_text()
  ]


@pytest.mark.skipif(sys.platform != 'linux', reason='finds processes in /proc')
def test_killed_data_workers_change_nothing(data_dir, whole, tmp_path):
  command = _command(data_dir, tmp_path, **{'clips.num_workers': 2})
  with programs.Program(*command) as process:
    told = ''
    # Two deaths at once are reported once. The second worker must be a new one:
    # after fifty more steps, the new workers have surely made batches.
    for least in (1, 50):
      _wait_for_steps(process, random.randint(least, 60))
      os.kill(random.choice(_workers(process)), signal.SIGKILL)
      told += process.stderr.readline()
    told += process.stderr.read()
    assert process.wait(timeout=120) == 0
  lines = [line for line in told.splitlines() if line.startswith('data: ')]
  assert len(lines) == 2 and 'exit code -9; restarting' in lines[0]
  assert 'Traceback' not in told
  _assert_as_whole(tmp_path, whole)


@contextlib.contextmanager
def _small_disk(folder, size):
  """Mounts a small disk; yields a function that changes its options."""
  folder.mkdir()
  options = f'size={size}'
  mount = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(folder)]
  if subprocess.run(mount, capture_output=True, check=False).returncode:
    pytest.skip('a small disk cannot be mounted here')

  def remount(options):
    command = ['mount', '-o', f'remount,{options}', str(folder)]
    subprocess.run(command, check=True)

  try:
    yield remount
  finally:
    subprocess.run(['umount', '-l', folder], check=True)


def _error(told):
  """Returns the error line; TensorStore's threads may print more."""
  (line,) = [x for x in told.splitlines() if x.startswith('error: ')]
  return line.removeprefix('error: ')


def test_a_full_disk_stops_the_run_and_changes_nothing(
    data_dir, whole, tmp_path
):
  workdir = tmp_path / 'disk' / 'run'
  with _small_disk(tmp_path / 'disk', '600k') as remount:
    # As if another program filled the disk after a save has started.
    command = _command(data_dir, workdir, 'tests.train_without_asking')
    full = programs.run(*command, timeout=300)
    assert full.returncode == 2
    error = _error(full.stderr)
    assert error.startswith(f'{workdir} cannot be written to any more')
    assert 'No space left' in error and 'run the same command again' in error
    kept = [p for p in os.listdir(workdir / 'checkpoints') if p.isdigit()]
    assert kept

    # The same command removes the unfinished checkpoint. It reports before the
    # next save that there is no room, or fails in the save as before.
    command = _command(data_dir, workdir)
    again = programs.run(*command, timeout=300)
    assert again.returncode == 2
    assert f'resumed from step {max(map(int, kept))}' in again.stdout
    error = _error(again.stderr)
    assert error.startswith(
        (f'{workdir} has room for', f'{workdir} cannot be written to')
    )
    assert 'run the same command again' in error
    assert sorted(os.listdir(workdir / 'checkpoints')) == sorted(kept)

    remount('size=50m')
    resumed = programs.run(*command, timeout=300)
    assert resumed.returncode == 0 and resumed.stderr == ''
    _assert_as_whole(workdir, whole)
    assert _data_state(workdir) == _data_state(whole)


def test_a_failing_save_ends_the_run_before_the_next(data_dir, tmp_path):
  with _small_disk(tmp_path / 'disk', '200k'):
    program = 'tests.train_without_asking'
    changes = {'checkpoint_every': 20, 'steps': 100_000, 'log_every': 1000}
    full = programs.run(
        *_command(data_dir, tmp_path / 'disk', program, **changes), timeout=300
    )
    assert full.returncode == 2
    assert 'No space left' in _error(full.stderr)


def test_a_read_only_folder_is_one_line(data_dir, tmp_path):
  with _small_disk(tmp_path / 'disk', '1m') as remount:
    remount('ro')
    for workdir in (tmp_path / 'disk', tmp_path / 'disk' / 'run'):
      with pytest.raises(errors.UserError, match=f'^cannot .* {workdir}'):
        loop.train(tiny.config(data_dir), workdir)


def test_a_workdir_that_disappears_is_one_line(data_dir, tmp_path):
  command = _command(data_dir, tmp_path / 'run', steps=10_000)
  with programs.Program(*command) as process:
    _wait_for_steps(process, 12)
    (tmp_path / 'run').rename(tmp_path / 'elsewhere')
    (tmp_path / 'run').touch()
    _, told = process.communicate(timeout=60)
  assert process.returncode == 2
  assert f'saved in {tmp_path / "run"} (' in _error(told)


def test_ctrl_c_is_one_line(data_dir, tmp_path):
  with programs.Program(*_command(data_dir, tmp_path)) as process:
    _wait_for_steps(process, 12)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
  assert process.returncode == 128 + signal.SIGINT
  assert told == 'interrupted\n'
  assert os.listdir(tmp_path / 'checkpoints') == ['10']
