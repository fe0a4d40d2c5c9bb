import json

import numpy as np
import pytest

from tests import programs
from tests import tiny
from vidcolor import grids
from vidcolor import masks
from vidcolor.video import mp4

CLIP, IS_SQUARE = tiny.red_square()
HEIGHT, WIDTH = IS_SQUARE[0].shape


@pytest.mark.parametrize(
    ('size', 'count', 'shape'),
    [((72, 96), 8, (6, 8)), ((96, 72), 8, (8, 6)), ((5, 9), 20, (5, 9))],
)
def test_points_are_equally_far_apart(size, count, shape):
  points = grids.over_frame(size, count).reshape(*shape, 2)
  steps = [np.diff(points[..., 0]), np.diff(points[..., 1], axis=0)]
  for step in steps:
    np.testing.assert_allclose(step, max(1, max(size) / count))
  first, last = points[0, 0], points[-1, -1]
  np.testing.assert_allclose(first + last, (size[1] - 1, size[0] - 1))
  # The frame goes half a step beyond them.
  np.testing.assert_allclose(first, steps[0][0, 0] / 2 - 0.5)


def test_each_object_has_a_grid_of_its_own():
  mask = np.zeros((60, 80), np.uint8)
  mask[10:50, 10:30] = 3
  mask[20:40, 12:28] = 0  # A ring.
  mask[5, 50:70] = np.arange(20) % 2 * 7  # Holes where points would be.
  found = grids.over_objects(mask, 10)
  assert set(found) == {3, 7}
  columns, rows = found[3].round().astype(int).T
  assert (mask[rows, columns] == 3).all() and len(found[3]) == 50 - 20
  mask[:] = 0
  mask[[4, 6], 40], mask[5, 39:42] = 7, [7, 0, 7]
  ((x, y),) = grids.over_objects(mask, 1)[7]
  assert mask[int(y), int(x)] == 7


@pytest.fixture(name='clip', scope='module')
def fixture_clip(tmp_path_factory):
  path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
  mp4.write(path, CLIP[:4], 10.0)
  both = 2 * IS_SQUARE[1].astype(np.uint8)
  both[:8, :8] = 5
  masks.write_png(path.with_name('mask.png'), both)
  return path


@pytest.mark.slow
def test_a_grid_over_objects_is_tracked(clip, tmp_path):
  mask = clip.with_name('mask.png')
  flags = f'--mask={mask}', '--query_frame=1', '--scale=0.5', '--grid=4'
  run = programs.track(clip, tmp_path, *flags)
  assert run.returncode == 0, run.stderr
  with np.load(tmp_path / 'tracks.npz') as tracks:
    names = tracks['names'].tolist()
    x, y = tracks['x'], tracks['y']
  assert names == [f'{n}-{k}' for n in (2, 5) for k in range(1, 17)]
  for point in range(16):  # They lie on the square, and go along with it.
    row, column = round(2 * y[1, point]), round(2 * x[1, point])
    assert IS_SQUARE[1][row, column]
  moved = np.median((x - x[1])[:, :16], axis=1)
  np.testing.assert_allclose(moved, [-2, 0, 2, 4], atol=1)
  summary = json.loads((tmp_path / 'summary.json').read_text())
  assert summary['grid'] == 4 and len(summary['followed']) == 32


@pytest.mark.slow
def test_a_grid_over_the_frame_is_tracked(clip, tmp_path):
  run = programs.track(clip, tmp_path, '--grid=8', '--end=0.1')
  assert run.returncode == 0, run.stderr
  with np.load(tmp_path / 'tracks.npz') as tracks:
    points = np.stack([tracks['x'][0], tracks['y'][0]], axis=-1)
  np.testing.assert_allclose(points, grids.over_frame((HEIGHT, WIDTH), 8))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (('--points=1,1', '--grid=9'), '--grid=9 is over --mask or --boxes'),
        (('--grid=9', '--cutouts'), 'leave out --export and --cutouts'),
        (('--grid=9', '--boxes=200,1,220,9'), 'outside of the frame'),
    ],
)
def test_what_is_wrong_is_one_line(clip, tmp_path, flags, message):
  run = programs.track(clip, tmp_path / 'out', *flags, run=programs.run_here)
  assert run.returncode == 2 and message in run.stderr, run.stderr
  assert run.stderr.count('\n') == 1 and not list(tmp_path.rglob('*.*'))
