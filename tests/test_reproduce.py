import json

import numpy as np
import pytest

from tests import programs
from vidcolor import network
from vidcolor.video import mp4

pytestmark = pytest.mark.slow

TABLE = """\
file\tsource\tlicence\tframes
0.mp4\tb/clips:0.mp4\tMIT\t12
1.mp4\ta/more:clips/1.mp4@main\tCC0 (by its README)\t12
2.mp4\ta/more:clips/2.mp4\tCC BY-NC 4.0\t12
3.mp4\tb/clips:3.mp4\tMIT (doubtful)\t12
4.mp4\tb/clips:4.mp4\tnone\t12
5-bear.mp4\tb/clips:bear.mp4\tMIT\t12
6.mp4\tb/clips:6.mp4\tMIT\t12
"""
SMALL = (
    '--config.steps=2',
    '--config.batch_size=3',
    '--config.clips.crop_size=32',
    '--config.model.width=8',
)


@pytest.fixture(name='clips', scope='module')
def fixture_clips(tmp_path_factory):
  folder = tmp_path_factory.mktemp('clips')
  rng = np.random.default_rng(0)
  (folder / 'MANIFEST.tsv').write_text(TABLE)
  for name in '0.mp4', '1.mp4', '6.mp4', '5-bear.mp4':
    texture = rng.integers(0, 256, (12, 16, 3), np.uint8).repeat(4, 0)
    frames = [np.roll(texture.repeat(4, 1), 3 * t, 1) for t in range(12)]
    mp4.write(folder / name, frames, 6.0)
  return folder


def _reproduce(clips, output, *args):
  return programs.run(
      'experiments.reproduce',
      f'--clips_dir={clips}',
      f'--output_dir={output}',
      '--leave_out=bear',
      *args,
  )


def test_the_network_is_trained_on_permitted_clips(clips, tmp_path):
  output = tmp_path / 'out'
  result = _reproduce(clips, output, *SMALL)
  assert result.returncode == 0, result.stderr
  assert '3 clips' in result.stdout
  assert network.Network.load(output / 'permissive.npz').config.steps == 2
  (manifest,) = (output / 'data').rglob('manifest.json')
  assert json.loads(manifest.read_text())['splits']['train']['records'] == 3
  assert (output / 'sources.tsv').read_text().splitlines() == [
      'source\tlicence\tclips',
      'a/more\tCC0 (by its README)\t1',
      'b/clips\tMIT\t2',
  ]
  other = _reproduce(clips, output, *SMALL, '--licences=MIT')
  assert other.returncode == 2
  assert 'has other clips than those selected now' in other.stderr


def test_a_wrong_table_ends_in_one_line(tmp_path):
  clips, output = tmp_path / 'clips', tmp_path / 'out'
  clips.mkdir()
  (clips / 'MANIFEST.tsv').write_text(TABLE)
  cases = {'--licences=GPL': 'no clip of', '--': '0.mp4 is missing'}
  for flag, told in cases.items():
    result = _reproduce(clips, output, flag)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith('error: ') and told in line
    assert not output.exists()
