import pytest

from experiments import marks as marks_lib
from experiments.marks import BESIDE
from experiments.marks import BOX
from experiments.marks import MASK
from experiments.marks import ON
from experiments.marks import POINT
from vidcolor import errors


def _marks(*clicks):
  """Marks after clicks: what one means, its frame, its object, x and y."""
  marks = marks_lib.Marks()
  for click in clicks:
    assert marks.refusal(*click[:3]) is None
    marks = marks.click(*click)
  return marks


def test_two_clicks_of_any_order_are_a_box():
  marks = _marks((BOX, 3, None, 44.0, 12.0))
  assert marks.corner == (3, (44, 12)) and not marks.made
  assert marks.click(BOX, 3, None, 44.0, 13.0) is marks  # Twice the same.
  assert marks.undo() == marks_lib.Marks()
  assert marks.click(BOX, 4, None, 1.0, 2.0).corner == (4, (1, 2))
  boxed = marks.click(BOX, 3, None, 12.0, 36.0)
  assert boxed.entries() == [{'frame': 3, 'number': 1, 'box': [12, 12, 44, 36]}]
  assert boxed.undo() == marks_lib.Marks()


def test_clicks_begin_and_correct_objects_in_any_frame():
  marks = _marks(
      (ON, 5, None, 1.0, 2.0),
      (BOX, 2, None, 3.0, 4.0),
      (BOX, 2, None, 30.0, 40.0),
      (BESIDE, 2, 2, 7.005, 8.0),
      (BESIDE, 7, 1, 9.0, 9.0),
      (ON, 5, 1, 5.0, 6.0),
  )
  assert marks.begins == {1: 5, 2: 2}
  assert marks.entries() == [
      {'frame': 2, 'number': 2, 'box': [3, 4, 30, 40], 'points': [[7, 8, 0]]},
      {'frame': 5, 'number': 1, 'points': [[1, 2, 1], [5, 6, 1]]},
      {'frame': 7, 'number': 1, 'points': [[9, 9, 0]]},
  ]
  assert marks.in_frame(2)[2].box.corners == [[3, 4, 30, 40]]
  assert marks.in_frame(5)[1].clicks == [[1, 2, 1], [5, 6, 1]]
  assert marks.in_frame(4) == {}


def test_a_box_replaces_what_its_object_has_in_the_frame():
  marks = _marks((ON, 0, None, 1.0, 2.0), (BOX, 0, 1, 3.0, 4.0))
  marks = marks.click(BOX, 0, 1, 13.0, 14.0)
  (entry,) = marks.entries()
  assert entry == {'frame': 0, 'number': 1, 'box': [3, 4, 13, 14]}
  assert marks.undo().entries()[0]['points'] == [[1, 2, 1]]


def test_a_mask_replaces_what_its_object_has_in_the_frame():
  marks = _marks((ON, 3, None, 1.0, 2.0), (ON, 4, 1, 1.0, 2.0))
  marks = marks.add(marks_lib.Mark(MASK, 3, 1, path='a.png'))
  assert marks.entries() == [
      {'frame': 3, 'number': 1, 'mask': 'a.png'},
      {'frame': 4, 'number': 1, 'points': [[1, 2, 1]]},
  ]
  assert 'has a mask here' in marks.refusal(ON, 3, 1)
  assert marks.refusal(ON, 4, 1) is None
  assert marks.refusal(ON, 3, None) is None
  boxed = marks.click(BOX, 3, 1, 3.0, 4.0).click(BOX, 3, 1, 13.0, 14.0)
  assert boxed.entries()[0]['box'] == [3, 4, 13, 14]
  assert boxed.refusal(ON, 3, 1) is None


def test_names_go_with_their_objects():
  marks = _marks((ON, 5, None, 1.0, 2.0), (ON, 2, None, 3.0, 4.0))
  marks = marks.rename(1, ' cat ').rename(2, 'dog').click(ON, 7, 1, 5.0, 6.0)
  assert [entry.get('name') for entry in marks.entries()] == [
      'dog',
      'cat',
      None,
  ]
  assert marks.click(BOX, 9, 1, 1.0, 1.0).undo().names == marks.names
  assert marks.rename(1, '').names == {2: 'dog'}
  for name in 'dog', '2', 'x' * 41, 'a\nb':
    with pytest.raises(errors.UserError, match='the names: '):
      marks.rename(1, name).rename(2, '')
  assert marks.undo().undo().names == {1: 'cat'}


def test_clicks_that_mean_nothing_are_refused():
  marks = _marks((ON, 5, None, 1.0, 2.0))
  first = 'first mark it'
  assert first in marks_lib.Marks().refusal(BESIDE, 0, None)
  assert first in marks.refusal(BESIDE, 5, None)  # Of a new object.
  assert first in marks.refusal(BESIDE, 4, 1)  # It would begin there.
  assert marks.refusal(BESIDE, 6, 1) is None
  assert 'objects are marked' in marks.refusal(POINT, 5, None)
  points = _marks((POINT, 2, None, 1.0, 2.0), (POINT, 2, None, 3.0, 4.0))
  assert 'points are marked' in points.refusal(BOX, 2, None)
  assert 'in frame 2' in points.refusal(POINT, 3, None)
  assert points.points().position == [(1, 2), (3, 4)]
  full = marks_lib.Marks(
      tuple(marks_lib.Mark(ON, 0, n, (1, 2)) for n in range(1, 255))
  )
  assert '254 objects' in full.refusal(ON, 0, None)
