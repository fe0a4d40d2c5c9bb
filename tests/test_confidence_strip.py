import numpy as np

from vidcolor.render import confidence_strip


def _is_red(picture):
  red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
  return (red > 200) & (green < 60) & (blue < 60)


def test_frames_where_an_object_is_likely_lost_are_red():
  confidence = np.full((8, 2), 0.9)
  confidence[4:6, 1] = 0.5
  visible = confidence > 0.8
  visible[:3, 0] = False  # It has not begun.
  picture = confidence_strip.draw_confidence(
      confidence, visible, [3, 0], {}, shown=0
  )
  height, width, _ = picture.shape
  upper, lower = picture[: height // 2], picture[height // 2 + 2 :]
  assert not _is_red(upper).any()
  frames = np.flatnonzero(_is_red(lower).any(axis=0)) * 8 // width
  assert set(frames) == {4, 5}
  # A bar is as high as the confidence; there is none before the object begins.
  blueness = lambda row: row[..., 2].astype(int) - row[..., 0]
  is_bar = lambda row, x: (blueness(row)[:, x] > 80).mean()
  assert is_bar(upper, 5 * width // 8) > 0.8 and not is_bar(upper, width // 4)


def test_the_shown_frame_and_the_marks_are_drawn():
  draw = lambda marked, shown: confidence_strip.draw_confidence(
      np.full((4, 1), 0.9), np.ones((4, 1), bool), [0], marked, shown
  )
  plain, other, marked = draw({}, 0), draw({}, 3), draw({0: [2]}, 0)
  width = plain.shape[1]
  changed = lambda one: np.flatnonzero((one != plain).any(axis=(0, 2)))
  assert abs(changed(other)[-1] - 3.5 * width / 4) < 2
  np.testing.assert_allclose(changed(marked), 2.5 * width / 4, atol=6)


def test_a_click_on_the_strip_is_a_frame():
  width = confidence_strip.draw_confidence(
      np.ones((5, 1)), np.ones((5, 1), bool), [0], {}, 0
  ).shape[1]
  for count in (1, 5, 5000):
    for number in {0, count // 2, count - 1}:
      x = (number + 0.5) * width / count
      assert abs(confidence_strip.frame_at(x, count) - number) <= count / width
  assert confidence_strip.frame_at(width + 3, 5) == 4
  assert confidence_strip.frame_at(-3, 5) == 0
