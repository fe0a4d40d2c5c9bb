"""Live tracking: a video file takes the place of the camera."""

import csv
import json
import re
import signal

import numpy as np
import pytest

from tests import programs
from tests import tiny
from vidcolor import masks
from vidcolor.video import mp4
from vidcolor.video import video_source

pytestmark = pytest.mark.slow

CLIP, IS_SQUARE = tiny.red_square()


_PLACES = 5 * [3, 4]  # Frames of the square. It goes to and fro a little.
_BOX = '--boxes=17,15,62,55'  # Around the square, wherever it is.


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  path = tmp_path_factory.mktemp('clip') / 'camera.mp4'
  mp4.write(path, CLIP[_PLACES], 10.0)
  return path


@pytest.fixture(scope='module')
def long_clip(tmp_path_factory):
  """A clip of 100 seconds, which no test waits for."""
  path = tmp_path_factory.mktemp('clip') / 'long.mp4'
  there_and_back = [*CLIP, *CLIP[::-1]]
  mp4.write(path, 10 * there_and_back, 2.0)
  return path


def _flags(source, output_dir, *flags):
  return (
      'vidcolor.track',
      f'--camera={source}',
      f'--output_dir={output_dir}',
      *flags,
  )


def _rows(output_dir):
  with open(output_dir / 'tracks.csv', newline='') as file:
    return list(csv.DictReader(file))


def _overlap(a, b):
  return (a & b).sum() / (a | b).sum()


def test_a_camera_is_tracked_until_it_ends(clip, tmp_path):
  run = programs.run(*_flags(clip, tmp_path, _BOX))
  assert run.returncode == 0, run.stderr
  assert 'report.html' in run.stdout
  summary = json.loads((tmp_path / 'summary.json').read_text())
  count = summary['frames']
  assert count >= 1 and count + summary['dropped_frames'] == len(_PLACES)
  assert summary['preset'] == 'fast' and summary['latency_ms'] >= 0
  assert f'{count} frames, ' in run.stderr
  rows = _rows(tmp_path)
  assert float(rows[0]['seconds']) == 0
  film = list(video_source.VideoSource(tmp_path / 'overlay.mp4'))
  paths = sorted((tmp_path / 'masks' / 'camera').iterdir())
  assert len(rows) == len(film) == len(paths) == count
  np.testing.assert_allclose(
      [frame.seconds for frame in film],
      [float(row['seconds']) for row in rows],
      atol=2e-3,
  )
  for path in paths:
    found = masks.read(path) == 1
    assert max(_overlap(found, truth) for truth in IS_SQUARE[_PLACES]) > 0.5
  for name in 'report.html', 'strip.jpg', 'tracks.npz':
    assert (tmp_path / name).is_file()


def test_ctrl_c_ends_the_film(long_clip, tmp_path):
  flags = _flags(long_clip, tmp_path / 'out', '--points=24,34;80,60')
  with programs.Program(*flags) as program:
    text = ''
    while ' frames, ' not in text:
      text += program.stderr.read(1)
      assert program.returncode is None
    program.send_signal(signal.SIGINT)
    program.communicate()
    assert program.returncode == 0
  rows = _rows(tmp_path / 'out')
  film = list(video_source.VideoSource(tmp_path / 'out/overlay.mp4'))
  assert len(rows) == 2 * len(film) >= 2
  assert not (tmp_path / 'out/masks').exists()


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (('--camera=99', '--boxes=1,1,9,9'), 'cannot open the camera 99: .*'),
        ((), 'give one of --mask, --boxes, --points.*'),
        (('--points=1,1', '--video=a.mp4'), 'give one of --video and --camera'),
        (('--points=1,1', '--camera='), 'give one of --video and --camera'),
        (('--points=1,1', '--query_frame=3'), '--query_frame is for videos.*'),
        (('--boxes=1,1,9,9', '--export=mot'), '--export is for videos.*'),
        (('--prompts=a.json',), '--prompts is for videos.*'),
        (('--boxes=1,1,9,9', '--end=0'), 'cannot read .* from 0 s to 0 s.*'),
    ],
)
def test_what_is_wrong_is_one_line(clip, tmp_path, flags, message):
  flags = _flags(clip, tmp_path / 'out', *flags)
  run = programs.run_here(*flags)
  assert run.returncode == 2, run.stderr
  assert re.fullmatch(f'error: {message}\n', run.stderr), run.stderr
  assert not (tmp_path / 'out').exists()


def test_a_mark_outside_of_the_picture_leaves_nothing(clip, tmp_path):
  run = programs.run(*_flags(clip, tmp_path / 'out', '--points=200,20'))
  assert run.returncode == 2
  assert 'error: --points=200,20: the point' in run.stderr
  assert not list((tmp_path / 'out').glob('*'))


def test_the_camera_is_not_replaced(clip, tmp_path):
  film = tmp_path / 'overlay.mp4'
  film.write_bytes(clip.read_bytes())
  run = programs.run_here(*_flags(film, tmp_path, '--points=1,1'))
  assert run.returncode == 2 and 'would be replaced' in run.stderr
  assert film.read_bytes() == clip.read_bytes()
