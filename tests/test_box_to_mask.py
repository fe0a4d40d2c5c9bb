import cv2
import numpy as np
import pytest

import vidcolor
from vidcolor import errors
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.tracking import box_to_mask
from vidcolor.tracking import propagation

_HEIGHT, _WIDTH = 96, 128


def _ball():
  """A ball of two kinds of cells on ground of two, by random embeddings."""
  rng = np.random.default_rng(0)
  y, x = np.indices((_HEIGHT, _WIDTH)) + 0.5
  truth = (x - 70) ** 2 + (y - 50) ** 2 < 20**2
  kind = 2 * truth + (x // 4 + y // 4).astype(int) % 2
  frame = np.array(
      [[40, 90, 40], [60, 120, 50], [190, 60, 50], [220, 90, 60]], np.uint8
  )[kind]
  keys = np.linalg.qr(rng.normal(size=(8, 8)))[0][:4]
  embeddings = keys[kind[2::4, 2::4]]
  embeddings += rng.normal(scale=0.05, size=embeddings.shape)
  return frame, truth, lambda frame: embeddings.astype(np.float32)


def _iou(a, b):
  return (a & b).sum() / (a | b).sum()


def test_finds_what_differs_from_the_surroundings():
  frame, truth, embed = _ball()
  box = 46.5, 27, 92, 73.2
  mask = box_to_mask.from_box(embed, frame, box)
  assert mask.shape == truth.shape
  assert _iou(mask, truth) > 0.9
  assert mask[:, :46].sum() + mask[:, 92:].sum() == 0
  assert not box_to_mask.is_whole(mask, box)


def test_a_box_with_much_room_finds_the_same():
  frame, truth, embed = _ball()
  assert (
      _iou(box_to_mask.from_box(embed, frame, (40, 20, 100, 80)), truth) > 0.85
  )


def test_colors_tell_apart_what_has_the_same_embeddings():
  frame, truth, _ = _ball()
  embed = lambda frame: np.ones((_HEIGHT // 4, _WIDTH // 4, 8), np.float32)
  assert _iou(box_to_mask.from_box(embed, frame, (46, 26, 94, 74)), truth) > 0.8


def test_embeddings_tell_apart_what_has_the_same_colour():
  frame, truth, embed = _ball()
  grey = np.full_like(frame, 128)
  assert _iou(box_to_mask.from_box(embed, grey, (48, 28, 92, 72)), truth) > 0.8


def test_length_of_embeddings_makes_no_difference():
  frame, _, embed = _ball()
  box = 48, 28, 92, 72
  once = box_to_mask.from_box(embed, frame, box)
  again = box_to_mask.from_box(lambda frame: 7 * embed(frame), frame, box)
  np.testing.assert_array_equal(once, again)


def test_box_of_the_whole_frame():
  frame, truth, embed = _ball()
  mask = box_to_mask.from_box(embed, frame, (0, 0, _WIDTH, _HEIGHT))
  assert _iou(mask, truth) > 0.8


def test_box_over_the_edge_is_cut_off():
  frame, _, embed = _ball()
  frame, turned = np.roll(frame, -64, 1), np.roll(embed(frame), -16, 1)
  truth = np.roll(_ball()[1], -64, 1)[:, :64]
  mask = box_to_mask.from_box(lambda _: turned, frame, (-9, 28, 28, 72))
  assert _iou(mask[:, :64], truth) > 0.8


@pytest.mark.filterwarnings('ignore:the box .* was taken whole')
@pytest.mark.parametrize(
    'box',
    [
        (0, 0, 1, 1),
        (127, 95, 128, 96),
        (60.2, 40.2, 60.4, 40.4),
        (60, 0, 61, 96),
        (3, 3, 6, 5),
    ],
)
def test_tiny_boxes_hold_something_and_nothing_beyond(box):
  frame, _, embed = _ball()
  mask = box_to_mask.from_box(embed, frame, box)
  ys, xs = mask.nonzero()
  assert xs.size
  assert xs.min() >= int(box[0]) and xs.max() < np.ceil(box[2])
  assert ys.min() >= int(box[1]) and ys.max() < np.ceil(box[3])


def test_nothing_that_differs_gives_the_box():
  frame = np.full((64, 64, 3), 90, np.uint8)
  rng = np.random.default_rng(0)
  # Each cell is like one elsewhere, none like its neighbours.
  tile = rng.normal(size=(4, 4, 8)).astype(np.float32)
  embeddings = np.tile(tile, (4, 4, 1))
  box = 24, 24, 40, 40
  with pytest.warns(UserWarning, match='box 24,24,40,40 was taken whole'):
    mask = box_to_mask.from_box(lambda frame: embeddings, frame, box)
  assert box_to_mask.is_whole(mask, box)
  expected = np.zeros((64, 64), bool)
  expected[24:40, 24:40] = True
  np.testing.assert_array_equal(mask, expected)


def test_a_stray_detail_is_not_the_object():
  frame = np.full((_HEIGHT, _WIDTH, 3), 90, np.uint8)
  embeddings = np.ones((_HEIGHT // 4, _WIDTH // 4, 8), np.float32)
  embeddings[12, 17] *= -1
  box = 48, 28, 92, 72
  with pytest.warns(UserWarning, match='taken whole'):
    mask = box_to_mask.from_box(lambda frame: embeddings, frame, box)
  assert mask.sum() == 44 * 44


def test_one_cell_for_the_whole_frame_gives_the_box():
  frame = np.zeros((8, 8, 3), np.uint8)
  embed = lambda frame: np.ones((1, 1, 4), np.float32)
  with pytest.warns(UserWarning, match='taken whole'):
    mask = box_to_mask.from_box(embed, frame, (2, 2, 5, 6))
  assert mask.sum() == 12


@pytest.mark.parametrize(
    'box', [(60, 40, 20, 80), (10, 50, 30, 50), (130, 0, 150, 20)]
)
def test_box_without_a_pixel_is_told(box):
  frame, _, embed = _ball()
  with pytest.raises(
      errors.UserError, match='has no pixel in the frame of 128'
  ):
    box_to_mask.from_box(embed, frame, box)


def test_tracker_embeds_at_unit_length_if_asked():
  embeddings = np.random.default_rng(0).normal(size=(3, 4, 5))
  options = dict(recent=1, keep_first=False)
  plain = propagation.LabelPropagator(
      lambda frame: embeddings, propagation.PropagationOptions(**options)
  )
  unit = propagation.LabelPropagator(
      lambda frame: embeddings,
      propagation.PropagationOptions(unit_length=True, **options),
  )
  length = np.linalg.norm(embeddings, axis=-1, keepdims=True)
  np.testing.assert_allclose(plain.embed(None), embeddings, rtol=1e-6)
  np.testing.assert_allclose(unit.embed(None), embeddings / length, rtol=1e-5)


@pytest.mark.slow
def test_beats_the_box_on_real_video(shared_dir):
  embed = vidcolor.load_pretrained().propagator.embed
  by_name = {
      sequence.name: sequence
      for sequence in davis_data.read_davis(
          shared_dir / 'davis2016-dev', year=2016
      )
  }
  for name, bound in ('libby', 0.6), ('horsejump-high', 0.4):
    frame = by_name[name].frames[0]
    truth = np.asarray(by_name[name].masks[0]) == 1
    x, y, width, height = cv2.boundingRect(truth.view(np.uint8))
    box = np.array([x, y, x + width, y + height])
    mask = box_to_mask.from_box(embed, frame, box)
    assert _iou(mask, truth) > bound > truth.sum() / (width * height)
