from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np
import pytest

from tests import tiny
import vidcolor
from vidcolor import errors
from vidcolor import models
from vidcolor import pretrained
from vidcolor.benchmarks.davis import metrics as davis_metrics

_GREY = np.random.default_rng(0).uniform(-1, 1, (1, 1, 32, 32, 1))


def _network():
  config = tiny.config('')
  model = models.create(**config.model)
  # Statistics that are neither 0 nor 1.
  model(jnp.asarray(_GREY, jnp.float32))
  return nnx.view(model, use_running_average=True), config


def test_a_network_comes_back(tmp_path):
  model, config = _network()
  palette = np.random.default_rng(1).normal(size=(16, 2)).astype(np.float32)
  path = tmp_path / 'network.npz'
  pretrained.save(path, model, palette, config)
  loaded, loaded_palette, loaded_config = pretrained.load(path)
  np.testing.assert_array_equal(loaded_palette, palette)
  assert loaded_config.tracking == config.tracking
  sizes = [x.size for x in jax.tree.leaves(nnx.state(model))]
  assert path.stat().st_size < 2.2 * sum(sizes) + 400 * len(sizes)
  expected = model(jnp.asarray(_GREY, jnp.float32))
  actual = loaded(jnp.asarray(_GREY, jnp.float32))
  assert float(jnp.abs(expected - actual).max()) < 0.01
  # Inference leaves the statistics as they were.
  again = loaded(jnp.asarray(_GREY, jnp.float32))
  np.testing.assert_array_equal(again, actual)


@pytest.mark.parametrize(
    ('content', 'told'),
    [(None, 'there is no file'), (b'', 'no network'), (b'PK', 'no network')],
)
def test_other_files_are_one_line(tmp_path, content, told):
  path = tmp_path / 'network.npz'
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(errors.UserError, match=told) as error:
    pretrained.load(path)
  assert str(path) in str(error.value)


def test_a_network_of_another_shape_is_one_line(tmp_path):
  model, config = _network()
  config.model.width = 16
  path = tmp_path / 'network.npz'
  pretrained.save(path, model, np.zeros((16, 2), np.float32), config)
  with pytest.raises(errors.UserError, match='no network of this version'):
    pretrained.load(path)


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
