import numpy as np
import pytest

from vidcolor.tracking import box_to_mask

SIZE = HEIGHT, WIDTH = 80, 120


@pytest.fixture
def scene():
  """A red and a blue square on a green ground; embeddings are colors."""
  frame = np.zeros((*SIZE, 3), np.uint8)
  frame[:], red, blue = (30, 140, 30), np.s_[20:60, 20:60], np.s_[20:60, 64:104]
  frame[red], frame[blue] = (200, 30, 30), (30, 30, 200)
  masks = np.zeros((2, *SIZE), bool)
  masks[0][red], masks[1][blue] = True, True
  noise = np.random.default_rng(0).integers(-20, 20, frame.shape)
  frame = (frame + noise).clip(0, 255).astype(np.uint8)
  embed = lambda frame: frame[2::4, 2::4].astype(np.float32) - 60
  return frame, masks, embed


def _iou(mask, truth):
  return (mask & truth).sum() / (mask | truth).sum()


def _clicks(*clicks):
  return np.array(clicks, np.float32)


def test_a_click_finds_the_object_under_it(scene):
  frame, (red, blue), embed = scene
  for truth, x in ((red, 40), (blue, 84)):
    found = box_to_mask.from_clicks(embed, frame, _clicks((x, 40, 1)))
    assert _iou(found, truth) > 0.8


def test_a_click_adds_what_was_missed_and_keeps_the_rest(scene):
  frame, (red, blue), embed = scene
  before = red.copy()
  before[:, 40:] = False
  found = box_to_mask.from_clicks(embed, frame, _clicks((50, 40, 1)), before)
  assert _iou(found, red) > 0.9
  both = box_to_mask.from_clicks(
      embed, frame, _clicks((40, 40, 1), (84, 40, 1)), before
  )
  assert _iou(both, red | blue) > 0.8


def test_a_click_beside_it_takes_away(scene):
  frame, (red, blue), embed = scene
  clicks = _clicks((40, 40, 1), (84, 40, 0))
  found = box_to_mask.from_clicks(embed, frame, clicks, red | blue)
  assert _iou(found, red) > 0.9
  assert not found[40, 84] and found[40, 40]


def test_a_click_beside_it_alone_leaves_the_rest(scene):
  frame, (red, blue), embed = scene
  found = box_to_mask.from_clicks(
      embed, frame, _clicks((84, 40, 0)), red | blue
  )
  assert _iou(found, red) > 0.9
  dot = np.zeros(SIZE, bool)
  dot[7, 9] = True
  assert not box_to_mask.from_clicks(
      embed, frame, _clicks((9, 7, 0)), dot
  ).any()


def test_what_was_clicked_holds_whatever_it_looks_like(scene):
  frame, (red, _), embed = scene
  clicks = _clicks((119, 79, 1), (40, 40, 0))
  found = box_to_mask.from_clicks(embed, frame, clicks, red)
  assert found[79, 119] and not found[40, 40]


def test_nothing_may_be_left(scene):
  frame, (red, _), embed = scene
  dot = np.zeros(SIZE, bool)
  dot[40, 40] = True
  found = box_to_mask.from_clicks(embed, frame, _clicks((40, 40, 0)), dot)
  assert not found.any()
