"""Networks: saved, loaded, and those that earlier versions wrote."""

import json
import pathlib
import shutil
import zipfile

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np
import pytest

from data_prep import licences as licences_lib
from experiments.configs import permissive
from tests import tiny
import vidcolor
from vidcolor import errors
from vidcolor import models
from vidcolor import network
from vidcolor import pretrained
from vidcolor.benchmarks.davis import metrics as davis_metrics

_GREY = np.random.default_rng(0).uniform(-1, 1, (1, 1, 32, 32, 1))
# What version 0.1 wrote after three steps of `tiny.config`: a run, what
# experiments.export made of it, and what it tracked in `tiny.red_square`.
_OLD = pathlib.Path(__file__).parent / 'fixtures' / 'version_0_1.zip'


def _network():
  config = tiny.config('', **{'model.name': 'tests.toy_network.Net'})
  model = models.create(**config.model)
  # Statistics that are neither 0 nor 1.
  model(jnp.asarray(_GREY, jnp.float32))
  palette = np.random.default_rng(1).normal(size=(16, 2)).astype(np.float32)
  return network.Network(models.for_inference(model), palette, config)


def test_a_network_comes_back(tmp_path):
  saved = _network()
  path = tmp_path / 'network.npz'
  saved.save(path)
  loaded = network.Network.load(path)
  np.testing.assert_array_equal(loaded.palette, saved.palette)
  assert loaded.config.tracking == saved.config.tracking
  assert loaded.config.dataset.data_dir is None
  sizes = [x.size for x in jax.tree.leaves(nnx.state(saved.model))]
  assert path.stat().st_size < 2.2 * sum(sizes) + 400 * len(sizes)
  expected = saved.model(jnp.asarray(_GREY, jnp.float32))
  actual = loaded.model(jnp.asarray(_GREY, jnp.float32))
  assert float(jnp.abs(expected - actual).max()) < 0.01
  # Inference leaves the statistics as they were.
  again = loaded.model(jnp.asarray(_GREY, jnp.float32))
  np.testing.assert_array_equal(again, actual)


@pytest.mark.parametrize(
    ('content', 'message'),
    [(None, 'there is no file'), (b'', 'no network'), (b'PK', 'no network')],
)
def test_other_files_are_one_line(tmp_path, content, message):
  path = tmp_path / 'network.npz'
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(errors.UserError, match=message) as error:
    network.Network.load(path)
  assert str(path) in str(error.value)


def test_a_folder_with_the_name_of_a_network_in_the_package(
    tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  _network().save('strong.npz')
  shutil.move('strong.npz', 'strong')
  with pytest.raises(errors.UserError, match='give ./strong'):
    network.Network.load('strong')


def test_a_network_of_another_shape_is_one_line(tmp_path):
  saved = _network()
  saved.config.model.width = 16
  path = tmp_path / 'network.npz'
  saved.save(path)
  with pytest.raises(errors.UserError, match='no network of this version'):
    network.Network.load(path)


def test_untrained_is_the_network_before_training():
  trained = _network()
  initial = trained.untrained()
  assert initial.palette is trained.palette
  expected = nnx.state(models.create(**trained.config.model), nnx.Param)
  same = jax.tree.map(
      lambda x, y: bool((x == y).all()),
      nnx.state(initial.model, nnx.Param),
      expected,
  )
  assert all(jax.tree.leaves(same))
  other = nnx.state(trained.untrained(seed=1).model, nnx.Param)
  assert not all(
      bool((x == y).all())
      for x, y in zip(
          jax.tree.leaves(other), jax.tree.leaves(expected), strict=True
      )
  )


def test_a_propagator_has_the_options_of_the_config_but_for_changes():
  trained = _network()
  options = trained.propagator(recent=3).options
  assert options.recent == 3 != trained.config.tracking.recent
  assert options.short_side == trained.config.tracking.short_side


def test_a_preset_changes_the_options():
  trained = _network()
  options = trained.propagator('fast', recent=7).options
  assert (options.short_side, options.recent) == (192, 7)
  assert options.top_k == trained.config.tracking.top_k
  with pytest.raises(errors.UserError, match='no preset slow: give one of def'):
    trained.propagator('slow')
  trained.model.num_frames = 4
  with pytest.raises(errors.UserError, match='embed each frame alone'):
    trained.propagator('fast')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [({'reach': 3}, 'reach'), ({'recent': 0, 'keep_first': False}, 'recent')],
)
def test_wrong_options_are_one_line(changes, message):
  with pytest.raises(errors.UserError, match=f'`tracking`.*{message}'):
    _network().propagator(**changes)


@pytest.fixture(scope='module')
def _old_folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('version_0_1')
  with zipfile.ZipFile(_OLD) as file:
    file.extractall(folder)
  return folder


@pytest.mark.slow
@pytest.mark.parametrize('path', ['run', 'run/checkpoints/3', 'network.npz'])
def test_what_version_0_1_wrote_still_tracks_the_same(_old_folder, path):
  frames, is_square = tiny.red_square()
  tracker = vidcolor.load_pretrained(_old_folder / path)
  result = tracker.track(frames, masks=is_square[:1])
  with np.load(_old_folder / 'expected.npz') as expected:
    masks = np.unpackbits(expected['masks']).reshape(result.masks.shape)
    confidence = expected['confidence']
  # The file has the parameters in float16.
  assert np.mean(result.masks != masks) < 2e-3
  np.testing.assert_allclose(result.confidence, confidence, atol=0.01)


@pytest.mark.slow
def test_the_papers_network_is_in_the_package():
  assert pretrained.NETWORKS['paper'].stat().st_size < 20e6
  loaded = network.Network.load('paper')
  assert loaded.config.model.name == 'resnet3d'
  assert loaded.palette.shape == (16, 2)
  options = loaded.propagator().options
  assert (options.radius, options.temperature, options.recent) == (None, 0.5, 3)
  # Training changed the zeros around the centers of kernels.
  kernel = loaded.model.temporal[0].space.kernel[...]
  assert float(jnp.abs(kernel[0, 0, 0]).mean()) > 1e-3


def test_the_permissive_network_names_its_sources():
  path = pretrained.NETWORKS['permissive']
  config = network.Network.load('permissive').config
  shipped = permissive.get_config()
  shipped.dataset.data_dir = None
  assert config.to_dict() == json.loads(shipped.to_json())
  lines = path.with_name('permissive_sources.tsv').read_text().splitlines()
  rows = [line.split('\t') for line in lines[1:]]
  licences = {licence.split(' (')[0] for _, licence, _ in rows}
  assert licences <= set(licences_lib.PERMISSIVE)
  assert sum(int(count) for *_, count in rows) == 186


@pytest.mark.slow
def test_the_shipped_one_is_small_loads_offline_and_tracks():
  assert pretrained.SHIPPED.stat().st_size < 25e6
  tracker = vidcolor.load_pretrained()
  # A disk of a colour of its own goes right, in front of noise that does not.
  rng = np.random.default_rng(0)
  noise = rng.integers(80, 120, (96, 128, 3), np.uint8)
  rows, columns = np.mgrid[:96, :128]
  masks = [
      ((rows - 48) ** 2 + (columns - 40 - 4 * t) ** 2 < 400).astype(np.uint8)
      for t in range(8)
  ]
  frames = [
      np.where(mask[..., None], np.uint8([200, 60, 60]), noise)
      for mask in masks
  ]
  result = tracker.track(np.stack(frames), masks=masks[0])
  assert davis_metrics.jaccard(result.masks[-1] == 1, masks[-1] == 1) > 0.8
  assert davis_metrics.jaccard(masks[0] == 1, masks[-1] == 1) < 0.4
