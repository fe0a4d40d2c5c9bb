"""Sessions: track frame by frame, correct an object, add one.

session = tracker.start(frame, boxes=[(120, 80, 310, 260)])
found = session.step(next_frame)
found = session.correct(clicks=[(200, 150, 1), (300, 90, 0)], number=1)
found = session.add(boxes=[(10, 20, 60, 90)])
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from jaxtyping import Bool, Float, Int, UInt8
import numpy as np
from numpy import typing as npt

from vidcolor import errors
from vidcolor import masks as masks_lib
from vidcolor import prompts
from vidcolor import tracking
from vidcolor.tracking import box_to_mask
from vidcolor.tracking import confidence

# A point with a higher confidence counts as visible (`TrackedPoints`).
_VISIBLE = 0.5

_Tracker = TypeVar('_Tracker')
_Size = tuple[int, int]
_Given = UInt8[np.ndarray, 'height width'] | Float[np.ndarray, 'points 2']


class TrackedFrame(NamedTuple):
  """The tracked objects or points in one frame.

  Attributes:
    frame: The number of the frame.
    numbers: The number of each object in the mask, or of each point, from 0.
    mask: 0 or the number of an object. None if points are tracked.
    position: (x, y) of a point, or the mean over the pixels of an object (NaN
      without pixels), in pixels. Pixel centres have whole coordinates.
    visible: Whether each is visible. Otherwise it is hidden or lost.
    confidence: In 0 to 1. The confidence of a point, or the mean over an
      object's pixels of the probability that they are right.
  """

  frame: int
  numbers: Int[np.ndarray, ' tracked']
  mask: UInt8[np.ndarray, 'height width'] | None
  position: Float[np.ndarray, 'tracked 2']
  visible: Bool[np.ndarray, ' tracked']
  confidence: Float[np.ndarray, ' tracked']


class Session:
  """Tracks what was given in a first frame, one frame at a time.

  `VideoTracker.start` makes it.

  A frame in which an object is given or corrected stays a reference of this
  object, as the first frame does. Of more than four, the first one and the
  newest stay. The other objects are tracked as if nothing had been said.

  Attributes:
    frame: The frame shown last.
    found: The result for it.
  """

  frame: UInt8[np.ndarray, 'height width 3']
  found: TrackedFrame

  def __init__(
      self,
      propagator: Any,
      frames: Iterable[UInt8[np.ndarray, 'height width 3']],
      given: _Given,
  ):
    """Starts.

    Args:
      propagator: As `VideoTracker` takes it.
      frames: The first frame, and frames that `results` takes after it.
      given: What `locate` returns for the first frame.
    """
    self._propagator = propagator
    self._shown = _Shown(frames)
    self._objects: tracking.ObjectSteps | None = None
    # The numbers of the objects, by their indices.
    self._numbers = np.zeros(1, np.uint8)
    if given.dtype != np.uint8:
      tracker = _require(propagator, tracking.PointTracker, 'points')
      found = _point_results(tracker, self._shown, given)
    else:
      # The tracker makes a label for every number up to the highest.
      self._numbers = np.union1d(0, given).astype(np.uint8)
      dense = np.searchsorted(self._numbers, given).astype(np.uint8)
      found = map(self._describe, self._object_results(dense))
    self._results = found
    self._advance()

  @property
  def numbers(self) -> list[int]:
    """The numbers of the objects, in the order in which they were given."""
    return self._numbers[1:].tolist()

  def step(self, frame: np.ndarray) -> TrackedFrame:
    """Returns the result for the next frame.

    Args:
      frame: RGB, uint8 [height width 3], of the size of the first frame.

    Raises:
      UserError: The frame has another form.
    """
    require_rgb(frame, self.frame.shape)
    self._shown.waiting.append(frame)
    try:
      return self._advance()
    except StopIteration:
      name = type(self._propagator).__name__
      raise errors.UserError(
          f'{name} reads frames ahead of its results: give it a whole video'
      ) from None

  def results(self) -> Iterator[TrackedFrame]:
    """Yields the result for the frame shown last, and for all after it."""
    yield self.found
    while True:
      try:
        found = self._advance()
      except StopIteration:
        return
      yield found

  def correct(
      self,
      *,
      mask: npt.ArrayLike | None = None,
      box: npt.ArrayLike | None = None,
      clicks: npt.ArrayLike | None = None,
      number: int | None = None,
  ) -> TrackedFrame:
    """Says where an object is in the frame shown last.

    Args:
      mask: [height width], not 0 on the object.
      box: (x0, y0, x1, y1) in pixels.
      clicks: [clicks 3], (x, y, 1) on the object, or (x, y, 0) beside it. They
        change the mask that was found.
      number: The number of the object. Default: that of the only one.

    Returns:
      The new result for the frame shown last.

    Raises:
      UserError: Not exactly one of mask, box and clicks is given, it is not
        valid, there is no such object, or the tracker cannot be corrected.
    """
    if number is None and len(self.numbers) == 1:
      (number,) = self.numbers
    if number not in self.numbers:
      raise errors.UserError(
          f'there is no object {number}: give number, one of'
          f' {", ".join(map(str, self.numbers))}, or add an object'
      )
    if mask is not None:
      mask = (np.asarray(mask) != 0).astype(np.uint8)
    prompt = only_prompt(
        mask=mask, box=None if box is None else [box], clicks=clicks
    )
    before = self.found.mask == number
    return self.give({number: self._locate(prompt, before)})

  def add(
      self,
      *,
      masks: npt.ArrayLike | None = None,
      boxes: npt.ArrayLike | None = None,
      clicks: npt.ArrayLike | None = None,
      numbers: Sequence[int] | None = None,
  ) -> TrackedFrame:
    """Adds objects in the frame shown last.

    Args:
      masks: As in `VideoTracker.track`.
      boxes: As in `VideoTracker.track`.
      clicks: As in `correct`, for one object.
      numbers: The number of each object. Default: those after the highest one.

    Returns:
      The new result for the frame shown last.

    Raises:
      UserError: As `correct`, or a number is in use or not in 1 to 254.
    """
    prompt = only_prompt(masks=masks, boxes=boxes, clicks=clicks)
    if isinstance(prompt, prompts.Clicks):
      objects = [self._locate(prompt, None)]
    else:
      size = self.frame.shape[:2]
      mask = locate(self._propagator, self.frame, prompt, size)
      objects = [mask == n for n in np.setdiff1d(mask, 0)]
    if numbers is None:
      start = max(self.numbers, default=0) + 1
      numbers = range(start, start + len(objects))
    elif len(numbers) != len(objects):
      raise errors.UserError(
          f'there are {len(objects)} objects and {len(numbers)} numbers: give'
          ' one for each'
      )
    if used := set(numbers) & set(self.numbers):
      raise errors.UserError(
          f'there is an object {min(used)} already: correct it, or add one with'
          ' another number'
      )
    return self.give(dict(zip(numbers, objects, strict=True)))

  def give(
      self, objects: Mapping[int, Bool[np.ndarray, 'height width']]
  ) -> TrackedFrame:
    """Says where objects, known or new ones, are in the frame shown last.

    Args:
      objects: The mask of each object by its number. Where they overlap, the
        smaller one is in front.

    Returns:
      The new result for the frame shown last.

    Raises:
      UserError: As `add`.
    """
    require_correctable(self._propagator)
    if self._objects is None:
      raise errors.UserError('points cannot be corrected: give them anew')
    wrong = [n for n in objects if not 1 <= n < masks_lib.VOID]
    if wrong:
      raise errors.UserError(f'there is no object {wrong[0]}: give 1 to 254')
    _require_seen(objects)
    new = [n for n in objects if n not in self.numbers]
    self._numbers = np.append(self._numbers, new).astype(np.uint8)
    index = {int(n): i for i, n in enumerate(self._numbers)}
    numbers = list(objects)
    order = box_to_mask.largest_first(list(objects.values()))
    objects = {index[numbers[i]]: objects[numbers[i]] for i in order}
    fields = self._describe(self._objects.give(objects))
    self.found = TrackedFrame(self.found.frame, *fields)
    return self.found

  def _locate(self, prompt, before):
    size = self.frame.shape[:2]
    return locate_object(self._propagator, self.frame, prompt, size, before)

  def _advance(self):
    fields = next(self._results)
    number = self._shown.count - 1
    self.frame = self._shown.last
    self.found = TrackedFrame(number, *fields)
    return self.found

  def _object_results(self, mask):
    """Yields what is found in each frame."""
    tracker = self._propagator
    if isinstance(tracker, tracking.SessionTracker):
      self._objects = tracker.start_objects(next(self._shown), mask)
      yield self._objects.found
      for frame in self._shown:
        yield self._objects.step(frame)
    elif isinstance(tracker, tracking.ObjectTracker):
      yield from tracker.track_objects(self._shown, mask)
    else:
      tracker = _require(tracker, tracking.MaskTracker, 'masks')
      yield from _certain_results(tracker, self._shown, mask)

  def _describe(self, objects):
    """Returns the fields of `TrackedFrame` but the first one."""
    order = np.argsort(self._numbers[1:], kind='stable')
    numbers = self._numbers[1:][order].astype(int)
    by_object = objects.by_object[order]
    visible = by_object > confidence.LOST
    position = _centres(objects.mask, len(numbers))[order]
    return numbers, self._numbers[objects.mask], position, visible, by_object


class _Shown:
  """Iterates over frames that are there, or that are shown one by one.

  Attributes:
    waiting: Frames that are shown next.
    last: The frame shown last.
    count: The number of frames that were shown.
  """

  def __init__(self, frames):
    self.waiting = []
    self.last: Any = None
    self.count = 0
    self._frames = iter(frames)

  def __iter__(self):
    return self

  def __next__(self):
    self.last = self.waiting.pop() if self.waiting else next(self._frames)
    self.count += 1
    return self.last


def only_prompt(**given: Any) -> Any:
  """Returns the prompt for the one argument that is not None.

  Args:
    **given: Some of masks, mask, points, boxes, box and clicks.

  Raises:
    UserError: There is not exactly one.
  """
  kinds = {
      'mask': prompts.MaskPrompt,
      'masks': prompts.MaskPrompt,
      'points': prompts.PointPrompt,
      'box': prompts.BoxPrompt,
      'boxes': prompts.BoxPrompt,
      'clicks': prompts.Clicks,
  }
  found = [name for name, value in given.items() if value is not None]
  if len(found) != 1:
    *names, last = given
    only = 'only ' if found else ''
    raise errors.UserError(f'give {only}one of {", ".join(names)} and {last}')
  return kinds[found[0]](given[found[0]], found[0])


def require_rgb(frame: Any, shape: tuple[int, ...] | None = None) -> None:
  """Checks that a frame is RGB, uint8, and of a shape if one is given.

  Raises:
    UserError: It is not.
  """
  form = getattr(frame, 'dtype', None), np.ndim(frame), np.shape(frame)[-1:]
  if form != (np.uint8, 3, (3,)):
    raise errors.UserError(
        f'the frame is {form[0]} {list(np.shape(frame))}: give RGB, uint8'
        ' [height width 3]'
    )
  if shape and frame.shape != shape:
    by = lambda shape: f'{shape[1]} x {shape[0]}'
    raise errors.UserError(
        f'the frame is {by(frame.shape)}, but the first one {by(shape)}: start'
        ' anew'
    )


def locate(
    propagator: Any,
    frame: UInt8[np.ndarray, 'height width 3'],
    prompt: prompts.Prompt,
    full_size: _Size,
) -> _Given:
  """Returns the points, or the mask of the objects, that a prompt marks.

  Args:
    propagator: As `VideoTracker` takes it.
    frame: RGB.
    prompt: What is marked.
    full_size: The size of the frame before it was shrunk.

  Raises:
    UserError: The prompt is not valid, or the propagator cannot track it.
  """
  given = prompt.in_frame(full_size, frame.shape[:2])
  if not isinstance(prompt, prompts.BoxPrompt):
    return given
  embedder = _require(propagator, tracking.Embedder, 'boxes')
  objects = [box_to_mask.from_box(embedder.embed, frame, box) for box in given]
  order = box_to_mask.largest_first(objects)
  return prompts.paint(objects, prompt.name, order).astype(np.uint8)


def locate_object(
    propagator: Any,
    frame: UInt8[np.ndarray, 'height width 3'],
    prompt: prompts.ObjectPrompt,
    full_size: _Size,
    before: Bool[np.ndarray, 'height width'] | None = None,
) -> Bool[np.ndarray, 'height width']:
  """Returns the mask of one object.

  Args:
    propagator: As `VideoTracker` takes it.
    frame: RGB.
    prompt: What is marked.
    full_size: The size of the frame before it was shrunk.
    before: The mask that clicks without a box correct. Default: none.

  Raises:
    UserError: As `locate`.
  """
  if isinstance(prompt, prompts.Clicks):
    clicks = prompt.in_frame(full_size, frame.shape[:2])
    embedder = _require(propagator, tracking.Embedder, 'clicks')
    if prompt.box is not None:
      before = locate(propagator, frame, prompt.box, full_size) > 0
    return box_to_mask.from_clicks(embedder.embed, frame, clicks, before)
  return locate(propagator, frame, prompt, full_size) > 0


def merge(
    objects: Mapping[int, Bool[np.ndarray, 'height width']], name: str
) -> UInt8[np.ndarray, 'height width']:
  """Returns the mask of objects by their numbers. Smaller ones are in front.

  Args:
    objects: The mask of each object.
    name: The name of the objects in error messages.

  Raises:
    UserError: As `prompts.paint`.
  """
  stack = list(objects.values())
  order = box_to_mask.largest_first(stack)
  numbers = np.array([0, *objects], np.uint8)
  return numbers[prompts.paint(stack, name, order, list(objects))]


def require_correctable(propagator: Any) -> None:
  """Checks that what a propagator tracks can be corrected.

  Raises:
    UserError: It cannot.
  """
  _require(propagator, tracking.SessionTracker, 'corrected objects')


def _require_seen(objects):
  """Checks that each object has a pixel that no smaller one covers."""
  prompts.paint(
      list(objects.values()),
      'the objects',
      box_to_mask.largest_first(list(objects.values())),
      list(objects),
  )


def _require(tracker: object, protocol: type[_Tracker], given: str) -> _Tracker:
  """Returns the tracker, which must have the methods of the protocol."""
  if not isinstance(tracker, protocol):
    raise errors.UserError(
        f'{type(tracker).__name__} cannot track {given}: it lacks the methods'
        f' of tracking.{protocol.__name__}'
    )
  return tracker


def _certain_results(tracker, frames, first_mask):
  """Yields masks with confidence 1 in every object that has pixels."""
  num_objects = int(first_mask.max())
  for mask in tracker.track(frames, first_mask):
    area = np.bincount(mask.ravel(), minlength=num_objects + 1)[1:]
    sure = np.ones(mask.shape, np.float32)
    yield tracking.TrackedObjects(mask, sure, (area > 0).astype(float))


def _point_results(tracker, frames, points):
  numbers = np.arange(len(points))
  for position, certainty in tracker.track_points(frames, points):
    yield numbers, None, position, certainty > _VISIBLE, certainty


def _centres(mask, num_objects):
  """Returns the mean (x, y) of each object's pixels; NaN without pixels."""
  rows, columns = mask.shape
  total = lambda weights: np.bincount(
      mask.ravel(), weights, minlength=num_objects + 1
  )[1:]
  area = total(None)
  x = np.broadcast_to(np.arange(columns), mask.shape).ravel()
  y = np.broadcast_to(np.arange(rows)[:, None], mask.shape).ravel()
  with np.errstate(invalid='ignore'):
    return np.stack([total(x), total(y)], axis=-1) / area[:, None]
