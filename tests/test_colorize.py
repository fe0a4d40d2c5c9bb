"""The program as a user runs it."""

import json

import cv2
import numpy as np
import pytest

from tests import programs
from vidcolor.benchmarks.colorization import metrics as colorization_metrics
from vidcolor.tracking import color_propagation
from vidcolor.video import mp4
from vidcolor.video import video_source

pytestmark = pytest.mark.slow

# Odd, so that frames are padded in the file.
HEIGHT, WIDTH = 49, 65
NUM_FRAMES = 6


def _frames():
  """A texture of strong colors, going right by a pixel a frame."""
  rng = np.random.default_rng(0)
  coarse = rng.integers(30, 226, (6, 12, 3), np.uint8)
  wide = cv2.resize(coarse, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
  return [wide[:, t : t + WIDTH].copy() for t in range(NUM_FRAMES)]


def _write(path, rgb):
  cv2.imwrite(str(path), rgb[..., ::-1])
  return path


@pytest.fixture(name='folder', scope='module')
def fixture_folder(tmp_path_factory):
  """Videos and pictures, right and wrong ones."""
  folder = tmp_path_factory.mktemp('colorize')
  frames = _frames()
  greys = [np.asarray(color_propagation.in_grey(frame)) for frame in frames]
  mp4.write(folder / 'grey.mp4', greys, 10.0)
  (folder / 'colored').mkdir()
  for index, frame in enumerate(frames):
    _write(folder / 'colored' / f'{index}.png', frame)
  larger = cv2.resize(frames[0], (2 * WIDTH, 2 * HEIGHT))
  _write(folder / 'larger.png', larger)
  _write(folder / 'square.png', frames[0][:, :HEIGHT])
  _write(folder / 'grey.png', greys[0])
  (folder / 'text.png').write_text('no picture')
  (folder / 'text.mp4').write_text('no video')
  return folder


def _run(folder, *args, run=programs.run):
  args = [arg.replace('DIR', str(folder)) for arg in args]
  return run('vidcolor.colorize', *args)


def _colorize(folder, output_dir, *args):
  """Returns summary.json."""
  done = _run(folder, f'--output_dir={output_dir}', *args)
  assert done.returncode == 0, done.stderr
  return json.loads((output_dir / 'summary.json').read_text())


def test_a_grey_video_by_a_larger_reference(folder, tmp_path):
  summary = _colorize(
      folder, tmp_path, '--video=DIR/grey.mp4', '--reference=DIR/larger.png'
  )
  names = {path.name for path in tmp_path.iterdir()}
  assert names == {'colorized.mp4', 'strip.jpg', 'summary.json'}
  assert summary['frames_colorized'] == NUM_FRAMES
  assert not summary['truth_known'] and summary['mean'] is None
  written = list(video_source.VideoSource(tmp_path / 'colorized.mp4'))
  source = list(video_source.VideoSource(folder / 'grey.mp4'))
  assert [f.seconds for f in written] == [f.seconds for f in source]
  # The file is not exact: H.264, at half the resolution of color.
  for frame, grey, true in zip(written, source, _frames(), strict=True):
    colorized, grey = (x.rgb[:HEIGHT, :WIDTH] for x in (frame, grey))
    better = colorization_metrics.psnr_rgb(colorized, true)
    assert better > colorization_metrics.psnr_rgb(grey, true) + 3


def test_the_first_frames_of_a_folder_are_given(folder, tmp_path):
  summary = _colorize(folder, tmp_path, '--video=DIR/colored', '--num_given=2')
  assert summary['truth_known']
  assert summary['frames_colorized'] == NUM_FRAMES - 2
  mean = summary['mean']
  assert mean['colorized']['psnr'] > mean['grey']['psnr'] + 3
  assert mean['colorized']['ab_error'] < mean['grey']['ab_error'] / 2
  for method, scores in summary['by_frame'].items():
    for name, values in scores.items():
      assert len(values) == NUM_FRAMES - 2
      assert mean[method][name] == pytest.approx(np.mean(values))


def test_a_part_is_colored(folder, tmp_path):
  summary = _colorize(
      folder,
      tmp_path,
      '--video=DIR/colored',
      '--num_given=1',
      '--start=0.04',
      '--end=0.16',
  )
  assert summary['frames_colorized'] == 2
  assert (summary['start'], summary['end']) == (0.04, 0.16)


_REFERENCE = '--reference=DIR/larger.png'


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--video=DIR/grey.mp4'], 'give --reference=FILE or --num_given=N'),
        (
            ['--video=DIR/grey.mp4', _REFERENCE, '--num_given=1'],
            'give --reference=FILE or --num_given=N',
        ),
        (['--video=DIR/grey.mp4', '--reference=DIR/square.png'], 'same shape'),
        (['--video=DIR/grey.mp4', '--reference=DIR/grey.png'], 'no colors'),
        (['--video=DIR/grey.mp4', '--reference=DIR/text.png'], 'text.png'),
        (['--video=DIR/grey.mp4', '--reference=DIR/none.png'], 'none.png'),
        (['--video=DIR/text.mp4', _REFERENCE], 'cannot read'),
        (['--video=DIR/none.mp4', _REFERENCE], 'none.mp4'),
        (['--video=DIR/colored', '--num_given=6'], 'has 6 frames'),
        (
            ['--video=DIR/grey.mp4', _REFERENCE, '--output_dir=DIR/grey.png/a'],
            'cannot make the folder',
        ),
        (
            ['--video=DIR/grey.mp4', _REFERENCE, '--checkpoint=DIR/none.npz'],
            'none.npz',
        ),
    ],
)  # fmt: skip
def test_wrong_input_ends_in_one_line(folder, tmp_path, args, message):
  output_dir = f'--output_dir={tmp_path / "out"}'
  done = _run(folder, output_dir, *args, run=programs.run_here)
  assert done.returncode == 2, done.stderr
  # A progress bar may stand above it.
  *_, line = done.stderr.splitlines()
  assert line.startswith('error: ') and message in line
  assert 'Traceback' not in done.stderr
  assert not list((tmp_path).rglob('*.*'))
