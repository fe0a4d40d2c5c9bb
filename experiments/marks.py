"""What a person marks in a video, click by click, in any frames."""

from typing import Any, NamedTuple

from vidcolor import prompts

POINT, BOX, ON, BESIDE = 'point', 'box', 'on', 'beside'  # What a click means.


class Mark(NamedTuple):
  """One point, one box, or one click on an object or beside it.

  Attributes:
    kind: One of the four above.
    frame: The number of the frame.
    number: The number of the point or object, from 1.
    position: (x, y), or (x0, y0, x1, y1) of a box, in pixels of the video.
  """

  kind: str
  frame: int
  number: int
  position: tuple[float, ...]


class Marks(NamedTuple):
  """Points in one frame, or objects in any frames.

  Attributes:
    made: The marks, in the order in which they were made.
    corner: The frame and (x, y) of the first click of a box that has no second
      one yet.
  """

  made: tuple[Mark, ...] = ()
  corner: tuple[int, tuple[float, ...]] | None = None

  @property
  def are_points(self) -> bool:
    """Whether points are marked."""
    return any(mark.kind == POINT for mark in self.made)

  @property
  def begins(self) -> dict[int, int]:
    """The first frame of each point or object, by its number."""
    begins = {}
    for mark in self.made:
      begins[mark.number] = min(mark.frame, begins.get(mark.number, mark.frame))
    return dict(sorted(begins.items()))

  def refusal(self, kind: str, frame: int, number: int | None) -> str | None:
    """Returns why a click cannot be taken, in one line; or None if it can.

    Args:
      kind: What the click means.
      frame: The number of the frame.
      number: The number of the object. None is a new one.
    """
    if self.made and (kind == POINT) != self.are_points:
      marked, other = ('points', 'objects')[:: 1 if self.are_points else -1]
      return f'{marked} are marked: clear them before you mark {other}'
    if kind == POINT and self.made and self.made[0].frame != frame:
      return (
          f'the points are in frame {self.made[0].frame}: mark them all there'
      )
    if kind == BESIDE and self.begins.get(number or 0, frame + 1) > frame:
      return (
          'no object is marked up to here: first mark it, then what it is not'
      )
    if kind != POINT and number is None and len(self.begins) >= 254:
      return 'there are 254 objects: more cannot be tracked at once'
    return None

  def click(
      self, kind: str, frame: int, number: int | None, x: float, y: float
  ) -> 'Marks':
    """Returns the marks after one more click, which `refusal` allows.

    Args:
      kind: What the click means. Of a box, it is a corner.
      frame: The number of the frame.
      number: The number of the object. None is a new one.
      x: In pixels of the video.
      y: In pixels of the video.
    """
    position = round(float(x), 2), round(float(y), 2)
    if kind == POINT or number is None:
      number = 1 + len(self.begins)
    if kind != BOX:
      made = *self.made, Mark(kind, frame, number, position)
      return Marks(made)
    if self.corner is None or self.corner[0] != frame:
      return self._replace(corner=(frame, position))
    pairs = zip(self.corner[1], position, strict=True)
    (x0, x1), (y0, y1) = map(sorted, pairs)
    if min(x1 - x0, y1 - y0) < prompts.MIN_BOX_SIDE:
      return self  # A double click.
    return Marks((*self.made, Mark(BOX, frame, number, (x0, y0, x1, y1))))

  def undo(self) -> 'Marks':
    """Returns the marks without the last one, or without the first corner."""
    return Marks(self.made if self.corner else self.made[:-1])

  def entries(self) -> list[dict[str, Any]]:
    """Returns the objects as `prompts_over_time.read_prompts` reads them.

    A box replaces what marks its object in the same frame before.
    """
    entries: dict[tuple[int, int], dict[str, Any]] = {}
    for mark in self.made:
      key = mark.frame, mark.number
      if mark.kind == BOX:
        entries[key] = {'box': list(mark.position)}
      else:
        points = entries.setdefault(key, {}).setdefault('points', [])
        points.append([*mark.position, int(mark.kind == ON)])
    return [
        {'frame': frame, 'number': number} | entries[frame, number]
        for frame, number in sorted(entries)
    ]

  def in_frame(self, frame: int) -> dict[int, prompts.ObjectPrompt]:
    """Returns the prompts for objects in a frame, by their numbers."""
    found: dict[int, prompts.ObjectPrompt] = {}
    for entry in self.entries():
      if entry['frame'] != frame:
        continue
      box = prompts.BoxPrompt([entry['box']]) if 'box' in entry else None
      if 'points' in entry:
        found[entry['number']] = prompts.Clicks(entry['points'], box=box)
      elif box:
        found[entry['number']] = box
    return found

  def points(self) -> prompts.PointPrompt:
    """Returns the prompt for points."""
    return prompts.PointPrompt([mark.position for mark in self.made])
