"""The network as an ONNX graph, and the tracker that needs nothing else."""

import dataclasses
from importlib import metadata
import json
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

import experiments
from tests import programs
from tests import tiny
from vidcolor import masks
from vidcolor import network
from vidcolor.tracking import propagation

pytest.importorskip('onnx', reason='no onnx: the extra [onnx] has it')
onnxruntime = pytest.importorskip(
    'onnxruntime', reason='no onnxruntime: the extra [onnx] has it'
)

# It embeds small frames as they are, which takes less time than in any size.
_OPTIONS = {'short_side': 72, 'radius': 6}


@pytest.fixture(scope='module')
def trained():
  result = network.Network.load()
  result.config.tracking.update(_OPTIONS)
  return result


@pytest.fixture(scope='module')
def model(trained, tmp_path_factory):
  from experiments import onnx_graph

  path = tmp_path_factory.mktemp('onnx') / 'model.onnx'
  path.write_bytes(onnx_graph.build(trained).SerializeToString())
  return path


@pytest.mark.parametrize('size', [(72, 96), (40, 136)])
def test_embeddings_of_any_size_are_those_of_the_network(trained, model, size):
  rng = np.random.default_rng(0)
  frame = rng.integers(0, 256, (size[0] // 8, size[1] // 8, 3), np.uint8)
  frame = np.asarray(Image.fromarray(frame).resize(size[::-1]))
  session = onnxruntime.InferenceSession(model)
  (found,) = session.run(None, {'frame': frame})
  expected = trained.propagator(short_side=None).embed(frame)
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_metadata_say_what_else_a_tracker_needs(trained, model):
  session = onnxruntime.InferenceSession(model)
  found = session.get_modelmeta().custom_metadata_map
  options = propagation.PropagationOptions.from_config(trained.config)
  assert json.loads(found['options']) == dataclasses.asdict(options)
  np.testing.assert_array_equal(json.loads(found['palette']), trained.palette)
  assert found['version'] == metadata.version('vidcolor')


@pytest.mark.slow
def test_the_tracker_without_jax_finds_the_same_masks(trained, model, tmp_path):
  frames, is_square = tiny.red_square()
  # A second object, which stays, and its number.
  mask = is_square[0].astype(np.uint8)
  mask[56:70, 70:90] = 2
  frames[:, 56:70, 70:90] = [30, 60, 160]
  frames, folder = frames[:6], tmp_path / 'clip'
  folder.mkdir()
  for number, frame in enumerate(frames):
    Image.fromarray(frame).save(folder / f'{number:05}.png')
  masks.write_png(tmp_path / 'first.png', mask)
  flags = {
      'model': model,
      'video': folder,
      'first_mask': tmp_path / 'first.png',
      'output_dir': tmp_path / 'out',
  }
  without_jax = (
      'import runpy, sys; sys.modules.update(jax=None, vidcolor=None);'
      ' runpy.run_module("experiments.onnx_track", run_name="__main__")'
  )
  command = [sys.executable, '-c', without_jax]
  command += [f'--{name}={path}' for name, path in flags.items()]
  subprocess.run(command, cwd=programs.ROOT, check=True)
  expected = trained.propagator().track(frames, mask)
  written = sorted((tmp_path / 'out').iterdir())
  differs = [
      masks.read(path) != mask
      for path, mask in zip(written, expected, strict=True)
  ]
  assert np.mean(differs) < 1e-3
  assert Image.open(written[0]).getpalette()[3:9] == [128, 0, 0, 0, 128, 0]


def test_without_the_extra_export_ends_in_one_line(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, 'onnx', None)
  monkeypatch.delitem(sys.modules, 'experiments.onnx_graph', raising=False)
  monkeypatch.delattr(experiments, 'onnx_graph', raising=False)
  path = tmp_path / 'model.onnx'
  ended = programs.run_here('experiments.export', f'--output={path}')
  assert ended.returncode == 2 and ended.stderr.count('\n') == 1
  assert 'pip install "vidcolor[onnx]"' in ended.stderr
  assert not path.exists()


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--output=a.pt'], 'ends with .npz or .onnx'),
        (['--output=a.npz', '--format=onnx'], 'ends with .onnx'),
        (
            ['--output=a.onnx', '--workdir=paper'],
            'only trained compact networks',
        ),
    ],
)
def test_what_cannot_be_exported_is_told(flags, message):
  ended = programs.run_here('experiments.export', *flags)
  assert ended.returncode == 2 and message in ended.stderr
