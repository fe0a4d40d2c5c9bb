"""The training objective: colorize a clip's last frame from the frames before.

Its colours are copied from the other frames by embedding similarity (Vondrick
et al. 2018, section 3).
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, UInt8
import ml_collections
import optax

from vidcolor import color
from vidcolor import copying
from vidcolor import errors
from vidcolor import models

# Smallest probability in the log-likelihood. The true colour's probability is
# zero if no position within the window has that colour.
_MIN_PROBABILITY = 1e-6
# The loss of a value grows linearly with errors above this, in units of Lab.
_HUBER_DELTA = 6.0
# Which of a and b (1) each clip in turn hides from a network that sees Lab.
_HIDDEN = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))


class Colorization(NamedTuple):
  """True and copied colours at the resolution of the embeddings.

  Attributes:
    loss: Mean loss over positions.
    accuracy: Fraction of positions whose copied colour has the true class.
    baseline_accuracy: Accuracy of the colour at the same position of the last
      reference frame.
    lightness: L of the target frame, in [0, 100].
    true_ab: True a and b of the target frame.
    copied_ab: Copied a and b.
  """

  loss: Float[Array, '']
  accuracy: Float[Array, '']
  baseline_accuracy: Float[Array, '']
  lightness: Float[Array, 'batch height width']
  true_ab: Float[Array, 'batch height width 2']
  copied_ab: Float[Array, 'batch height width 2']


@runtime_checkable
class Loss(Protocol):
  """A training objective."""

  def __call__(
      self,
      model: models.EmbeddingNetwork,
      frames: UInt8[Array, 'batch time height width 3'],
      palette: Float[Array, 'colors 2'],
  ) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
    """Returns the loss and a dict of metrics to report.

    Training calls it within `jax.jit` and differentiates it with respect to the
    model's parameters.

    Args:
      model: Network that is being trained.
      frames: RGB clips.
      palette: The ab colours of the classes.
    """
    ...


def make_loss(config: ml_collections.ConfigDict) -> Loss:
  """Returns the loss of `predict_colors` with config.target and config.copy."""

  def loss(model, frames, palette):
    result = predict_colors(
        model, frames, palette, target=config.target, **config.copy
    )
    return result.loss, {
        'accuracy': result.accuracy,
        'accuracy_same_place': result.baseline_accuracy,
    }

  return loss


def predict_colors(
    model: models.EmbeddingNetwork,
    frames: UInt8[Array, 'batch time height width 3'],
    palette: Float[Array, 'colors 2'],
    *,
    target: str = 'classes',
    **copy_options: Any,
) -> Colorization:
  """Colorizes each clip's last frame from its other frames.

  With grey frames and 'classes', this is the objective of section 3 of the
  paper. If the network takes Lab frames, the channel `a` is hidden in a third
  of the clips, `b` in a third, and both in a third. The network predicts what
  is hidden. (Lai et al., "MAST", CVPR 2020, always hide one channel.)

  Args:
    model: An embedding network.
    frames: RGB clips. The last frame is the target; the others are references.
    palette: The ab colours of the classes.
    target: What is copied. 'classes' copies classes of the palette, and the
      loss is -log p(true class). 'values' copies a and b, and the loss is the
      Huber loss of the hidden values.
    **copy_options: Options of `copying.copy`.

  Raises:
    UserError: The target is unknown.
  """
  lab = color.rgb_to_lab(frames)
  hidden = _hidden(len(frames), model.channels)
  shown = lab.at[..., 1:].multiply(1 - hidden[:, None, None, None])
  embeddings = model.relate(
      model.encode(color.network_input(shown, model.channels))
  )
  lab = _average_pool(lab, model.stride)
  ab = lab[..., 1:]
  classes = color.quantize(ab, palette)
  copy = lambda values: copying.copy(
      embeddings[:, -1], embeddings[:, :-1], values, **copy_options
  )
  if target == 'classes':
    copied = copy(jax.nn.one_hot(classes[:, :-1], len(palette)))
    copied_ab, copied_classes = copied @ palette, copied.argmax(axis=-1)
    loss = _negative_log_likelihood(copied, classes[:, -1])
  elif target == 'values':
    copied_ab = copy(ab[:, :-1])
    copied_classes = color.quantize(copied_ab, palette)
    error = optax.huber_loss(copied_ab, ab[:, -1], delta=_HUBER_DELTA)
    loss = jnp.mean(error * hidden[:, None, None]) / _HUBER_DELTA**2
  else:
    raise errors.UserError(
        f"config.target={target!r} is unknown: give 'classes' or 'values'"
    )
  return Colorization(
      loss=loss,
      accuracy=_agreement(copied_classes, classes[:, -1]),
      baseline_accuracy=_agreement(classes[:, -2], classes[:, -1]),
      lightness=lab[:, -1, ..., 0],
      true_ab=ab[:, -1],
      copied_ab=copied_ab,
  )


def _hidden(batch, channels):
  """Returns [batch, 2], 1 where a clip hides a or b from the network."""
  hidden = ((1.0, 1.0),) if channels == 1 else _HIDDEN
  return jnp.array(hidden)[jnp.arange(batch) % len(hidden)]


def _negative_log_likelihood(probabilities, classes):
  probability = jnp.take_along_axis(probabilities, classes[..., None], axis=-1)
  return -jnp.mean(jnp.log(jnp.maximum(probability, _MIN_PROBABILITY)))


def side_by_side(
    colorization: Colorization,
) -> Float[Array, 'batch height three_widths 3']:
  """Returns grey input, true colours and copied colours, as sRGB in [0, 1]."""
  lightness = colorization.lightness[..., None]
  grey = jnp.zeros_like(colorization.true_ab)
  return jnp.concatenate(
      [
          color.lab_to_rgb(jnp.concatenate([lightness, ab], axis=-1))
          for ab in (grey, colorization.true_ab, colorization.copied_ab)
      ],
      axis=2,
  )


def _agreement(
    predicted: Int[Array, '*shape'], true: Int[Array, '*shape']
) -> Float[Array, '']:
  return jnp.mean(predicted == true, dtype=jnp.float32)


def _average_pool(x, stride):
  """Returns the mean of each stride x stride square of pixels."""
  # Products of planes with matrices: an accelerator would leave most of its
  # lanes idle over three channels, and over `stride` pixels.
  mean = lambda size: jnp.repeat(
      jnp.eye(size // stride) / stride, stride, axis=0
  )
  return jnp.einsum(
      '...hwc,hi,wj->...ijc',
      x,
      mean(x.shape[-3]),
      mean(x.shape[-2]),
      precision=jax.lax.Precision.HIGHEST,
  )
