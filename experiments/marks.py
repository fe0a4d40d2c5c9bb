"""What a person marks in a video, click by click, in any frames."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from vidcolor import masks
from vidcolor import prompts

POINT, BOX, ON, BESIDE = 'point', 'box', 'on', 'beside'  # What a click means.
MASK = 'mask'  # The picture of a mask, which is no click.


class Mark(NamedTuple):
  """One point, box or mask, or one click on an object or beside it.

  Attributes:
    kind: One of the five above.
    frame: The number of the frame.
    number: The number of the point or object, from 1.
    position: (x, y), or (x0, y0, x1, y1) of a box, in pixels of the video.
    path: The file of a mask, which is not 0 on the object.
  """

  kind: str
  frame: int
  number: int
  position: tuple[float, ...] = ()
  path: str = ''


class Marks(NamedTuple):
  """Points in one frame, or objects in any frames.

  Attributes:
    made: The marks, in the order in which they were made.
    corner: The frame and (x, y) of the first click of a box that has no second
      one yet.
    names: The names of objects, by their numbers. Objects may have none.
  """

  made: tuple[Mark, ...] = ()
  corner: tuple[int, tuple[float, ...]] | None = None
  names: Mapping[int, str] = {}

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
    if kind in (ON, BESIDE) and self._last_kind(frame, number) == MASK:
      return 'the object has a mask here: undo it, or mark it in another frame'
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
      return self.add(Mark(kind, frame, number, position))
    if self.corner is None or self.corner[0] != frame:
      return self._replace(corner=(frame, position))
    pairs = zip(self.corner[1], position, strict=True)
    (x0, x1), (y0, y1) = map(sorted, pairs)
    if min(x1 - x0, y1 - y0) < prompts.MIN_BOX_SIDE:
      return self  # A double click.
    return self.add(Mark(BOX, frame, number, (x0, y0, x1, y1)))

  def add(self, mark: Mark) -> 'Marks':
    """Returns the marks after one more."""
    return Marks((*self.made, mark), names=self.names)

  def undo(self) -> 'Marks':
    """Returns the marks without the last one, or without the first corner."""
    left = Marks(self.made if self.corner else self.made[:-1])
    names = {n: name for n, name in self.names.items() if n in left.begins}
    return left._replace(names=names)

  def rename(self, number: int, name: str) -> 'Marks':
    """Returns the marks with another name of an object; '' is none.

    Raises:
      UserError: It is no name, or another object has it.
    """
    names = {**self.names, number: name.strip()}
    names = {n: name for n, name in names.items() if name}
    every = {n: names.get(n, str(n)) for n in self.begins}
    prompts.require_names(every, 'the names')
    return self._replace(names=names)

  def entries(self) -> list[dict[str, Any]]:
    """Returns the objects as `prompts_over_time.read_prompts` reads them.

    A box or a mask replaces what marks its object in the same frame before.
    """
    entries: dict[tuple[int, int], dict[str, Any]] = {}
    for mark in self.made:
      key = mark.frame, mark.number
      if mark.kind == BOX:
        entries[key] = {'box': list(mark.position)}
      elif mark.kind == MASK:
        entries[key] = {'mask': mark.path}
      else:
        points = entries.setdefault(key, {}).setdefault('points', [])
        points.append([*mark.position, int(mark.kind == ON)])
    listed, names = [], dict(self.names)
    for frame, number in sorted(entries):
      name = {'name': names.pop(number)} if number in names else {}
      listed.append(
          {'frame': frame, 'number': number} | name | entries[frame, number]
      )
    return listed

  def in_frame(self, frame: int) -> dict[int, prompts.ObjectPrompt]:
    """Returns the prompts for objects in a frame, by their numbers."""
    found: dict[int, prompts.ObjectPrompt] = {}
    for entry in self.entries():
      if entry['frame'] != frame:
        continue
      box = prompts.BoxPrompt([entry['box']]) if 'box' in entry else None
      if 'points' in entry:
        found[entry['number']] = prompts.Clicks(entry['points'], box=box)
      elif 'mask' in entry:
        mask = masks.read(entry['mask'])
        found[entry['number']] = prompts.MaskPrompt(mask, 'the mask')
      elif box:
        found[entry['number']] = box
    return found

  def _last_kind(self, frame, number):
    """Returns the kind of the last mark of an object in a frame, or None."""
    kinds = [
        m.kind for m in self.made if (m.frame, m.number) == (frame, number)
    ]
    return kinds[-1] if kinds else None

  def points(self) -> prompts.PointPrompt:
    """Returns the prompt for points."""
    return prompts.PointPrompt([mark.position for mark in self.made])
