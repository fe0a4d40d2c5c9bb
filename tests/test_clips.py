import os
import sys
import threading

import cv2
import grain
import numpy as np
import orbax.checkpoint as ocp
import pytest
from tensorflow_datasets.proto import tf_example_pb2

from tests import toy
from vidcolor import errors
from vidcolor.data import clips
from vidcolor.data import records as records_lib


def _png(image):
  return cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[
      1
  ].tobytes()


def _clip(name, images, shots=(0,)):
  """Returns a record as `data_prep` writes it."""
  example = tf_example_pb2.Example()
  features = example.features.feature
  features['name'].bytes_list.value.append(name.encode())
  features['frames'].bytes_list.value.extend(map(_png, images))
  features['shots'].int64_list.value.extend(shots)
  return example.SerializeToString()


def _noise_clips(num_clips=5, num_frames=8):
  """Returns clips that each show one picture of noise."""
  rng = np.random.default_rng(0)
  images = rng.integers(256, size=(num_clips, 30, 40, 3), dtype=np.uint8)
  return [_clip(str(i), [image] * num_frames) for i, image in enumerate(images)]


def _counting_clip(num_frames, shots=(0,)):
  """Returns a clip whose every pixel is the number of the frame."""
  images = [np.full((30, 40, 3), i, np.uint8) for i in range(num_frames)]
  return _clip('counts', images, shots)


def _position_clip():
  """Returns a clip whose red and green encode the position in the frame."""
  y, x = np.mgrid[:120, :160]
  image = np.stack([x, y, 0 * x], -1).astype(np.uint8)
  return _clip('', [image] * 3)


def _numbers(batch):
  """Returns the frame numbers of clips from `_counting_clip`."""
  return batch['frames'][..., 0, 0, 0].astype(int)


def _batches(source, **options):
  defaults = dict(
      batch_size=2,
      num_frames=3,
      max_frame_step=2,
      crop_size=16,
      min_scale=0.5,
      num_workers=0,
      seed=0,
  )
  return clips.training_batches(source, **defaults | options)


def _take(batches, count):
  return [next(batches) for _ in range(count)]


def _equal(batches, others):
  return all(
      np.array_equal(batch[key], other[key])
      for batch, other in zip(batches, others, strict=True)
      for key in ('frames', 'name')
  )


def test_batches_are_deterministic():
  source = _noise_clips()
  first = _take(_batches(source), 6)
  assert first[0]['frames'].shape == (2, 3, 16, 16, 3)
  assert first[0]['frames'].dtype == np.uint8
  assert _equal(first, _take(_batches(source), 6))
  assert not _equal(first, _take(_batches(source, seed=1), 6))


def test_epochs_are_shuffled_and_drawn_anew():
  drawn = _take(_batches(_noise_clips(), batch_size=5), 3)
  names = [tuple(batch['name']) for batch in drawn]
  assert all(sorted(epoch) == list('01234') for epoch in names)
  assert len(set(names)) == 3
  crops = [b['frames'][list(b['name']).index('0')] for b in drawn]
  assert not np.array_equal(crops[0], crops[1])


def test_a_clip_is_one_crop_of_its_video():
  for frames in _take(_batches(_noise_clips(), batch_size=5), 2):
    for clip in frames['frames']:
      assert np.array_equal(clip[0], clip[1])
      assert np.array_equal(clip[0], clip[2])


def test_crops_are_squares_of_every_size_and_half_are_mirrored():
  source = [_position_clip()]
  crops = next(_batches(source, batch_size=64, crop_size=20))['frames'][:, 0]
  crops = crops.astype(float)
  widths = (crops[:, 0, -1, 0] - crops[:, 0, 0, 0]) * 20 / 19
  heights = (crops[:, -1, 0, 1] - crops[:, 0, 0, 1]) * 20 / 19
  np.testing.assert_allclose(np.abs(widths), heights, atol=2)
  assert 58 < heights.min() < 70 and 110 < heights.max() < 122
  assert 16 < np.sum(widths < 0) < 48
  lefts = crops[:, 0, :, 0].min(-1)
  assert lefts.min() < 10 and lefts.max() > 50


def test_crops_of_a_clip_are_moved_apart_at_most_by_max_shift():
  source = [_position_clip()]
  # A crop of 60 rows, whose frames are moved apart by up to 30 pixels.
  batches = _batches(source, batch_size=64, crop_size=60, max_shift=0.5)
  frames = next(batches)['frames'].astype(int)
  side = frames[..., 1].max((2, 3)) - frames[..., 1].min((2, 3)) + 1
  corners = frames[..., :2].min((2, 3))
  apart = corners.max(1) - corners.min(1)
  assert np.all(apart <= 0.5 * side.mean(1, keepdims=True) + 1.5)
  assert np.all((apart > 15).mean(0) > 0.2)
  # The crops stay within the frame.
  assert np.all(corners >= 0)
  assert np.all(corners[..., 1] + side <= 121)


def test_frame_steps():
  steps, starts = set(), set()
  for batch in _take(_batches([_counting_clip(9)], max_frame_step=3), 30):
    numbers = _numbers(batch)
    assert np.array_equal(numbers[:, 2] - numbers[:, 1], np.diff(numbers)[:, 0])
    steps |= set(np.diff(numbers)[:, 0])
    starts |= set(numbers[:, 0])
    assert numbers.max() <= 8
  assert steps == {1, 2, 3}
  assert {0, 6} <= starts


@pytest.mark.parametrize(
    ('length', 'expected'),
    [(1, {(0, 0, 0)}), (2, {(0, 1, 1)}), (3, {(0, 1, 2)})],
)
def test_short_videos_repeat_their_last_frame(length, expected):
  numbers = _numbers(next(_batches([_counting_clip(length)], batch_size=8)))
  assert {tuple(clip.tolist()) for clip in numbers} == expected


def test_clips_stay_within_a_shot():
  shots = [0, 1, 4, 16, 18]
  source = [_counting_clip(24, shots)]
  batch = next(_batches(source, batch_size=400, max_frame_step=4))
  numbers = _numbers(batch)
  of_shot = np.searchsorted(shots, numbers, side='right') - 1
  assert np.array_equal(of_shot[:, 0], of_shot[:, -1])
  # A clip can start at 0, 1, 10, 0 and 4 frames of the shots.
  drawn = np.bincount(of_shot[:, 0], minlength=5) / 400
  np.testing.assert_allclose(drawn, np.array([0, 1, 10, 0, 4]) / 15, atol=0.06)
  assert set(np.diff(numbers[of_shot[:, 0] == 2])[:, 0]) == {1, 2, 3, 4}
  assert set(np.diff(numbers[of_shot[:, 0] == 4])[:, 0]) == {1, 2}


def test_the_longest_shot_is_taken_if_all_are_too_short():
  batch = next(_batches([_counting_clip(5, [0, 1, 3, 4])], batch_size=8))
  assert {tuple(clip.tolist()) for clip in _numbers(batch)} == {(1, 2, 2)}


def test_single_frames_can_be_drawn():
  frames = next(_batches([_counting_clip(3)], batch_size=32, num_frames=1))
  assert set(frames['frames'][:, 0, 0, 0, 0].tolist()) == {0, 1, 2}


def test_only_sampled_frames_are_decoded(monkeypatch):
  decoded = []
  decode = cv2.imdecode

  def note(*args):
    image = decode(*args)
    decoded.append(image.shape)
    return image

  monkeypatch.setattr(cv2, 'imdecode', note)
  # The size is unique, because threads of other tests may still be decoding.
  batches = _batches([_clip('odd', [np.zeros((31, 47, 3), np.uint8)] * 200)])
  next(batches)
  batches.close()
  # Some belong to prefetched batches.
  assert 6 <= decoded.count((31, 47, 3)) < 100


@pytest.mark.skipif(sys.platform != 'linux', reason='priorities of threads')
def test_the_training_step_goes_first(monkeypatch):
  seen = []

  def sample_clip(record, rng, **options):
    seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    return {'name': 'one'}

  monkeypatch.setattr(clips, 'sample_clip', sample_clip)
  _take(_batches([_counting_clip(4)]), 1)
  assert set(seen) == {19}
  assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < 19


def test_resuming_goes_on_mid_epoch(tmp_path):
  source = _noise_clips()
  batches = _batches(source)
  _take(batches, 3)
  with ocp.CheckpointManager(tmp_path / 'checkpoints') as manager:
    data = grain.checkpoint.CheckpointSave(batches)
    manager.save(3, args=ocp.args.Composite(data=data))
  expected = _take(batches, 5)
  resumed = _batches(source)
  with ocp.CheckpointManager(tmp_path / 'checkpoints') as manager:
    data = grain.checkpoint.CheckpointRestore(resumed)
    manager.restore(3, args=ocp.args.Composite(data=data))
  assert _equal(expected, _take(resumed, 5))


@pytest.mark.slow
def test_workers_give_the_same_batches_and_resume():
  source = _noise_clips()
  batches = _batches(source, num_workers=2)
  expected = _take(_batches(source), 6)
  assert _equal(_take(batches, 3), expected[:3])
  state = batches.get_state()
  batches.close()
  resumed = _batches(source, num_workers=2)
  resumed.set_state(state)
  assert _equal(_take(resumed, 3), expected[3:])
  resumed.close()


def test_processes_share_the_batches_of_one():
  source = _noise_clips()
  whole = _take(_batches(source, batch_size=4), 4)
  for index in (0, 1):
    part = _batches(source, process_index=index, process_count=2)
    expected = [
        {key: value[index::2] for key, value in batch.items()}
        for batch in whole
    ]
    assert _equal(_take(part, 4), expected)


@pytest.fixture
def dataset(tmp_path):
  """Four clips that fade in; two are grey, and one of these is still."""
  frames = [np.full((48, 64, 3), 20 * i, np.uint8) for i in range(8)]
  folder = toy.build(tmp_path / 'data', {name: frames for name in 'abcd'})
  grey = np.array([0, 1, 0, 1], bool)
  still = np.array([0, 0, 0, 1], bool)
  marks = {'train/grey': grey, 'train/still': still, 'train/moving': ~still}
  num_frames = np.full(4, 8, np.int32)
  np.savez(folder / 'index.npz', **marks, **{'train/num_frames': num_frames})
  return tmp_path / 'data'


def _names(records):
  return [records_lib.parse(record)[0] for record in records]


def test_marked_clips_are_left_out(dataset):
  names = _names(records_lib.open_records('toy', dataset))
  assert sorted(names) == list('abcd')
  for split, leave_out, expected in [
      ('train', ['grey'], [names[0], names[2]]),
      ('train', ['still'], names[:3]),
      ('train', ['grey', 'still'], [names[0], names[2]]),
      ('train[50%:]', ['grey'], [names[2]]),
      ('train[:1]+train[2:]', ['still'], [names[0], names[2]]),
  ]:
    records = records_lib.open_records('toy', dataset, split, leave_out)
    assert _names(records) == expected


@pytest.mark.slow
def test_a_worker_leaves_out_marked_clips(dataset):
  records = records_lib.open_records('toy', dataset, leave_out=['grey'])
  batch = next(_batches(records, num_workers=1))
  assert sorted(batch['name']) == sorted(_names(records))


def test_leaving_out_what_is_not_known(dataset):
  with pytest.raises(
      errors.UserError, match="no 'gray': give some of grey, moving, still$"
  ):
    records_lib.open_records('toy', dataset, leave_out=['gray'])
  with pytest.raises(errors.UserError, match='leaves out all 4 clips'):
    records_lib.open_records('toy', dataset, leave_out=['still', 'moving'])
  next(dataset.rglob('index.npz')).unlink()
  with pytest.raises(errors.UserError, match='no .*index.npz.*leave_out'):
    records_lib.open_records('toy', dataset, leave_out=['grey'])
  assert len(records_lib.open_records('toy', dataset)) == 4


def test_datasets_without_shots_are_refused(dataset):
  path = next(dataset.rglob('features.json'))
  path.write_text(path.read_text().replace('"shots"', '"cuts"'))
  with pytest.raises(errors.UserError, match='has no shots'):
    records_lib.open_records('toy', dataset)


def test_datasets_and_splits_that_are_not_there(dataset, tmp_path, monkeypatch):
  with pytest.raises(
      errors.UserError,
      match=f'no dataset toy in {tmp_path}.*data_prep.build --dataset=toy',
  ):
    records_lib.open_records('toy', tmp_path)
  monkeypatch.setenv('HOME', str(tmp_path))
  assert len(records_lib.open_records('toy:2.0.0', '~/data', 'train[:1]')) == 1
  assert len(records_lib.open_source('toy:2.0.0', '~/data', 'train[:1]')) == 1
  with pytest.raises(errors.UserError, match="no split 'test' in .*2.0.0"):
    records_lib.open_records('toy', dataset, 'test')


@pytest.fixture
def several(dataset, tmp_path):
  """Folders of two datasets, of four clips and of twelve larger ones."""
  frames = [np.full((64, 48, 3), 20 * i, np.uint8) for i in range(8)]
  other = tmp_path / 'other'
  toy.build(other, {f'other{i:02}': frames for i in range(12)})
  return dataset, other


def test_several_datasets_follow_one_another(several):
  both = records_lib.open_records('toy', several)
  ones = [records_lib.open_records('toy', folder) for folder in several]
  assert _names(both) == _names(ones[0]) + _names(ones[1])
  assert both[-1] == ones[1][11] and len(both) == 16
  with pytest.raises(IndexError):
    both[16]
  assert both.folder == ones[0].folder
  assert '(4 records, 25%), ' in both.summary and not ones[0].summary


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        ({'name': 'toy,toy:2.0.0'}, [4, 12]),
        ({'split': ('train[:1]', 'train')}, [1, 12]),
        ({'split': 'train[:2], train[1:3]'}, [2, 2]),
    ],
)
def test_each_field_has_one_value_or_one_for_each(several, fields, expected):
  given = {'name': 'toy', 'data_dir': ','.join(map(str, several))} | fields
  records = records_lib.open_records(**given)
  counts = ' + '.join(map(str, expected))
  assert records.identity['records'] == counts
  assert len(records) == sum(expected)


def test_a_dataset_given_twice_counts_twice(several):
  first, other = several
  names = _names(records_lib.open_records('toy', [first, other, first]))
  assert [names.count(name) for name in ('a', 'other00')] == [2, 1]


def test_wrong_numbers_of_datasets_are_one_line(several, tmp_path):
  with pytest.raises(errors.UserError, match='data_dir has 2 values.* has 3: '):
    records_lib.open_records('toy', several, ['train'] * 3)
  with pytest.raises(errors.UserError, match=f'no dataset toy in {tmp_path}/x'):
    records_lib.open_records('toy', f'{several[0]},{tmp_path}/x')


def test_clips_of_several_datasets_are_mixed_by_size_and_resume(several):
  """An epoch holds each clip once, whatever the size of its frames."""
  records = records_lib.open_records('toy', several)
  batches = _batches(records, batch_size=4)
  first = _take(batches, 2)
  state = batches.get_state()
  rest = _take(batches, 2)
  names = [name for batch in first + rest for name in batch['name']]
  assert sorted(names) == sorted(_names(records))
  assert {len(name) for name in names[:8]} == {1, 7}
  resumed = _batches(records, batch_size=4)
  resumed.set_state(state)
  assert _equal(rest, _take(resumed, 2))


def test_clips_of_a_dataset(dataset):
  records = records_lib.open_records('toy', dataset)
  batch = next(_batches(records, batch_size=4))
  assert sorted(batch['name']) == list('abcd')
  levels = batch['frames'].mean((2, 3, 4))
  assert 15 < np.diff(levels).min() and np.diff(levels).max() < 45


@pytest.mark.parametrize(
    'num_workers', [0, pytest.param(1, marks=pytest.mark.slow)]
)
def test_clips_that_cannot_be_decoded_are_named(num_workers):
  record = _counting_clip(3)
  (frame,) = {bytes(f) for f in records_lib.parse(record)[1][1:2]}
  damaged = record.replace(frame, bytes(len(frame)))
  records = [_clip('good', [np.zeros((30, 40, 3), np.uint8)] * 3)] * 3
  batches = _batches([*records, damaged], num_workers=num_workers, batch_size=8)
  with pytest.raises(
      errors.UserError, match="frame 1 of clip 'counts' cannot be decoded"
  ):
    _take(batches, 8)
  batches.close()


def test_records_that_cannot_be_read_are_named(dataset):
  records = records_lib.open_records('toy', dataset)
  (path,) = dataset.rglob('*.array_record-*')
  content = path.read_bytes()
  path.write_bytes(content[:100] + bytes(100) + content[200:])
  with pytest.raises(
      errors.UserError, match=r'record \d of .*toy.*2.0.0.* read'
  ):
    list(records)
