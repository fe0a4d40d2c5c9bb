import types

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


def _read(folder, names=NAMES):
  sequence = types.SimpleNamespace(
      name=folder.name, frame_names=names, frames=[np.zeros((8, 12, 3))]
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
