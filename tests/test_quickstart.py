"""The quickstart as a user runs it, with hardly any training."""

import json

import cv2
import numpy as np
import pytest

from tests import programs
from vidcolor.video import decoding
from vidcolor.video import mp4

pytestmark = pytest.mark.slow


def _quickstart(*args, run=programs.run):
  return run('experiments.quickstart', *args)


def _assert_one_line_error(result, told):
  assert result.returncode == 2
  lines = result.stderr.splitlines()
  errors = [line for line in lines if line.startswith('error: ')]
  assert len(errors) == 1 and told in errors[0]
  assert 'Traceback' not in result.stderr


@pytest.fixture(scope='module')
def videos_and_davis(tmp_path_factory):
  """Three videos to train on; two sequences with masks to track."""
  folder = tmp_path_factory.mktemp('inputs')
  rng = np.random.default_rng(0)
  texture = (
      rng.integers(0, 256, (24, 48, 3), np.uint8).repeat(4, 0).repeat(4, 1)
  )
  (folder / 'videos').mkdir()
  for clip in range(3):
    frames = [np.roll(texture, 4 * t + 30 * clip, axis=1) for t in range(12)]
    mp4.write(folder / 'videos' / f'{clip}.mp4', frames, 6.0)
  for name in ('still', 'swim'):
    images = folder / 'davis' / 'JPEGImages' / '480p' / name
    masks = folder / 'davis' / 'Annotations' / '480p' / name
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    for t in range(5):
      shift = 4 * t if name == 'swim' else 0
      mask = np.zeros((96, 192), np.uint8)
      mask[24:72, 36 + shift : 96 + shift] = 255
      cv2.imwrite(str(images / f'{t:05}.jpg'), np.roll(texture, shift, axis=1))
      cv2.imwrite(str(masks / f'{t:05}.png'), mask)
  return folder


def test_trains_tracks_and_reports(videos_and_davis, tmp_path):
  folder, output = videos_and_davis, tmp_path / 'out'
  result = _quickstart(
      f'--clips_dir={folder / "videos"}',
      f'--davis_dir={folder / "davis"}',
      f'--output_dir={output}',
      '--steps=3',
  )
  assert result.returncode == 0, result.stderr
  results = json.loads((output / 'results.json').read_text())
  methods = {'identity', 'optical_flow', 'untrained', 'trained'}
  assert results['mean_j'].keys() == methods
  assert results['per_sequence'].keys() == {'still', 'swim'}
  assert results['per_sequence']['still']['identity'] == 1
  assert results['per_sequence']['swim']['identity'] < 0.9
  for method in methods:
    per_sequence = [js[method] for js in results['per_sequence'].values()]
    assert results['mean_j'][method] == pytest.approx(np.mean(per_sequence))
    assert f'{results["mean_j"][method]:.3f}' in result.stdout

  page = (output / 'report.html').read_text()
  assert page.count('src="data:video/mp4;') == 2
  assert page.count('src="data:image/png;') == 4
  assert len(list(decoding.read_frames(output / 'tracked.mp4'))) == 10
  assert not list(output.rglob('*.tmp*'))


def test_no_videos_in_the_folder(tmp_path):
  (tmp_path / 'notes.txt').touch()
  result = _quickstart(
      f'--clips_dir={tmp_path}',
      f'--output_dir={tmp_path / "out"}',
      run=programs.run_here,
  )
  _assert_one_line_error(result, f'no videos in {tmp_path}')


def test_no_video_decodes(tmp_path):
  (tmp_path / 'broken.mp4').write_bytes(b'not a video')
  result = _quickstart(
      f'--clips_dir={tmp_path}',
      f'--output_dir={tmp_path / "out"}',
      run=programs.run_here,
  )
  _assert_one_line_error(result, f'cannot read {tmp_path / "broken.mp4"}')


def test_mask_of_another_size(videos_and_davis, tmp_path):
  davis = tmp_path / 'davis'
  for kind in ('JPEGImages', 'Annotations'):
    (davis / kind / '480p' / 'swim').mkdir(parents=True)
  frame = np.zeros((32, 48, 3), np.uint8)
  path = davis / 'Annotations' / '480p' / 'swim' / '00000.png'
  cv2.imwrite(
      str(path).replace('Annotations', 'JPEGImages')[:-3] + 'jpg', frame
  )
  cv2.imwrite(str(path), frame[:16, :, 0])
  result = _quickstart(
      f'--davis_dir={davis}',
      f'--output_dir={tmp_path / "out"}',
      run=programs.run_here,
  )
  _assert_one_line_error(result, str(path))
  assert '32' in result.stderr and '16' in result.stderr


def test_help_has_a_line_for_each_flag():
  result = _quickstart('--help')
  for flag in ('clips_dir', 'davis_dir', 'output_dir', 'steps'):
    assert f'--{flag}' in result.stdout or f'--[no]{flag}' in result.stdout
