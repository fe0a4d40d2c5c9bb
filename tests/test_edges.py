import cv2
from jax import numpy as jnp
import numpy as np
import pytest

from vidcolor.tracking import edges
from vidcolor.tracking import labels as labels_lib
from vidcolor.tracking import propagation

SIZE, GRID = (96, 128), (24, 32)  # Cells of 4 x 4 pixels.
COLORS = np.array([[70, 90, 60], [200, 60, 50], [60, 80, 210]], np.uint8)


def _disks(count=1):
  """A mask of disks side by side, of one and then of the other color."""
  y, x = np.ogrid[: SIZE[0], : SIZE[1]]
  mask = np.zeros(SIZE, np.uint8)
  for number in range(1, count + 1):
    center = 25 + 46 * number - 23 * count
    mask[(x - 23 - center) ** 2 + (y - 47) ** 2 < 21.5**2] = number
  noise = np.random.default_rng(0).integers(0, 12, (*SIZE, 3), np.uint8)
  return mask, COLORS[mask] + noise


def _soft(mask, count=1):
  """Labels on cells, blurred as copies are."""
  one_hot = np.eye(count + 1, dtype=np.float32)[mask]
  soft = cv2.resize(one_hot, GRID[::-1], interpolation=cv2.INTER_AREA)
  return cv2.GaussianBlur(soft, (0, 0), 0.8)


def _iou(mask, truth, number=1):
  mask, truth = mask == number, truth == number
  return np.sum(mask & truth) / np.sum(mask | truth)


@pytest.mark.parametrize('count', [1, 2])
def test_masks_end_where_colors_change(count):
  truth, frame = _disks(count)
  labels = _soft(truth, count)
  refined = edges.mask_along_edges(labels, frame)
  plain = np.asarray(labels_lib.to_mask(jnp.asarray(labels), *SIZE))
  for number in range(1, count + 1):
    wrong = 1 - _iou(plain, truth, number)
    assert 1 - _iou(refined, truth, number) < 0.5 * wrong


def test_without_contrast_labels_decide():
  truth, _ = _disks()
  labels = _soft(truth)
  plain = np.asarray(labels_lib.to_mask(jnp.asarray(labels), *SIZE))
  refined = edges.mask_along_edges(labels, np.full((*SIZE, 3), 90, np.uint8))
  assert _iou(refined, plain) > 0.95


def test_what_no_cell_shows_has_no_pixels():
  _, frame = _disks()
  labels = np.zeros((*GRID, 3), np.float32)
  labels[..., 0] = 1
  assert not edges.mask_along_edges(labels, frame).any()


def test_trackers_refine_rgb_frames_and_no_others():
  truth, frame = _disks()
  # Copies the labels of this cell, whatever is shown.
  still = propagation.PropagationOptions(radius=0, top_k=1)
  embed = lambda _: jnp.ones((*GRID, 1))

  def track(options, frames):
    tracker = propagation.LabelPropagator(embed, options)
    return list(tracker.track(frames, truth))

  refine = propagation.PropagationOptions(radius=0, top_k=1, refine_edges=True)
  rgb, other = [frame] * 2, [np.float32(frame)] * 2
  wrong = 1 - _iou(track(still, rgb)[1], truth)
  assert 1 - _iou(track(refine, rgb)[1], truth) < 0.5 * wrong
  np.testing.assert_array_equal(track(refine, other), track(still, other))
  tracked = list(
      propagation.LabelPropagator(embed, refine).track_objects(rgb, truth)
  )
  np.testing.assert_array_equal(tracked[1].mask, track(refine, rgb)[1])
  assert 0.9 < tracked[1].by_object[0] <= 1


def test_stretched_labels_are_not_refined():
  with pytest.raises(ValueError, match='not both'):
    propagation.PropagationOptions(refine_edges=True, stretch_labels=True)
