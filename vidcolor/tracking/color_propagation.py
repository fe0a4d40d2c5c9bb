"""Copies the colors of given frames to later frames.

This is the task that a network is trained for. Here the tracker solves it in
the same way as it tracks objects. So a better colorization should mean better
tracking (Vondrick et al. 2018, section 4.5).
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
  """The color labels of a frame, at the resolution of the embeddings.

  Attributes:
    true: Labels of the frame's own colors.
    copied: Labels that the tracker copied to it. In a frame with given colors,
      they equal `true`.
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
  """Yields the colors of each frame, true and copied.

  Args:
    tracker: Label propagator. Its memory should hold all given frames.
    frames: RGB frames. They are shrunk to the resolution of the embeddings in
      Lab, by the anti-aliased linear filter of `jax.image.resize`.
    num_given: Number of frames, from the first one on, whose colors are given.
    labels_of: Function that turns the a and b of Lab into labels. Default: a
      and b are the labels.
    inputs: Input of the tracker for each frame. Default: the frame in grey.
  """
  if inputs is None:
    pairs = ((frame, in_grey(frame)) for frame in frames)
  else:
    pairs = zip(frames, inputs, strict=True)
  state = None
  for index, (frame, fed) in enumerate(pairs):
    if state is None:
      # Any labels do here: only the resolution of the embeddings is needed.
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
  """Yields frames in the colors of the given frames, in constant memory.

  The given frames are yielded unchanged. Of the other frames, only the
  lightness is used. It is kept, except where RGB cannot represent it together
  with the copied color.

  Args:
    tracker: Label propagator, as for `propagate`.
    frames: RGB frames of one size.
    num_given: Number of frames, from the first one on, whose colors are given.
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
  """Returns the frame without its colors: RGB of the same lightness.

  Networks with Lab input must not see the colors that they copy.
  """
  return colored(
      lightness_of(frame), np.zeros((*frame.shape[:2], 2), np.float32)
  )


@jax.jit
def lightness_of(
    frame: UInt8[np.ndarray | Array, 'height width 3'],
) -> Float[Array, 'height width']:
  """Returns L of Lab, 0 to 100."""
  return color.rgb_to_lab(jnp.asarray(frame))[..., 0]


@jax.jit
def colored(
    lightness: Float[np.ndarray | Array, 'height width'],
    ab: Float[np.ndarray | Array, 'height width 2'],
) -> UInt8[Array, 'height width 3']:
  """Returns the RGB frame of a lightness L, 0 to 100, and a and b of Lab."""
  lab = jnp.concatenate([lightness[..., None], ab], axis=-1)
  return jnp.round(255 * color.lab_to_rgb(lab)).astype(jnp.uint8)


@functools.partial(jax.jit, static_argnums=1)
def _shrunk_ab(frame, shape):
  ab = color.rgb_to_lab(frame)[..., 1:]
  return jax.image.resize(ab, (*shape, 2), 'bilinear')
