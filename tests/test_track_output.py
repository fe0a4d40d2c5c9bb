import numpy as np
import pytest

from tests import tiny
import vidcolor
from vidcolor import errors
from vidcolor import video_tracker
from vidcolor.tracking import baselines
from vidcolor.video import mp4
from vidcolor.video import video_source

CLIP, IS_SQUARE = tiny.red_square()
TRACKER = video_tracker.VideoTracker(baselines.Identity())


@pytest.fixture
def clip(tmp_path):
  """A video whose frames have times of their own."""
  path = tmp_path / 'clip.mp4'
  mp4.write(path, CLIP, 10.0)
  return path


def _frames(path):
  return list(video_source.VideoSource(path))


def test_masks_are_drawn_over_a_file(clip, tmp_path):
  # Number 2 is green.
  result = TRACKER.track(clip, masks=2 * IS_SQUARE[0].astype(np.uint8))
  vidcolor.draw(clip, result, tmp_path / 'overlay.mp4')
  source, drawn = _frames(clip), _frames(tmp_path / 'overlay.mp4')
  assert [f.seconds for f in drawn] == [f.seconds for f in source]
  for before, after in zip(source, drawn, strict=True):
    red, green, _ = np.moveaxis(after.rgb.astype(int) - before.rgb, -1, 0)
    gain = green - red
    assert gain[IS_SQUARE[0]].mean() > 40
    assert abs(gain[~IS_SQUARE[0]]).mean() < 5


def test_points_are_drawn_over_an_array(tmp_path):
  points = [[10, 60], [80, 10]]
  result = TRACKER.track(CLIP, points=points)
  vidcolor.draw(CLIP, result, tmp_path / 'overlay.mp4')
  drawn = _frames(tmp_path / 'overlay.mp4')
  # Frames from memory play at 25 a second.
  assert [f.seconds for f in drawn] == pytest.approx(
      [number / 25 for number in range(len(CLIP))]
  )
  for before, after in zip(CLIP, drawn, strict=True):
    change = abs(after.rgb.astype(int) - before).max(axis=-1)
    for x, y in points:
      assert change[y - 1 : y + 2, x - 1 : x + 2].max() > 40
    assert np.median(change) < 10


def test_limbs_are_drawn_between_points(tmp_path):
  frames = np.full((3, 72, 96, 3), 90, np.uint8)
  result = TRACKER.track(frames, points=[[20, 40], [70, 40]])
  middle = {}
  for limbs in (), ((0, 1),):
    path = tmp_path / f'{len(limbs)}.mp4'
    vidcolor.draw(frames, result, path, limbs=limbs)
    middle[len(limbs)] = _frames(path)[1].rgb[40, 45].astype(int)
  assert abs(middle[0] - 90).max() < 10
  assert abs(middle[1] - 90).max() > 30


def test_a_video_is_not_replaced_by_its_own_film(clip):
  result = TRACKER.track(clip, points=[[10, 60]])
  before = clip.read_bytes()
  with pytest.raises(errors.UserError, match='would be replaced'):
    vidcolor.draw(clip, result, clip)
  assert clip.read_bytes() == before
