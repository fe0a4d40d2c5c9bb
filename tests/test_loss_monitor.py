import jax.numpy as jnp
import numpy as np
import pytest

from vidcolor import errors
from vidcolor.training import loss_monitor


def _monitor(values):
  monitor = loss_monitor.LossMonitor()
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
