import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep import clip_builder
from vidcolor import errors


class Numbers(clip_builder.ClipBuilder, skip_registration=True):
  """A stand-in: clips of numbers, some broken, that note when they are read."""

  VERSION = tfds.core.Version('1.0.0')
  CLIPS_PER_SHARD = 4

  def __init__(self, *, log, num_clips=20, broken=(3,), seconds=0, **kwargs):
    super().__init__(**kwargs)
    self.options = dict(log=os.fspath(log), broken=broken, seconds=seconds)
    self.num_clips = num_clips

  def _info(self):
    features = {'name': tfds.features.Text(), 'number': np.int64}
    return tfds.core.DatasetInfo(
        builder=self, features=tfds.features.FeaturesDict(features)
    )

  def list_clips(self):
    clips = [
        {
            'name': f'clip{i}',
            'number': i,
            **json.loads(json.dumps(self.options)),
        }
        for i in range(self.num_clips)
    ]
    missing = [clip_builder.Skipped('train', 'lost', 'it is not there')]
    return {'train': clips[4:], 'test': clips[:4]}, missing

  @staticmethod
  def read_clip(clip):
    with open(clip['log'], 'a') as log:
      log.write(f'{clip["name"]}\n')
    time.sleep(clip['seconds'])
    if clip['broken'] == 'die':
      os._exit(1)
    if clip['number'] in clip['broken']:
      raise errors.UserError(f'{clip["name"]} is broken')
    return {'name': clip['name'], 'number': clip['number']}


@pytest.fixture
def build(tmp_path):
  """Returns a function that builds and returns (builder, clips it read)."""

  def build(data_dir='data', num_workers=1, **options):
    log = tmp_path / 'log'
    log.write_text('')
    options = dict(log=log, num_workers=num_workers) | options
    builder = Numbers(data_dir=tmp_path / data_dir, **options)
    builder.download_and_prepare()
    return builder, log.read_text().split()

  return build


def _hashes(folder):
  return {
      path.name: hashlib.md5(path.read_bytes()).hexdigest()
      for path in pathlib.Path(folder).iterdir()
  }


def _numbers(data_dir, split):
  return [
      record['number']
      for record in tfds.data_source('numbers', split=split, data_dir=data_dir)
  ]


def test_tfds_reads_it_back(build):
  builder, read = build()
  assert len(read) == 20
  data_dir = builder.data_dir_root
  assert sorted(_numbers(data_dir, 'test')) == [0, 1, 2]
  numbers = _numbers(data_dir, 'train')
  assert sorted(numbers) == list(range(4, 20)) != numbers
  info = tfds.builder_from_directory(builder.data_dir).info
  assert info.splits['test'].num_examples == 3
  assert info.splits['train'].shard_lengths == [4, 4, 4, 4]
  assert info.splits['train[:5]'].num_examples == 5
  assert len(_numbers(data_dir, 'train[2:7]')) == 5


def test_any_number_of_workers_writes_the_same_files(build):
  one, _ = build('one')
  two, read = build('two', num_workers=2)
  assert len(read) == 20
  assert _hashes(one.data_dir) == _hashes(two.data_dir)
  assert sum('array_record' in name for name in _hashes(two.data_dir)) == 5


def test_skipped_clips_are_listed(build):
  builder, _ = build(broken=(11, 3, 5))
  assert (builder.data_path / 'skipped.tsv').read_text() == (
      'split\tname\treason\n'
      'test\tclip3\tclip3 is broken\n'
      'train\tclip11\tclip11 is broken\n'
      'train\tclip5\tclip5 is broken\n'
      'train\tlost\tit is not there\n'
  )


def test_shards_and_splits_of_no_clips_are_left_out(build):
  builder, _ = build(broken=(0, 1, 2, 3, *range(5, 20)))
  assert list(builder.info.splits) == ['train']
  assert builder.info.splits['train'].shard_lengths == [1]
  assert _numbers(builder.data_dir_root, 'train') == [4]


def test_no_clip_survives(build, tmp_path):
  with pytest.raises(
      errors.UserError, match='none of the 21 clips can be read; .*not there'
  ):
    build(broken=tuple(range(20)))
  # Nothing is left that would stop the next build from reading them again.
  assert not list((tmp_path / 'data' / 'numbers').iterdir())


def test_finished_datasets_are_left_alone(build):
  first, _ = build()
  before = _hashes(first.data_dir)
  _, read = build(broken=())
  assert not read
  assert _hashes(first.data_dir) == before
  assert not list(first.data_path.parent.glob('*.partial'))


def test_a_killed_build_goes_on(build, tmp_path):
  whole, _ = build('whole')
  options = dict(log=f'{tmp_path}/log', seconds=0.1)
  killed = subprocess.Popen(
      [
          sys.executable,
          '-c',
          'import test_clip_builder; test_clip_builder.Numbers('
          f'data_dir="{tmp_path}/data", num_workers=2, **{options}'
          ').download_and_prepare()',
      ],
      env={**os.environ, 'PYTHONPATH': os.path.dirname(__file__)},
      stdout=subprocess.PIPE,
  )
  partial_dir = tmp_path / 'data' / 'numbers' / '1.0.0.partial'
  while len(done := list(partial_dir.glob('*.json'))) < 2:
    assert killed.poll() is None
    time.sleep(0.02)
  killed.kill()
  killed.communicate(timeout=5)  # Returns once the workers have ended as well.
  done = list(partial_dir.glob('*.json'))
  builder, read = build(**options)
  assert 2 <= len(done) < 5
  assert len(read) == 4 * (5 - len(done))
  assert _hashes(builder.data_dir) == _hashes(whole.data_dir)


def test_shards_of_other_clips_are_written_anew(build, monkeypatch):
  with monkeypatch.context() as context:
    # Stopped when all shards are written, and none is moved.
    context.setattr(clip_builder.ClipBuilder, '_move', _interrupt)
    with pytest.raises(KeyboardInterrupt):
      build()
  _, read = build(num_clips=21)
  # The test split's shard is the same, the training split's have one clip more.
  assert 'clip0' not in read and 'clip20' in read


def _interrupt(*args):
  raise KeyboardInterrupt


def test_a_killed_worker_is_told(build):
  with pytest.raises(errors.UserError, match='worker was killed.*run the same'):
    build(num_workers=2, broken='die')
