"""Trains with several processes of several devices each, as on a cluster."""

import json
import os
import signal
import socket
import subprocess

import numpy as np
import pytest

from tests import programs
from tests import tiny
from vidcolor import errors
from vidcolor.training import loop

pytestmark = pytest.mark.slow

_DEVICES = '--xla_force_host_platform_device_count'


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  return tiny.build_dataset(tmp_path_factory.mktemp('videos'))


def _start(data_dir, workdir, *, devices, **changes):
  """Starts two processes that train together, each with some devices."""
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  fields = tiny.overrides(data_dir) | {'batch_size': 8} | changes
  xla_flags = os.environ['XLA_FLAGS']
  return [
      programs.Program(
          'vidcolor.train',
          '--config=experiments/configs/compact.py',
          f'--workdir={workdir}',
          *(f'--config.{name}={value}' for name, value in fields.items()),
          f'--coordinator=localhost:{port}',
          '--num_processes=2',
          f'--process_id={index}',
          env={'XLA_FLAGS': f'{xla_flags} {_DEVICES}={devices}'},
      )
      for index in range(2)
  ]


def _ended(processes):
  """Waits for processes; returns the result of each."""
  results = []
  for process in processes:
    with process:
      output = process.communicate(timeout=300)
    results.append(
        subprocess.CompletedProcess(process.args, process.returncode, *output)
    )
  return results


def _losses(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line)['loss'] for line in lines]


def test_two_processes_train_save_and_resume_as_one_does(
    data_dir, tmp_path, capsys
):
  changes = {'steps': 8, 'batch_size': 8, 'checkpoint_every': 4}
  davis_dir = tiny.write_davis(tmp_path / 'davis')
  evaluation = {'evaluation.data_dir': davis_dir, 'tracking.short_side': 32}
  loop.train(tiny.config(data_dir, **changes), tmp_path / 'one')
  two = _ended(
      _start(data_dir, tmp_path / 'two', devices=4, **changes, **evaluation)
  )
  for process in two:
    assert process.returncode == 0, process.stderr
  assert 'step 8/8' in two[0].stdout and 'step' not in two[1].stdout
  assert 'after step 8  davis2016_J 0.' in two[0].stdout
  expected, losses = _losses(tmp_path / 'one'), _losses(tmp_path / 'two')
  assert len(set(expected)) == 8
  np.testing.assert_allclose(losses, expected, rtol=1e-5)

  # One process cannot continue the data of two, unless that is accepted.
  config = tiny.config(data_dir, **changes | {'steps': 10})
  with pytest.raises(errors.UserError) as refused:
    loop.train(config, tmp_path / 'two')
  assert 'num_processes=2 there, 1 here' in str(refused.value)
  assert '--config.restart_data' in str(refused.value)
  config.restart_data = True
  capsys.readouterr()
  loop.train(config, tmp_path / 'two')
  assert 'resumed from step 8' in capsys.readouterr().out
  assert len(_losses(tmp_path / 'two')) == 10


def test_a_signal_to_one_process_stops_all_at_the_same_step(data_dir, tmp_path):
  running = _start(data_dir, tmp_path, devices=2, steps=10_000)
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
    ('changes', 'told'),
    [
        ({'fsdp': 3}, 'config.fsdp=3 does not divide the 1 devices'),
        ({'accumulate': 8}, 'give a multiple of 8'),
    ],
)
def test_what_does_not_divide_is_one_line(tmp_path, changes, told):
  config = tiny.config('', batch_size=12, **changes)
  with pytest.raises(errors.UserError, match=told):
    loop.train(config, tmp_path)
