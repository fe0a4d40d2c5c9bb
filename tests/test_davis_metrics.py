import json

import numpy as np
import pytest
from skimage import morphology

from vidcolor import masks
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.benchmarks.davis import metrics as davis_metrics


def _masks(*rows):
  return np.array(rows, np.uint8)[:, None]


def test_jaccard_is_intersection_over_union():
  predicted = np.array([[1, 1, 0, 0]], bool)
  assert davis_metrics.jaccard(predicted, np.roll(predicted, 1)) == 1 / 3
  assert davis_metrics.jaccard(predicted, ~predicted) == 0
  assert davis_metrics.jaccard(predicted & False, predicted & False) == 1


def _square(top, left, size=8):
  mask = np.zeros((40, 60), bool)
  mask[top : top + size, left : left + size] = True
  return mask


def test_boundaries_match_within_the_tolerance():
  # ceil(0.008 * hypot(40, 60)) is one pixel.
  truth = _square(10, 10)
  assert davis_metrics.boundary_f(truth, truth) == 1
  assert davis_metrics.boundary_f(_square(10, 11), truth) == 1
  assert davis_metrics.boundary_f(_square(30, 40), truth) == 0
  # Two columns to the right: of 36 boundary pixels each (a ring of 9 x 9, up
  # and left of the square's edge, less what is inside), the two columns that
  # moved and two pixels at the ends of rows do not match.
  nine = _square(10, 12)
  boundary = lambda mask: {
      (y, x)
      for y in range(39)
      for x in range(59)
      if len({*mask[y : y + 2, x : x + 2].ravel()}) > 1
  }
  near = lambda a, b: {
      (y, x)
      for y, x in a
      if {(y, x), (y, x + 1), (y, x - 1), (y + 1, x), (y - 1, x)} & b
  }
  ours, true = boundary(nine), boundary(truth)
  precision = len(near(ours, true)) / len(ours)
  recall = len(near(true, ours)) / len(true)
  expected = 2 * precision * recall / (precision + recall)
  assert 0 < expected < 1
  assert davis_metrics.boundary_f(nine, truth) == pytest.approx(expected)


def test_boundary_of_nothing():
  nothing, square = _square(0, 0, 0), _square(10, 10)
  assert davis_metrics.boundary_f(nothing, nothing) == 1
  assert davis_metrics.boundary_f(nothing, square) == 0
  assert davis_metrics.boundary_f(square, nothing) == 0
  # All of the frame has no boundary either.
  assert davis_metrics.boundary_f(nothing, ~nothing) == 1


def test_boundary_f_is_that_of_whole_frames():
  """Against the definition without crops, on blobs that touch the border."""
  rng = np.random.default_rng(0)
  disk = morphology.disk(2)

  def boundary(mask):
    padded = np.pad(mask, ((0, 1), (0, 1)), mode='edge')
    return (
        (mask != padded[:-1, 1:])
        | (mask != padded[1:, :-1])
        | (mask != padded[1:, 1:])
    )

  for _ in range(30):
    noise = rng.normal(size=(2, 150, 190)).cumsum(1).cumsum(2)
    predicted, truth = noise > np.quantile(noise, 0.8, (1, 2), keepdims=True)
    ours, true = boundary(predicted), boundary(truth)
    precision = (ours & morphology.dilation(true, disk)).sum() / ours.sum()
    recall = (true & morphology.dilation(ours, disk)).sum() / true.sum()
    total = precision + recall
    expected = 2 * precision * recall / total if total else 0
    assert davis_metrics.boundary_f(predicted, truth) == pytest.approx(expected)


def test_objects_are_scored_apart():
  truth = _masks([1, 1, 2, 2], [1, 1, 2, 2], [1, 1, 2, 2])
  predicted = _masks([1, 1, 2, 2], [1, 2, 2, 2], [0, 0, 0, 0])
  scores = davis_metrics.score_masks(predicted, truth, 2)
  np.testing.assert_allclose(scores.j, [[1, 1 / 2, 0], [1, 2 / 3, 0]])
  assert scores.f.shape == (2, 3) and scores.f[0, 0] == 1
  # A third object that is nowhere, and is nowhere predicted.
  assert davis_metrics.score_masks(predicted, truth, 3).j[2].tolist() == [
      1,
      1,
      1,
  ]


def test_void_is_background_as_in_the_toolkits_evaluation():
  truth = _masks(*[[1, 1, 255, 255]] * 3)
  predicted = _masks(*[[1, 1, 1, 0]] * 3)
  np.testing.assert_allclose(
      davis_metrics.score_masks(predicted, truth, 1).j, 2 / 3
  )


def test_refuses_other_frames():
  several = _masks([1], [1], [1])
  with pytest.raises(ValueError, match='2 masks for 3'):
    davis_metrics.score_masks(several[:2], several, 1)


def test_statistics_over_time():
  scores = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
  mean, recall, decay = davis_metrics.statistics(scores)
  assert mean == pytest.approx(0.65)
  assert recall == 5 / 8  # 0.5 itself is not above it.
  # Ends at round(1, 2.75, 4.5, 6.25, 8): frames 1 to 3 and 6 to 8.
  assert decay == pytest.approx(0.9 - 0.4)


def test_decay_of_long_sequences_is_that_of_the_right_frames():
  scores = np.linspace(1, 0, 1001)
  assert davis_metrics.statistics(scores)[2] == pytest.approx(0.75, abs=1e-3)


def test_overall_is_a_mean_over_objects_not_sequences():
  one = davis_metrics.Scores(np.ones((1, 4)), np.zeros((1, 4)))
  three = davis_metrics.Scores(np.zeros((3, 4)), np.zeros((3, 4)))
  results = davis_metrics.summarize({'a': one, 'b': three})
  assert list(results['per_object']) == ['a_1', 'b_1', 'b_2', 'b_3']
  assert results['overall']['J_mean'] == 0.25
  assert results['overall']['J&F'] == 0.125


def _check_against_toolkit(by_sequence, expected):
  results = davis_metrics.summarize(by_sequence)
  assert set(results['per_object']) == set(expected['per_object'])
  for name, figures in expected['per_object'].items():
    ours = {key: results['per_object'][name][key] for key in figures}
    assert ours == pytest.approx(figures, abs=1e-6), name
  ours = {key: results['overall'][key] for key in expected['mean']}
  assert ours == pytest.approx(expected['mean'], abs=1e-6)


@pytest.mark.slow
def test_agrees_with_the_official_toolkit_on_2016(shared_dir):
  cases = shared_dir / 'metric-cases'
  expected = json.loads((cases / 'expected_davis2016.json').read_text())
  scores = {}
  for sequence in davis_data.read_davis(
      shared_dir / 'davis2016-dev', year=2016
  ):
    folder = cases / 'stm-predictions' / sequence.name
    predicted = [
        masks.read(path, one_object=True)
        for path in sorted(folder.iterdir())[1:-1]
    ]
    scores[sequence.name] = davis_metrics.score_masks(
        predicted, sequence.masks[1:-1], 1
    )
  _check_against_toolkit(scores, expected)


def test_agrees_with_the_official_toolkit_on_several_objects(shared_dir):
  cases = shared_dir / 'metric-cases'
  expected = json.loads((cases / 'expected_multi_object.json').read_text())
  scores = {}
  for folder in sorted((cases / 'multi-object').iterdir()):
    truth = [masks.read(path) for path in sorted(folder.iterdir())]
    rolled = [np.roll(mask, (3, 5), (0, 1)) for mask in truth]
    scores[folder.name] = davis_metrics.score_masks(
        rolled[1:-1], truth[1:-1], int(truth[0].max())
    )
  _check_against_toolkit(scores, expected)
