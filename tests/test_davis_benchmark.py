import json

import cv2
import numpy as np
from PIL import Image
import pytest

from tests import tiny
from vidcolor import errors
from vidcolor import masks
from vidcolor.benchmarks import davis
from vidcolor.tracking import baselines
from vidcolor.video import decoding


@pytest.fixture(name='data_dir')
def fixture_data_dir(tmp_path):
  return tiny.write_davis(tmp_path / 'DAVIS')


def _evaluate(data_dir, output_dir, year=2017):
  output_dir.mkdir()
  return davis.evaluate(baselines.Identity(), data_dir, output_dir, year=year)


def test_scores_predictions_as_the_tracker_made_them(data_dir, tmp_path):
  results = _evaluate(data_dir, tmp_path / 'out')
  assert list(results['per_object']) == ['bear_1', 'dogs_1', 'dogs_2']
  # Moved by 2, 4, 6 of 20 columns.
  overlaps = [(20 - d) / (20 + d) for d in (2, 4, 6)]
  assert results['per_object']['bear_1']['J_mean'] == pytest.approx(
      np.mean(overlaps)
  )
  assert results['per_object']['dogs_2']['J_mean'] == 1
  assert results['per_object']['dogs_2']['F_decay'] == 0
  assert results['j_by_frame'][0] == pytest.approx(
      (overlaps[0] + (overlaps[0] + 1) / 2) / 2
  )
  json.dumps(results)
  again = davis.score(
      tmp_path / 'out' / 'predictions', data_dir, tmp_path / 'out', year=2017
  )
  assert again == results
  for section in davis.sections(results, tmp_path / 'out'):
    for media in section.media:
      assert (tmp_path / 'out' / media.file).stat().st_size > 0
  # The first and the last frame are in no film: they do not count.
  assert len(list(decoding.read_frames(tmp_path / 'out' / 'dogs.mp4'))) == 4


def test_a_part_is_scored_and_named(data_dir, tmp_path):
  part = {'sequences': ['dogs'], 'max_frames': 4, 'year': 2017}
  results = davis.evaluate(baselines.Identity(), data_dir, tmp_path, **part)
  assert results['per_sequence'].keys() == {'dogs'}
  assert results['part'] == 'dogs; the first 4 frames of each sequence'
  # The first and the last of four frames do not count.
  assert len(results['j_by_frame']) == 2
  assert len(list((tmp_path / 'predictions/dogs').iterdir())) == 4
  predictions = tmp_path / 'predictions'
  assert davis.score(predictions, data_dir, tmp_path, **part) == results
  with pytest.raises(errors.UserError, match='no sequence cat: give some of b'):
    davis.evaluate(baselines.Identity(), data_dir, sequences=['dogs', 'cat'])


def test_predictions_are_palette_pictures(data_dir, tmp_path):
  _evaluate(data_dir, tmp_path / 'out')
  paths = sorted((tmp_path / 'out/predictions/dogs').iterdir())
  assert [path.name for path in paths] == [f'{t:05}.png' for t in range(6)]
  with Image.open(paths[3]) as picture:
    assert picture.mode == 'P'
    assert picture.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
    assert np.unique(np.array(picture)).tolist() == [0, 1, 2]


def test_2016_makes_one_object_of_all(data_dir, tmp_path):
  results = _evaluate(data_dir, tmp_path / 'out', year=2016)
  assert list(results['per_object']) == ['bear_1', 'dogs_1']
  # Another method's masks may say 255 for the object.
  for path in (tmp_path / 'out/predictions').rglob('*.png'):
    mask = masks.read(path)
    cv2.imwrite(str(path), np.where(mask, 255, 0).astype(np.uint8))
  again = davis.score(
      tmp_path / 'out/predictions', data_dir, tmp_path / 'out', year=2016
  )
  assert again == results


def _predict_soft(predictions_dir):
  for path in predictions_dir.rglob('*.png'):
    mask = masks.read(path, one_object=True)
    soft = cv2.GaussianBlur(mask * 255.0, (0, 0), 1.5).round()
    hard = np.where(soft >= 128, 255, 0).astype(np.uint8)
    yield path, soft.astype(np.uint8), hard


def test_soft_predictions_score_as_if_cut_at_128_in_2016(data_dir, tmp_path):
  _evaluate(data_dir, tmp_path / 'out', year=2016)
  predictions_dir = tmp_path / 'out/predictions'
  pictures = list(_predict_soft(predictions_dir))
  for path, _, hard in pictures:
    cv2.imwrite(str(path), hard)
  expected = davis.score(predictions_dir, data_dir, year=2016)
  assert expected['overall']['J_mean'] > 0.5
  for path, soft, _ in pictures:
    cv2.imwrite(str(path), soft)
  assert davis.score(predictions_dir, data_dir, year=2016) == expected
  with pytest.raises(errors.UserError, match='has greys between black and'):
    davis.score(predictions_dir, data_dir, year=2017)


def _mask_path(data_dir, t):
  return data_dir / f'Annotations/480p/dogs/{t:05}.png'


def test_void_and_late_objects_are_handled_as_in_the_toolkit(
    data_dir, tmp_path
):
  for t in range(6):
    mask = masks.read(_mask_path(data_dir, t)).copy()
    mask[:4] = 255
    if t > 2:
      mask[46:] = 3  # It is in no first mask, so nobody could track it.
    masks.write_png(_mask_path(data_dir, t), mask)
  results = _evaluate(data_dir, tmp_path / 'out')
  assert list(results['per_object']) == ['bear_1', 'dogs_1', 'dogs_2']
  assert results['per_object']['dogs_2']['J_mean'] == 1
  first = masks.read(tmp_path / 'out/predictions/dogs/00000.png')
  assert np.unique(first).tolist() == [0, 1, 2]


def _toolkit_palette():
  """Object 0 to 21 as in PASCAL VOC, then greys up to white."""
  colors = masks.palette().copy()
  colors[22:] = np.arange(22, 256)[:, None]
  return colors


@pytest.mark.parametrize(
    'colors',
    [
        masks.palette(),
        _toolkit_palette(),
        np.arange(256)[:, None].repeat(3, axis=1),
        None,
    ],
    ids=['voc', 'toolkit', 'grey', 'no palette'],
)
@pytest.mark.parametrize('year', [2016, 2017])
def test_frames_of_void_alone_have_no_object(data_dir, tmp_path, colors, year):
  for t in range(6):
    mask = masks.read(_mask_path(data_dir, t))
    mask = np.where(mask > 0, 255, 0) if t in (2, 3) else mask
    picture = Image.fromarray(mask.astype(np.uint8))
    if colors is not None:
      picture.putpalette(colors.ravel().tolist())
    picture.save(_mask_path(data_dir, t))
  results = _evaluate(data_dir, tmp_path / 'out', year=year)
  # The tracker's object stays, so it is wrong where only void is true.
  by_frame = results['per_sequence']['dogs']['j_by_frame']
  assert by_frame[1] == by_frame[2] == 0 < min(by_frame[0], by_frame[3])
  predictions = tmp_path / 'out/predictions/dogs'
  for t in (2, 3):
    masks.write_png(predictions / f'{t:05}.png', np.zeros((48, 64), np.uint8))
  again = davis.score(predictions.parent, data_dir, year=year)
  by_frame = again['per_sequence']['dogs']['j_by_frame']
  assert by_frame[1] == by_frame[2] == 1


def test_first_masks_alone_are_tracked_but_not_scored(data_dir, tmp_path):
  for name in ('bear', 'dogs'):
    folder = data_dir / 'Annotations' / '480p' / name
    for path in sorted(folder.iterdir())[1:]:
      path.unlink()
  results = _evaluate(data_dir, tmp_path / 'out')
  sections = davis.sections(results, tmp_path / 'out')
  assert not results and 'first masks' in sections[0].title
  assert len(list((tmp_path / 'out/predictions/dogs').iterdir())) == 6


def _write_video(root, name, shown, num_frames=8):
  """Writes the layout of YouTube-VOS.

  Object n is a square that moves by a pixel a frame, in eight rows of its own.

  Args:
    root: Folder of the data.
    name: Name of the video.
    shown: The objects in the mask of each frame with one.
    num_frames: Number of frames.
  """
  for kind in ('JPEGImages', 'Annotations'):
    (root / kind / name).mkdir(parents=True)
  for t in range(num_frames):
    frame = np.full((32, 48, 3), 128, np.uint8)
    Image.fromarray(frame).save(root / f'JPEGImages/{name}/{5 * t:05}.jpg')
  for t, numbers in shown.items():
    mask = np.zeros((32, 48), np.uint8)
    for n in numbers:
      mask[8 * n : 8 * n + 8, 2 + t : 12 + t] = n
    masks.write_png(root / f'Annotations/{name}/{5 * t:05}.png', mask)


def _overlap(shift):
  return (10 - shift) / (10 + shift)


@pytest.mark.parametrize(
    'shown, expected',
    [
        # YouTube-VOS: every second frame, and an object that starts late.
        ({0: [1], 2: [1], 4: [1, 2], 6: [1, 2]}, {1: [2, 4, 6], 2: [2]}),
        # MOSE: every frame. An object is alone where it starts.
        (
            {0: [1], 1: [1], 2: [2], 3: [1, 2], 4: [], 5: [], 6: [], 7: [2]},
            {
                1: [1, None, 3, None, None, None, None],
                2: [1, None, None, None, 5],
            },
        ),
        # LVOS: the first mask is empty; numbers have gaps.
        ({0: [], 1: [], 2: [3], 7: [3]}, {3: [5]}),
        # The mask of a start alone tells nothing of the others.
        ({0: [1], 2: [2], 4: [1]}, {1: [4], 2: [None]}),
    ],
    ids=['youtube_vos', 'mose', 'lvos', 'starts'],
)
def test_objects_start_where_their_first_mask_is(tmp_path, shown, expected):
  """An object without truth in a frame with truth is wrong: None."""
  _write_video(tmp_path, 'fish', shown)
  results = davis.evaluate(baselines.Identity(), tmp_path, tmp_path)
  assert {
      name: row['J_mean'] for name, row in results['per_object'].items()
  } == {
      f'fish_{number}': pytest.approx(
          np.mean([0 if s is None else _overlap(s) for s in shifts])
      )
      for number, shifts in expected.items()
  }
  paths = sorted((tmp_path / 'predictions/fish').iterdir())
  assert [path.name for path in paths] == [f'{5 * t:05}.png' for t in range(8)]
  starts = {n: min(t for t in shown if n in shown[t]) for n in expected}
  for t, path in enumerate(paths):
    started = sorted(n for n, start in starts.items() if start <= t)
    assert np.unique(masks.read(path)).tolist() == [0, *started]
  # A submission has only the frames that are scored.
  for t, path in enumerate(paths):
    if t not in shown:
      path.unlink()
  again = davis.score(tmp_path / 'predictions', tmp_path, tmp_path)
  np.testing.assert_equal(again, results)


def test_videos_with_starts_alone_are_tracked_but_not_scored(tmp_path):
  _write_video(tmp_path, 'fish', {0: [1], 4: [2]})
  assert not davis.evaluate(baselines.Identity(), tmp_path, tmp_path)
  assert len(list((tmp_path / 'predictions/fish').iterdir())) == 8
  _write_video(tmp_path, 'owl', {0: [1], 4: [1]})
  with pytest.warns(match='not scored, since only .* are given: fish'):
    results = davis.evaluate(baselines.Identity(), tmp_path, tmp_path)
  assert list(results['per_object']) == ['owl_1']
  # Only the fifth frame has a true mask.
  assert np.isfinite(results['j_by_frame']).tolist() == 3 * [0] + [1] + 3 * [0]
  davis.sections(results, tmp_path)
  assert (tmp_path / 'j_by_frame.png').exists()


def test_a_late_object_covers_what_started_before(tmp_path):
  _write_video(tmp_path, 'fish', {0: [1]})
  mask = np.ones((32, 48), np.uint8)
  mask[:16] = 2
  masks.write_png(tmp_path / 'Annotations/fish/00010.png', mask)
  davis.evaluate(baselines.Identity(), tmp_path, tmp_path)
  last = masks.read(tmp_path / 'predictions/fish/00035.png')
  assert (last[8:16, 2:12] == 2).all() and not last[16:].any()


@pytest.mark.parametrize(
    'shown, message',
    [
        ({}, 'no masks in .*Annotations/fish: restore them'),
        ({2: [], 4: []}, 'no mask of fish has an object: take it off'),
    ],
)
def test_says_what_a_video_lacks(tmp_path, shown, message):
  _write_video(tmp_path, 'fish', shown)
  with pytest.raises(errors.UserError, match=message):
    davis.evaluate(baselines.Identity(), tmp_path)


def test_means_by_attribute_where_davis_lists_them(data_dir, tmp_path):
  (data_dir / 'Annotations' / 'db_info.yml').write_text(
      'attributes: [OCC, FM]\nsequences:\n'
      '- {name: bear, attributes: [OCC]}\n'
      '- {name: dogs, attributes: [OCC, FM]}\n'
  )
  results = _evaluate(data_dir, tmp_path / 'out')
  dogs = results['j_by_attribute']['FM']
  assert dogs == pytest.approx(
      (1 + results['per_object']['dogs_1']['J_mean']) / 2
  )
  assert results['j_by_attribute']['OCC'] < dogs


def _remove(path):
  path.unlink()


def _shrink(path):
  masks.write_png(path, masks.read(path)[::2])


def _add_an_object(path):
  masks.write_png(path, masks.read(path) + np.uint8(1))


def _spoil(path):
  path.write_bytes(b'no picture')


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (_remove, 'no prediction .*dogs/00002.png'),
        (_shrink, 'dogs/00002.png is 64x24 but its true mask is 64x48'),
        (_add_an_object, 'dogs/00002.png has an object 3, but .* has 2'),
        (_spoil, 'cannot read the mask .*dogs/00002.png'),
    ],
)
def test_says_which_prediction_is_wrong(data_dir, tmp_path, spoil, message):
  _evaluate(data_dir, tmp_path / 'out')
  predictions_dir = tmp_path / 'out' / 'predictions'
  # First and last frame are not read.
  (predictions_dir / 'dogs' / '00000.png').unlink()
  (predictions_dir / 'dogs' / '00005.png').unlink()
  spoil(predictions_dir / 'dogs' / '00002.png')
  with pytest.raises(errors.UserError, match=message):
    davis.score(predictions_dir, data_dir, tmp_path / 'out', year=2017)


def _first_mask_alone(data_dir):
  for path in sorted((data_dir / 'Annotations/480p/dogs').iterdir())[1:]:
    path.unlink()


def _no_object(data_dir):
  masks.write_png(_mask_path(data_dir, 0), np.zeros((48, 64), np.uint8))


def _two_frames(data_dir):
  for t in range(2, 6):
    _mask_path(data_dir, t).unlink()
    (data_dir / f'JPEGImages/480p/dogs/{t:05}.jpg').unlink()


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (_first_mask_alone, 'only one of bear and dogs has more than a first'),
        (_no_object, 'the first mask of dogs has no object'),
        (_two_frames, 'dogs has 2 frames'),
    ],
)
def test_says_what_cannot_be_scored_before_it_tracks(
    data_dir, tmp_path, spoil, message
):
  spoil(data_dir)
  with pytest.raises(errors.UserError, match=message):
    _evaluate(data_dir, tmp_path / 'out')
  assert not (tmp_path / 'out' / 'predictions').exists()
