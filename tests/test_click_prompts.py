import numpy as np
import pytest

from experiments import click_prompts
from vidcolor import prompts
from vidcolor.video import mp4
from vidcolor.video import video_source

HEIGHT, WIDTH, CELL = 48, 64, 4


def _embed(frame):
  """The mean color of each cell."""
  cells = np.asarray(frame, np.float32).reshape(
      frame.shape[0] // CELL, CELL, frame.shape[1] // CELL, CELL, 3
  )
  return cells.mean(axis=(1, 3)) / 255


@pytest.fixture
def frame():
  frame = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
  frame[16:32, 16:40] = 200, 40, 40
  return frame


def test_each_click_is_a_point(frame):
  clicked = click_prompts.ClickPrompt(frame, is_boxes=False)
  clicked = clicked.click(3.0, 4.0, _embed).click(float(WIDTH), -1.0, _embed)
  assert clicked.positions == ((3, 4), (WIDTH - 1, 0))
  drawn = clicked.draw()
  assert (drawn[4, 3] != frame[4, 3]).any()
  np.testing.assert_array_equal(drawn[40, 40], frame[40, 40])
  assert clicked.undo().undo().positions == ()
  np.testing.assert_array_equal(clicked.undo().undo().draw(), frame)


def test_two_clicks_of_any_order_are_a_box(frame):
  clicked = click_prompts.ClickPrompt(frame, is_boxes=True).click(
      44.0, 12.0, _embed
  )
  assert clicked.first_corner == (44, 12) and not clicked.positions
  assert (clicked.draw() != frame).any()
  assert clicked.click(44.0, 13.0, _embed) is clicked  # Twice the same.
  assert clicked.undo().first_corner is None
  clicked = clicked.click(12.0, 36.0, _embed)
  assert (
      clicked.positions == ((12, 12, 44, 36),) and clicked.first_corner is None
  )
  (mask,) = clicked.masks
  is_red = frame[..., 0] == 200
  assert (mask & is_red).sum() > 0.8 * is_red.sum()
  assert not mask[40:].any()
  assert (clicked.draw()[24, 28] != frame[24, 28]).any()
  assert clicked.undo().positions == clicked.undo().masks == ()


def test_a_box_that_was_taken_whole_is_told():
  plain = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
  embed = lambda frame: np.ones((1, 1, 3), np.float32)
  clicked = click_prompts.ClickPrompt(plain, is_boxes=True)
  with pytest.warns(UserWarning, match='taken whole'):
    clicked = clicked.click(8.0, 8.0, embed).click(40.0, 40.0, embed)
  assert 'box was taken whole' in clicked.hint()
  assert 'whole' not in clicked.undo().hint()


@pytest.mark.parametrize('is_boxes', [False, True])
def test_a_prompt_is_in_pixels_of_the_video_as_it_is(frame, tmp_path, is_boxes):
  mp4.write(tmp_path / 'clip.mp4', 3 * [frame], 10.0)
  video = video_source.VideoSource(tmp_path / 'clip.mp4', scale=0.5)
  clicked = click_prompts.ClickPrompt(next(iter(video)).rgb, is_boxes)
  clicked = clicked.click(5.0, 6.0, _embed).click(20.0, 17.0, _embed)
  prompt = clicked.to_prompt(video)
  positions = prompt.in_frame(video.full_size, video.size)
  np.testing.assert_allclose(positions.ravel(), [5, 6, 20, 17], atol=1e-4)
  if is_boxes:
    np.testing.assert_allclose(prompt.corners, [[10.5, 12.5, 40.5, 34.5]])
  assert isinstance(
      prompt, prompts.BoxPrompt if is_boxes else prompts.PointPrompt
  )
