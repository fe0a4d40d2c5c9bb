import contextlib
import types

import ml_dtypes
import numpy as np
import pytest

from vidcolor import errors
from vidcolor.data import features

NAMES = ['00000', '00001', '00002']


@pytest.fixture
def folder(tmp_path):
  folder = tmp_path / 'walk'
  folder.mkdir()
  for t, name in enumerate(NAMES):
    np.save(folder / f'{name}.npy', np.full((2, 3, 4), t, np.float16))
  return folder


def _read(folder, names=NAMES, size=(8, 12)):
  sequence = types.SimpleNamespace(
      name=folder.name, frame_names=names, frames=[np.zeros((*size, 3))]
  )
  return features.read_features(folder.parent, sequence)


def test_reads_when_asked_and_slices(folder):
  frames = _read(folder)
  assert len(frames) == 3
  assert frames[1].shape == (8, 12, 3)  # Its frame's.
  assert frames[1].embeddings.shape == (2, 3, 4)
  assert frames[1].embeddings.dtype == np.float32
  assert [frame.embeddings[0, 0, 0] for frame in frames] == [0, 1, 2]
  assert [frame.embeddings[0, 0, 0] for frame in frames[1:][::-1]] == [2, 1]
  np.save(folder / '00002.npy', np.full((2, 3, 4), 7.0))
  assert frames[2].embeddings[0, 0, 0] == 7


def test_order_is_that_of_the_frames(folder):
  frames = _read(folder, NAMES[::-1])
  assert [frame.embeddings[0, 0, 0] for frame in frames] == [2, 1, 0]


@pytest.mark.parametrize('suffix', ['npy', 'npz'])
def test_one_file_for_all_frames(folder, suffix):
  together = np.stack([np.load(folder / f'{name}.npy') for name in NAMES])
  path = folder.with_name(f'run.{suffix}')
  np.save(path, together) if suffix == 'npy' else np.savez(path, x=together)
  frames = _read(folder.with_name('run'))
  assert [frame.embeddings[0, 0, 0] for frame in frames[::-1]] == [2, 1, 0]
  assert frames[1].shape == (8, 12, 3)
  for names in NAMES[:2], [*NAMES, '00003']:
    with pytest.raises(errors.UserError, match='run.np. has 3 frames but run'):
      _read(folder.with_name('run'), names)


def test_other_files_of_a_frame(folder):
  """One array, compressed; a batch of one; bfloat16, as NumPy writes it."""
  for t, dtype in enumerate((np.float32, ml_dtypes.bfloat16, np.float64)):
    features = np.load(folder / f'{NAMES[t]}.npy').astype(dtype)
    if t:
      np.save(folder / f'{NAMES[t]}.npy', features[None])
    else:
      (folder / f'{NAMES[t]}.npy').unlink()
      np.savez_compressed(folder / f'{NAMES[t]}.npz', features)
  assert np.load(folder / '00001.npy').dtype == 'V2'
  assert [frame.embeddings[0, 0, 0] for frame in _read(folder)] == [0, 1, 2]


_DAVIS, _SQUARE = (480, 854), (256, 256)


@pytest.mark.parametrize(
    'size, shape, axes',
    [
        ((108, 192), (14, 24, 30), None),
        ((108, 192), (30, 14, 24), (1, 2, 0)),
        ((108, 192), (24, 14, 30), (1, 0, 2)),
        ((108, 192), (30, 24, 14), (2, 1, 0)),
        # Strides 4, 8, 14, 16 and 32; rounded down, up, or to multiples of 64.
        (_DAVIS, (120, 214, 64), None),
        (_DAVIS, (64, 120, 214), (1, 2, 0)),
        (_DAVIS, (60, 104, 192), None),
        (_DAVIS, (34, 61, 768), None),
        (_DAVIS, (768, 30, 53), (1, 2, 0)),
        (_DAVIS, (30, 48, 384), None),
        (_DAVIS, (15, 27, 512), None),
        (_DAVIS[::-1], (107, 60, 96), None),
        (_DAVIS[::-1], (60, 107, 384), (1, 0, 2)),
        (_SQUARE, (32, 32, 64), None),
        (_SQUARE, (64, 32, 32), (1, 2, 0)),
        (_SQUARE, (64, 64, 32), None),
    ],
)
def test_the_frames_proportions_tell_the_order_of_the_axes(
    tmp_path, size, shape, axes
):
  features = np.random.default_rng(0).normal(size=shape).astype(np.float16)
  np.save(tmp_path / 'walk.npy', features[None])
  silent = contextlib.nullcontext()
  told = pytest.warns(match='as the proportions') if axes else silent
  with told:
    (frame,) = _read(tmp_path / 'walk', NAMES[:1], size)
  expected = features.transpose(axes or (0, 1, 2))
  np.testing.assert_array_equal(frame.embeddings, expected)


@pytest.mark.parametrize('shape', [(40, 40, 512), (512, 40, 40)])
def test_features_of_frames_that_were_stretched_to_squares(tmp_path, shape):
  """As the code of CRW does on JHMDB."""
  np.save(tmp_path / 'walk.npy', np.zeros((1, *shape), np.float16))
  with pytest.warns(UserWarning) as told:
    (frame,) = _read(tmp_path / 'walk', NAMES[:1], (240, 320))
  assert frame.embeddings.shape == (40, 40, 512)
  assert 'stretched to squares' in str(told[-1].message)


@pytest.mark.parametrize(
    'size, shape, reason',
    [
        (_SQUARE, (32, 32, 32), 'fits channels both first and last'),
        (_DAVIS, (16, 30, 54), 'fits channels both first and last'),
        (_DAVIS, (60, 384, 107), 'fits no order of axes'),
        (_DAVIS, (80, 90, 384), 'fits no order of axes'),
    ],
)
def test_refuses_axes_that_the_proportions_do_not_tell(
    tmp_path, size, shape, reason
):
  np.save(tmp_path / 'walk.npy', np.zeros((1, *shape), np.float16))
  with pytest.raises(errors.UserError, match=rf'walk are .*{reason}: write'):
    _read(tmp_path / 'walk', NAMES[:1], size)


def test_names_the_converter_of_pytorch(folder):
  (folder / '00001.npy').rename(folder / '00001.pt')
  with pytest.raises(errors.UserError, match=r'00001.pt is .*torch.load\('):
    _read(folder)
  folder.with_name('run.pth').touch()
  with pytest.raises(errors.UserError, match=r'run.pth is .*torch.load\('):
    _read(folder.with_name('run'))


def test_frames_may_be_fewer_than_files(folder):
  assert len(_read(folder, NAMES[:2])) == 2


@pytest.mark.parametrize(
    'wrong, message',
    [
        (np.zeros((3, 4)), r'00001.npy is float64 \(3, 4\): write'),
        (np.zeros((2, 3, 4), int), r'00001.npy is int64 \(2, 3, 4\): write'),
        (np.zeros((0, 3, 4)), r'00001.npy is float64 \(0, 3, 4\): write'),
        (np.zeros((2, 3, 5)), r'00001.npy is \(2, 3, 5\) but 00000.npy is'),
    ],
)
def test_refuses_another_array_by_name(folder, wrong, message):
  np.save(folder / '00001.npy', wrong)
  with pytest.raises(errors.UserError, match=message):
    _read(folder)


def test_refuses_a_file_of_several_arrays(folder):
  (folder / '00001.npy').unlink()
  np.savez(folder / '00001.npz', np.zeros((2, 3, 4)), np.zeros((2, 3, 4)))
  with pytest.raises(
      errors.UserError, match='00001.npz is no array: write one'
  ):
    _read(folder)


@pytest.mark.parametrize('content', [b'', b'no array', b'\x93NUMPY\x01'])
def test_refuses_a_broken_file_by_name(folder, content):
  (folder / '00001.npy').write_bytes(content)
  with pytest.raises(errors.UserError, match='00001.npy is no array'):
    _read(folder)


def test_refuses_a_pickle_unopened(folder):
  np.save(folder / '00001.npy', np.array([{}]), allow_pickle=True)
  with pytest.raises(errors.UserError, match='00001.npy is no array'):
    _read(folder)


def test_names_what_is_missing(folder):
  with pytest.raises(errors.UserError, match='no folder .*run: write'):
    _read(folder.with_name('run'))
  (folder / '00002.npy').unlink()
  with pytest.raises(errors.UserError, match='no features .*00002.npy: write'):
    _read(folder)


def test_refuses_what_is_not_finite(folder):
  np.save(folder / '00001.npy', np.full((2, 3, 4), np.nan))
  with pytest.raises(errors.UserError, match='00001.npy has numbers'):
    _ = _read(folder)[1]
