"""Every notebook, from top to bottom, on tiny data; and what git keeps."""

import pathlib

import nbclient
import nbformat
import numpy as np
import pytest

from vidcolor.video import mp4

pytestmark = pytest.mark.slow

_ROOT = pathlib.Path(__file__).parents[1]
_FOLDER = _ROOT / 'experiments' / 'colab'
_NAMES = sorted(path.stem for path in _FOLDER.glob('*.ipynb'))
_HEIGHT, _WIDTH, _SIDE, _STEP = 48, 64, 20, 3


def _read(name):
  return nbformat.read(_FOLDER / f'{name}.ipynb', as_version=4)


def _sources(notebook, kind):
  return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def _execute(name, folder, settings, checks):
  """Runs a notebook in a folder, with settings, then checks in a last cell.

  Returns:
    The HTML that its cells show.
  """
  notebook = _read(name)
  (at,) = [
      number
      for number, cell in enumerate(notebook.cells)
      if 'parameters' in cell.metadata.get('tags', ())
  ]
  for key in settings:
    assert f'\n{key} = ' in '\n' + notebook.cells[at].source
  given = '\n'.join(f'{key} = {value!r}' for key, value in settings.items())
  notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(given))
  notebook.cells.append(nbformat.v4.new_code_cell(checks))
  nbclient.NotebookClient(
      notebook, timeout=300, resources={'metadata': {'path': folder}}
  ).execute()
  return [
      output.data['text/html']
      for cell in notebook.cells
      for output in cell.get('outputs', ())
      if 'text/html' in output.get('data', ())
  ]


@pytest.fixture(autouse=True)
def _kernel(monkeypatch):
  """Kernels see this checkout, and nothing of the user's own IPython."""
  monkeypatch.setenv('PYTHONPATH', str(_ROOT))
  monkeypatch.setenv('MPLBACKEND', 'module://matplotlib_inline.backend_inline')


@pytest.fixture(scope='module')
def video(tmp_path_factory):
  """A blue square that moves right over a brown ground, both grained."""
  rng = np.random.default_rng(0)

  def grained(height, width, color):
    grain = rng.integers(-40, 40, (height // 4, width // 4, 1))
    return (color + grain).astype(np.uint8).repeat(4, 0).repeat(4, 1)

  ground = grained(_HEIGHT, _WIDTH, (150, 110, 60))
  square = grained(_SIDE, _SIDE, (40, 80, 200))
  frames = np.repeat(ground[None], 6, axis=0)
  for t, frame in enumerate(frames):
    frame[14 : 14 + _SIDE, 8 + _STEP * t : 8 + _STEP * t + _SIDE] = square
  path = tmp_path_factory.mktemp('video') / 'square.mp4'
  mp4.write(path, frames, 12.0)
  return str(path)


@pytest.mark.parametrize('name', _NAMES)
def test_git_keeps_no_outputs(name):
  notebook = _read(name)
  nbformat.validate(notebook)
  assert set(notebook.metadata) == {'kernelspec', 'language_info'}
  assert notebook.metadata.language_info == {'name': 'python'}
  for cell in notebook.cells:
    assert set(cell.metadata) <= {'tags'}
    assert cell.source == cell.source.strip()
    if cell.cell_type == 'code':
      assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.parametrize('name', _NAMES)
def test_notebooks_open_in_colab_and_install_themselves(name):
  notebook = _read(name)
  badge, *_ = _sources(notebook, 'markdown')
  assert f'/blob/main/experiments/colab/{name}.ipynb)' in badge.splitlines()[0]
  install, *_ = _sources(notebook, 'code')
  assert "if 'google.colab' in sys.modules:\n  %pip install" in install


def test_what_is_tested_is_all_there_is():
  tested = {'track_your_video', 'train_on_your_clips', 'explore_embeddings'}
  assert set(_NAMES) == tested


def test_track_your_video(tmp_path, video):
  box = [7, 13, 28, 34]
  shown = _execute(
      'track_your_video',
      tmp_path,
      {'VIDEO': video, 'BOXES': [box]},
      f"""
from vidcolor import masks

assert marked.boxes == [{box}] and marked.picture[:2] == b'\\xff\\xd8'
assert summary['frames'] == 6
assert summary['followed']['1']['visible'] == 1
last = masks.read(output / 'masks' / 'square' / '00005.png') == 1
rows, columns = last.nonzero()
assert abs(columns.mean() - {8 + 5 * _STEP + (_SIDE - 1) / 2}) < 3
assert abs(rows.mean() - {14 + (_SIDE - 1) / 2}) < 3
assert pathlib.Path(archive).stat().st_size > 1000
""",
  )
  assert any('data:video/mp4;base64,' in html for html in shown)


def test_explore_embeddings(tmp_path, video):
  shown = _execute(
      'explore_embeddings',
      tmp_path,
      {'VIDEO': video, 'POINTS': [[17.5, 23.5]]},
      f"""
assert basis.directions.shape == (dim, 3)
assert marked.points == [[17.5, 23.5]]
# The point is itself at first, and moves with the square.
assert neighbours.shape == (6, NUM_NEIGHBOURS, 3)
assert neighbours[0, 0, 2] > 0.99
assert (np.diff(neighbours[..., 2], axis=1) <= 0).all()
moved = neighbours[:, 0, 0] - neighbours[0, 0, 0]
assert abs(moved - {_STEP} * chosen).max() < 5, moved
""",
  )
  assert sum('data:video/mp4;base64,' in html for html in shown) == 2


def test_train_on_your_clips(tmp_path):
  shown = _execute(
      'train_on_your_clips',
      tmp_path,
      {
          'NUM_RENDERED': 2,
          'STEPS': 12,
          'SECONDS': 0.8,
          'CROP': 32,
          'WIDTH': 8,
          'TENSORBOARD': False,
      },
      """
from vidcolor.training import telemetry

metrics = telemetry.read_metrics(workdir)
assert metrics['step'][-1] == STEPS
assert metrics['loss'][-1] < metrics['loss'][0]
assert list(workdir.glob('events*'))
assert set(mean_j) == {'before training', 'after training'}
for title, result in results.items():
  assert result.masks.shape == (5, 192, 256)
  assert (result.masks[0] == truth[0]).all() and 0.2 < mean_j[title] < 1
a, b = (result.masks for result in results.values())
assert (a != b).any()
""",
  )
  assert sum('data:video/mp4;base64,' in html for html in shown) == 2
