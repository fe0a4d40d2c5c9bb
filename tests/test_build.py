import json
import os

from absl.testing import flagsaver
import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep import build
from data_prep import palette
from tests import kept_processes
from tests import odd_videos
from tests import programs
from vidcolor import color
from vidcolor import errors
from vidcolor.video import mp4

pytestmark = pytest.mark.slow

# Colours of equal areas, far from each other, that 4:2:0 video keeps.
_COLORS = np.array(
    [[200, 60, 60], [60, 160, 60], [60, 60, 200], [128, 128, 128]], np.uint8
)


@pytest.fixture
def flags(tmp_path, monkeypatch):
  """Builds a dataset of one video of four quarters, each of another colour."""
  kept_processes.keep(monkeypatch)
  quarters = _COLORS.reshape(2, 2, 3).repeat(64, 0).repeat(64, 1)
  mp4.write(tmp_path / 'videos.mp4', [quarters] * 4, 6.0)
  with flagsaver.flagsaver(
      dataset='kinetics',
      source_dir=str(tmp_path),
      data_dir=str(tmp_path / 'data'),
      num_workers=1,
  ):
    yield tmp_path / 'data' / 'kinetics' / '2.0.0'


def test_build_fits_the_palette_once(flags, capsys):
  build.main([])
  assert 'train: 1 records\nleft out: 0' in capsys.readouterr().out
  path = flags / 'palette.npy'
  assert color.load_palette(path).shape == (16, 2)
  color.save_palette(path, np.ones((16, 2), np.float32))
  build.main([])
  told = capsys.readouterr().out
  assert told.startswith(f'{flags} is built already, and stays as it is\n')
  assert color.load_palette(path).max() == 1


def test_palette_is_of_the_videos_colours(flags):
  build.main([])
  fitted = palette.fit(flags, num_colors=4, num_frames=32, seed=1)
  np.testing.assert_array_equal(
      fitted, color.load_palette(flags / 'palette.npy')
  )
  lab = cv2.cvtColor(np.float32(_COLORS[None] / 255), cv2.COLOR_RGB2Lab)[0]
  distances = np.linalg.norm(lab[:, None, 1:] - fitted, axis=-1)
  assert distances.min(1).max() < 8
  np.testing.assert_array_equal(
      fitted, palette.fit(flags, num_colors=4, num_frames=32, seed=1)
  )


def test_missing_palettes_and_sources_are_one_line(flags):
  with pytest.raises(errors.UserError, match='no palette at .*data_prep.build'):
    color.load_palette(flags / 'palette.npy')
  with flagsaver.flagsaver(source_dir=None):
    with pytest.raises(errors.UserError, match='--source_dir'):
      build.main([])


def test_no_damaged_or_odd_video_stops_it(tmp_path):
  (tmp_path / 'videos').mkdir()
  written = odd_videos.write_damaged(tmp_path / 'videos', 200)
  built = programs.run(
      'data_prep.build',
      '--dataset=kinetics',
      f'--source_dir={tmp_path}/videos',
      f'--data_dir={tmp_path}/data',
      '--max_seconds=60',
  )
  assert built.returncode == 0, built.stderr
  folder = tmp_path / 'data' / 'kinetics' / '2.0.0'
  manifest = json.loads((folder / 'manifest.json').read_text())
  skipped = {fault['name']: fault['reason'] for fault in manifest['skipped']}
  source = tfds.data_source(
      'kinetics', split='train', data_dir=tmp_path / 'data'
  )
  built = {record['name'].decode(): record for record in source}
  assert set(built) | set(skipped) == {path.name for path in written}
  assert not set(built) & set(skipped)
  assert all(skipped.values()) and len(skipped) < 120
  assert min(len(record['frames']) for record in built.values()) > 1


def test_beam_builds_the_same(flags, tmp_path):
  pytest.importorskip('apache_beam')
  build.main([])
  (tmp_path / 'beam').mkdir()
  built = programs.run(
      'data_prep.build',
      '--dataset=kinetics',
      f'--source_dir={tmp_path}',
      f'--data_dir={tmp_path}/beam',
      '--runner=beam',
      '--',
      '--runner=DirectRunner',
  )
  assert built.returncode == 0, built.stderr
  beam = tmp_path / 'beam' / 'kinetics' / '2.0.0'
  names = sorted(os.listdir(flags))
  assert names == sorted(os.listdir(beam)) and 'index.npz' in names
  for name in names:
    assert (beam / name).read_bytes() == (flags / name).read_bytes()


def test_wrong_folders_are_one_line(flags, tmp_path):
  wrong = {
      'data_dir': [f'{tmp_path}/videos.mp4/data', 'nowhere://data'],
      'source_dir': [f'{tmp_path}/absent', 'nowhere://videos'],
  }
  for flag, values in wrong.items():
    for value in values:
      with flagsaver.flagsaver(**{flag: value}):
        with pytest.raises(errors.UserError) as raised:
          build.main([])
      assert value.split('://')[0] in str(raised.value)
      assert '\n' not in str(raised.value)


def test_a_dataset_without_training_clips_has_no_palette(flags, tmp_path):
  (tmp_path / 'sets' / 'val').mkdir(parents=True)
  os.rename(tmp_path / 'videos.mp4', tmp_path / 'sets' / 'val' / 'a.mp4')
  with flagsaver.flagsaver(source_dir=str(tmp_path / 'sets')):
    build.main([])
  assert not (flags / 'palette.npy').exists()


def test_options_of_beam_without_beam(flags):
  with pytest.raises(errors.UserError, match='--region=x is for --runner=beam'):
    build.main(['--region=x'])


_BUCKETS = """
import fsspec
from fsspec.implementations import dirfs
from fsspec.implementations import local

class Buckets(dirfs.DirFileSystem):  # Serves gs:// from a folder.
  protocol = 'gs', 'gcs'

  def __init__(self, **kwargs):
    super().__init__({root!r}, local.LocalFileSystem(auto_mkdir=True))

for name in Buckets.protocol:
  fsspec.register_implementation(name, Buckets, clobber=True)
"""


def test_from_bucket_to_bucket(flags, tmp_path):
  build.main([])
  (tmp_path / 'buckets' / 'mine').mkdir(parents=True)
  os.rename(tmp_path / 'videos.mp4', tmp_path / 'buckets/mine/videos.mp4')
  # Python imports this module when it starts.
  (tmp_path / 'python').mkdir()
  text = _BUCKETS.format(root=str(tmp_path / 'buckets'))
  (tmp_path / 'python' / 'sitecustomize.py').write_text(text)
  built = programs.run(
      'data_prep.build',
      '--dataset=kinetics',
      '--source_dir=gs://mine',
      '--data_dir=gs://mine/data',
      python_path=tmp_path / 'python',
  )
  assert built.returncode == 0, built.stderr
  bucket = tmp_path / 'buckets' / 'mine' / 'data' / 'kinetics'
  assert os.listdir(bucket) == ['2.0.0']
  assert 'run data_prep.palette there' in built.stdout
  names = {name for name in os.listdir(flags) if 'palette' not in name}
  assert names == set(os.listdir(bucket / '2.0.0'))
  names.remove('manifest.json')  # It names the source.
  for name in names:
    assert (bucket / '2.0.0' / name).read_bytes() == (flags / name).read_bytes()
