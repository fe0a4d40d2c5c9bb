import functools
import warnings

import numpy as np
import pytest

from experiments import editor as editor_lib
from experiments.marks import BESIDE
from experiments.marks import BOX
from experiments.marks import ON
from experiments.marks import POINT
from vidcolor import errors
from vidcolor import masks
from vidcolor import prompts
from vidcolor import prompts_over_time
from vidcolor import track_output
from vidcolor import video_tracker
from vidcolor.tracking import propagation
from vidcolor.video import mp4
from vidcolor.video import video_source

HEIGHT, WIDTH, CELL, COUNT = 48, 64, 4, 5
RED, BLUE = np.s_[12:28, 8:28], np.s_[12:32, 40:60]


def _embed(frame):
  """The mean color of each cell, less that of the ground."""
  cells = np.asarray(frame, np.float32).reshape(
      HEIGHT // CELL, CELL, WIDTH // CELL, CELL, 3
  )
  return cells.mean(axis=(1, 3)) - 69.5


@functools.cache  # Compiles once for all tests.
def _tracker():
  options = propagation.PropagationOptions(
      temperature=0.05, top_k=4, unit_length=True
  )
  return video_tracker.VideoTracker(
      propagation.LabelPropagator(_embed, options)
  )


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  """A red and a blue square on a dark ground, which stay where they are."""
  frame = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
  frame[RED], frame[BLUE] = (200, 40, 40), (40, 40, 200)
  frame += np.random.default_rng(0).integers(0, 20, frame.shape, np.uint8)
  path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
  mp4.write(path, COUNT * [frame], 10.0)
  return path


@pytest.fixture
def editor(clip):
  video = video_source.VideoSource(clip)
  return editor_lib.Editor(video, 0, next(iter(video)).rgb)


def _click(editor, kind, *places):
  for x, y in places:
    editor = editor.click(kind, x, y, _tracker())
  return editor


def _track(editor, folder):
  prompt = editor.prompt(folder)
  first = editor.marks.made[0].frame
  tracked = _tracker().stream(editor.video, prompt, first)
  progress = lambda items, **_: items
  track_output.write_tracking(folder, editor.video, prompt, tracked, progress)
  return editor._replace(tracked=editor.read_tracked(folder))


def _recall(mask, where):
  return mask[where].mean()


@pytest.mark.slow
def test_an_object_is_found_in_its_box_and_mended_there(editor):
  boxed = _click(editor, BOX, (4.0, 8.0))
  assert (boxed.draw() != editor.frame).any()
  boxed = _click(boxed, BOX, (32.0, 32.0))
  assert boxed.chosen == 1 and _recall(boxed.masks[1], RED) > 0.9
  assert not boxed.masks[1][BLUE].any()
  mended = _click(boxed, ON, (18.0, 20.0), (50.0, 22.0))
  assert set(mended.masks) == {1} and _recall(mended.masks[1], BLUE) > 0.9
  assert _recall(mended.masks[1], RED) > 0.9
  beside = _click(boxed, BESIDE, (30.0, 30.0))
  assert not beside.masks[1][30, 30] and _recall(beside.masks[1], RED) > 0.9
  undone = mended.undo(_tracker()).undo(_tracker())
  np.testing.assert_array_equal(undone.masks[1], boxed.masks[1])
  assert not undone.undo(_tracker()).masks
  assert mended.clear().marks.made == () and not mended.clear().masks


def test_objects_keep_their_colors(editor):
  first = _click(editor, BOX, (4.0, 8.0), (32.0, 32.0))
  both = _click(first._replace(chosen=None), ON, (50.0, 22.0))
  assert both.chosen == 2 and set(both.masks) == {1, 2}
  elsewhere = both.go_to(3, _tracker())
  corrected = _click(elsewhere._replace(chosen=1), BESIDE, (2.0, 2.0))
  for one in both, elsewhere, corrected:
    np.testing.assert_array_equal(one.colors[1], first.colors[1])
  assert (both.colors[1] != both.colors[2]).any()
  assert not elsewhere.masks and set(corrected.masks) == {1}


@pytest.mark.slow
def test_objects_begin_and_are_corrected_in_later_frames(editor, tmp_path):
  tracked = _click(editor, BOX, (4.0, 8.0), (32.0, 32.0))
  (tmp_path / 'first').mkdir()
  tracked = _track(tracked, tmp_path / 'first')
  assert 'tracked' in tracked.hint(ON)
  later = tracked.go_to(2, _tracker())
  is_drawn = (later.draw() != later.frame).any(axis=-1)
  assert _recall(is_drawn, RED) > 0.9 and not is_drawn[BLUE].any()
  # What was tracked is corrected, and a new object begins.
  later = _click(later, BESIDE, (50.0, 22.0))
  assert _recall(later.masks[1], RED) > 0.9
  later = later.undo(_tracker())
  assert later.number == 2 and not later.masks
  later = _click(later._replace(chosen=None), BOX, (36.0, 8.0), (63.0, 36.0))
  assert later.marks.begins == {1: 0, 2: 2} and 'Click Track' in later.hint(BOX)
  (tmp_path / 'again').mkdir()
  again = _track(later, tmp_path / 'again')
  result = again.tracked.result
  assert result.numbers.tolist() == [1, 2]
  assert result.visible[:, 1].tolist() == [False, False, True, True, True]
  assert again.strip().shape[0] > tracked.strip().shape[0]
  # The command line reads the same from the file that can be downloaded.
  path = tmp_path / 'again' / 'prompts.json'
  given = prompts_over_time.read_prompts(path)
  other = video_tracker.collect(_tracker().stream(editor.video, given))
  np.testing.assert_array_equal(np.stack(list(result.masks)), other.masks)
  # What was undone is not shown any more.
  undone = again.undo(_tracker())
  assert not (undone.draw() != undone.frame).any(axis=-1)[BLUE].any()
  assert again.go_to(99, _tracker()).number == COUNT - 1


def test_masks_of_a_file_mark_objects(editor, tmp_path):
  both = np.zeros((HEIGHT, WIDTH), np.uint8)
  both[RED], both[BLUE] = 3, 1
  masks.write_png(tmp_path / 'both.png', both)
  marked = editor.take_masks(tmp_path / 'both.png', _tracker())
  assert marked.marks.begins == {1: 0, 2: 0} and marked.chosen == 2
  np.testing.assert_array_equal(marked.masks[1], both == 1)
  np.testing.assert_array_equal(marked.masks[2], both == 3)
  with pytest.raises(errors.UserError, match='both.png shows 2 objects'):
    marked.take_masks(tmp_path / 'both.png', _tracker())
  # A second mask of the same name is another file.
  masks.write_png(tmp_path / 'both.png', (both > 0).astype(np.uint8))
  named = marked._replace(chosen=1).rename('sky')
  named = named.take_masks(tmp_path / 'both.png', _tracker())
  assert 'sky' in named.hint(ON) and 'sky' not in marked.hint(ON)
  np.testing.assert_array_equal(named.masks[1], both > 0)
  assert (named.draw() != named._replace(marks=marked.marks).draw()).any()
  (tmp_path / 'out').mkdir()
  given = named.prompt(tmp_path / 'out')
  assert given.names == {1: 'sky'}
  size = HEIGHT, WIDTH
  np.testing.assert_array_equal(given.at(0)[1].in_frame(size, size), both > 0)
  np.testing.assert_array_equal(given.at(0)[2].in_frame(size, size), both == 3)
  masks.write_png(tmp_path / 'small.png', np.ones((9, 9), np.uint8))
  with pytest.raises(errors.UserError, match='small.png: the mask is 9 x 9'):
    named.take_masks(tmp_path / 'small.png', _tracker())


def test_a_mask_may_have_the_size_that_is_shown(clip, tmp_path):
  video = video_source.VideoSource(clip, scale=0.5)
  editor = editor_lib.Editor(video, 0, next(iter(video)).rgb)
  mask = np.zeros((HEIGHT // 2, WIDTH // 2), np.uint8)
  mask[5:9, 4:20] = 255
  masks.write_png(tmp_path / 'a.png', mask)
  marked = editor.take_masks(tmp_path / 'a.png', _tracker())
  np.testing.assert_array_equal(marked.masks[1], mask > 0)
  given = marked.prompt(tmp_path).at(0)[1].mask
  assert given.shape == (HEIGHT, WIDTH) and given.sum() == 4 * (mask > 0).sum()


def test_marks_are_in_pixels_of_the_video_as_it_is(clip, tmp_path):
  video = video_source.VideoSource(clip, scale=0.5)
  editor = editor_lib.Editor(video, 0, next(iter(video)).rgb)
  clicked = _click(editor, POINT, (5.0, 6.0), (99.0, -1.0))
  prompt = clicked.prompt(tmp_path)
  assert isinstance(prompt, prompts.PointPrompt)
  np.testing.assert_allclose(prompt.position, [[10.5, 12.5], [62.5, 0.5]])
  assert (clicked.draw()[6, 5] != editor.frame[6, 5]).any()
  assert '2 points' in clicked.hint(POINT) and not list(tmp_path.iterdir())
  with pytest.raises(errors.UserError, match='points are marked: clear'):
    _click(clicked, ON, (5.0, 6.0))


@pytest.mark.slow
def test_points_are_drawn_where_they_were_tracked(editor, tmp_path):
  tracked = _track(_click(editor, POINT, (18.0, 20.0)), tmp_path)
  assert tracked.strip() is None
  there = tracked.go_to(3, _tracker())
  assert (there.draw() != there.frame).any()


def test_what_may_be_wrong_is_told(editor):
  assert 'Click beside a corner' in editor.hint(BOX)
  half = _click(editor, BOX, (62.0, 44.0))
  assert 'opposite corner' in half.hint(BOX)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    whole = _click(half, BOX, (60.0, 42.0))
  assert 'taken whole' in whole.hint(BOX)
  assert 'whole' not in whole.undo(_tracker()).hint(BOX)
