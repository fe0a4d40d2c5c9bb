import cv2
import numpy as np
import pytest

from vidcolor.data import synthetic


@pytest.fixture(name='clip', scope='module')
def fixture_clip():
  return synthetic.render_clip(4, num_frames=12)


def _warp(picture, flow):
  """The picture as `flow` sees it: the value where each pixel goes."""
  height, width = flow.shape[:2]
  y, x = np.mgrid[:height, :width].astype(np.float32)
  flow = flow.astype(np.float32)
  return cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], 1)


def test_equal_seeds_give_equal_clips(clip):
  again = synthetic.render_clip(4, num_frames=12)
  other = synthetic.render_clip(5, num_frames=12)
  np.testing.assert_array_equal(again.frames, clip.frames)
  np.testing.assert_array_equal(again.points, clip.points)
  assert np.abs(other.frames.astype(int) - clip.frames).mean() > 10


def test_length_does_not_change_the_first_mask(clip):
  longer = synthetic.render_clip(4, num_frames=13)
  np.testing.assert_array_equal(longer.masks[:12], clip.masks)


@pytest.mark.parametrize('size', [(192, 256), (96, 96), (120, 214)])
def test_all_objects_cover_two_percent_of_the_first_frame(size):
  height, width = size
  for seed in range(20):
    clip = synthetic.render_clip(seed, num_frames=1, height=height, width=width)
    assert clip.frames.shape == (1, height, width, 3)
    sizes = np.bincount(clip.masks[0].ravel()) / (height * width)
    assert len(sizes) in (3, 4)
    assert sizes.min() > 0.02


def test_visible_points_lie_on_their_object(clip):
  owner = clip.masks[0][
      clip.points[:, 0, 1].astype(int), clip.points[:, 0, 0].astype(int)
  ]
  assert np.all(owner > 0) and np.all(clip.visible[:, 0])
  index, time = np.nonzero(clip.visible)
  x, y = np.rint(clip.points[index, time]).astype(int).T
  assert np.mean(clip.masks[time, y, x] == owner[index]) > 0.98


def test_hidden_points_are_outside_or_under_an_object_in_front():
  hidden = 0
  for seed in range(4):
    clip = synthetic.render_clip(seed)
    _, height, width = clip.masks.shape
    x, y = clip.points[:, 0].astype(int).T
    owner = clip.masks[0, y, x]
    index, time = np.nonzero(~clip.visible)
    x, y = np.rint(clip.points[index, time]).astype(int).T
    outside = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    under = clip.masks[time, y, x] > owner[index]
    assert np.mean(outside | under) > 0.95
    hidden += len(index)
  assert hidden > 50


def test_points_move_with_the_flow(clip):
  for time in range(len(clip.flow)):
    shown = clip.visible[:, time] & clip.visible[:, time + 1]
    x, y = clip.points[shown, time].T
    flow = clip.flow[time].astype(np.float32)
    moved = cv2.remap(flow, x[None], y[None], 1)[0]
    error = clip.points[shown, time + 1] - clip.points[shown, time] - moved
    assert np.median(np.abs(error)) < 0.005


def test_flow_warps_masks_and_frames_onto_the_frame_before(clip):
  for time in range(len(clip.flow)):
    before = clip.frames[time].astype(np.float32)
    after = clip.frames[time + 1].astype(np.float32)
    same = _warp(clip.masks[time + 1], clip.flow[time]) == clip.masks[time]
    assert same.mean() > 0.96  # The rest is occlusion and the frame's edge.
    error = np.abs(_warp(after, clip.flow[time]) - before)[same]
    still = np.abs(after - before)[same]
    assert error.mean() < 8  # Noise, and the light that changes.
    assert error.mean() < 0.7 * still.mean()


def test_copying_the_first_mask_is_not_enough():
  overlaps = []
  for seed in range(6):
    masks = synthetic.render_clip(seed, height=96, width=128).masks
    for number in range(1, masks[0].max() + 1):
      is_object = masks == number
      union = np.sum(is_object[0] | is_object, (1, 2))
      overlaps.append(np.mean(np.sum(is_object[0] & is_object, (1, 2)) / union))
  assert 0.2 < np.mean(overlaps) < 0.5
