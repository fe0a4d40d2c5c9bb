import itertools

import cv2
import numpy as np
import pytest

from data_prep import shots
from vidcolor.data import synthetic
from vidcolor.video import decoding


def _thumbnails(frames):
  return np.stack(
      [cv2.resize(x, (48, 48), interpolation=cv2.INTER_AREA) for x in frames]
  )


def _cuts(thumbnails):
  marks = list(shots.mark_cuts(enumerate(thumbnails)))
  assert [index for index, _ in marks] == list(range(len(thumbnails)))
  first, *rest = [begins for _, begins in marks]
  assert first
  return [index for index, begins in enumerate(rest, 1) if begins]


@pytest.fixture(scope='module')
def clips():
  return [
      _thumbnails(synthetic.render_clip(seed, height=96, width=128).frames)
      for seed in range(6)
  ]


@pytest.mark.parametrize('repeats', [1, 2, 4])
@pytest.mark.parametrize('light', [1.0, 0.3])
def test_cuts_between_clips_are_found_and_nothing_else(clips, repeats, light):
  frames = np.concatenate(clips).repeat(repeats, axis=0)
  cuts = list(range(24 * repeats, len(frames), 24 * repeats))
  assert _cuts((light * frames).astype(np.uint8)) == cuts


def test_cuts_are_found_in_boxed_video(clips):
  frames = np.zeros_like(np.concatenate(clips[:3]))
  for frame, whole in zip(frames, np.concatenate(clips[:3]), strict=True):
    frame[:, 12:36] = cv2.resize(whole, (24, 48))
  assert _cuts(frames) == [24, 48]


def test_cuts_to_and_from_black_are_found(clips):
  frames = np.concatenate([clips[0], np.zeros_like(clips[0]), clips[1]])
  assert _cuts(frames) == [24, 48]


@pytest.mark.parametrize('length', [1, 2])
def test_flash_is_no_cut(clips, length):
  frames = clips[2].copy()
  frames[10 : 10 + length] = 255 - (255 - frames[10 : 10 + length]) // 4
  assert not _cuts(frames)


def test_fade_and_dissolve_are_no_cuts(clips):
  weight = np.clip(np.linspace(-0.5, 1.5, 24), 0, 1)[:, None, None, None]
  for other in (clips[1], np.zeros_like(clips[0])):
    mixed = (1 - weight) * clips[0] + weight * other
    assert not _cuts(mixed.astype(np.uint8))


@pytest.mark.parametrize('speed', [4, 8, 16])
def test_whip_pan_is_no_cut(clips, speed):
  panorama = np.concatenate(list(clips[i][0] for i in range(6)), axis=1)
  panorama = cv2.GaussianBlur(panorama, (9, 1), 0)
  # The camera rests, speeds up, and rests again.
  ways = np.repeat([0, speed // 2, speed, speed // 2, 0], [6, 2, 8, 2, 6])
  lefts = np.cumsum(ways)
  assert not _cuts([panorama[:, left : left + 48] for left in lefts])


def test_noise_on_a_still_is_no_cut():
  rng = np.random.default_rng(0)
  for level in (0, 8, 128):
    noise = rng.normal(level, 6, (40, 48, 48, 3))
    assert not _cuts(np.clip(noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize('count', [0, 1, 2, 3])
def test_short_videos_are_one_shot(clips, count):
  marks = list(shots.mark_cuts(enumerate(clips[0][:count])))
  assert marks == [(i, i == 0) for i in range(count)]


def test_runs_two_frames_behind(clips):
  taken = itertools.count()
  marks = shots.mark_cuts((next(taken), frame) for frame in clips[0])
  for index in range(20):
    assert next(marks)[0] == index
  assert next(taken) == 22


@pytest.mark.slow
def test_cuts_in_real_video_are_found(shared_dir):
  paths = sorted((shared_dir / 'clips').glob('*.mp4'))[::31]
  clips = [
      _thumbnails(itertools.islice(decoding.read_frames(path), 40))
      for path in paths
  ]
  ends = np.cumsum([len(clip) for clip in clips])
  assert _cuts(np.concatenate(clips)) == ends[:-1].tolist()


@pytest.mark.slow
def test_fast_motion_in_real_video_is_no_cut(shared_dir):
  folders = (shared_dir / 'davis2016-dev/JPEGImages/480p').iterdir()
  for folder in folders:
    frames = [
        cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4)
        for path in sorted(folder.glob('*.jpg'))
    ]
    assert not _cuts(_thumbnails(frames)), folder
