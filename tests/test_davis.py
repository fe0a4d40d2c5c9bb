import json

import numpy as np
import pytest

from vidcolor import masks
from vidcolor.data import sequences
from vidcolor.evaluation import davis


def _masks(*rows):
  return np.array(rows, np.uint8)[:, None]


def test_jaccard_is_intersection_over_union():
  predicted = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 0]], [[0, 0, 0, 0]]], bool)
  truth = np.array([[[0, 1, 1, 0]], [[0, 0, 0, 0]], [[1, 0, 0, 0]]], bool)
  np.testing.assert_allclose(davis.jaccard(predicted, truth), [1 / 3, 1, 0])
  assert davis.jaccard(predicted[0], truth[0]) == pytest.approx(1 / 3)


def test_objects_are_scored_apart():
  truth = _masks([1, 1, 2, 2], [1, 1, 2, 2], [1, 1, 2, 2])
  predicted = _masks([1, 1, 2, 2], [1, 2, 2, 2], [0, 0, 0, 0])
  scores = davis.jaccard_by_object(iter(predicted), iter(truth))
  np.testing.assert_allclose(scores[1], [1, 1 / 2, 0])
  np.testing.assert_allclose(scores[2], [1, 2 / 3, 0])


def test_first_and_last_frames_do_not_count():
  truth = _masks([1, 0], [1, 0], [1, 0], [1, 0])
  predicted = _masks([0, 1], [1, 0], [1, 1], [0, 1])
  assert davis.mean_jaccard(predicted, truth) == {1: 0.75}


def test_void_pixels_and_unknown_objects_do_not_count():
  truth = _masks(*[[1, 1, 255, 255]] * 3)
  predicted = _masks(*[[1, 1, 1, 2]] * 3)
  assert davis.mean_jaccard(predicted, truth) == {1: 1.0}
  assert predicted[0, 0, 2] == 1  # The caller's array is left alone.


def test_refuses_other_and_too_few_frames():
  masks = _masks([1], [1], [1])
  with pytest.raises(ValueError, match='predicted'):
    davis.mean_jaccard(masks[:2], masks)
  with pytest.raises(ValueError, match='between'):
    davis.mean_jaccard(masks[:2], masks[:2])


def test_agrees_with_the_official_toolkit_on_2016(shared_dir):
  cases = shared_dir / 'metric-cases'
  expected = json.loads((cases / 'expected_davis2016.json').read_text())
  scores = []
  for sequence in sequences.read_davis(shared_dir / 'davis2016-dev', year=2016):
    predicted = [
        masks.read(path, one_object=True)
        for path in sorted(
            (cases / 'stm-predictions' / sequence.name).iterdir()
        )
    ]
    score = davis.mean_jaccard(predicted, sequence.masks)
    scores.append(score[1])
    official = expected['per_object'][f'{sequence.name}_1']['J_mean']
    assert score == {1: pytest.approx(official, abs=1e-6)}
  assert len(scores) == len(expected['per_object'])
  official = expected['mean']['J_mean']
  assert np.mean(scores) == pytest.approx(official, abs=1e-6)


def test_agrees_with_the_official_toolkit_on_several_objects(shared_dir):
  cases = shared_dir / 'metric-cases'
  expected = json.loads((cases / 'expected_multi_object.json').read_text())
  scores = {}
  for folder in sorted((cases / 'multi-object').iterdir()):
    truth = [masks.read(path) for path in sorted(folder.iterdir())]
    rolled = [np.roll(mask, (3, 5), (0, 1)) for mask in truth]
    for number, score in davis.mean_jaccard(rolled, truth).items():
      scores[f'{folder.name}_{number}'] = score
  official = {
      name: measures['J_mean']
      for name, measures in expected['per_object'].items()
  }
  assert scores == pytest.approx(official, abs=1e-6)
