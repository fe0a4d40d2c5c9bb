"""The face of the package: its names, its command, and lines from notebooks."""

import ast
import collections
import re
import subprocess
import sys

from jax import numpy as jnp
import numpy as np
import pytest

from tests import programs
from tests import tiny
import vidcolor as vc
from vidcolor import copying
from vidcolor.tracking import baselines
from vidcolor.video import mp4

_HEAVY = ('jax', 'numpy', 'cv2', 'av', 'matplotlib', 'tensorflow_datasets')


def _python(code):
  return subprocess.run(
      [sys.executable, '-c', code],
      cwd=programs.ROOT,
      capture_output=True,
      text=True,
      check=True,
      timeout=120,
  ).stdout.split()


def test_import_alone_imports_nothing_heavy():
  loaded = _python('import sys, vidcolor; print(*sys.modules)')
  assert not set(_HEAVY) & set(loaded)


def test_metrics_need_no_jax():
  modules = [
      f'vidcolor.benchmarks.{name}.metrics' for name in vc.benchmarks.__all__
  ]
  loaded = _python(f'import sys, {", ".join(modules)}; print(*sys.modules)')
  assert 'jax' not in loaded and set(modules) < set(loaded)


def test_every_name_is_there():
  names = {'Network', 'VideoTracker', 'LabelPropagator', 'draw', 'train'}
  assert names | set(vc.__all__) <= set(dir(vc))
  for name in dir(vc):
    assert getattr(vc, name).__doc__
  with pytest.raises(AttributeError, match="no attribute 'tracker'"):
    _ = vc.tracker


@pytest.mark.slow
def test_the_command_runs_programs():
  run = programs.run('vidcolor', 'track', '--video=x', '--output_dir=y')
  assert run.returncode == 2
  assert 'give one of --mask' in run.stderr
  run = programs.run('vidcolor', 'trak')
  assert run.returncode == 2
  assert 'no program trak' in run.stderr
  listed = re.findall(r'^  (\w+)', programs.run('vidcolor').stdout, re.M)
  assert listed == ['track', 'colorize', 'visualize', 'train', 'evaluate']


@pytest.fixture(scope='module')
def _clip(tmp_path_factory):
  frames, is_square = tiny.red_square()
  path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
  mp4.write(path, frames, 10.0)
  return path, is_square


def test_the_networks_tracker_takes_changes():
  network = vc.load_pretrained_network()
  assert network.propagator(recent=3).options.recent == 3


def test_own_embeddings_and_own_copy_rule_track_a_box(_clip, tmp_path):
  path, is_square = _clip

  def my_embed(frame):
    height, width = frame.shape[:2]
    cells = frame.reshape(height // 4, 4, width // 4, 4, 3)
    return jnp.asarray(cells.mean((1, 3)) - 115.0)

  def my_rule(target, reference, values, **options):
    return copying.copy(target, reference, values, **options | {'top_k': 1})

  options = vc.PropagationOptions(unit_length=True)
  propagator = vc.LabelPropagator(my_embed, options, copy=my_rule)
  result = vc.VideoTracker(propagator).track(path, boxes=[(5, 15, 45, 55)])
  tracked = result.masks[-1] == 1
  overlap = (tracked & is_square[-1]).sum() / (tracked | is_square[-1]).sum()
  assert overlap > 0.7  # The square has left its first place.
  vc.draw(path, result, tmp_path / 'overlay.mp4')
  assert (tmp_path / 'overlay.mp4').stat().st_size > 1000


def test_a_copy_rule_replaces_the_copy_operation():
  frames, is_square = tiny.red_square()
  nothing = lambda target, reference, values, **_: jnp.zeros(
      (*target.shape[:3], values.shape[-1])
  )
  embed = lambda frame: jnp.asarray(frame[::4, ::4] / np.float32(255))
  propagator = vc.LabelPropagator(embed, vc.PropagationOptions(), copy=nothing)
  masks = list(propagator.track(frames, is_square[0].astype(np.uint8)))
  assert masks[0].any()
  assert not any(mask.any() for mask in masks[1:])


def test_a_baseline_tracks(_clip):
  path, is_square = _clip
  tracker = vc.VideoTracker(baselines.Identity())
  result = tracker.track(path, masks=is_square[:1])
  np.testing.assert_array_equal(result.masks[-1], is_square[0])
  assert result.visible.all()


def test_no_two_public_names_are_the_same():
  """But for what benchmarks and networks have in common by design."""
  shared = {'evaluate', 'score', 'sections', 'Model', 'main'}
  places = collections.defaultdict(list)
  for path in sorted((programs.ROOT / 'vidcolor').rglob('*.py')):
    for node in ast.parse(path.read_text()).body:
      if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        places[node.name].append(path.name)
  clashes = {
      name: paths
      for name, paths in places.items()
      if len(paths) > 1 and name not in shared and not name.startswith('_')
  }
  assert not clashes
