"""The frame that a person looks at, with marks and with what was tracked."""

from collections.abc import Mapping
import os
import pathlib
import shutil
from typing import NamedTuple

import cv2
from jaxtyping import Bool, UInt8
import numpy as np

from experiments import marks as marks_lib
from vidcolor import errors
from vidcolor import files
from vidcolor import lazy_sequence
from vidcolor import masks as masks_lib
from vidcolor import prompts
from vidcolor import prompts_over_time
from vidcolor import sessions
from vidcolor import video_tracker
from vidcolor.render import confidence_strip
from vidcolor.render import overlay
from vidcolor.render import text
from vidcolor.tracking import box_to_mask
from vidcolor.video import video_source

Frame = UInt8[np.ndarray, 'height width 3']
_SIGNS = {marks_lib.ON: '+', marks_lib.BESIDE: '-'}
_WHITE = 255, 255, 255
GIVEN = 'given'  # The folder of masks beside prompts.json.
_CORRECT = (
    ' To correct one, **go to a frame**, choose what a click is and which'
    ' object it marks, and click. Then track again.'
)


class Tracked(NamedTuple):
  """What was tracked, and the marks that it was tracked from."""

  video: video_source.VideoSource
  marks: marks_lib.Marks
  result: video_tracker.TrackResult


class Editor(NamedTuple):
  """One frame of a video, and all marks so far.

  Attributes:
    video: The video.
    number: The number of the frame.
    frame: RGB, as it is shown.
    marks: All marks in the video.
    chosen: The number of the object that clicks mark. None is a new one.
    masks: The mask of each object that is marked in the frame, by its number.
    colors: The color of each object, which it keeps.
    tracked: What was tracked last.
  """

  video: video_source.VideoSource
  number: int
  frame: Frame
  marks: marks_lib.Marks = marks_lib.Marks()
  chosen: int | None = None
  masks: Mapping[int, Bool[np.ndarray, 'height width']] = {}
  colors: Mapping[int, np.ndarray] = {}
  tracked: Tracked | None = None

  @property
  def num_frames(self) -> int:
    """Number of frames. It is an estimate until they are tracked."""
    if self.tracked:
      return len(self.tracked.result.confidence)
    return self.video.num_frames or self.number + 1

  def go_to(self, number: int, tracker: video_tracker.VideoTracker) -> 'Editor':
    """Returns the editor of another frame: the last one if there are fewer.

    Raises:
      UserError: The video cannot be read.
    """
    number, frame = self.video.frame(number)
    there = self._replace(number=number, frame=frame.rgb, masks={})
    for marked in there.marks.in_frame(number):
      there = there._locate(marked, tracker)
    return there

  def click(
      self,
      kind: str,
      x: float,
      y: float,
      tracker: video_tracker.VideoTracker,
  ) -> 'Editor':
    """Returns the editor after one more click.

    Args:
      kind: What the click means, as in `marks`.
      x: Pixels of the frame. A click outside of it moves to its edge.
      y: Pixels of the frame.
      tracker: What finds the object.

    Raises:
      UserError: The click cannot be taken.
    """
    refusal = self.marks.refusal(kind, self.number, self.chosen)
    if refusal:
      raise errors.UserError(refusal)
    height, width = self.frame.shape[:2]
    position = np.clip((x, y), 0, (width - 1, height - 1))
    x, y = (position + 0.5) / self._scale - 0.5
    marks = self.marks.click(kind, self.number, self.chosen, x, y)
    clicked = self._replace(marks=marks)
    if len(marks.made) == len(self.marks.made) or kind == marks_lib.POINT:
      return clicked
    number = marks.made[-1].number
    return clicked._replace(chosen=number)._locate(number, tracker)

  def take_masks(
      self, path: str | os.PathLike, tracker: video_tracker.VideoTracker
  ) -> 'Editor':
    """Returns the editor after masks of this frame, which a file shows.

    A mask of one object marks the chosen one, or a new one. Of several objects,
    each is a new one.

    Args:
      path: A picture, of the size of the video or of the frame as it is shown.
        A file for each object is written beside it.
      tracker: As in `click`.

    Raises:
      UserError: The file does not fit, or it cannot be read.
    """
    path = pathlib.Path(path)
    mask = masks_lib.read_drawn(path)
    if mask.shape == self.frame.shape[:2]:
      size = self.video.full_size[::-1]
      mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    prompt = prompts.MaskPrompt(mask, path.name)
    size = video_tracker.prompt_size(self.video, prompt)
    mask = prompt.in_frame(size, size)
    numbers = np.setdiff1d(mask, 0)
    if self.chosen and len(numbers) > 1:
      raise errors.UserError(
          f'{path.name} shows {len(numbers)} objects: choose New object first'
      )
    marked = self
    for index, number in enumerate(numbers):
      refusal = marked.marks.refusal(marks_lib.MASK, self.number, self.chosen)
      if refusal:
        raise errors.UserError(refusal)
      of_object = path.with_name(f'{path.stem}_object_{index}.png')
      masks_lib.write_png(of_object, (mask == number).astype(np.uint8))
      chosen = self.chosen or 1 + len(marked.marks.begins)
      mark = marks_lib.Mark(
          marks_lib.MASK, self.number, chosen, path=str(of_object)
      )
      marked = marked._replace(marks=marked.marks.add(mark), chosen=chosen)
      marked = marked._locate(chosen, tracker)
    return marked

  def rename(self, name: str) -> 'Editor':
    """Returns the editor with a name for the chosen object; '' is none.

    Raises:
      UserError: It is no name, or another object has it.
    """
    if self.chosen is None:
      return self
    return self._replace(marks=self.marks.rename(self.chosen, name))

  def called(self, number: int) -> str:
    """Returns what an object is called in sentences."""
    return self.marks.names.get(number, f'object {number}')

  def undo(self, tracker: video_tracker.VideoTracker) -> 'Editor':
    """Returns the editor without the last mark, in the frame of that mark."""
    marks = self.marks.undo()
    if len(marks.made) == len(self.marks.made):
      return self._replace(marks=marks)
    chosen = self.chosen if self.chosen in marks.begins else None
    undone = self._replace(marks=marks, chosen=chosen)
    return undone.go_to(self.marks.made[-1].frame, tracker)

  def clear(self) -> 'Editor':
    """Returns the editor of the frame without marks and tracks."""
    return Editor(self.video, self.number, self.frame)

  def hint(self, kind: str) -> str:
    """Returns Markdown that says what to do next with clicks of a kind."""
    if self.marks.corner and self.marks.corner[0] == self.number:
      return '**Now click the opposite corner**, so that it is all in the box.'
    place = {
        marks_lib.POINT: 'on something to track',
        marks_lib.BOX: 'beside a corner of {}',
        marks_lib.ON: 'on {}',
        marks_lib.BESIDE: 'on what is not {}',
    }[kind].format(self.called(self.chosen) if self.chosen else 'a new object')
    if not self.marks.made:
      return f'**Click {place}.**'
    what, count = 'object', len(self.marks.begins)
    if self.marks.are_points:
      what = 'point'
    marked = f'{count} {what}' if count == 1 else f'{count} {what}s'
    marks = self.marks._replace(corner=None)
    if self.tracked and self.tracked.marks._replace(corner=None) == marks:
      return f'{marked}, tracked.' + _CORRECT * (what == 'object')
    hint = f'{marked}. **Click Track**, or click {place}.'
    if self.chosen and kind != marks_lib.POINT:
      hint += ' For one more object, choose New object.'
    return hint + self._caution()

  def draw(self) -> Frame:
    """Returns the frame with what was tracked, and the marks over it."""
    if self.marks.are_points:
      return self._draw_points()
    frame = self.frame
    mask = self._mask()
    lost = [n for n in self._lost() if n not in self.masks]
    is_lost, colors = np.isin(mask, lost), self.color_table()
    frame = overlay.draw_masks(frame, mask * is_lost, 0.0, colors=colors)
    frame = overlay.draw_masks(frame, mask * ~is_lost, colors=colors)
    if len(self.marks.begins) > 1 or self.marks.names:
      frame = overlay.draw_names(frame, mask, self._names(self.marks.begins))
    return self._draw_clicks(frame)

  def strip(self) -> Frame | None:
    """Returns the confidence over time, or None if no objects were tracked."""
    if self.tracked is None or self.tracked.marks.are_points:
      return None
    result = self.tracked.result
    return confidence_strip.draw_confidence(
        result.confidence,
        result.visible,
        result.begins.tolist(),
        {
            index: {m.frame for m in self.marks.made if m.number == number}
            for index, number in enumerate(result.numbers)
        },
        self.number,
        list(self._names(result.numbers.tolist()).values())
        if len(result.numbers) > 1
        else (),
    )

  def color_table(self) -> overlay.Colors:
    """Returns the RGB color of each object number."""
    table = overlay.object_colors().copy()
    for number, color in self.colors.items():
      table[number] = color
    return table

  def prompt(
      self, folder: str | os.PathLike
  ) -> prompts.PointPrompt | prompts_over_time.PromptsOverTime:
    """Returns what is tracked. Writes prompts.json into a folder for objects.

    The masks that it names are copied into the folder `GIVEN` beside it. The
    objects are those that are read from the file.
    """
    if self.marks.are_points:
      return self.marks.points()
    path = pathlib.Path(folder) / 'prompts.json'
    entries = self.marks.entries()
    for entry in entries:
      if 'mask' in entry:
        name = f'{GIVEN}/{entry["frame"]:05d}_{entry["number"]}.png'
        (path.parent / GIVEN).mkdir(exist_ok=True)
        shutil.copyfile(entry['mask'], path.parent / name)
        entry['mask'] = name
    files.write_json(path, entries)
    return prompts_over_time.read_prompts(path)

  def read_tracked(self, folder: str | os.PathLike) -> Tracked:
    """Reads what `track_output.write_tracking` wrote for these marks."""
    folder = pathlib.Path(folder)
    with np.load(folder / 'tracks.npz') as columns:
      masks = None
      if not self.marks.are_points:
        paths = sorted((folder / 'masks' / self.video.name).iterdir())
        masks = lazy_sequence.LazySequence(paths, masks_lib.read)
      result = video_tracker.TrackResult(
          columns['numbers'],
          masks,
          np.stack([columns['x'], columns['y']], axis=-1).astype(np.float32),
          columns['visible'],
          columns['confidence'],
          columns['begins'],
      )
    return Tracked(self.video, self.marks, result)

  @property
  def _scale(self):
    return np.divide(self.video.size, self.video.full_size)[::-1]

  def _found(self):
    """Returns the mask that was tracked in this frame, or None."""
    masks = self.tracked and self.tracked.result.masks
    return masks[self.number] if masks and self.number < len(masks) else None

  def _names(self, numbers):
    return {n: self.marks.names.get(n, str(n)) for n in numbers}

  def _lost(self):
    if self.tracked is None or self._found() is None:
      return []
    result = self.tracked.result
    return result.numbers[~result.visible[self.number]]

  def _mask(self):
    """Returns the numbers of the objects, as tracked or as marked here."""
    mask = np.zeros(self.frame.shape[:2], np.uint8)
    if (found := self._found()) is not None:
      others = [n for n in self.marks.begins if n not in self.masks]
      mask = np.where(np.isin(found, others), found, 0)
    stack = list(self.masks.values())
    for index in box_to_mask.largest_first(stack):
      mask[stack[index]] = list(self.masks)[index]
    return mask

  def _locate(self, number, tracker):
    """Finds an object by its marks in this frame."""
    before = found = self._found()
    if found is not None:
      # In its first frame, an object begins without what was tracked before.
      has_begun = self.marks.begins[number] < self.number
      before = found == number if has_begun else None
    prompt = self.marks.in_frame(self.number)[number]
    mask = sessions.locate_object(
        tracker.propagator,
        self.frame,
        prompt,
        video_tracker.prompt_size(self.video, prompt),
        before,
    )
    located = self._replace(masks={**self.masks, number: mask})
    if number in self.colors:
      return located
    colors = overlay.contrasting_colors(self.frame, located._mask())
    return located._replace(colors={**self.colors, number: colors[number]})

  def _caution(self):
    """Returns what may be wrong with the last mark, as Markdown."""
    kind, frame, number, box, _ = self.marks.made[-1]
    if frame != self.number or number not in self.masks:
      return ''
    mask = self.masks[number]
    if not mask.any():
      return ' Nothing is left of it here: click on it.'
    corners = np.reshape(box, (-1, 2)) * self._scale
    if kind == marks_lib.BOX and box_to_mask.is_whole(mask, corners.ravel()):
      return (
          ' The last box was taken whole: no outline was found in it. Unless'
          ' the object fills it, undo it, or choose another frame.'
      )
    return ''

  def _draw_points(self):
    """Draws the points where they are marked, or where they were tracked."""
    tracked = self.tracked
    if self.marks.made[0].frame == self.number:
      positions = [mark.position for mark in self.marks.made]
      places = (np.add(positions, 0.5) * self._scale - 0.5).astype(np.float32)
      colors, seen = overlay.color_wheel(len(places)), np.ones(
          len(places), bool
      )
      return overlay.draw_points(self.frame, places[:, None], seen, colors)
    if not (tracked and tracked.marks.are_points):
      return self.frame
    if self.number >= self.num_frames:  # It could be read only now.
      return self.frame
    numbers, _, position, visible, *_ = tracked.result
    return overlay.draw_tracks(
        self.frame,
        self.number,
        numbers=numbers,
        masks=None,
        position=position,
        visible=visible,
    )

  def _draw_clicks(self, frame):
    frame, height = frame.copy(), max(14, len(frame) // 20)
    corner = self.marks.corner
    signs = [
        (mark.position, _SIGNS[mark.kind])
        for mark in self.marks.made
        if mark.frame == self.number and mark.kind in _SIGNS
    ]
    if corner and corner[0] == self.number:
      signs.append((corner[1], 'x'))
    for position, sign in signs:
      at = (np.add(position, 0.5) * self._scale).astype(int).tolist()
      text.write_centred(frame, sign, tuple(at), height, _WHITE)
    return frame
