"""Confidence: of pixels, of objects, and whether it is what it says."""

import json

from jax import numpy as jnp
import numpy as np
import pytest

from tests import programs
from tests import tiny
from vidcolor.tracking import calibration
from vidcolor.tracking import confidence
from vidcolor.tracking import propagation


def test_pixels_are_as_sure_as_one_label_leads():
  labels = jnp.array([[[0.5, 0.5, 0.0], [0.2, 0.7, 0.1], [0.0, 0.0, 1.0]]])
  split, leads, sure = np.asarray(confidence.of_pixels(labels, 1, 3))[0]
  assert split == pytest.approx(0.5)
  assert leads == pytest.approx(0.7, abs=0.01)
  assert sure > 0.99
  bolder = confidence.of_pixels(labels, 1, 3, (2.0, 1.0))[0]
  expected = 1 / (1 + np.exp(-(2 * np.log(leads / (1 - leads)) + 1)))
  assert bolder[1] == pytest.approx(expected, abs=1e-5)
  assert confidence.of_pixels(labels, 4, 12).shape == (4, 12)


def test_objects_are_as_sure_as_their_pixels_on_average():
  sure = np.array([[0.2, 0.4], [0.9, 0.5]], np.float32)
  mask = np.array([[1, 1], [0, 3]], np.uint8)
  by_object = confidence.of_objects(sure, mask, 4)
  np.testing.assert_allclose(by_object, [0.3, 0, 0.5, 0], atol=1e-6)


def _hidden_halfway(num_frames=6):
  """A red square that is covered by the ground from the fourth frame on."""
  frames = np.full((num_frames, 96, 128, 3), 60, np.uint8)
  frames[:3, 16:80, 16:80] = [200, 40, 40]
  mask = np.zeros((96, 128), np.uint8)
  mask[16:80, 16:80] = 1
  return frames, mask


def test_a_hidden_object_is_told():
  def embed(frame):
    colours = jnp.asarray(frame)[::4, ::4].astype(jnp.float32) / 255
    return 40 * colours / jnp.linalg.norm(colours, axis=-1, keepdims=True)

  tracker = propagation.LabelPropagator(
      embed, propagation.PropagationOptions(recent=2, temperature=0.5)
  )
  frames, mask = _hidden_halfway()
  tracked = list(tracker.track_objects(frames, mask))
  by_object = [float(objects.by_object[0]) for objects in tracked]
  assert all(c > confidence.LOST for c in by_object[:3])
  assert all(c < confidence.LOST for c in by_object[3:])
  for objects, same in zip(tracked, tracker.track(frames, mask), strict=True):
    np.testing.assert_array_equal(objects.mask, same)
    assert objects.confidence.shape == mask.shape


def test_reliability_by_bins():
  sure = np.array([0.05, 0.05, 0.62, 0.68, 0.66, 1.0])
  right = np.array([False, True, True, True, False, True])
  curve = calibration.reliability(sure, right)
  assert curve.share[[0, 6, 9]] == pytest.approx([2 / 6, 3 / 6, 1 / 6])
  assert curve.accuracy[[0, 6, 9]] == pytest.approx([0.5, 2 / 3, 1])
  assert curve.confidence[6] == pytest.approx(0.6533, abs=1e-3)
  assert np.isnan(curve.accuracy[1])
  error = 2 / 6 * 0.45 + 3 / 6 * (2 / 3 - 1.96 / 3)
  assert curve.error == pytest.approx(error)


def test_fit_finds_what_made_the_errors():
  rng = np.random.default_rng(0)
  log_odds = rng.normal(0, 2, 20_000)
  right = rng.random(20_000) < 1 / (1 + np.exp(-(0.6 * log_odds + 0.8)))
  assert calibration.fit(log_odds, right) == pytest.approx((0.6, 0.8), abs=0.06)
  with pytest.raises(ValueError):
    calibration.fit(log_odds, np.ones(20_000, bool))


@pytest.mark.slow
def test_the_program_fits_and_draws(tmp_path):
  davis = tiny.write_davis(tmp_path / 'davis')
  result = programs.run(
      'experiments.calibrate',
      f'--data_dir={davis}',
      f'--output_dir={tmp_path / "out"}',
      '--held_out=dogs',
  )
  assert not result.returncode, result.stderr
  assert 'config.tracking.calibration = (' in result.stdout
  results = json.loads((tmp_path / 'out' / 'results.json').read_text())
  assert len(results['calibration']) == 2
  # Fitted, one with an intercept is right on average.
  assert results['fitted']['calibration error'] < 0.1
  for part in 'fitted', 'held out':
    assert 0 < results[part]['pixels right'] < 1
  assert (tmp_path / 'out' / 'reliability.png').stat().st_size > 1000

  result = programs.run(
      'experiments.calibrate',
      f'--data_dir={davis}',
      f'--output_dir={tmp_path / "own"}',
      '--nofit',
      '--max_frames=3',
  )
  assert not result.returncode, result.stderr
  results = json.loads((tmp_path / 'own' / 'results.json').read_text())
  measured = results['measured']
  assert 0 < measured['pixels right'] < 1 and 'calibration' not in results
  # The objects are never lost.
  assert measured['lost'] == 0 and measured['recall of reports'] is None
