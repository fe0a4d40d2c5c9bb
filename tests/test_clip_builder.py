import ctypes
import errno
import functools
import hashlib
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep import clip_builder
from data_prep import shards
from tests import kept_processes
from vidcolor import errors

pytestmark = pytest.mark.slow


class Numbers(clip_builder.ClipBuilder, skip_registration=True):
  """A stand-in: clips of numbers, some broken, that log when they are read."""

  VERSION = tfds.core.Version('1.0.0')
  INDEX = ('odd',)

  def __init__(self, *, log, num_clips=84, faults=None, seconds=0, **kwargs):
    super().__init__(**kwargs)
    self.faults = {3: 'broken'} if faults is None else faults
    self.clip = dict(log=os.fspath(log), seconds=seconds)
    self.num_clips = num_clips

  def _info(self):
    features = {
        'name': tfds.features.Text(),
        'number': np.int64,
        'odd': np.bool_,
        'frames': tfds.features.Sequence(tfds.features.Text()),
    }
    return tfds.core.DatasetInfo(
        builder=self, features=tfds.features.FeaturesDict(features)
    )

  def list_clips(self):
    clips = [
        {'name': f'clip{i}', 'number': i, 'fault': self.faults.get(i)}
        | self.clip
        for i in range(self.num_clips)
    ]
    lost = shards.Fault('train', 'lost', 'it is not there')
    return {'train': clips[4:], 'test': clips[:4]}, [lost]

  @staticmethod
  def read_clip(clip):
    with open(clip['log'], 'a') as log:
      log.write(f'{clip["name"]}\n')
    time.sleep(clip['seconds'])
    example = {
        'name': clip['name'],
        'number': clip['number'],
        'odd': clip['number'] % 2 == 1,
        'frames': ['x' * 10] * 3,
    }
    match clip['fault']:
      case 'broken':
        raise errors.UserError(f'{clip["name"]} is broken')
      case 'wrong':
        raise TypeError('of a kind that nobody expected')
      case 'cut':
        yield example
        raise errors.UserError(f'{clip["name"]} ends early')
      case 'crash':
        ctypes.string_at(0)
      case 'gone':
        raise FileNotFoundError('the disk is gone')
      case 'hang':
        time.sleep(1000)
      case 'huge':
        np.ones(8 << 30, np.uint8)
    yield example


@pytest.fixture
def build(tmp_path, monkeypatch):
  """Returns a function that builds and returns (builder, clips it read)."""

  def build(data_dir='data', num_workers=1, **options):
    log = tmp_path / 'log'
    log.write_text('')
    options = dict(log=log, num_workers=num_workers) | options
    builder = Numbers(data_dir=tmp_path / data_dir, **options)
    with monkeypatch.context() as context:
      if num_workers == 1:
        kept_processes.keep(context)
      builder.download_and_prepare()
    return builder, log.read_text().split()

  return build


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """Returns a function that builds once for each number of clips.

  No test may change what it builds.
  """

  @functools.cache
  def build(num_clips=84):
    folder = tmp_path_factory.mktemp('whole')
    builder = Numbers(
        data_dir=folder, log=folder / 'log', num_clips=num_clips, num_workers=1
    )
    builder.download_and_prepare()
    return builder

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


def _manifest(builder):
  return json.loads((builder.data_path / 'manifest.json').read_text())


def _index(builder):
  with np.load(builder.data_path / 'index.npz') as index:
    return dict(index)


def test_tfds_reads_it_back(build):
  builder, read = build()
  assert len(read) == 84
  data_dir = builder.data_dir_root
  assert sorted(_numbers(data_dir, 'test')) == [0, 1, 2]
  numbers = _numbers(data_dir, 'train')
  assert sorted(numbers) == list(range(4, 84)) != numbers
  info = tfds.builder_from_directory(builder.data_dir).info
  assert info.splits['test'].num_examples == 3
  assert info.splits['train'].shard_lengths == [5] * 16
  assert info.splits['train[:5]'].num_examples == 5
  assert len(_numbers(data_dir, 'train[30:40]')) == 10


def test_any_number_of_workers_writes_the_same_files(build, whole):
  two, read = build(num_workers=2)
  assert len(read) == 84
  assert _hashes(whole().data_dir) == _hashes(two.data_dir)
  assert sum('array_record' in name for name in _hashes(two.data_dir)) == 19


def test_beam_writes_the_same_files(build, whole):
  pytest.importorskip('apache_beam')
  beam, read = build(beam_options=['--runner=DirectRunner'])
  assert len(read) == 84
  assert _hashes(whole().data_dir) == _hashes(beam.data_dir)


def test_files_are_no_larger_than_asked_for(build, whole):
  builder, _ = build(max_shard_bytes=400, num_clips=164)
  lengths = builder.info.splits['train'].shard_lengths
  assert len(lengths) > 20 and max(lengths) > 1
  assert _numbers(builder.data_dir_root, 'train') == _numbers(
      whole(164).data_dir_root, 'train'
  )
  index = _index(builder)
  first = index['train/num_bytes'][: lengths[0] + 1]
  assert first[:-1].sum() <= 400 < first.sum()
  tiny, _ = build('tiny', max_shard_bytes=1, num_clips=20)
  assert tiny.info.splits['test'].shard_lengths == [1, 1, 1]


def test_the_manifest_lists_what_is_left_out_or_cut_short(build):
  builder, _ = build(faults={11: 'broken', 3: 'wrong', 5: 'cut'})
  manifest = _manifest(builder)
  assert manifest['skipped'] == [
      {'split': split, 'name': name, 'reason': reason, 'num_records': 0}
      for split, name, reason in (
          ('test', 'clip3', 'TypeError: of a kind that nobody expected'),
          ('train', 'clip11', 'clip11 is broken'),
          ('train', 'lost', 'it is not there'),
      )
  ]
  assert [(f['name'], f['num_records']) for f in manifest['cut_short']] == [
      ('clip5', 1)
  ]
  assert (manifest['num_skipped'], manifest['num_cut_short']) == (3, 1)
  train = manifest['splits']['train']
  assert (train['records'], train['frames'], train['odd']) == (79, 237, 39)
  assert 5 in _numbers(builder.data_dir_root, 'train')


def test_the_index_is_in_the_order_of_the_records(whole):
  index = _index(whole())
  numbers = _numbers(whole().data_dir_root, 'train')
  np.testing.assert_array_equal(index['train/odd'], np.array(numbers) % 2 == 1)
  assert set(index['test/num_frames']) == {3}


def test_one_clip_cannot_stop_the_build(build):
  faults = {10: 'crash', 20: 'hang', 30: 'huge', 1: 'broken'}
  builder, read = build(faults=faults, max_seconds=2, num_workers=2)
  reasons = {f['name']: f['reason'] for f in _manifest(builder)['skipped']}
  assert reasons['clip10'] == 'crashed its process (signal 11)'
  assert reasons['clip20'] == 'took more than 2 seconds'
  assert 'allocate 8.00 GiB' in reasons['clip30']
  assert len(_numbers(builder.data_dir_root, 'train')) == 77
  # A clip that crashes is tried twice.
  assert read.count('clip10') == 2 and read.count('clip20') == 1


def test_shards_and_splits_of_no_clips_are_left_out(build):
  faults = {i: 'broken' for i in range(20) if i != 4}
  builder, _ = build(faults=faults, num_clips=20)
  assert list(builder.info.splits) == ['train']
  assert builder.info.splits['train'].shard_lengths == [1]
  assert _numbers(builder.data_dir_root, 'train') == [4]


def test_no_clip_survives(build, tmp_path):
  with pytest.raises(
      errors.UserError, match='none of the 21 clips can be read; .*broken'
  ):
    build(num_clips=20, faults=dict.fromkeys(range(20), 'broken'))
  # Nothing is left, so that the next build reads all clips again.
  assert not list((tmp_path / 'data' / 'numbers').iterdir())


def test_finished_datasets_are_left_alone(build):
  first, _ = build(num_clips=20)
  before = _hashes(first.data_dir)
  _, read = build(num_clips=20, faults={})
  assert not read
  assert _hashes(first.data_dir) == before
  assert os.listdir(first.data_path.parent) == ['1.0.0']


def _start(tmp_path, **options):
  """Starts a build in a process of its own."""
  options = dict(log=f'{tmp_path}/log', **options)
  return subprocess.Popen(
      [
          sys.executable,
          '-c',
          'from tests import test_clip_builder; test_clip_builder.Numbers('
          f'data_dir="{tmp_path}/data", num_workers=2, **{options}'
          ').download_and_prepare()',
      ],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
  )


def test_a_build_killed_three_times_loses_nothing(build, whole, tmp_path):
  (tmp_path / 'log').write_text('')
  partial_dir = tmp_path / 'data' / 'numbers' / '1.0.0.partial'
  rng = random.Random(0)
  read_before = 0
  for _ in range(3):
    building = _start(tmp_path, seconds=0.02)
    target = read_before + rng.randint(1, 12)
    while len((tmp_path / 'log').read_text().split()) < target:
      assert building.poll() is None
      time.sleep(0.005)
    building.kill()
    building.communicate(timeout=60)  # Returns when its workers ended too.
    read_before = len((tmp_path / 'log').read_text().split())
  assert partial_dir.exists()
  builder, read = build(seconds=0.02)
  assert _hashes(builder.data_dir) == _hashes(whole().data_dir)
  assert os.listdir(builder.data_path.parent) == ['1.0.0']
  # Each kill loses what the two workers were reading.
  assert read_before + len(read) <= 84 + 2 * 3


@pytest.mark.parametrize('step', [0, 2, 3, 10, 22, 26])
def test_a_build_killed_while_it_renames_files_continues(
    build, whole, monkeypatch, step
):
  """Fails at one of the times that a file or folder is renamed."""
  calls = itertools.count()

  def failing(function):
    def fail(*args, **kwargs):
      if next(calls) == step:
        raise OSError(errno.ENOSPC, 'No space left on device')
      return function(*args, **kwargs)

    return fail

  with monkeypatch.context() as context:
    for name in 'replace', 'rename':
      context.setattr(os, name, failing(getattr(os, name)))
    with pytest.raises(OSError, match='No space'):
      build(num_clips=20)
  builder, read = build(num_clips=20)
  assert not read
  assert _hashes(builder.data_dir) == _hashes(whole(20).data_dir)
  assert os.listdir(builder.data_path.parent) == ['1.0.0']


@pytest.mark.parametrize('damage', ['empty report', 'empty', 'shorter', 'none'])
def test_shards_damaged_by_a_power_failure_are_written_again(
    build, whole, monkeypatch, tmp_path, damage
):
  with monkeypatch.context() as context:
    context.setattr(clip_builder.ClipBuilder, '_split_info', _interrupt)
    with pytest.raises(KeyboardInterrupt):
      build(num_clips=40)
  folder = tmp_path / 'data/numbers/1.0.0.partial/work'
  if damage == 'empty report':
    (folder / 'train-00003.json').write_text('')
  elif damage == 'none':
    (folder / 'train-00003-000').unlink()
  else:
    data = (folder / 'train-00003-000').read_bytes()
    kept = {'empty': 0, 'shorter': len(data) - 1}[damage]
    (folder / 'train-00003-000').write_bytes(data[:kept])
  builder, read = build(num_clips=40)
  assert len(read) == 2
  assert _hashes(builder.data_dir) == _hashes(whole(40).data_dir)


def test_clips_damaged_by_a_power_failure_are_read_again(
    build, whole, tmp_path
):
  (tmp_path / 'log').write_text('')
  building = _start(tmp_path, seconds=0.05)
  work_dir = tmp_path / 'data' / 'numbers' / '1.0.0.partial' / 'work'
  while len(done := list(work_dir.glob('*.clips/*.json'))) < 3:
    assert building.poll() is None
  building.kill()
  building.communicate(timeout=60)
  done = list(work_dir.glob('*.clips/*.json'))
  done[0].write_text('')
  record = done[1].with_suffix('')
  record.write_bytes(record.read_bytes()[:-1])
  builder, _ = build()
  assert _hashes(builder.data_dir) == _hashes(whole().data_dir)


def test_records_without_their_report_are_not_used(build, tmp_path):
  """A process that is killed between writing the two leaves such records."""
  options = dict(faults={20: 'hang'}, max_seconds=1)
  planned = Numbers(data_dir=tmp_path, log=tmp_path / 'log', **options)
  clips = planned.list_clips()[0]['train']
  (clip,) = (c for c in clips if c['number'] == 20)
  work_dir = tmp_path / 'data' / 'numbers' / '1.0.0.partial' / 'work'
  for shard in shards.plan({'train': clips}, ''):
    if clip in shard.clips:
      folder = work_dir / f'{shard.path}.clips'
  folder.mkdir(parents=True)
  digest = hashlib.sha256(json.dumps(clip).encode()).hexdigest()
  (folder / digest).write_bytes(b'records')
  builder, read = build(**options)
  assert 'clip20' in read
  numbers = _numbers(builder.data_dir_root, 'train')
  assert sorted(numbers) == [*range(4, 20), *range(21, 84)]


def test_only_one_builds_at_a_time(build, tmp_path):
  (tmp_path / 'log').touch()
  building = _start(tmp_path, seconds=0.05)
  while not (tmp_path / 'log').read_text():
    assert building.poll() is None
  with pytest.raises(errors.UserError, match='another build is running'):
    build()
  building.kill()
  building.communicate(timeout=60)


def test_another_source_is_not_taken_for_this_one(build, tmp_path):
  build(source_dir=tmp_path / 'a', num_clips=20)
  build(source_dir=tmp_path / 'a', num_clips=20)
  with pytest.raises(
      errors.UserError, match='is built from .*/a: give another'
  ):
    build(source_dir=tmp_path / 'b', num_clips=20)


def test_what_is_left_of_another_source_is_not_taken_for_this_one(
    build, monkeypatch, tmp_path
):
  with monkeypatch.context() as context:
    context.setattr(clip_builder.ClipBuilder, '_finish', _interrupt)
    with pytest.raises(KeyboardInterrupt):
      build(source_dir=tmp_path / 'a', num_clips=20)
  with pytest.raises(
      errors.UserError, match='is built from .*/a: give another'
  ):
    build(source_dir=tmp_path / 'b', num_clips=20)


def test_a_source_that_goes_away_stops_the_build(build):
  with pytest.raises(
      errors.UserError, match='gone.*; fix that, then run the same'
  ):
    build(faults={20: 'gone'})
  builder, read = build(faults={})
  assert len(read) < 84
  assert builder.info.splits['train'].num_examples == 80


def test_shards_of_other_clips_are_written_again(build, monkeypatch):
  with monkeypatch.context() as context:
    # Stops after all shards are written.
    context.setattr(clip_builder.ClipBuilder, '_split_info', _interrupt)
    with pytest.raises(KeyboardInterrupt):
      build()
  _, read = build(num_clips=85)
  # The test split's shards are the same, the training split's have one more.
  assert 'clip0' not in read and 'clip84' in read


def _interrupt(*args):
  raise KeyboardInterrupt


def test_a_build_continues_after_a_full_disk(build, whole, tmp_path):
  (tmp_path / 'data').mkdir()
  mount = ['mount', '-t', 'tmpfs', '-o', 'size=1100k', 'tmpfs']
  mounted = subprocess.run(
      [*mount, tmp_path / 'data'], capture_output=True, check=False
  )
  if mounted.returncode:
    pytest.skip('a small disk cannot be mounted here')
  try:
    with pytest.raises(
        errors.UserError, match='cannot write .*No space left.*run the same'
    ):
      build(num_clips=100)
    remount = ['mount', '-o', 'remount,size=90m', tmp_path / 'data']
    subprocess.run(remount, check=True)
    builder, read = build(num_clips=100)
    assert 0 < len(read) < 90
    assert _hashes(builder.data_dir) == _hashes(whole(100).data_dir)
  finally:
    subprocess.run(['umount', '-l', tmp_path / 'data'], check=True)
