import json
import os

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep.kinetics import kinetics
from tests import kept_processes
from vidcolor import errors
from vidcolor.video import mp4


@pytest.fixture(autouse=True)
def keep_processes(monkeypatch):
  kept_processes.keep(monkeypatch)


def _write(path, num_frames=24, height=48, width=64, frames_per_second=12.0):
  path.parent.mkdir(parents=True, exist_ok=True)
  frames = [
      np.full((height, width, 3), 10 * i, np.uint8) for i in range(num_frames)
  ]
  mp4.write(path, frames, frames_per_second)


def _build(tmp_path, **options):
  builder = kinetics.Kinetics(
      data_dir=tmp_path / 'data', num_workers=1, **options
  )
  builder.download_and_prepare()
  return builder


def _read(builder, split='train'):
  """Returns the clips by name."""
  source = tfds.data_source(
      'kinetics', split=split, data_dir=builder.data_dir_root
  )
  return {example['name'].decode(): example for example in source}


def _skipped(builder):
  manifest = json.loads((builder.data_path / 'manifest.json').read_text())
  return [(f['split'], f['name'], f['reason']) for f in manifest['skipped']]


def test_folder_of_videos(tmp_path):
  _write(tmp_path / 'videos' / 'flat.mkv', frames_per_second=12.0)
  _write(tmp_path / 'videos' / 'some' / 'surfing' / 'b.MP4')
  (tmp_path / 'videos' / 'notes.txt').touch()
  clips = _read(_build(tmp_path, source_dir=tmp_path / 'videos'))
  assert set(clips) == {'flat.mkv', 'some/surfing/b.MP4'}
  assert clips['flat.mkv']['label'] == b''
  clip = clips['some/surfing/b.MP4']
  assert clip['label'] == b'surfing'
  assert clip['frames_per_second'] == 6
  # Two seconds, so every other frame.
  levels = [frame.mean() for frame in clip['frames']]
  np.testing.assert_allclose(levels, np.arange(0, 240, 20), atol=3)
  assert clip['frames'][0].shape == (48, 64, 3)


def test_frames_are_small_rgb_jpegs(tmp_path):
  red = np.zeros((300, 520, 3), np.uint8)
  red[..., 0] = 200
  mp4.write(tmp_path / 'a.mp4', [red] * 9, 6.0)
  clip = _read(_build(tmp_path, source_dir=tmp_path))['a.mp4']
  assert clip['frames'][0].shape == (256, 444, 3)
  np.testing.assert_allclose(
      clip['frames'][0].mean((0, 1)), (200, 0, 0), atol=6
  )


def test_broken_and_short_videos_are_skipped_and_listed(tmp_path):
  for name in ('a', 'b', 'cut'):
    _write(tmp_path / f'{name}.mp4')
  whole = (tmp_path / 'cut.mp4').read_bytes()
  (tmp_path / 'cut.mp4').write_bytes(whole[:700])
  (tmp_path / 'empty.webm').touch()
  _write(tmp_path / 'short.mp4', num_frames=1)
  builder = _build(tmp_path, source_dir=tmp_path)
  assert set(_read(builder)) == {'a.mp4', 'b.mp4'}
  assert builder.info.splits['train'].num_examples == 2
  cut, empty, short = _skipped(builder)
  assert cut[:2] == ('train', 'cut.mp4') and 'cannot read ' in cut[2]
  assert empty[:2] == ('train', 'empty.webm') and 'cannot read' in empty[2]
  assert short[:2] == ('train', 'short.mp4') and 'too short' in short[2]


def test_no_videos(tmp_path):
  with pytest.raises(errors.UserError, match=f'no videos in {tmp_path}.*.mp4'):
    _build(tmp_path, source_dir=tmp_path)
  with pytest.raises(errors.UserError, match='no folder .*/absent'):
    _build(tmp_path, source_dir=tmp_path / 'absent')
  with pytest.raises(errors.UserError, match='--source_dir'):
    _build(tmp_path)


def test_annotations(tmp_path):
  _write(tmp_path / 'videos' / '-aaaaaaaaaa_000003_000013.mp4')
  _write(tmp_path / 'videos' / 'x' / 'bbbbbbbbbbb.mp4')
  _write(tmp_path / 'videos' / 'unlisted.mp4')
  annotations = tmp_path / 'kinetics.csv'
  annotations.write_text(
      'label,youtube_id,time_start,time_end,split\n'
      'tai chi,-aaaaaaaaaa,3,13,train\n'
      '"eating, slowly",bbbbbbbbbbb,0,10,validate\n'
      'tai chi,ccccccccccc,5,15,train\n'
  )
  builder = _build(
      tmp_path, source_dir=tmp_path / 'videos', annotations=[annotations]
  )
  assert set(builder.info.splits) == {'train', 'validation'}
  clip = _read(builder)['-aaaaaaaaaa_000003_000013.mp4']
  assert clip['label'] == b'tai chi'
  clip = _read(builder, 'validation')['x/bbbbbbbbbbb.mp4']
  assert clip['label'] == b'eating, slowly'
  assert _skipped(builder) == [
      (
          'train',
          'ccccccccccc_000005_000015',
          f'no video in {tmp_path}/videos',
      ),
      ('train', 'unlisted.mp4', 'not in the annotations'),
  ]


def test_annotations_of_no_use(tmp_path):
  _write(tmp_path / 'a.mp4')
  annotations = tmp_path / 'a.csv'

  def build():
    _build(tmp_path, source_dir=tmp_path, annotations=[annotations])

  with pytest.raises(errors.UserError, match='cannot read .*a.csv: No such'):
    build()
  annotations.write_text('')
  with pytest.raises(errors.UserError, match='a.csv is not a Kinetics CSV'):
    build()
  annotations.write_text('youtube_id,split\na,train\n')
  with pytest.raises(errors.UserError, match='a.csv .*time_start, time_end'):
    build()
  annotations.write_text('youtube_id,time_start,time_end,split\nb,0,10,train\n')
  with pytest.raises(errors.UserError, match='no videos in .* annotations'):
    build()


def _scene(seed, num_frames):
  """Frames of a texture that moves."""
  rng = np.random.default_rng(seed)
  texture = rng.integers(256, size=(6, 8, 3), dtype=np.uint8)
  texture = cv2.resize(texture, (128, 96), interpolation=cv2.INTER_CUBIC)
  return [np.roll(texture, t, axis=1) for t in range(num_frames)]


def test_cuts_are_stored(tmp_path):
  frames = _scene(0, 15) + _scene(1, 21) + _scene(2, 12)
  mp4.write(tmp_path / 'a.mp4', frames, 12.0)
  clip = _read(_build(tmp_path, source_dir=tmp_path))['a.mp4']
  # Of every other frame: the first after each cut.
  assert clip['shots'].tolist() == [0, 8, 18]
  assert len(clip['frames']) == 24


def test_notes_of_content(tmp_path):
  mp4.write(tmp_path / 'a.mp4', _scene(0, 24), 6.0)
  mp4.write(tmp_path / 'copy.mkv', _scene(0, 24), 6.0)
  mp4.write(tmp_path / 'still.mp4', _scene(1, 1) * 24, 6.0)
  grey = [np.stack([f[..., 1]] * 3, -1) for f in _scene(2, 24)]
  mp4.write(tmp_path / 'grey.mp4', grey, 6.0)
  builder = _build(tmp_path, source_dir=tmp_path)
  source = tfds.data_source(
      'kinetics', split='train', data_dir=builder.data_dir_root
  )
  names = [record['name'].decode() for record in source]
  with np.load(builder.data_path / 'index.npz') as index:
    flagged = {
        flag: {
            n for n, f in zip(names, index[f'train/{flag}'], strict=True) if f
        }
        for flag in ('grey', 'still', 'duplicate')
    }
  assert flagged == {
      'grey': {'grey.mp4'},
      'still': {'still.mp4'},
      # The first, in the order of the records, is none.
      'duplicate': {[n for n in names if n in ('a.mp4', 'copy.mkv')][1]},
  }


def test_long_videos_become_records_of_twenty_seconds(tmp_path):
  mp4.write(tmp_path / 'a.mp4', _scene(0, 49), 1.0)
  builder = _build(tmp_path, source_dir=tmp_path)
  source = tfds.data_source(
      'kinetics', split='train', data_dir=builder.data_dir_root
  )
  assert [record['start'] for record in source] == [0, 20, 40]
  assert [len(record['frames']) for record in source] == [120, 120, 54]
  for record in source:
    np.testing.assert_allclose(record['source_frames_per_second'], 1, atol=0.05)


def test_what_precedes_damage_is_kept(tmp_path):
  rng = np.random.default_rng(0)
  noise = rng.integers(256, size=(60, 48, 64, 3), dtype=np.uint8)
  mp4.write(tmp_path / 'cut.mp4', noise, 12.0)
  whole = (tmp_path / 'cut.mp4').read_bytes()
  (tmp_path / 'cut.mp4').write_bytes(whole[: len(whole) // 2])
  builder = _build(tmp_path, source_dir=tmp_path)
  assert 4 < len(_read(builder)['cut.mp4']['frames']) < 24
  manifest = json.loads((builder.data_path / 'manifest.json').read_text())
  (fault,) = manifest['cut_short']
  assert fault['name'] == 'cut.mp4' and fault['num_records'] == 1
  assert 'cut.mp4 beyond' in fault['reason'] and not manifest['skipped']


def test_urls(tmp_path):
  _write(tmp_path / 'videos' / 'surfing' / 'a.mp4')
  builder = _build(tmp_path, source_dir=f'file://{tmp_path}/videos')
  (clip,) = _read(builder).values()
  assert clip['name'] == b'surfing/a.mp4' and clip['label'] == b'surfing'
  assert len(clip['frames']) == 12


def test_real_clips(tmp_path, shared_dir):
  source = tmp_path / 'videos'
  source.mkdir()
  for path in sorted((shared_dir / 'clips').glob('*.mp4'))[:2]:
    os.symlink(path, source / path.name)
  builder = _build(tmp_path, source_dir=source)
  assert builder.info.splits['train'].num_examples == 2
  for clip in _read(builder).values():
    assert min(clip['frames'][0].shape[:2]) == 256
    assert len(clip['frames']) > 6
    # Neighbours look alike, but are not the same.
    first, second = (
        cv2.blur(f, (9, 9)).astype(int) for f in clip['frames'][:2]
    )
    assert 0 < np.abs(first - second).mean() < 30
