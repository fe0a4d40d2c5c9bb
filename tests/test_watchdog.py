import time

from vidcolor.training import watchdog


def test_a_phase_that_hangs_is_reported_once(capfd):
  watching = watchdog.Watchdog(0.1)
  watching.enter('step 7, waiting for data')
  time.sleep(0.4)
  watching.close()
  told = capfd.readouterr().err
  assert told.startswith('step 7, waiting for data: no progress for 0 s\n')
  assert told.count('step 7') == 1
  assert 'test_watchdog.py' in told  # The stack of the main thread.


def test_it_is_silent_while_training_moves(capfd):
  watching = watchdog.Watchdog(0.5)
  time.sleep(0.2)  # No phase yet.
  for step in range(20):
    watching.enter(f'step {step}')
    time.sleep(0.02)
  watching.close()
  assert not capfd.readouterr().err
