"""Videos that are folders of frames, as mmaction2 and others store them."""

import cv2
import numpy as np
from PIL import Image
import pytest

from data_prep.kinetics import clip_finder
from data_prep.kinetics import frame_folders
from data_prep.kinetics import kinetics
from vidcolor import errors

_PATTERN = 'img_{:05}.jpg'
_FLOW = 'its pictures are optical flow, by their names'


def _write(folder, count=10, pattern=_PATTERN, start=1, size=(48, 64, 3)):
  """Writes pictures whose brightness is 20 times their index."""
  folder.mkdir(parents=True, exist_ok=True)
  for index in range(count):
    picture = np.full(size, 20 * index, np.uint8)
    cv2.imwrite(str(folder / pattern.format(start + index)), picture)


def _levels(folder, rate=25.0):
  frames = frame_folders.decode_frames(str(folder), rate)
  return [round(frame.to_ndarray().mean() / 20) for frame in frames]


def _find(root):
  """Returns (split, label) of each folder of frames by name, and faults."""
  splits, faults = clip_finder.find_clips(str(root))
  found = {
      clip['name']: (split, clip['label'])
      for split, clips in splits.items()
      for clip in clips
      if clip.get('frames_per_second') == 25
  }
  return found, {fault.name: fault.reason for fault in faults}


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('img_00001.jpg', ('img_*.jpg', 1, False)),
        ('a/v_Archery_g01_c01/frame000012.JPG', ('frame*.jpg', 12, False)),
        ('00007.png', ('*.png', 7, False)),
        ('scene2_0003_color.jpeg', ('scene2_*_color.jpeg', 3, False)),
        ('flowers/flower_1.jpg', ('flower_*.jpg', 1, False)),
        ('flow_x_00001.jpg', ('flow_x_*.jpg', 1, True)),
        ('y_00001.jpg', ('y_*.jpg', 1, True)),
        ('tvl1_flow/u/v_Archery_g01_c01/frame1.jpg', ('frame*.jpg', 1, True)),
        ('cover.jpg', None),
        ('img_00001.txt', None),
    ],
)
def test_names(name, expected):
  assert frame_folders.parse(name) == expected


@pytest.mark.parametrize('pattern', [_PATTERN, 'frame{:06}.jpg', '{}.png'])
def test_frames_come_in_the_order_of_their_numbers(tmp_path, pattern):
  _write(tmp_path, 5, pattern, start=8)
  assert _levels(tmp_path) == [0, 1, 2, 3, 4]
  assert _levels(f'file://{tmp_path}') == [0, 1, 2, 3, 4]


def test_the_rate_gives_the_times(tmp_path):
  _write(tmp_path)
  times = [f.time for f in frame_folders.decode_frames(str(tmp_path), 29.97)]
  np.testing.assert_allclose(times, np.arange(10) / 29.97)


def test_what_else_a_folder_of_frames_holds(tmp_path):
  """Flow, depth, masks, a cover, and what macOS leaves."""
  _write(tmp_path, 4)
  for other in 'flow_x_{:05}.jpg', 'y_{:05}.jpg':
    _write(tmp_path, 4, other)  # In three channels.
  for other in 'depth_{:05}.png', 'm{:05}.png':
    _write(tmp_path, 4, other, size=(48, 64))
  _write(tmp_path, 1, 'cover.jpg')
  (tmp_path / '._img_00001.jpg').write_bytes(b'no picture')
  assert _levels(tmp_path) == [0, 1, 2, 3]


def test_frames_are_upright_and_red(tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 6  # Stored lying on its side.
  picture = Image.new('RGB', (64, 48), (250, 20, 20))
  picture.save(tmp_path / '1.jpg', exif=exif)
  (frame,) = frame_folders.decode_frames(str(tmp_path), 25)
  assert (frame.width, frame.height) == (48, 64)
  means = frame.to_ndarray().mean((0, 1))
  np.testing.assert_allclose(means, (250, 20, 20), atol=3)


@pytest.mark.parametrize(
    ('others', 'message'),
    [
        ([('b_{}.jpg', (48, 64, 3))], r'series of pictures \(b_\*.jpg, img_'),
        ([(_PATTERN, (48, 64))], 'no frames: its pictures have one channel'),
    ],
)
def test_folders_that_are_no_video(tmp_path, others, message):
  _write(tmp_path, 2)
  for pattern, size in others:
    _write(tmp_path, 2, pattern, size=size)
  with pytest.raises(errors.UserError, match=message):
    _levels(tmp_path)


def test_damaged_pictures_and_other_sizes_end_a_video(tmp_path):
  _write(tmp_path, 4)
  _write(tmp_path, 1, start=4, size=(50, 64, 3))
  frames = frame_folders.decode_frames(str(tmp_path), 25)
  assert len([next(frames) for _ in range(3)]) == 3
  with pytest.raises(errors.UserError, match='4.jpg has 64 x 50 .* 64 x 48$'):
    next(frames)
  (tmp_path / 'img_00002.jpg').write_bytes(b'no picture')
  with pytest.raises(errors.UserError, match='read the picture .*00002.jpg'):
    _levels(tmp_path)


def test_rawframes_of_mmaction2(tmp_path):
  for split in 'train', 'val':
    video = (
        tmp_path / f'rawframes_{split}' / 'tai chi' / f'{split}_000001_000011'
    )
    _write(video, 2)
    _write(video, 2, 'flow_x_{:05}.jpg', size=(48, 64))
  assert _find(tmp_path) == (
      {
          'rawframes_train/tai chi/train_000001_000011': ('train', 'tai chi'),
          'rawframes_val/tai chi/val_000001_000011': ('validation', 'tai chi'),
      },
      {},
  )


def test_frames_of_ucf101(tmp_path):
  name = 'v_ApplyEyeMakeup_g01_c01'
  _write(tmp_path / 'frames' / name, 2, 'frame{:06}.jpg')
  _write(tmp_path / 'tvl1_flow' / 'u' / name, 2, 'frame{:06}.jpg')
  found, faults = _find(tmp_path)
  assert found == {f'frames/{name}': ('train', 'frames')}
  assert faults == {f'tvl1_flow/u/{name}': _FLOW}
  # One video's folder is given.
  found, faults = _find(tmp_path / 'frames' / name)
  assert (found, faults) == ({name: ('train', '')}, {})


def test_annotations_name_folders(tmp_path):
  _write(tmp_path / 'frames' / 'aaaaaaaaaaa_000003_000013', 2)
  (tmp_path / 'rows.csv').write_text(
      'label,youtube_id,time_start,time_end,split\nbowling,aaaaaaaaaaa,3,13,val\n'
  )
  splits, faults = clip_finder.find_clips(
      str(tmp_path), [tmp_path / 'rows.csv'], 30.0
  )
  ((clip,),) = splits.values()
  assert splits.keys() == {'validation'} and not faults
  assert clip['label'] == 'bowling' and clip['frames_per_second'] == 30


def test_thumbnails_are_no_frames(tmp_path):
  _write(tmp_path / 'videos', 3, 'video{}.jpg')
  (tmp_path / 'videos' / 'video1.mp4').touch()
  _write(tmp_path, 1, 'logo.png')
  assert _find(tmp_path) == ({}, {})


def _records(folder, rate):
  clip = {'name': 'a', 'label': '', 'path': str(folder)}
  return list(kinetics.Kinetics.read_clip(clip | {'frames_per_second': rate}))


@pytest.mark.parametrize(
    ('rate', 'levels'), [(12.0, [0, 2, 4, 6, 8]), (6.0, range(10))]
)
def test_records_hold_six_frames_a_second(tmp_path, rate, levels):
  _write(tmp_path)
  (record,) = _records(tmp_path, rate)
  frames = [
      cv2.imdecode(np.frombuffer(x, np.uint8), 1) for x in record['frames']
  ]
  assert [round(frame.mean() / 20) for frame in frames] == [*levels]
  assert frames[0].shape == (48, 64, 3)
  assert record['source_frames_per_second'] == pytest.approx(rate)


def test_a_folder_that_disappears_stops_the_build(tmp_path):
  with pytest.raises(FileNotFoundError):
    _records(tmp_path / 'gone', 25)


def test_the_build_says_the_rate(tmp_path, capsys):
  _write(tmp_path / 'a')
  builder = kinetics.Kinetics(
      source_dir=tmp_path, data_dir=tmp_path / 'data', frames_per_second=30.0
  )
  builder.list_clips()
  assert capsys.readouterr().out == (
      'folders of frames: 1, read at 30 frames a second; --frames_per_second'
      ' gives another rate\n'
  )
