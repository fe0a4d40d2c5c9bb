"""Trains with several processes of several devices each, as on a cluster."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests import programs
from tests import tiny

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  return tiny.build_dataset(tmp_path_factory.mktemp('videos'))


def _start(data_dir, workdir, *flags, processes=1, devices=8, **changes):
  """Starts processes that train together, each with some devices."""
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  fields = tiny.overrides(data_dir) | {'batch_size': 8} | changes
  command = [
      sys.executable,
      '-m',
      'vidcolor.train',
      '--config=experiments/configs/compact.py',
      f'--workdir={workdir}',
      *(f'--config.{name}={value}' for name, value in fields.items()),
      *flags,
  ]
  if processes > 1:
    command += [f'--coordinator=localhost:{port}']
    command += [f'--num_processes={processes}']
  return [
      subprocess.Popen(
          command + ([f'--process_id={index}'] if processes > 1 else []),
          cwd=ROOT,
          env={**os.environ, 'JAX_NUM_CPU_DEVICES': str(devices)},
          stdout=subprocess.PIPE,
          stderr=subprocess.PIPE,
          text=True,
      )
      for index in range(processes)
  ]


def _ended(processes):
  """Waits for processes; returns the result of each."""
  outputs = [process.communicate(timeout=300) for process in processes]
  return [
      subprocess.CompletedProcess(process.args, process.returncode, *output)
      for process, output in zip(processes, outputs, strict=True)
  ]


def _train(*args, **options):
  return _ended(_start(*args, **options))


def _losses(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line)['loss'] for line in lines]


def test_two_processes_train_save_and_resume_as_one_does(data_dir, tmp_path):
  (one,) = _train(data_dir, tmp_path / 'one', steps=8, checkpoint_every=4)
  assert one.returncode == 0, one.stderr
  davis_dir = tiny.write_davis(tmp_path / 'davis')
  evaluation = {'evaluation.data_dir': davis_dir, 'tracking.short_side': 32}
  two = _train(
      data_dir,
      tmp_path / 'two',
      processes=2,
      devices=4,
      steps=8,
      checkpoint_every=4,
      **evaluation,
  )
  for process in two:
    assert process.returncode == 0, process.stderr
  assert 'step 8/8' in two[0].stdout and 'step' not in two[1].stdout
  assert 'after step 8  davis2016_J 0.' in two[0].stdout
  expected, losses = _losses(tmp_path / 'one'), _losses(tmp_path / 'two')
  assert len(set(expected)) == 8
  np.testing.assert_allclose(losses, expected, rtol=1e-5)

  # One process cannot continue the data of two, unless that is accepted.
  (refused,) = _train(data_dir, tmp_path / 'two', steps=10)
  assert refused.returncode == 2
  assert 'num_processes=2 there, 1 here' in refused.stderr
  assert '--config.restart_data' in refused.stderr
  (alone,) = _train(
      data_dir, tmp_path / 'two', '--config.restart_data', steps=10
  )
  assert alone.returncode == 0, alone.stderr
  assert 'resumed from step 8' in alone.stdout
  assert len(_losses(tmp_path / 'two')) == 10


def test_a_signal_to_one_process_stops_all_at_the_same_step(data_dir, tmp_path):
  running = _start(data_dir, tmp_path, processes=2, devices=2, steps=10_000)
  for line in running[0].stdout:
    if line.split()[1:2] == ['5/10000']:
      break
  running[1].send_signal(signal.SIGTERM)
  ended = _ended(running)
  for process in ended:
    assert process.returncode == os.EX_TEMPFAIL, process.stderr
    assert 'run the same command again to continue' in process.stderr
  last_step = len(_losses(tmp_path))
  assert str(last_step) in os.listdir(tmp_path / 'checkpoints')


@pytest.mark.parametrize(
    ('flags', 'told'),
    [
        (['--num_processes=2'], '--process_id together'),
        (['--config.fsdp=3'], 'config.fsdp=3 does not divide the 1 devices'),
        (['--config.accumulate=8'], 'give a multiple of 8'),
    ],
)
def test_wrong_numbers_of_processes_are_one_line(
    data_dir, tmp_path, flags, told
):
  fields = tiny.overrides(data_dir) | {'batch_size': 12}
  run = programs.run(
      'vidcolor.train',
      '--config=experiments/configs/compact.py',
      f'--workdir={tmp_path}',
      *(f'--config.{name}={value}' for name, value in fields.items()),
      *flags,
  )
  assert run.returncode == 2
  assert told in run.stderr and run.stderr.count('\n') == 1
