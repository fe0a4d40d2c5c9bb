"""The objective: colours of the last frame, copied from the frames before."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, UInt8
import optax

from vidcolor import color
from vidcolor import copying
from vidcolor import errors
from vidcolor import models

# Under which a probability no longer lowers the log-likelihood: a window may
# hold no position of the true colour at all.
_FLOOR = 1e-6
# Error of a value, in units of Lab, from which on the loss grows linearly.
_HUBER_DELTA = 6.0
# What is hidden of a and b (1) from a network of Lab, clip by clip in turn.
_HIDDEN = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))


class Colorization(NamedTuple):
  """What was to be copied and what was, at the embeddings' resolution."""

  loss: Float[Array, '']
  accuracy: Float[Array, '']
  # Of the colour class at the same position of the last reference.
  baseline_accuracy: Float[Array, '']
  lightness: Float[Array, 'batch height width']
  true_ab: Float[Array, 'batch height width 2']
  copied_ab: Float[Array, 'batch height width 2']


@runtime_checkable
class Loss(Protocol):
  """An objective of training."""

  def __call__(
      self,
      model: models.EmbeddingNetwork,
      frames: UInt8[Array, 'batch time height width 3'],
      palette: Float[Array, 'colors 2'],
  ) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
    """Returns the loss, and metrics to report by name.

    It is called within `jax.jit`, and differentiated by the parameters.
    """
    ...


def make_loss(config: Any) -> Loss:
  """Returns the loss of `colorize` with config.target and config.copy."""

  def loss(model, frames, palette):
    result = colorize(
        model, frames, palette, target=config.target, **config.copy
    )
    return result.loss, {
        'accuracy': result.accuracy,
        'accuracy_same_place': result.baseline_accuracy,
    }

  return loss


def colorize(
    model: models.EmbeddingNetwork,
    frames: UInt8[Array, 'batch time height width 3'],
    palette: Float[Array, 'colors 2'],
    *,
    target: str = 'classes',
    **copy_options: Any,
) -> Colorization:
  """Colours each clip's last frame from its others (section 3 of the paper).

  A network that sees Lab is shown a third of the clips without a, a third
  without b and a third without both: it must find what it is not shown (Lai et
  al., "MAST", CVPR 2020, drop one of them).

  Args:
    model: an embedding network.
    frames: clips; the last frame is the target, the others are references.
    palette: the ab colours to classify.
    target: what is copied: 'classes' of the palette, whose loss is -log p(true
      colour); or 'values' of a and b, whose loss is Huber's of those that were
      not shown.
    **copy_options: for `copying.copy`.

  Returns:
    The loss, a mean over positions, and what to show.

  Raises:
    UserError: there is no such target.
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
        f"config.target={target!r} is neither 'classes' nor 'values'"
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
  """1 for those of a and b that the network is not shown of a clip, or 0."""
  hidden = ((1.0, 1.0),) if channels == 1 else _HIDDEN
  return jnp.array(hidden)[jnp.arange(batch) % len(hidden)]


def _negative_log_likelihood(probabilities, classes):
  probability = jnp.take_along_axis(probabilities, classes[..., None], axis=-1)
  return -jnp.mean(jnp.log(jnp.maximum(probability, _FLOOR)))


def side_by_side(
    colorization: Colorization,
) -> Float[Array, 'batch height three_widths 3']:
  """Grey input, true colours and copied colours, as sRGB in [0, 1]."""
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
  *batch, height, width, channels = x.shape
  x = x.reshape(
      *batch, height // stride, stride, width // stride, stride, channels
  )
  return x.mean(axis=(-4, -2))
