import json

import cv2
from jax import numpy as jnp
import numpy as np
import pytest

from tests import tiny
from vidcolor import color
from vidcolor import errors
from vidcolor.benchmarks import colorization
from vidcolor.benchmarks.colorization import run as colorization_run
from vidcolor.data import records
from vidcolor.tracking import propagation
from vidcolor.video import decoding

CELL = 8
RED, GREEN = (255, 0, 0), (0, 255, 0)
PALETTE = np.asarray(
    color.rgb_to_lab(jnp.array([RED, GREEN], jnp.uint8))[:, 1:]
)


def _same_position(frame):
  rows, columns = frame.shape[0] // CELL, frame.shape[1] // CELL
  return 20 * jnp.eye(rows * columns).reshape(rows, columns, -1)


@pytest.fixture(scope='module')
def tracker():
  options = propagation.PropagationOptions(
      recent=3, keep_first=False, temperature=1.0, radius=None, top_k=None
  )
  return propagation.LabelPropagator(_same_position, options)


def _clip(name, num_frames, columns=20):
  """In every frame one more column of cells is green than in the last."""
  frames = []
  for index in range(num_frames):
    frame = np.full((2 * CELL, columns * CELL, 3), RED, np.uint8)
    frame[:, : index * CELL] = GREEN
    frames.append(cv2.imencode('.png', frame[..., ::-1])[1].tobytes())
  return {'name': name.encode(), 'frames': np.array(frames, object)}


@pytest.fixture
def evaluate(tracker, tmp_path, monkeypatch):
  """Evaluates on clips that are given."""

  def evaluate(source, **options):
    monkeypatch.setattr(records, 'open_source', lambda *args: source)
    return colorization.evaluate(
        tracker, 'data', tmp_path, palette=PALETTE, **options
    )

  return evaluate


def test_clips_of_one_tint_have_no_truth(evaluate):
  tinted = _clip('sepia', 30) | {'grey': True}
  results = evaluate([_clip('colored', 8) | {'grey': False}, tinted])
  assert list(results['per_clip']) == ['colored']
  with pytest.raises(errors.UserError, match='no colored clip'):
    evaluate([tinted])


def test_scores_by_horizon(evaluate):
  source = [_clip('long', 30), _clip('short', 8), _clip('too short', 3)]
  results = evaluate(source)
  assert results['num_clips'] == {'1': 2, '2': 2, '4': 2, '8': 1, '16': 1}
  per_horizon = results['per_horizon']
  for horizon, scores in per_horizon['baseline'].items():
    # So many columns have changed since.
    assert scores['accuracy'] == pytest.approx(1 - int(horizon) / 20)
    assert per_horizon['1 reference'][horizon] == pytest.approx(
        scores, rel=1e-3
    )
  # One more column was another colour in two of three frames.
  scores = per_horizon['3 references']['1']
  assert scores['accuracy'] == pytest.approx(1 - 2 / 20)

  mean = lambda horizons: pytest.approx(1 - np.mean(horizons) / 20)
  overall = results['overall']['baseline']
  assert overall['accuracy'] == mean(colorization_run.HORIZONS)
  assert list(results['per_clip']) == ['long', 'short']
  short = results['per_clip']['short']['baseline']
  assert short['accuracy'] == mean([1, 2, 4])


def test_num_clips_and_too_short_clips(evaluate):
  source = [_clip('too short', 3), _clip('short', 5), _clip('other', 5)]
  results = evaluate(source, num_clips=2)
  assert list(results['per_clip']) == ['short']
  with pytest.raises(errors.UserError, match='four frames in validation'):
    evaluate(source, num_clips=1)


@pytest.mark.slow
def test_evaluates_a_dataset(tracker, tmp_path):
  data_dir = tiny.build_dataset(tmp_path)
  options = {'palette': np.eye(16, 2, dtype=np.float32)}
  with pytest.raises(errors.UserError, match="no split 'validation'"):
    colorization.evaluate(tracker, data_dir, tmp_path, **options)
  results = colorization.evaluate(
      tracker, data_dir, tmp_path, split='train[60%:]', **options
  )
  sections = colorization.sections(results, tmp_path)
  json.dumps(results, allow_nan=False)
  assert results['num_clips'] == {'1': 2, '2': 2, '4': 2, '8': 2}
  media = [media.file for section in sections for media in section.media]
  assert media[:2] == ['colors.mp4', 'colors.png'] and len(media) == 6
  for file in media:
    assert (tmp_path / file).stat().st_size > 0
  # Of 12 frames of each, from the third on.
  assert len(list(decoding.read_frames(tmp_path / 'colors.mp4'))) == 20
  assert not list(tmp_path.glob('.*'))
