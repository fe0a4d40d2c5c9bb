import numpy as np
import pytest

from vidcolor.benchmarks.jhmdb import metrics as jhmdb_metrics


def _pose(time=3):
  """Three joints whose box is 60 by 80: its diagonal is 100, the size 60."""
  pose = np.array([[0.0, 0], [60, 0], [60, 80]])
  return np.repeat(pose[None], time, axis=0)


def test_distances_are_in_sizes_of_the_persons_box():
  predicted = _pose()
  predicted[1, 0] += 3, 4
  predicted[2, 1] += 0, 90
  np.testing.assert_allclose(
      jhmdb_metrics.normalized_distances(predicted, _pose()),
      [[5 / 60, 0, 0], [0, 1.5, 0]],
  )


def test_every_frame_has_a_box_of_its_own():
  truth = _pose()
  truth[2] /= 10
  predicted = truth + np.array([6.0, 0])
  np.testing.assert_allclose(
      jhmdb_metrics.normalized_distances(predicted, truth),
      [[0.1] * 3, [1.0] * 3],
  )


def test_first_frame_does_not_count():
  predicted = _pose()
  predicted[0] += 1000
  assert (
      jhmdb_metrics.normalized_distances(predicted, _pose()).tolist()
      == [[0] * 3] * 2
  )


def test_at_the_threshold_is_within():
  truth = _pose(time=6)
  predicted = truth.copy()
  predicted[1:, 0, 0] += 6, 12, 18, 24, 30
  predicted[1:, 1, 0] += 6.01, 12.01, 18.01, 24.01, 30.01
  np.testing.assert_allclose(
      jhmdb_metrics.pck(jhmdb_metrics.normalized_distances(predicted, truth)),
      [[0.2, 0, 1], [0.4, 0.2, 1], [0.6, 0.4, 1], [0.8, 0.6, 1], [1, 0.8, 1]],
  )


def test_mean_is_over_joints_however_often_they_count():
  distances = np.array([[0, 1, np.nan], [0, np.nan, np.nan], [1, 0.0, np.nan]])
  np.testing.assert_array_equal(
      jhmdb_metrics.pck(distances)[0], [2 / 3, 1 / 2, np.nan]
  )
  np.testing.assert_allclose(jhmdb_metrics.mean_pck(distances), [7 / 12] * 5)
  assert np.isnan(jhmdb_metrics.mean_pck(np.full((2, 3), np.nan))).all()


def test_a_single_frame_has_no_score():
  distances = jhmdb_metrics.normalized_distances(_pose(time=1), _pose(time=1))
  assert distances.shape == (0, 3)
  assert np.isnan(jhmdb_metrics.mean_pck(distances)).all()


def test_joints_outside_of_the_picture_count_neither_alone_nor_in_the_box():
  truth = _pose()
  truth[1, 2] = 60, -1  # The box of the others is 60 by 0.
  truth[2, 0] = -1, 0  # And 0 by 80.
  np.testing.assert_allclose(
      jhmdb_metrics.normalized_distances(truth + np.array([9.0, 0]), truth),
      [[9 / 36, 9 / 36, np.nan], [np.nan, 9 / 48, 9 / 48]],
  )


@pytest.mark.parametrize('lost', [-1, np.nan])
def test_lost_joints_are_wrong(lost):
  predicted = _pose() + np.array([6.0, 0])
  predicted[1, 2] = lost
  distances = jhmdb_metrics.normalized_distances(predicted, _pose())
  assert np.all(jhmdb_metrics.pck(distances) == [1, 1, 0.5])


@pytest.mark.parametrize('lost', [-1, np.nan])
def test_fields_code_drops_lost_joints_and_shrinks_the_box(lost):
  truth = _pose()
  truth[2, 0] = -60, 0  # Outside, but tracked: it counts.
  predicted = truth + np.array([9.0, 0])
  predicted[2, 0] = 0, 0
  predicted[1, 2] = lost
  distances = jhmdb_metrics.normalized_distances(
      predicted, truth, drop_lost=True
  )
  size = 0.6 * np.hypot(120, 80)
  np.testing.assert_allclose(
      distances,
      [[9 / 36, 9 / 36, np.nan], [60 / size, 9 / size, 9 / size]],
  )


def test_frames_without_joints_and_boxes_without_a_size():
  truth = _pose()
  truth[1] = -1
  truth[2, 1:] = -1
  predicted = truth.copy()
  distances = jhmdb_metrics.normalized_distances(predicted, truth)
  np.testing.assert_array_equal(distances, [[np.nan] * 3, [0, np.nan, np.nan]])
  predicted[2, 0] += 1
  assert jhmdb_metrics.normalized_distances(predicted, truth)[1, 0] > 1
