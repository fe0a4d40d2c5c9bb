"""Object sessions: track objects, any of which can be given anew in any frame.

Objects that were given in the same frames make a group, which has its own
memory. So an object that is given anew leaves the references of the others as
they are. Where groups overlap, the one that was given last is in front.
"""

from collections.abc import Callable, Mapping
import functools
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Bool, UInt8
import numpy as np

from vidcolor import tracking
from vidcolor.tracking import confidence as confidence_lib
from vidcolor.tracking import edges
from vidcolor.tracking import labels as labels_lib


class Steps(NamedTuple):
  """The compiled functions of a propagator.

  Attributes:
    embed: Returns the features of a frame.
    start: Returns the state after a frame, from its features and labels.
    restart: Returns the state after a frame whose labels are given anew, from
      the state, the features and the new labels. `chosen` are the labels of the
      old state that the new one has, `kept` the indices of the frames that stay
      references.
    step: Returns the next state, and the labels of the next frame, from the
      state and the features. The buffers of the state are donated.
  """

  embed: Callable[..., Any]
  start: Callable[..., Any]
  restart: Callable[..., Any]
  step: Callable[..., Any]


class ObjectSession:
  """Tracks objects frame by frame. Any object can be given anew in any frame.

  A frame in which an object is given stays a reference of it, if the options
  keep the first frame. The recent frames before it are forgotten: what was
  wrong there would be copied again. Of too many such frames, the first one and
  the newest stay.

  Attributes:
    found: The objects in the frame shown last.
  """

  def __init__(
      self,
      steps: Steps,
      options: Any,
      frame: Any,
      mask: UInt8[np.ndarray, 'height width'],
      *,
      max_kept: int,
  ):
    """Starts.

    Args:
      steps: The functions of the propagator.
      options: Its `PropagationOptions`.
      frame: The first frame.
      mask: The index of the object at each pixel, 0 on the background.
      max_kept: The largest number of given frames that stay references.
    """
    self._steps, self._options, self._max_kept = steps, options, max_kept
    self._features = steps.embed(frame)
    self._num_frames = 1
    self._num_objects = int(mask.max())
    numbers = tuple(range(1, self._num_objects + 1))
    # The back one first.
    self._groups = [self._new_group(mask, numbers)]
    self.found = tracking.TrackedObjects(
        mask, np.ones(mask.shape, np.float32), np.ones(self._num_objects)
    )

  def step(self, frame: Any) -> tracking.TrackedObjects:
    """Returns the objects in the next frame."""
    labels, mask = self._advance(frame)
    sure = np.asarray(
        confidence_lib.of_pixels(labels, *mask.shape, self._options.calibration)
    )
    by_object = confidence_lib.of_objects(sure, mask, self._num_objects)
    self.found = tracking.TrackedObjects(mask, sure, by_object)
    return self.found

  def next_mask(self, frame: Any) -> UInt8[np.ndarray, 'height width']:
    """Returns the mask of the next frame, without its confidence.

    `found` stays as it is.
    """
    return self._advance(frame)[1]

  def give(
      self, objects: Mapping[int, Bool[np.ndarray, 'height width']]
  ) -> tracking.TrackedObjects:
    """Says where objects are in the frame that `found` is of.

    Args:
      objects: The mask of each object by its index. Later ones are in front.
        Indices beyond the known ones, one after the other, begin new objects.

    Returns:
      The new value of `found`. The confidence of given objects is 1.
    """
    mask, sure = self.found.mask.copy(), self.found.confidence.copy()
    was_given = np.isin(mask, list(objects))
    mask[was_given] = 0
    for number, is_object in objects.items():
      mask[is_object] = number
    sure[was_given | np.isin(mask, list(objects))] = 1
    self._num_objects = max(self._num_objects, *objects)
    new = set(objects)
    for group in list(self._groups):
      again = new & set(group.numbers)
      if again:
        self._give_again(group, mask, again)
        new -= again
    if new:
      self._groups.append(self._new_group(mask, tuple(sorted(new))))
    by_object = confidence_lib.of_objects(sure, mask, self._num_objects)
    self.found = tracking.TrackedObjects(mask, sure, by_object)
    return self.found

  def _new_group(self, mask, numbers):
    labels = _labels_of(mask, numbers)
    state = self._steps.start(self._features, labels)
    return _Group(numbers, state, (self._num_frames,))

  def _give_again(self, group, mask, again):
    """Moves objects of a group to a group of their own, in front."""
    frame = self._num_frames
    chosen = tuple(
        label for label, n in enumerate(group.numbers, 1) if n in again
    )
    numbers = tuple(n for n in group.numbers if n in again)
    old = tuple(n for n in group.kept_frames if n != frame)
    old = _stay(old, self._max_kept - 1)
    kept = tuple(group.kept_frames.index(n) for n in old)
    state = self._steps.restart(
        group.state,
        self._features,
        _labels_of(mask, numbers),
        chosen=chosen,
        kept=kept if self._options.keep_first else (),
    )
    # Others keep the label, so that nothing changes for them.
    left = group._replace(
        numbers=tuple(0 if n in again else n for n in group.numbers)
    )
    self._groups = [
        left if other is group else other
        for other in self._groups
        if other is not group or any(left.numbers)
    ]
    self._groups.append(_Group(numbers, state, (*old, frame)))

  def _advance(self, frame):
    """Returns the labels and the mask of the next frame."""
    self._features = self._steps.embed(frame)
    self._num_frames += 1
    found = []
    for index, group in enumerate(self._groups):
      state, labels = self._steps.step(
          group.state, self._features, objects=True
      )
      self._groups[index] = group._replace(state=state)
      found.append(labels)
    if len(self._groups) == 1 and all(self._groups[0].numbers):
      (labels,) = found
    else:
      labels = _in_front(found, tuple(group.numbers for group in self._groups))
    return labels, self._read_mask(labels, frame)

  def _read_mask(self, labels, frame):
    shape, options = self.found.mask.shape, self._options
    if options.refine_edges and _is_rgb(frame, shape):
      return edges.mask_along_edges(np.asarray(labels), np.asarray(frame))
    stretch = options.stretch_labels
    return np.asarray(labels_lib.to_mask(labels, *shape, stretch=stretch))


class _Group(NamedTuple):
  """Objects that share their references.

  Attributes:
    numbers: The index of the object of each label but the background; 0 for a
      label whose object has left the group.
    state: The memory.
    kept_frames: The numbers of the frames that are kept.
  """

  numbers: tuple[int, ...]
  state: Any
  kept_frames: tuple[int, ...]


def _stay(kept_frames, room):
  """Returns the frames that stay: the first one and the newest."""
  if len(kept_frames) <= room:
    return kept_frames
  return kept_frames[:room][:1] + kept_frames[len(kept_frames) - room + 1 :]


def _labels_of(mask, numbers):
  """Returns one-hot labels: the background, and each of the numbers."""
  label = np.zeros(max(256, *numbers, 0) + 1, np.uint8)
  label[list(numbers)] = np.arange(1, len(numbers) + 1)
  return labels_lib.from_mask(jnp.asarray(label[mask]), len(numbers) + 1)


@functools.partial(jax.jit, static_argnums=1)
def _in_front(found, numbers):
  """Returns the labels of all objects, by their indices.

  What the groups in front leave of a position is for those behind them. If no
  position is claimed twice, all labels are as they were found.

  Args:
    found: The labels of each group, the back one first.
    numbers: The indices of the objects of each group.
  """
  left = jnp.ones(found[0].shape[:2])
  by_number = {}
  for labels, of_group in reversed(list(zip(found, numbers, strict=True))):
    here = [label for label, n in enumerate(of_group, 1) if n]
    objects = labels[..., jnp.array(here)].clip(0, 1)
    total = objects.sum(axis=-1)
    taken = jnp.minimum(total, left)
    objects *= (taken / jnp.maximum(total, 1e-6))[..., None]
    for i, label in enumerate(here):
      by_number[of_group[label - 1]] = objects[..., i]
    left -= taken
  return jnp.stack([left, *(by_number[n] for n in sorted(by_number))], axis=-1)


def _is_rgb(frame, shape):
  """Returns whether a frame is an RGB array of the height and width."""
  is_array = isinstance(frame, (np.ndarray, jax.Array))
  return is_array and frame.dtype == np.uint8 and frame.shape == (*shape, 3)
