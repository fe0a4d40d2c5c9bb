"""Label propagation: copies labels from the first and from recent frames.

`LabelPropagator` tracks a stream of frames by pure functions. `init` makes the
state from the labelled first frame. `step` labels one more frame. `restart`
takes a frame whose labels are given anew. The size of the state does not depend
on the length of the video.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple, Protocol, runtime_checkable

from flax import nnx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8
import numpy as np

from vidcolor import color
from vidcolor import copying
from vidcolor import errors
from vidcolor import masks
from vidcolor import models
from vidcolor import tracking
from vidcolor.tracking import following
from vidcolor.tracking import labels as labels_lib
from vidcolor.tracking import object_session

Frame = UInt8[np.ndarray | Array, 'height width 3']
# Computes the embeddings of a frame.
Embed = Callable[[Any], Float[Array | np.ndarray, 'rows columns dim']]

# Networks halve the sides of their input up to three times.
_SIDE_MULTIPLE = 8
# Frames with given labels that stay references of an object.
_MAX_KEPT = 4
# Numbers of points that are tracked together. A step with the larger number
# takes only 1.5 times as long as one with the smaller number.
_MIN_POINTS, _MAX_POINTS = 16, 256


@dataclasses.dataclass(frozen=True)
class PropagationOptions:
  """Options of label propagation.

  Attributes:
    recent: Number of most recent frames that are references.
    keep_first: Whether the first frame remains a reference.
    temperature: Temperature of the copy operation.
    radius: Radius of the window of the copy operation, in cells. None: no
      window.
    square_window: Whether the window is a square instead of a disk.
    window_first: Whether the window also applies to the first frame, if that is
      kept.
    top_k: Number of best matches that are copied. None: all.
    repeat_first: Whether copies of the first frame are references until there
      are enough recent frames. Then the same match can appear several times
      among the `top_k`.
    unit_length: Whether embeddings are scaled to unit length.
    shrink_labels: Method that shrinks given labels to the resolution of the
      embeddings. 'antialias' takes the mean around the center of a cell,
      'linear' interpolates at the center, 'nearest' takes the nearest pixel.
    stretch_labels: Whether each label is stretched over the frame, to minimum 0
      and maximum 1, before each pixel gets its most likely label. So a label
      that has faded can still win.
    short_side: Short side, in pixels, to which larger frames are shrunk before
      they are embedded. Both sides are rounded to multiples of 8. None: frames
      keep their size, but for the rounding.
    max_enlargement: Largest factor by which smaller frames are enlarged towards
      `short_side` before they are embedded. 1: they keep their size.
    follow_objects: Whether there is one more reference: the first frame, if it
      is kept and has a window, moved as the objects of the mask have moved. So
      an object is still found in the first frame after it has left the window
      there. Points are not followed.
    refine_edges: Whether masks are read off the labels along the edges of the
      frame, by `edges.mask_along_edges`, if the frame is an RGB array. The
      labels in the memory stay as they are.
    calibration: Slope and intercept of the confidence of masks, as for
      `confidence.of_pixels`.
  """

  recent: int = 3
  keep_first: bool = True
  temperature: float = 0.07
  radius: int | float | None = 12
  square_window: bool = False
  window_first: bool = True
  top_k: int | None = 10
  repeat_first: bool = False
  unit_length: bool = False
  shrink_labels: str = 'antialias'
  stretch_labels: bool = False
  short_side: int | None = None
  max_enlargement: float = 1.0
  follow_objects: bool = False
  refine_edges: bool = False
  calibration: Sequence[float] = (1.0, 0.0)

  @classmethod
  def from_config(cls, config: Any, **changes: Any) -> 'PropagationOptions':
    """Makes options from `config.tracking`.

    Args:
      config: A config, as in experiments/configs.
      **changes: Fields whose values replace those of the config.

    Raises:
      UserError: An option is unknown or has a wrong value.
    """
    try:
      return cls(**{**config['tracking'], **changes})
    except (KeyError, TypeError, ValueError) as error:
      raise errors.UserError(
          f'correct `tracking` of the config: {error}'
      ) from error

  def __post_init__(self):
    if self.recent + self.keep_first < 1:
      raise ValueError(
          'There is no reference frame: set recent >= 1 or keep_first=True.'
      )
    ways = ('antialias', 'linear', 'nearest')
    if self.shrink_labels not in ways:
      raise ValueError(
          f'shrink_labels is {self.shrink_labels!r}, not one of {ways}.'
      )
    if self.refine_edges and self.stretch_labels:
      raise ValueError('Set refine_edges or stretch_labels, not both.')


@runtime_checkable
class CopyRule(Protocol):
  """A function that copies labels, with the arguments of `copying.copy`."""

  def __call__(
      self,
      target: Float[Array, '1 height width dim'],
      reference: Float[Array, '1 time height width dim'],
      values: Float[Array, '1 time height width labels'],
      *,
      valid: Bool[Array, '1 time'],
      temperature: float,
      radius: int | float | None,
      square_window: bool,
      unwindowed: int,
      top_k: int | None,
  ) -> Float[Array, '1 height width labels']:
    """Returns the labels of the target frame. `jax.jit` traces this call."""
    ...


class PropagationState(NamedTuple):
  """The memory: reference frames in order of time, the oldest first.

  The last `recent` frames are the most recent ones. Those before them are kept.

  Attributes:
    features: Features of the reference frames.
    labels: Labels of the reference frames.
    valid: Whether each frame is copied from.
  """

  features: Float[Array, 'memory rows columns channels']
  labels: Float[Array, 'memory rows columns labels']
  valid: Bool[Array, ' memory']


class LabelPropagator:
  """Propagates labels through a video by the similarity of embeddings.

  The scheme of Vondrick et al. 2018 is `PropagationOptions(recent=3,
  keep_first=False, temperature=0.5, radius=None, top_k=None)`.

  Attributes:
    options: Options of the propagation.
  """

  def __init__(
      self,
      model: models.EmbeddingNetwork | Embed,
      options: PropagationOptions,
      *,
      copy: CopyRule = copying.copy,
  ):
    """Creates the propagator. Its functions are compiled when first called.

    Args:
      model: An embedding network, or any function from a frame to its
        embeddings, such as a network of another library. Then a frame is any
        object that this function takes.
      options: Options of the propagation.
      copy: The copy operation.

    Raises:
      ValueError: The network embeds several frames together, and their number
        is not that of the references and the target.
    """
    self.options = options
    memory = options.recent + options.keep_first
    num_frames = getattr(model, 'num_frames', 1)
    # A network that embeds several frames together has no room for more.
    self._max_kept = _MAX_KEPT if num_frames == 1 else 1
    if isinstance(model, models.EmbeddingNetwork):
      if model.num_frames not in (1, memory + 1):
        raise ValueError(
            f'The network embeds {model.num_frames} frames together: it needs'
            f' {model.num_frames - 1} references, not {memory}. Set recent and'
            ' keep_first.'
        )
      graphdef, variables = nnx.split(model)
      network = lambda variables: nnx.merge(graphdef, variables, copy=True)
      embed = jax.jit(
          lambda variables, frame: encode(network(variables), frame, options)
      )
      self._embed = functools.partial(embed, variables)
      relate = lambda variables, features: network(variables).relate(features)
    else:
      self._embed, relate, variables = model, lambda _, features: features, ()
    self._start = jax.jit(functools.partial(_start, options))
    self._restart = jax.jit(
        functools.partial(_restart, options),
        static_argnames=('chosen', 'kept'),
    )
    # The new memory reuses the buffers of the old one.
    self._observe = jax.jit(
        functools.partial(_observe, options), donate_argnums=0
    )
    step = jax.jit(
        functools.partial(_step, options, relate, copy),
        donate_argnums=1,
        static_argnames='objects',
    )
    self._step = functools.partial(step, variables)
    alone = jax.jit(functools.partial(_alone, options, relate, num_frames))
    self._alone = functools.partial(alone, variables)

  def embed(self, frame: Any) -> Float[Array, 'rows columns dim']:
    """Returns the embeddings of one frame.

    A network that embeds several frames together gets copies of this frame.
    """
    return self._alone(self._embed(frame))

  def init(
      self,
      frame: Any,
      labels: Float[Array, 'height width labels'],
  ) -> PropagationState:
    """Returns the state after the first frame, whose labels are given."""
    return self._start(self._embed(frame), labels)

  def observe(
      self,
      state: PropagationState,
      frame: Any,
      labels: Float[Array, 'height width labels'],
  ) -> PropagationState:
    """Returns the state after a further frame with given labels.

    The buffers of `state` are donated: it cannot be used again.
    """
    return self._observe(state, self._embed(frame), labels)

  def step(
      self, state: PropagationState, frame: Any, *, objects: bool = False
  ) -> tuple[PropagationState, Float[Array, 'rows columns labels']]:
    """Returns the next state, and the labels of `frame`.

    The labels have the resolution of the embeddings. The buffers of `state` are
    donated: it cannot be used again.

    Args:
      state: The state.
      frame: The next frame.
      objects: Whether the labels are those of objects, the background first, as
        `labels.from_mask` makes them. `options.follow_objects` needs it.
    """
    return self._step(state, self._embed(frame), objects=objects)

  def start_objects(
      self, frame: Any, mask: UInt8[np.ndarray, 'height width']
  ) -> object_session.ObjectSession:
    """Returns a session that tracks objects frame by frame.

    Args:
      frame: The first frame: RGB, UInt8[np.ndarray, 'height width 3'], or
        whatever the model takes.
      mask: The index of the object at each pixel, 0 on the background. Void
        (255) counts as background.
    """
    steps = object_session.Steps(
        self._embed, self._start, self._restart, self._step
    )
    return object_session.ObjectSession(
        steps,
        self.options,
        frame,
        masks.without_void(mask),
        max_kept=self._max_kept,
    )

  def track(
      self,
      frames: Iterable[Any],
      first_mask: UInt8[np.ndarray, 'height width'],
  ) -> Iterator[UInt8[np.ndarray, 'height width']]:
    """Tracks objects; yields a mask for each frame.

    The first mask is `first_mask`, with 0 in place of void (255).

    Args:
      frames: RGB frames, UInt8[np.ndarray, 'height width 3'] each, or whatever
        the model takes, such as embeddings from files.
      first_mask: The index of the object at each pixel of the first frame, 0 on
        the background.
    """
    frames = iter(frames)
    session = self.start_objects(next(frames), first_mask)
    yield session.found.mask
    for frame in frames:
      yield session.next_mask(frame)

  def track_objects(
      self,
      frames: Iterable[Any],
      first_mask: UInt8[np.ndarray, 'height width'],
  ) -> Iterator[tracking.TrackedObjects]:
    """Yields the masks of `track` with their confidence.

    The confidence of the first, given mask is 1.

    Args:
      frames: Frames, as for `track`.
      first_mask: Mask of the first frame, as for `track`.
    """
    frames = iter(frames)
    session = self.start_objects(next(frames), first_mask)
    yield session.found
    for frame in frames:
      yield session.step(frame)

  def track_points(
      self,
      frames: Iterable[Any],
      points: Float[np.ndarray, 'points 2'],
  ) -> Iterator[tracking.TrackedPoints]:
    """Yields the points of each frame, first the given ones with confidence 1.

    Args:
      frames: RGB frames, UInt8[np.ndarray, 'height width 3'] each, or whatever
        the model takes, if its `shape` begins with height and width.
      points: Positions (x, y) in pixels of the first frame.
    """
    frames = iter(frames)
    first = next(frames)
    size, features = first.shape[:2], self._embed(first)
    states = [
        self._start(
            features, labels_lib.from_points(part, size, features.shape[:2])
        )
        for part in _parts(points)
    ]
    position = points
    yield tracking.TrackedPoints(points, np.ones(len(points), np.float32))
    for frame in frames:
      features = self._embed(frame)
      steps = [self._step(state, features) for state in states]
      states = [state for state, _ in steps]
      found = [labels_lib.to_points(labels, size) for _, labels in steps]
      found, confidence = (
          np.concatenate(parts)[: len(points)]
          for parts in zip(*found, strict=True)
      )
      # A lost point keeps its last position.
      position = np.where(np.isnan(found), position, found)
      yield tracking.TrackedPoints(position, confidence)


def _parts(points):
  """Splits points into padded parts of equal size.

  There are few possible sizes, because XLA compiles the step for each of them.
  """
  size = max(_MIN_POINTS, 1 << (len(points) - 1).bit_length())
  size = min(size, _MAX_POINTS)
  missing = -len(points) % size if len(points) else size
  padded = np.pad(points, ((0, missing), (0, 0)))
  return padded.reshape(-1, size, 2)


def _start(options, features, labels):
  labels = _at_resolution_of(options, features, labels)
  # Until there are enough frames, copies of the first one fill the memory.
  # Networks that embed several frames together need them. `valid` prevents
  # labels from being copied from these copies, unless `repeat_first` is set.
  memory = options.recent + options.keep_first
  repeat = lambda x: jnp.broadcast_to(x, (memory, *x.shape))
  valid = jnp.full(memory, options.repeat_first)
  valid = valid.at[0 if options.keep_first else -1].set(True)
  return PropagationState(repeat(features), repeat(labels), valid)


def _restart(options, state, features, labels, *, chosen, kept):
  """Starts from a frame that is given anew, with kept frames before it.

  Args:
    options: The options.
    state: The state after that frame.
    features: Features of the frame.
    labels: Its new labels: the background, and each of the chosen ones.
    chosen: The labels of `state` that the new state has.
    kept: The indices of the frames of `state` that are kept.
  """
  start = _start(options, features, labels)
  before = jax.tree.map(lambda x: x[jnp.array(kept, int)], state)
  objects = before.labels[..., jnp.array(chosen)]
  background = 1 - objects.sum(axis=-1, keepdims=True)
  before = before._replace(
      labels=jnp.concatenate([background, objects], axis=-1)
  )
  return jax.tree.map(lambda *x: jnp.concatenate(x), before, start)


def _observe(options, state, features, labels):
  labels = _at_resolution_of(options, features, labels)
  return _remember(options, state, features, labels)


def _at_resolution_of(options, features, labels):
  shape = (*features.shape[:2], labels.shape[-1])
  antialias = options.shrink_labels == 'antialias'
  method = 'linear' if antialias else options.shrink_labels
  return jax.image.resize(labels, shape, method, antialias)


def _step(options, relate, copy, variables, state, features, *, objects=False):
  together = jnp.concatenate([state.features, features[None]])
  embeddings = _scaled(options, relate(variables, together[None]))[0]
  references = following.References(embeddings[:-1], state.labels, state.valid)
  kept = len(state.valid) - options.recent
  if objects and options.follow_objects and options.keep_first:
    # Without a window, the first frame is seen everywhere already.
    if options.window_first and options.radius is not None:
      references = following.with_moved_kept(references, kept)
  labels = copy(
      embeddings[None, -1],
      references.embeddings[None],
      references.labels[None],
      valid=references.valid[None],
      temperature=options.temperature,
      radius=options.radius,
      square_window=options.square_window,
      unwindowed=0 if options.window_first else kept,
      top_k=options.top_k,
  )[0]
  return _remember(options, state, features, labels), labels


def _alone(options, relate, num_frames, variables, features):
  relate = functools.partial(relate, variables)
  return _scaled(options, _relate_still(relate, num_frames, features))


def _relate_still(relate, num_frames, features):
  """Returns the embeddings of one frame, repeated `num_frames` times."""
  still = jnp.broadcast_to(features, (1, num_frames, *features.shape))
  return relate(still)[0, -1]


def _scaled(options, embeddings):
  if not options.unit_length:
    return embeddings
  length = jnp.linalg.norm(embeddings, axis=-1, keepdims=True)
  return embeddings / jnp.maximum(length, 1e-12)


def _remember(options, state, features, labels):
  """Adds a frame and drops the oldest that is not kept."""
  kept = len(state.valid) - options.recent

  def push(memory, new):
    recent = jnp.concatenate([memory[kept:], new[None]])
    return jnp.concatenate([memory[:kept], recent[1:]])

  return PropagationState(
      push(state.features, features),
      push(state.labels, labels),
      push(state.valid, jnp.array(True)),
  )


def single_image(
    model: models.EmbeddingNetwork, options: PropagationOptions
) -> Embed:
  """Returns a function that embeds each frame alone.

  A network that embeds several frames together gets copies of the frame.

  Args:
    model: An embedding network.
    options: Give the size at which frames are embedded.
  """
  graphdef, variables = nnx.split(model)

  @jax.jit
  def embed(variables, frame):
    model = nnx.merge(graphdef, variables, copy=True)
    features = encode(model, frame, options)
    return _relate_still(model.relate, model.num_frames, features)

  return functools.partial(embed, variables)


def encode(
    model: models.EmbeddingNetwork,
    frame: Frame,
    options: PropagationOptions,
) -> Float[Array, 'rows columns channels']:
  """Computes the features of one frame of any size.

  Args:
    model: An embedding network.
    frame: An RGB frame.
    options: Give the size at which the frame is embedded.
  """
  height, width, _ = frame.shape
  scale = 1.0
  if options.short_side is not None:
    scale = min(
        options.max_enlargement, options.short_side / min(height, width)
    )
  fit = (
      lambda side: max(1, round(side * scale / _SIDE_MULTIPLE)) * _SIDE_MULTIPLE
  )
  lab = color.rgb_to_lab(jnp.asarray(frame))
  # On a CPU, resizing plane by plane takes half the time.
  size = fit(height), fit(width)
  planes = [jax.image.resize(lab[..., i], size, 'bilinear') for i in range(3)]
  lab = jnp.stack(planes, axis=-1)
  seen = color.network_input(lab, model.channels)
  return model.encode(seen[None, None])[0, 0]
