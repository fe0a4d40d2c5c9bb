"""Colours as labels: those of given frames, copied to the frames after.

What a network was trained for, done by the tracker as it follows objects: the
better the one, the better should be the other.
"""

from collections.abc import Callable, Iterable, Iterator
import functools
import itertools
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, UInt8
import numpy as np

from vidcolor import color
from vidcolor.tracking import propagation
from vidcolor.tracking import upsampling

Frame = UInt8[np.ndarray, 'height width 3']
LabelsOf = Callable[
    [Float[Array, 'rows columns 2']], Float[Array, 'rows columns labels']
]


class Colors(NamedTuple):
  """The labels of a frame's colours, at the embeddings' resolution.

  Attributes:
    true: Of its own colours.
    copied: As the tracker copied them; where they were given, the same.
  """

  true: Float[np.ndarray, 'rows columns labels']
  copied: Float[np.ndarray, 'rows columns labels']


def propagate(
    tracker: propagation.LabelPropagator,
    frames: Iterable[Frame],
    *,
    num_given: int = 1,
    labels_of: LabelsOf = lambda ab: ab,
    inputs: Iterable[Any] | None = None,
) -> Iterator[Colors]:
  """Yields the colours of each frame, as they are and as they are copied.

  Args:
    tracker: Whose memory should hold all given frames.
    frames: RGB; they are shrunk to the embeddings' resolution in Lab, by
      `jax.image.resize`'s anti-aliased linear filter.
    num_given: How many of the first frames' colours are given.
    labels_of: Makes the labels of a and b; by default they are the labels.
    inputs: What the tracker is fed for each frame, if not the frame in grey.
  """
  if inputs is None:
    pairs = ((frame, in_grey(frame)) for frame in frames)
  else:
    pairs = zip(frames, inputs, strict=True)
  state = None
  for index, (frame, fed) in enumerate(pairs):
    if state is None:
      # Of any labels: it tells the embeddings' resolution.
      state = tracker.init(fed, jnp.zeros((1, 1, 1)))
    shape = state.features.shape[1:3]
    copied = true = labels_of(_shrunk_ab(frame, shape))
    if index == 0:
      state = tracker.init(fed, true)
    elif index < num_given:
      state = tracker.observe(state, fed, true)
    else:
      state, copied = tracker.step(state, fed)
    yield Colors(np.asarray(true), np.asarray(copied))


def colorize(
    tracker: propagation.LabelPropagator,
    frames: Iterable[Frame],
    num_given: int = 1,
) -> Iterator[Frame]:
  """Yields frames in the colours of the first ones, in constant memory.

  The first ones are yielded as they are. Of the others only the lightness is
  seen; it stays, but where it cannot be had together with the colour in RGB.

  Args:
    tracker: As `propagate` takes it.
    frames: RGB, of one size; the first ones in colour.
    num_given: How many of the first frames' colours are given.
  """
  frames, fed = itertools.tee(frames)
  copied = propagate(tracker, fed, num_given=num_given)
  for index, (frame, colors) in enumerate(zip(frames, copied, strict=True)):
    if index < num_given:
      yield frame
      continue
    lightness = np.asarray(lightness_of(frame))
    ab = upsampling.guided(colors.copied, lightness)
    yield np.asarray(colored(lightness, ab))


def in_grey(frame: Frame) -> UInt8[Array, 'height width 3']:
  """RGB of the same lightness: networks of Lab are not to see the colours."""
  return colored(
      lightness_of(frame), np.zeros((*frame.shape[:2], 2), np.float32)
  )


@jax.jit
def lightness_of(
    frame: UInt8[np.ndarray | Array, 'height width 3'],
) -> Float[Array, 'height width']:
  """L of Lab, in 0 to 100."""
  return color.rgb_to_lab(jnp.asarray(frame))[..., 0]


@jax.jit
def colored(
    lightness: Float[np.ndarray | Array, 'height width'],
    ab: Float[np.ndarray | Array, 'height width 2'],
) -> UInt8[Array, 'height width 3']:
  """RGB of a lightness in colours."""
  lab = jnp.concatenate([lightness[..., None], ab], axis=-1)
  return jnp.round(255 * color.lab_to_rgb(lab)).astype(jnp.uint8)


@functools.partial(jax.jit, static_argnums=1)
def _shrunk_ab(frame, shape):
  ab = color.rgb_to_lab(frame)[..., 1:]
  return jax.image.resize(ab, (*shape, 2), 'bilinear')
