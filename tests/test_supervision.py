import time

import jax.numpy as jnp
import numpy as np
import pytest

from vidcolor import errors
from vidcolor.training import supervision


def _monitor(values):
  monitor = supervision.LossMonitor()
  for step, value in enumerate(values, 1):
    monitor.add(step, jnp.float32(value), [f'clip{step}.mp4', 'b.mp4'])
  return monitor


def test_a_spike_is_reported_with_its_clips():
  values = np.random.default_rng(0).normal(1, 0.1, 100)
  assert not list(_monitor(values).check())
  values[60] = 3
  assert list(_monitor(values).check()) == [
      'loss 3.000 at step 61, a spike: clip61.mp4, b.mp4'
  ]
  # A loss that falls fast or rises slowly is no spike.
  assert not list(_monitor(np.linspace(5, 0, 100)).check())
  assert not list(_monitor(np.linspace(1, 2, 100)).check())


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_nan_and_infinity_stop_with_their_clips(value):
  monitor = _monitor([1, 1, value, 1])
  with pytest.raises(
      errors.UserError, match=f'{value} at step 3: .*: clip3.mp4, b.mp4'
  ):
    list(monitor.check())


def test_losses_are_checked_once():
  monitor = _monitor([1.0] * 30 + [9.0])
  assert len(list(monitor.check())) == 1
  assert not list(monitor.check())


def test_a_phase_that_hangs_is_reported_once(capfd):
  watching = supervision.Watchdog(0.1)
  watching.enter('step 7, waiting for data')
  time.sleep(0.4)
  watching.close()
  told = capfd.readouterr().err
  assert told.startswith('step 7, waiting for data: no progress for 0 s\n')
  assert told.count('step 7') == 1
  assert 'test_supervision.py' in told  # The stack of the main thread.


def test_it_is_silent_while_training_moves(capfd):
  watching = supervision.Watchdog(0.5)
  time.sleep(0.2)  # No phase yet.
  for step in range(20):
    watching.enter(f'step {step}')
    time.sleep(0.02)
  watching.close()
  assert not capfd.readouterr().err
