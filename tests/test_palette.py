import cv2
from jax import numpy as jnp
import matplotlib.image
import numpy as np
import pytest

from data_prep import palette
from tests import programs
from tests import toy
from vidcolor import color
from vidcolor import errors

# Colours of equal areas, far from each other.
_COLORS = np.array(
    [[200, 60, 60], [60, 160, 60], [60, 60, 200], [128, 128, 128]], np.uint8
)


@pytest.fixture(scope='module')
def dataset_dir(tmp_path_factory):
  """Clips of four quarters, each of another colour, with a little noise."""
  rng = np.random.default_rng(0)
  quarters = _COLORS.reshape(2, 2, 3).repeat(64, 0).repeat(64, 1)
  clips = {
      name: (quarters + rng.integers(-9, 10, (5, 128, 128, 3))).astype(np.uint8)
      for name in 'abcdef'
  }
  return toy.build(tmp_path_factory.mktemp('data'), clips)


def test_palette_is_of_the_videos_colours(dataset_dir):
  fitted = palette.fit(dataset_dir, num_colors=4, seed=1)
  np.testing.assert_array_equal(
      fitted, color.load_palette(dataset_dir / 'palette.npy')
  )
  lab = cv2.cvtColor(np.float32(_COLORS[None] / 255), cv2.COLOR_RGB2Lab)[0]
  distances = np.linalg.norm(lab[:, None, 1:] - fitted, axis=-1)
  assert distances.min(1).max() < 2


def test_it_reads_no_more_clips_than_it_needs(dataset_dir, monkeypatch):
  monkeypatch.setattr(palette, '_draw_plot', lambda *_: None)
  read = []
  parse = palette.records_lib.parse

  def count(record):
    read.append(record)
    return parse(record)

  monkeypatch.setattr(palette.records_lib, 'parse', count)
  palette.fit(dataset_dir, num_colors=4, num_frames=8)
  assert len(set(read)) == len(read) == 2
  read.clear()
  palette.fit(dataset_dir, num_colors=4)
  assert len(set(read)) == len(read) == 6


@pytest.mark.slow
def test_program(dataset_dir):
  args = ['--num_colors=4', '--num_frames=24', '--seed=1']
  result = programs.run(
      'data_prep.palette', f'--dataset_dir={dataset_dir}/', *args
  )
  assert result.returncode == 0, result.stderr
  assert str(dataset_dir) in result.stdout
  np.testing.assert_array_equal(
      color.load_palette(dataset_dir / 'palette.npy'),
      palette.fit(dataset_dir, num_colors=4, num_frames=24, seed=1),
  )
  picture = matplotlib.image.imread(dataset_dir / 'palette.png')[..., :3]
  lab = np.insert(color.load_palette(dataset_dir / 'palette.npy'), 0, 60, 1)
  for shown in np.asarray(color.lab_to_rgb(jnp.asarray(lab))):
    # A disc and a bar in each of the colours.
    assert (np.abs(picture - shown).max(-1) < 0.01).sum() > 2000
  assert not list(dataset_dir.glob('.*'))


def test_a_folder_without_a_dataset_is_one_line(dataset_dir, tmp_path):
  for folder in tmp_path, dataset_dir.parent:
    with pytest.raises(errors.UserError, match=f'no dataset in {folder}: give'):
      palette.fit(folder)
