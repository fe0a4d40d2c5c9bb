"""Networks, losses and copy rules that are defined outside of the package."""

import json

from flax import nnx
from jax import numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tests import toy
import vidcolor as vc
from vidcolor import models

pytestmark = pytest.mark.slow


class MyNet(nnx.Module):
  """A network without batch normalization: one convolution."""

  channels, stride, num_frames = 1, 4, 1

  def __init__(self, *, dim=8, rngs):
    self.conv = nnx.Conv(1, dim, (4, 4), strides=4, rngs=rngs)

  def encode(self, frames):
    return self.conv(frames)

  def relate(self, features):
    return features


def my_loss(model, frames, palette):
  """Pulls the embeddings of neighbouring frames together."""
  del palette
  lab = vc.color.rgb_to_lab(frames)
  seen = vc.color.network_input(lab, model.channels)
  embeddings = model.relate(model.encode(seen))
  error = jnp.mean(jnp.diff(embeddings, axis=1) ** 2)
  return error, {'spread': jnp.std(embeddings)}


@pytest.fixture(scope='module', name='data_dir')
def fixture_data_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('data')
  rng = np.random.default_rng(0)
  frames = rng.integers(0, 256, (4, 6, 48, 64, 3), np.uint8)
  dataset = toy.build(folder, dict(zip('abcd', frames, strict=True)))
  palette = rng.uniform(-60, 60, (16, 2)).astype(np.float32)
  vc.color.save_palette(dataset / 'palette.npy', palette)
  return folder


def _config(data_dir, **changes):
  toy_dataset = {'dataset.name': 'toy', 'dataset.leave_out': (), 'steps': 3}
  return tiny.config(str(data_dir), **toy_dataset | changes)


def _reports(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_a_network_and_a_loss_are_trained_loaded_and_track(data_dir, tmp_path):
  vc.train(_config(data_dir), tmp_path, make_model=MyNet, loss=my_loss)
  reports = _reports(tmp_path)
  assert [report['step'] for report in reports] == [1, 2, 3]
  assert all(report['spread'] > 0 for report in reports)
  assert 'accuracy' not in reports[0]

  network = vc.load_pretrained_network(tmp_path)
  assert isinstance(network.model, MyNet)
  assert network.config.model.name == 'tests.test_plugins.MyNet'
  frames, is_square = tiny.red_square()
  tracker = vc.VideoTracker(network.propagator(recent=3))
  result = tracker.track(frames, masks=is_square[:1])
  assert result.masks.shape == is_square.shape
  np.testing.assert_array_equal(result.masks[0], is_square[0])


def test_a_class_within_a_function_is_trained_and_loaded(data_dir, tmp_path):

  class Local(MyNet):
    pass

  vc.train(_config(data_dir, steps=1), tmp_path, make_model=Local)
  with pytest.raises(vc.errors.UserError, match='cannot import'):
    vc.load_pretrained_network(tmp_path)
  network = vc.Network.load(tmp_path, make_model=Local)
  assert isinstance(network.model, Local)


def test_a_config_names_a_network_by_its_import_path(data_dir, tmp_path):
  config = _config(data_dir, steps=2)
  config.model = {'name': 'tests.test_plugins.MyNet', 'dim': 4}
  vc.train(config, tmp_path)
  assert _reports(tmp_path)[-1]['accuracy'] >= 0
  model = vc.load_pretrained_network(tmp_path).model
  assert isinstance(model, MyNet) and model.conv.out_features == 4
  # It resumes.
  config.steps = 3
  vc.train(config, tmp_path)
  assert len(_reports(tmp_path)) == 3


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        ({'name': 'tests.nowhere.Net'}, 'cannot import tests.nowhere.Net'),
        (
            {'name': 'tests.test_plugins.Net'},
            'cannot import .*has no attribute',
        ),
        ({'name': 'tests.test_plugins.MyNet', 'depth': 3}, 'depth'),
    ],
)
def test_a_wrong_network_is_one_line(data_dir, tmp_path, model, message):
  config = _config(data_dir)
  config.model = model
  with pytest.raises(vc.errors.UserError, match=message) as error:
    vc.train(config, tmp_path)
  assert 'config.model' in str(error.value) and '\n' not in str(error.value)


def test_a_checkpoint_with_a_former_name_of_a_network_resumes(
    data_dir, tmp_path, monkeypatch, capsys
):
  """As one with 'colorizer' does, now resnet3d, which is slower to train."""
  name = 'tests.test_plugins.MyNet'
  monkeypatch.setitem(models._RENAMED, 'former', name)
  config = _config(data_dir, steps=1)
  config.model = {'name': 'former'}
  vc.train(config, tmp_path)
  network = vc.load_pretrained_network(tmp_path)
  assert network.config.model.name == 'former'
  assert isinstance(network.untrained().model, MyNet)
  config.model.name, config.steps = name, 2
  capsys.readouterr()
  vc.train(config, tmp_path)
  lines = capsys.readouterr().out.splitlines()
  # Another name of the same network is no change.
  assert lines[:2] == [
      'the config changed (steps=1 there, 2 here)',
      'resumed from step 1',
  ]


def my_embed(frame):
  """Embeds 4 x 4 pixels by their colours."""
  cells = jnp.asarray(frame, jnp.float32).reshape(
      frame.shape[0] // 4, 4, frame.shape[1] // 4, 4, 3
  )
  return cells.mean(axis=(1, 3)) - 128


def my_rule(target, reference, values, **options):
  """Copies the label of the best match in the last reference frame."""
  del options
  labels = values[0, -1].reshape(-1, values.shape[-1])
  scores = jnp.einsum('hwd,yxd->hwyx', target[0], reference[0, -1])
  return labels[scores.reshape(*scores.shape[:2], -1).argmax(axis=-1)][None]


def test_a_copy_rule_is_used_for_tracking(tmp_path):
  frames, is_square = tiny.red_square()
  options = vc.PropagationOptions(unit_length=True)
  propagator = vc.LabelPropagator(my_embed, options, copy=my_rule)
  result = vc.VideoTracker(propagator).track(frames, masks=is_square[:1])
  assert (result.masks != is_square).mean() < 0.05
  assert (is_square[0] != is_square[-1]).mean() > 0.1
  vc.draw(frames, result, tmp_path / 'overlay.mp4')
  assert (tmp_path / 'overlay.mp4').stat().st_size > 0
