import time

from vidcolor.training import watchdog


def test_it_tells_where_a_step_hangs_once(capfd):
  watching = watchdog.Watchdog(0.1)
  watching.at('step 7, waiting for data')
  time.sleep(0.4)
  watching.close()
  told = capfd.readouterr().err
  assert told.startswith('step 7, waiting for data: for 0 s now\n')
  assert told.count('step 7') == 1
  assert 'test_watchdog.py' in told  # What the main thread is at.


def test_it_is_silent_while_all_moves(capfd):
  watching = watchdog.Watchdog(0.5)
  time.sleep(0.2)  # Nothing heard of yet.
  for step in range(20):
    watching.at(f'step {step}')
    time.sleep(0.02)
  watching.close()
  assert not capfd.readouterr().err
