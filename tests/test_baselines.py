import numpy as np
import pytest

from vidcolor.benchmarks import davis
from vidcolor.data import synthetic
from vidcolor.tracking import baselines

TRACKERS = [
    baselines.Identity(),
    *(
        baselines.OpticalFlow(estimate, from_first=from_first)
        for estimate in (baselines.dis, baselines.farneback)
        for from_first in (False, True)
    ),
]
FLOWS = TRACKERS[1:]


@pytest.fixture(name='clip', scope='module')
def fixture_clip():
  return synthetic.render_clip(11, num_frames=10, height=96, width=128)


def _mean_jaccard(tracker, clip):
  _, scores = davis.track_and_score(tracker, clip.frames, clip.masks)
  return scores.counted().j.mean()


def _mean_distance(tracker, clip):
  tracked = list(tracker.track_points(clip.frames, clip.points[:, 0]))
  positions = np.stack([points.position for points in tracked], axis=1)
  distance = np.linalg.norm(positions - clip.points, axis=-1)
  return distance[clip.visible].mean()


@pytest.mark.parametrize('tracker', TRACKERS)
def test_yields_a_mask_per_frame_as_frames_come(clip, tracker):
  tracked = tracker.track(iter(clip.frames), clip.masks[0])
  np.testing.assert_array_equal(next(tracked), clip.masks[0])
  rest = list(tracked)
  assert len(rest) == 9
  assert set(np.unique(rest)) <= set(np.unique(clip.masks[0]))


def test_identity_copies_what_is_given(clip):
  *_, last = baselines.Identity().track(clip.frames, clip.masks[0])
  np.testing.assert_array_equal(last, clip.masks[0])
  points = clip.points[:, 0]
  *_, last = baselines.Identity().track_points(clip.frames, points)
  np.testing.assert_array_equal(last.position, points)
  assert last.confidence.tolist() == [1.0] * len(points)


@pytest.mark.parametrize('tracker', FLOWS)
def test_flow_follows_objects_and_points(clip, tracker):
  identity = baselines.Identity()
  assert _mean_jaccard(tracker, clip) > _mean_jaccard(identity, clip) + 0.05
  assert _mean_distance(tracker, clip) < 0.7 * _mean_distance(identity, clip)


def test_dis_flow_is_near_the_truth(clip):
  tracker = baselines.OpticalFlow(baselines.dis)
  assert _mean_jaccard(tracker, clip) > 0.8
  assert _mean_distance(tracker, clip) < 2


def test_points_that_leave_the_frame_are_hidden():
  rng = np.random.default_rng(0)
  wide = rng.integers(0, 256, (48, 20, 3), np.uint8).repeat(4, 0).repeat(8, 1)
  frames = [np.ascontiguousarray(wide[:, 4 * t :][:, :96]) for t in range(6)]
  tracker = baselines.OpticalFlow(baselines.dis)
  points = np.array([[8.0, 90.0], [80.0, 90.0]])
  *_, last = tracker.track_points(frames, points)
  assert last.confidence.tolist() == [0, 1]
  assert last.position[1] == pytest.approx([60, 90], abs=2)


@pytest.mark.parametrize('tracker', TRACKERS)
def test_void_is_background_and_nothing_stays_nothing(clip, tracker):
  void = np.full_like(clip.masks[0], 255)
  assert not np.any(list(tracker.track(clip.frames, void)))


@pytest.mark.parametrize('tracker', TRACKERS)
def test_no_points_stay_no_points(clip, tracker):
  tracked = list(tracker.track_points(clip.frames[:3], np.zeros((0, 2))))
  assert [points.position.shape for points in tracked] == 3 * [(0, 2)]
  assert [points.confidence.shape for points in tracked] == 3 * [(0,)]
