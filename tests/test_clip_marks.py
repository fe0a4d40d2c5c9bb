import itertools

import cv2
import numpy as np
import pytest

from data_prep import clip_marks
from vidcolor.data import synthetic
from vidcolor.video import decoding
from vidcolor.video import mp4

_SEPIA = np.array([1.0, 0.9, 0.7])


@pytest.fixture(scope='module')
def clips():
  return [
      synthetic.render_clip(seed, height=96, width=128).frames
      for seed in range(8)
  ]


def _thumbnails(frames):
  return [cv2.resize(x, (48, 48), interpolation=cv2.INTER_AREA) for x in frames]


def _encoded(tmp_path, frames):
  """The thumbnails of frames that went through H.264."""
  mp4.write(tmp_path / 'clip.mp4', frames, 6.0)
  return _thumbnails(decoding.read_frames(tmp_path / 'clip.mp4'))


def _desaturated(frames, saturation):
  frames = np.asarray(frames)
  mean = frames.mean(axis=-1, keepdims=True)
  return (mean + saturation * (frames - mean)).astype(np.uint8)


def _real_clips(shared_dir, step):
  for path in sorted((shared_dir / 'clips').glob('*.mp4'))[::step]:
    frames = decoding.read_frames(path, frames_per_second=6.0)
    yield list(itertools.islice(frames, 60))


def test_black_and_white_and_tinted_clips_are_grey(clips, tmp_path):
  for frames in clips:
    grey = _desaturated(frames, 0)
    assert clip_marks.is_grey(_encoded(tmp_path, grey))
    sepia = (grey * _SEPIA).astype(np.uint8)
    assert clip_marks.is_grey(_encoded(tmp_path, sepia))


def test_dull_clips_are_not_grey(clips, tmp_path):
  for frames in clips:
    assert not clip_marks.is_grey(_encoded(tmp_path, frames))
    assert not clip_marks.is_grey(_encoded(tmp_path, _desaturated(frames, 0.4)))


@pytest.mark.slow
def test_real_clips_are_neither_grey_nor_still(shared_dir):
  for frames in _real_clips(shared_dir, step=40):
    thumbnails = _thumbnails(frames)
    assert not clip_marks.is_grey(thumbnails)
    assert not clip_marks.is_still(thumbnails)
    assert clip_marks.is_grey(_thumbnails(_desaturated(frames, 0)))


def test_a_picture_held_is_still(clips, tmp_path):
  rng = np.random.default_rng(0)
  for frames in clips[:4]:
    noise = rng.normal(0, 3, frames.shape)
    noisy = np.clip(frames[:1] + noise, 0, 255).astype(np.uint8)
    assert clip_marks.is_still(_encoded(tmp_path, noisy))
    assert clip_marks.is_still(_thumbnails(frames[:1]))


def test_a_small_mover_is_no_still(clips, tmp_path):
  for frames in clips[:4]:
    fixed = np.repeat(frames[:1], 24, axis=0)
    for time, frame in enumerate(fixed):
      # 1% of the picture, 30 levels from what lies behind it.
      square = frame[40:51, 20 + time : 31 + time]
      square[:] = np.where(square > 128, square - 30, square + 30)
    assert not clip_marks.is_still(_encoded(tmp_path, fixed))


def _signatures(clips):
  return np.stack([clip_marks.signature(_thumbnails(clip)) for clip in clips])


def test_copies_are_duplicates_and_others_are_not(clips, tmp_path):
  small = [cv2.resize(x, (80, 60)) for x in clips[3]]
  bright = (0.8 * clips[5] + 30).astype(np.uint8)
  copies = [_encoded(tmp_path, small), _encoded(tmp_path, bright)]
  signatures = np.concatenate([_signatures(clips), _signatures(copies)])
  assert signatures.dtype == np.uint64
  duplicates = clip_marks.find_duplicates(signatures)
  assert duplicates.tolist() == [False] * len(clips) + [True, True]


def test_another_part_of_a_clip_is_no_duplicate():
  frames = synthetic.render_clip(1, num_frames=96, height=96, width=128).frames
  signatures = _signatures([frames[:48], frames[48:]])
  assert not clip_marks.find_duplicates(signatures).any()


@pytest.mark.slow
def test_real_copies_are_duplicates_and_real_clips_are_not(
    shared_dir, tmp_path
):
  clips = list(_real_clips(shared_dir, step=25))
  copies = [
      _encoded(tmp_path, [cv2.resize(x, (160, 120)) for x in clip])
      for clip in clips[::5]
  ]
  signatures = np.concatenate([_signatures(clips), _signatures(copies)])
  duplicates = clip_marks.find_duplicates(signatures)
  assert duplicates.tolist() == [False] * len(clips) + [True] * len(copies)


def test_black_clips_are_duplicates_only_of_each_other(clips):
  black = np.zeros_like(clips[0])
  dot = black.copy()
  dot[:, 40:56, 60:76] = 200
  signatures = _signatures([black, clips[0], dot, black])
  assert clip_marks.find_duplicates(signatures).tolist() == [0, 0, 0, 1]


@pytest.mark.slow
def test_duplicates_among_many_are_those_of_all_pairs():
  rng = np.random.default_rng(0)
  signatures = rng.integers(2**63, size=(3000, 4), dtype=np.uint64)
  copies = rng.choice(2000, 300)
  for clip, original in enumerate(copies, 2000):
    bits = np.unpackbits(signatures[original].view(np.uint8))
    bits[rng.choice(256, rng.integers(12), replace=False)] ^= 1
    signatures[clip] = np.packbits(bits).view(np.uint64)
  distance = np.bitwise_count(signatures[:, None] ^ signatures).sum(axis=-1)
  expected = (np.tril(distance, -1) + np.triu(np.full((3000,) * 2, 256))) < 30
  np.testing.assert_array_equal(
      clip_marks.find_duplicates(signatures), expected.any(axis=1)
  )
  assert expected.any(axis=1).sum() == 300


def test_few_clips_have_no_duplicates(clips):
  assert clip_marks.find_duplicates(np.empty((0, 4), np.uint64)).shape == (0,)
  assert not clip_marks.find_duplicates(_signatures(clips[:1])).any()
