import numpy as np
from PIL import Image
import pytest

from experiments import simulated_clicks
from tests import programs
from tests import tiny

CLIP, IS_SQUARE = tiny.red_square()


def test_clicks_are_on_what_was_missed_and_on_what_is_wrong():
  truth, found = np.zeros((2, 40, 60), bool)
  truth[10:30, 10:40], found[10:30, 24:56] = True, True
  (x, y, on), (x2, y2, on2), (x3, y3, beside) = simulated_clicks.three_clicks(
      truth, found
  )
  assert (on, on2, beside) == (1, 1, 0)
  assert abs(x - 16.5) < 4 and abs(y - 19.5) < 4
  assert truth[int(y2), int(x2)] and np.hypot(x - x2, y - y2) > 8
  assert abs(x3 - 47.5) < 4 and abs(y3 - 19.5) < 4
  lost = simulated_clicks.three_clicks(truth, np.zeros_like(truth))
  assert truth[int(lost[0, 1]), int(lost[0, 0])]
  assert not truth[int(lost[2, 1]), int(lost[2, 0])]


@pytest.mark.slow
def test_a_correction_raises_j(tmp_path):
  """From frame 3 on, the true object is another part of the ground."""
  frames, masks = (
      tmp_path / kind / '480p' / 'jump'
      for kind in ('JPEGImages', 'Annotations')
  )
  frames.mkdir(parents=True), masks.mkdir(parents=True)
  for t in range(6):
    mask = np.uint8(255 * IS_SQUARE[t])
    if t >= 3:
      mask[:] = 0
      mask[2:18, 2:30] = 255
    Image.fromarray(CLIP[t]).save(frames / f'{t:05d}.png')
    Image.fromarray(mask).save(masks / f'{t:05d}.png')
  run = programs.run(
      'experiments.corrections',
      f'--data_dir={tmp_path}',
      '--sequences=jump',
      '--num_after=2',
  )
  assert run.returncode == 0, run.stderr
  *_, row, gain = run.stdout.splitlines()
  name, frame, after, *cells = row.split()
  assert (name, frame, after) == ('jump', '3', '2')
  here = [float(cell) for cell in cells[::2]]
  assert here[0] < 0.5 and here[1] == 1  # Without, and by the true mask.
  assert float(cells[3]) > float(cells[1]) and gain.startswith('mean gain')
