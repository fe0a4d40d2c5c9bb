import functools

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np
import pytest

from vidcolor import color
from vidcolor import errors
from vidcolor.training import objective

PALETTE = jnp.array([[50.0, 27.0], [33.0, -68.0]])


class _Greys(nnx.Module):
  """Embeddings that are given: each cell's own grey value, one-hot."""

  channels = 1
  stride = 4
  num_frames = 1

  def encode(self, frames):
    return frames[:, :, ::4, ::4]

  def relate(self, features):
    return jax.nn.one_hot((50 * features[..., 0]).astype(int) + 50, 101)


class _Spy(_Greys):
  """Keeps what it was shown."""

  channels = 3

  def encode(self, frames):
    self.shown = nnx.data(frames)
    return super().encode(frames)


def _halves():
  """Two equal frames, red on the left and blue on the right."""
  frames = np.zeros((1, 2, 8, 8, 3), np.uint8)
  frames[:, :, :, :4], frames[:, :, :, 4:] = (200, 60, 60), (60, 60, 200)
  return frames


@functools.partial(jax.jit, static_argnames=('network', 'target'))
def _predict(frames, temperature, network=_Greys, target='classes'):
  """Returns the colors, and what the network was shown, if it keeps that."""
  model = network()
  colors = objective.predict_colors(
      model, frames, PALETTE, target=target, temperature=temperature
  )
  return colors, getattr(model, 'shown', None)


def test_loss_is_minus_log_of_the_copied_probability():
  """Not a softmax cross-entropy of probabilities (the double softmax)."""
  frames = _halves()
  result, _ = _predict(frames, 0.05)
  assert float(result.loss) < 1e-4
  assert float(result.accuracy) == float(result.baseline_accuracy) == 1

  # Mirrored, every cell's likeness has the other colour than the same place.
  frames[:, 1] = frames[:, 1, :, ::-1]
  result, _ = _predict(frames, 1e6)
  assert float(result.loss) == pytest.approx(np.log(2), abs=1e-4)
  assert float(result.baseline_accuracy) == 0
  images = objective.side_by_side(result)
  assert images.shape == (1, 2, 6, 3)
  assert 0 <= float(images.min()) and float(images.max()) <= 1


def test_a_network_of_lab_is_not_shown_a_or_b_or_both():
  frames = jnp.asarray(_halves()).repeat(4, axis=0)
  _, shown = _predict(frames, 1.0, _Spy, 'values')
  seen = color.network_input(color.rgb_to_lab(frames), 3)
  kept = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [1, 0, 1]])
  np.testing.assert_allclose(shown, seen * kept[:, None, None, None], atol=1e-6)


def test_values_are_judged_where_they_were_not_shown():
  frames = _halves()
  true, _ = _predict(frames, 0.01, target='values')
  assert float(true.loss) < 1e-6
  np.testing.assert_allclose(true.copied_ab, true.true_ab, atol=1e-3)

  # At any other temperature both halves are alike: the mean of two colours.
  loss = lambda network: float(_predict(frames, 1e6, network, 'values')[0].loss)
  a, b = np.ptp(true.true_ab, axis=(0, 1, 2)) / 2
  huber = lambda x: (x / 6) ** 2 / 2 if x < 6 else x / 6 - 0.5
  assert loss(_Spy) == pytest.approx(huber(a) / 2, rel=1e-3)
  assert loss(_Greys) == pytest.approx((huber(a) + huber(b)) / 2, rel=1e-3)


def test_refuses_an_unknown_target():
  with pytest.raises(errors.UserError, match="config.target='hue' is unknown"):
    _predict(_halves(), 1.0, target='hue')
