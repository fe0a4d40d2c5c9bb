import numpy as np
import pytest

from vidcolor import errors
from vidcolor import prompts
from vidcolor import video_tracker
from vidcolor.tracking import baselines
from vidcolor.tracking import propagation

SIDE, CELL, STEP = 96, 4, 4


def _embed(frame):
  """Embeds a cell by its pixels: only cells of the same texture match."""
  rows, columns = frame.shape[0] // CELL, frame.shape[1] // CELL
  cells = (np.asarray(frame, np.float32) - 128).reshape(
      rows, CELL, columns, CELL, 3
  )
  return cells.swapaxes(1, 2).reshape(rows, columns, -1)


@pytest.fixture(scope='module')
def tracker():
  options = propagation.PropagationOptions(
      temperature=0.01, top_k=1, radius=None, unit_length=True
  )
  return video_tracker.VideoTracker(
      propagation.LabelPropagator(_embed, options)
  )


def _video(num_frames=7):
  """Two textured squares that move right over a textured ground; masks."""
  rng = np.random.default_rng(0)
  texture = lambda *size: rng.integers(0, 256, (*size, 3), np.uint8)
  ground, squares = texture(SIDE, SIDE), [texture(24, 24), texture(32, 32)]
  video, masks = [], []
  for t in range(num_frames):
    frame, mask = ground.copy(), np.zeros((SIDE, SIDE), np.uint8)
    for square, row, number in zip(squares, (8, 48), (3, 7), strict=True):
      column = slice(8 + STEP * t, 8 + STEP * t + len(square))
      frame[row : row + len(square), column] = square
      mask[row : row + len(square), column] = number
    video.append(frame)
    masks.append(mask)
  return np.stack(video), np.stack(masks)


@pytest.mark.parametrize('query_frame', [0, 3, 6])
def test_objects_are_tracked_to_both_ends(tracker, query_frame):
  video, masks = _video()
  result = tracker.track(
      video, masks=masks[query_frame], query_frame=query_frame
  )
  # Corners are rounded.
  assert (result.masks != masks).mean(axis=(1, 2)).max() < 0.03
  np.testing.assert_array_equal(result.masks[query_frame], masks[query_frame])
  np.testing.assert_array_equal(result.numbers, [3, 7])
  x = 19.5 + STEP * np.arange(7)
  np.testing.assert_allclose(result.position[:, 0, 0], x, atol=2)
  np.testing.assert_allclose(result.position[:, 0, 1], 19.5, atol=2)
  assert result.confidence[query_frame].min() == 1


def test_points_are_tracked_to_both_ends(tracker):
  video, _ = _video()
  # The middle of a cell, to which a textured cell tells it.
  points = [[8 + 3 * STEP + 9.5, 17.5], [90, 60]]
  result = tracker.track(video, points=points, query_frame=3)
  assert result.masks is None
  steps = STEP * (np.arange(7) - 3)
  np.testing.assert_allclose(
      result.position[:, 0, 0], points[0][0] + steps, atol=1
  )
  np.testing.assert_allclose(result.position[3], points)
  np.testing.assert_allclose(result.position[:, 1], 7 * [points[1]], atol=2)
  assert result.visible.all()


@pytest.mark.filterwarnings('ignore:the box .* was taken whole')
def test_an_object_in_a_box_is_tracked(tracker):
  video, masks = _video()
  result = tracker.track(video, boxes=[[8, 8, 31, 31], [8, 48, 39, 79]])
  np.testing.assert_array_equal(result.numbers, [1, 2])
  overlap = ((result.masks[-1] == 2) & (masks[-1] == 7)).sum()
  assert overlap > 0.5 * (masks[-1] == 7).sum()


@pytest.mark.filterwarnings('ignore:the box .* was taken whole')
def test_of_overlapping_boxes_each_keeps_its_number(tracker):
  video, _ = _video(2)
  small, large = [8, 48, 24, 64], [8, 48, 39, 79]
  for boxes in [small, large], [large, small]:
    result = tracker.track(video, boxes=boxes)
    np.testing.assert_array_equal(result.numbers, [1, 2])
    ours = [(result.masks[0] == number).sum() for number in (1, 2)]
    assert (ours[0] < ours[1]) == (boxes[0] is small)
  with pytest.raises(errors.UserError, match='other objects cover it'):
    tracker.track(video, boxes=[large, large])


def test_an_object_without_pixels_is_lost_and_nowhere(tracker):
  video, masks = _video(2)
  # Background covers all: each cell is found in the first frame's background.
  video[1, :] = np.tile(video[0, :4], (24, 1, 1))
  result = tracker.track(video, masks=masks[0])
  assert not result.masks[1].any()
  assert not result.visible[1].any()
  assert np.isnan(result.position[1]).all()
  np.testing.assert_array_equal(result.confidence[1], 0)


def test_streaming_yields_forward_then_backward(tracker):
  video, masks = _video()
  found = tracker.stream(video, prompts.MaskPrompt(masks[4]), 4)
  assert [one.frame for one in found] == [4, 5, 6, 3, 2, 1, 0]


def test_a_query_frame_beyond_the_end_is_one_line(tracker):
  video, masks = _video(3)
  with pytest.raises(errors.UserError, match='video has 3 frames'):
    tracker.track(video, masks=masks[0], query_frame=3)


def test_frames_come_one_by_one_too(tracker):
  video, masks = _video(3)
  result = tracker.track(list(video), masks=masks[0])
  expected = tracker.track(video, masks=masks[0])
  np.testing.assert_array_equal(result.masks, expected.masks)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda video: video / 255,
            r'float64 \[3, 96, 96, 3\]: give RGB, uint8',
        ),
        (lambda video: video[..., 0], r'uint8 \[3, 96, 96\]: give RGB'),
        (lambda video: video[0], r'uint8 \[96, 96, 3\]: give RGB'),
        (lambda video: np.moveaxis(video, -1, 1), r'\[3, 3, 96, 96\]: give'),
        (lambda video: [video[0], video[1][1:]], 'not all of one size'),
    ],
)
def test_frames_of_another_form_are_one_line(tracker, change, message):
  video, _ = _video(3)
  with pytest.raises(errors.UserError, match=message):
    tracker.track(change(video), points=[[5, 5]])


def test_no_frame_is_before_the_first(tracker):
  with pytest.raises(errors.UserError, match='the first frame is 0'):
    tracker.track(_video(2)[0], points=[[5, 5]], query_frame=-1)


def test_nothing_or_two_prompts_are_one_line(tracker):
  video, masks = _video(2)
  with pytest.raises(errors.UserError, match='give one of'):
    tracker.track(video)
  with pytest.raises(errors.UserError, match='give only one of'):
    tracker.track(video, masks=masks[0], points=[[1, 1]])


def test_a_baseline_tracks_masks_and_points():
  video, masks = _video(3)
  tracker = video_tracker.VideoTracker(baselines.Identity())
  result = tracker.track(video, masks=masks[1], query_frame=1)
  np.testing.assert_array_equal(result.masks, 3 * [masks[1]])
  np.testing.assert_array_equal(result.numbers, [3, 7])
  assert result.visible.all() and (result.confidence == 1).all()
  result = tracker.track(video, points=[[5, 6]], query_frame=1)
  assert result.masks is None and result.visible.all()
  np.testing.assert_array_equal(result.position, 3 * [[[5, 6]]])


def test_a_tracker_that_lacks_what_a_prompt_needs_is_one_line():
  class Points:

    def track_points(self, frames, points):
      raise NotImplementedError

  video, masks = _video(2)
  tracker = video_tracker.VideoTracker(baselines.Identity())
  with pytest.raises(errors.UserError, match='Identity cannot track boxes'):
    tracker.track(video, boxes=[[8, 8, 31, 31]])
  with pytest.raises(errors.UserError, match='Points cannot track masks'):
    video_tracker.VideoTracker(Points()).track(video, masks=masks[0])


def test_an_object_that_a_baseline_loses_is_not_visible():
  class Forgetful:

    def track(self, frames, first_mask):
      for number, _ in enumerate(frames):
        yield first_mask if number == 0 else np.where(
            first_mask == 2, first_mask, np.uint8(0)
        )

  video, masks = _video(2)
  result = video_tracker.VideoTracker(Forgetful()).track(video, masks=masks[0])
  np.testing.assert_array_equal(result.visible, [[True, True], [False, True]])
  np.testing.assert_array_equal(result.confidence[1], [0, 1])
  assert np.isnan(result.position[1, 0]).all()
