import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep.synthetic_clips import synthetic_clips
from vidcolor.data import clips
from vidcolor.data import records as records_lib
from vidcolor.data import synthetic

_SIZE = dict(num_frames=3, height=48, width=64)


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('data')
  synthetic_clips.SyntheticClips(
      data_dir=folder, num_workers=1, num_train=3, num_test=2, **_SIZE
  ).download_and_prepare()
  return folder


def _read(data_dir, split):
  source = tfds.data_source('synthetic_clips', split=split, data_dir=data_dir)
  return {clip['name'].decode(): clip for clip in source}


def test_clips_are_stored_as_rendered(data_dir):
  train = _read(data_dir, 'train')
  assert sorted(train) == ['train000000', 'train000001', 'train000002']
  clip = train['train000002']
  rendered = synthetic.render_clip(2, **_SIZE)
  error = np.stack(clip['frames']).astype(int) - rendered.frames
  assert np.abs(error).mean() < 5
  np.testing.assert_array_equal(np.stack(clip['masks'])[..., 0], rendered.masks)
  np.testing.assert_array_equal(clip['points'], rendered.points)
  np.testing.assert_array_equal(clip['visible'], rendered.visible)
  assert clip['flow'].shape == (0, 48, 64, 2)


def test_test_clips_are_others_and_have_flow(data_dir):
  test = _read(data_dir, 'test')
  assert sorted(test) == ['test000000', 'test000001']
  clip = test['test000000']
  assert clip['flow'].shape == (2, 48, 64, 2)
  assert clip['flow'].dtype == np.float16
  assert np.abs(clip['flow']).max() > 0
  other = synthetic.render_clip(0, **_SIZE)
  assert not np.array_equal(clip['points'], other.points)


def test_they_can_be_trained_on(data_dir):
  records = records_lib.open_records('synthetic_clips', data_dir)
  batch = next(
      clips.training_batches(
          records,
          batch_size=3,
          num_frames=2,
          max_frame_step=1,
          crop_size=32,
          min_scale=0.5,
          num_workers=0,
          seed=0,
      )
  )
  assert batch['frames'].shape == (3, 2, 32, 32, 3)
