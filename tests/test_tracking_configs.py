"""The configs of others' propagation against their rules in plain numpy."""

import numpy as np
import pytest

from experiments.configs import tracking_crw
from experiments.configs import tracking_dino
from vidcolor.tracking import propagation

pytestmark = pytest.mark.slow

# Cells enough for windows of 12 to leave some out, frames for a full memory,
# and no pixel as near to one cell as to the next, where labels would tie.
ROWS, COLUMNS, FRAMES, SIZE = 14, 22, 24, (94, 172)


def _video():
  """Features that go a cell a frame, and a mask of two objects."""
  rng = np.random.default_rng(0)
  scene = 4 * rng.normal(size=(ROWS, COLUMNS, 16))
  changes = rng.normal(size=(FRAMES, ROWS, COLUMNS, 16)).cumsum(axis=0)
  moving = [np.roll(scene, t, axis=1) for t in range(FRAMES)]
  features = (moving + changes).astype(np.float32)
  mask = np.zeros(SIZE, np.uint8)
  mask[21:60, 33:90] = 1
  mask[40:88, 71:140] = 2
  return features, mask


def _interpolate(image, size):
  """Bilinear between the centres of cells, without a mean over any."""
  weights = [
      [
          np.interp((np.arange(new) + 0.5) * old / new - 0.5, range(old), one)
          for one in np.eye(old)
      ]
      for old, new in zip(image.shape, size, strict=False)
  ]
  return np.einsum('yxc,yv,xu->vuc', image, *weights, optimize=True)


def _centres(cells, pixels):
  """The pixel at the centre of each cell."""
  return ((np.arange(cells) + 0.5) * pixels / cells).astype(int)


def _propagate(features, labels, references, near, temperature, top_k):
  """Soft labels of each frame.

  `references(t)` are pairs: a frame, and whether it is copied from where the
  distances in y and x are `near` (else from everywhere).
  """
  features = features.astype(float)
  features /= np.linalg.norm(features, axis=-1, keepdims=True)
  features = features.reshape(FRAMES, ROWS * COLUMNS, -1)
  y, x = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
  seen = near(abs(y[:, None] - y), abs(x[:, None] - x))
  all_labels = [labels.reshape(ROWS * COLUMNS, -1)]
  for t in range(1, FRAMES):
    scores, values = [], []
    for s, windowed in references(t):
      score = features[t] @ features[s].T / temperature
      scores.append(np.where(seen | (not windowed), score, -np.inf))
      values.append(all_labels[s])
    scores, values = np.concatenate(scores, axis=1), np.concatenate(values)
    best = np.argpartition(scores, -top_k, axis=1)[:, -top_k:]
    weights = np.exp(np.take_along_axis(scores, best, axis=1))
    weights /= weights.sum(axis=1, keepdims=True)
    all_labels.append(np.einsum('nk,nkc->nc', weights, values[best]))
  return [x.reshape(ROWS, COLUMNS, -1) for x in all_labels]


def _assert_same_masks(config, features, mask, expected):
  options = propagation.PropagationOptions(**config.tracking)
  tracker = propagation.LabelPropagator(lambda embeddings: embeddings, options)
  tracked = list(tracker.track(features, mask))[1:]
  assert len(np.unique(tracked[-1])) == 3
  np.testing.assert_array_equal(tracked, expected)


def test_crw():
  features, mask = _video()
  labels = _propagate(
      features,
      _interpolate(np.eye(3)[mask], (ROWS, COLUMNS)),
      # Twenty copies of the first frame come before it.
      lambda t: [(0, False)]
      + [(max(0, t - d), True) for d in range(20, 0, -1)],
      lambda dy, dx: np.hypot(dy, dx) < 12,
      temperature=0.05,
      top_k=10,
  )
  expected = [_interpolate(x, SIZE).argmax(axis=-1) for x in labels[1:]]
  _assert_same_masks(tracking_crw.get_config(), features, mask, expected)


def test_dino():
  features, mask = _video()
  picked = mask[np.ix_(_centres(ROWS, SIZE[0]), _centres(COLUMNS, SIZE[1]))]
  labels = _propagate(
      features,
      np.eye(3)[picked],
      lambda t: [(0, True)] + [(s, True) for s in range(max(1, t - 7), t)],
      lambda dy, dx: np.maximum(dy, dx) <= 12,
      temperature=0.1,
      top_k=5,
  )
  expected = []
  for frame in labels[1:]:
    frame = _interpolate(frame, SIZE)
    low, high = frame.min(axis=(0, 1)), frame.max(axis=(0, 1))
    expected.append(((frame - low) / (high - low)).argmax(axis=-1))
  _assert_same_masks(tracking_dino.get_config(), features, mask, expected)
