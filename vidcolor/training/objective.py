"""The objective: colours of the last frame, copied from the frames before."""

from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from vidcolor import color
from vidcolor import copying

# Under which a probability no longer lowers the log-likelihood: a window may
# hold no position of the true colour at all.
_FLOOR = 1e-6


class Colorization(NamedTuple):
  """What was to be copied and what was, at the embeddings' resolution."""

  loss: Float[Array, '']
  accuracy: Float[Array, '']
  # Of the colour class at the same position of the last reference.
  baseline_accuracy: Float[Array, '']
  lightness: Float[Array, 'batch height width']
  true_ab: Float[Array, 'batch height width 2']
  copied_ab: Float[Array, 'batch height width 2']


def colorize(
    model: Any,
    frames: UInt8[Array, 'batch time height width 3'],
    palette: Float[Array, 'colors 2'],
    **copy_options: Any,
) -> Colorization:
  """Colours each clip's last frame from its others (section 3 of the paper).

  Args:
    model: an embedding network, which sees grey only.
    frames: clips; the last frame is the target, the others are references.
    palette: the ab colours to classify.
    **copy_options: for `copying.copy`.

  Returns:
    The loss -log p(true colour), a mean over positions, and what to show.
  """
  lab = color.rgb_to_lab(frames)
  embeddings = model.relate(model.encode(color.grey_from_lab(lab)))
  lab = _average_pool(lab, model.stride)
  classes = color.quantize(lab[..., 1:], palette)
  copied = copying.copy(
      embeddings[:, -1],
      embeddings[:, :-1],
      jax.nn.one_hot(classes[:, :-1], len(palette)),
      **copy_options,
  )
  probability = jnp.take_along_axis(copied, classes[:, -1, ..., None], axis=-1)
  return Colorization(
      loss=-jnp.mean(jnp.log(jnp.maximum(probability, _FLOOR))),
      accuracy=_agreement(copied.argmax(axis=-1), classes[:, -1]),
      baseline_accuracy=_agreement(classes[:, -2], classes[:, -1]),
      lightness=lab[:, -1, ..., 0],
      true_ab=lab[:, -1, ..., 1:],
      copied_ab=copied @ palette,
  )


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
