"""Evaluation sets built by data_prep are read as they were published."""

import io
import json
import pickle

import numpy as np
from PIL import Image
import pytest

from data_prep.davis import davis
from data_prep.jhmdb import jhmdb
from data_prep.tapvid import tapvid
from tests import programs
from tests import tiny
from vidcolor import errors
from vidcolor import masks
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.benchmarks.davis import run as davis_run
from vidcolor.benchmarks.jhmdb import data as jhmdb_data
from vidcolor.benchmarks.jhmdb import run as jhmdb_run
from vidcolor.benchmarks.tapvid import data as tapvid_data
from vidcolor.benchmarks.tapvid import run as tapvid_run
from vidcolor.data import built
from vidcolor.data import clips
from vidcolor.tracking import baselines

_RNG = np.random.default_rng(0)


def _noise(*shape):
  return _RNG.integers(0, 256, (*shape, 3), np.uint8)


def _build(builder, source_dir, data_dir):
  builder(
      source_dir=source_dir, data_dir=data_dir, num_workers=1
  ).download_and_prepare()
  return data_dir


def _assert_same(published, read_back):
  """Compares lists of sequences of any of the three kinds."""
  published, read_back = list(published), list(read_back)
  assert [s.name for s in published] == [s.name for s in read_back]
  assert published
  for one, other in zip(published, read_back, strict=True):
    assert one.frame_names == other.frame_names
    for kind in 'frames', 'masks', 'joints', 'points', 'occluded':
      arrays, others = getattr(one, kind, ()), getattr(other, kind, ())
      assert len(arrays) == len(others)
      for array, other_array in zip(arrays, others, strict=True):
        assert array.dtype == other_array.dtype
        np.testing.assert_array_equal(array, other_array)


def _evaluate(dataset, data_dir, output_dir, *args):
  """The program's results."""
  done = programs.run(
      'vidcolor.evaluate',
      '--baseline=identity',
      f'--dataset={dataset}',
      f'--data_dir={data_dir}',
      f'--output_dir={output_dir}',
      *args,
  )
  assert done.returncode == 0, done.stderr
  return json.loads((output_dir / 'results.json').read_text())


def _assert_evaluates_to(expected, results):
  expected = json.loads(json.dumps(expected))
  assert expected == {key: results[key] for key in expected}
  assert list(expected['per_sequence']) == list(results['per_sequence'])


def _spoilt(root, path, content):
  """The folder, with a file overwritten, or removed where there is none."""
  if content is None:
    (root / path).unlink()
  else:
    (root / path).write_bytes(content)
  return root


@pytest.fixture(name='davis_dir', scope='module')
def fixture_davis_dir(tmp_path_factory):
  """Lists of two years, another order than by name, and a test-dev."""
  root = tiny.write_davis(tmp_path_factory.mktemp('davis') / 'DAVIS')
  for year in '2016', '2017':
    (root / 'ImageSets' / year / 'val.txt').write_text('dogs\nbear\n')
  (root / 'ImageSets/2017/test-dev.txt').write_text('bear-2\n')
  for kind in 'JPEGImages', 'Annotations':
    (root / kind / '480p/bear-2').symlink_to(root / kind / '480p/bear')
  (root / 'Annotations/480p/bear-2').unlink()
  (root / 'Annotations/480p/bear-2').mkdir()
  mask = (root / 'Annotations/480p/bear/00000.png').read_bytes()
  (root / 'Annotations/480p/bear-2/00000.png').write_bytes(mask)
  # What a library for text would cut off.
  with (root / 'JPEGImages/480p/dogs/00001.jpg').open('ab') as file:
    file.write(b'\0\0')
  (root / 'Annotations/db_info.yml').write_text(
      'sequences:\n- {name: dogs, attributes: [OCC, FM]}\n'
      '- {name: bear, attributes: [OCC]}\n- {name: yak, attributes: []}\n'
  )
  return root


@pytest.fixture(name='built_davis', scope='module')
def fixture_built_davis(davis_dir):
  return _build(davis.Davis, davis_dir, davis_dir.parent / 'built')


@pytest.mark.parametrize(
    ('split', 'year'),
    [('val', 2016), ('val', 2017), ('test-dev', 2017), ('val', None)],
)
def test_davis_is_read_as_published(davis_dir, built_davis, split, year):
  published, read_back = (
      davis_data.read_davis(folder, year=year, split=split)
      for folder in (davis_dir, built_davis)
  )
  _assert_same(published, read_back)
  assert {len(s.masks) for s in read_back} == (
      {1} if split == 'test-dev' else {5, 6}
  )


def test_davis_stores_the_published_files(davis_dir, built_davis):
  _, _, years = sorted(built.splits('davis', built_davis))
  for record in built.records('davis', built_davis, years):
    name = record['name'].decode()
    for kind, folder, suffix in (
        ('frames', 'JPEGImages', 'jpg'), ('masks', 'Annotations', 'png')
    ):  # fmt: skip
      paths = sorted((davis_dir / folder / '480p' / name).glob(f'*.{suffix}'))
      assert list(record[kind]) == [path.read_bytes() for path in paths]


def test_davis_evaluates_to_the_same(davis_dir, built_davis, tmp_path):
  expected, _ = davis_run.evaluate(
      baselines.Identity(), davis_dir, tmp_path, year=2016
  )
  assert expected['j_by_attribute'].keys() == {'FM', 'OCC'}
  results = _evaluate('davis2016', built_davis, tmp_path / 'program')
  _assert_evaluates_to(expected, results)


def test_davis_says_what_is_not_built(davis_dir, built_davis):
  with pytest.raises(errors.UserError, match="no split 'train_2017' in "):
    davis_data.read_davis(built_davis, split='train')


@pytest.mark.parametrize('decode', [clips.decode_frame, masks.decode])
@pytest.mark.parametrize('content', [b'', b'no picture'])
def test_damaged_pictures_show_on_access(decode, content):
  pictures = built.pictures([content], decode, 'bear in DIR')
  with pytest.raises(errors.UserError, match='decode a picture of bear in DIR'):
    pictures[0]


@pytest.mark.parametrize(
    ('path', 'content', 'told'),
    [
        ('Annotations/480p/bear/00001.png', None, 'no mask .*bear/00001.png'),
        ('JPEGImages/480p/bear/00001.jpg', b'no picture', '00001.jpg is no pi'),
        ('ImageSets/2017/val.txt', b'yak', 'no folder .*yak.*restore it'),
        ('ImageSets/2017/val.txt', b'', 'no sequence in the list .*val.txt'),
    ],
)
def test_davis_is_not_built_without_all_of_it(tmp_path, path, content, told):
  root = _spoilt(tiny.write_davis(tmp_path / 'DAVIS'), path, content)
  with pytest.raises(errors.UserError, match=told):
    _build(davis.Davis, root, tmp_path / 'built')


@pytest.mark.parametrize(
    ('builder', 'told'),
    [
        (davis.Davis, 'no lists .*ImageSets.*JPEGImages/480p'),
        (jhmdb.Jhmdb, 'no test videos in .*_test_split1.txt'),
        (tapvid.Tapvid, 'no TAP-Vid pickle in .*tapvid_davis.pkl'),
    ],
)
def test_says_that_a_source_is_missing_or_wrong(tmp_path, builder, told):
  with pytest.raises(errors.UserError, match=told):
    _build(builder, tmp_path, tmp_path / 'built')
  with pytest.raises(errors.UserError, match='--source_dir'):
    _build(builder, None, tmp_path / 'built')


@pytest.fixture(name='jhmdb_dir')
def fixture_jhmdb_dir(tmp_path):
  """Two videos in the lists of the first split, one of them in the second's."""
  root = tmp_path / 'JHMDB'
  for name in 'walk/a', 'jump/b':
    frames_dir = root / 'Rename_Images' / name
    frames_dir.mkdir(parents=True)
    for index in range(4):  # The last is not annotated.
      path = frames_dir / f'{index + 1:05}.png'
      Image.fromarray(_noise(60, 80)).save(path)
    jhmdb_data.write_joints(
        root / 'joint_positions' / name / 'joint_positions.mat',
        _RNG.uniform(0, 60, (3, 15, 2)),
    )
  (root / 'splits').mkdir()
  for file, lines in {
      'walk_test_split1.txt': 'a.avi 2\n',
      'jump_test_split1.txt': 'b.avi 2\n',
      'walk_test_split3.txt': 'a.avi 2\n',
      'jump_test_split3.txt': 'b.avi 1\n',
  }.items():
    (root / 'splits' / file).write_text(lines)
  return root


def test_jhmdb_is_read_and_evaluated_as_published(jhmdb_dir, tmp_path):
  data_dir = _build(jhmdb.Jhmdb, jhmdb_dir, tmp_path / 'built')
  assert set(built.splits('jhmdb', data_dir)) == {'test_1', 'test_3'}
  for split in 1, 3:
    _assert_same(
        jhmdb_data.read(jhmdb_dir, split=split),
        jhmdb_data.read(data_dir, split=split),
    )
  jump, _ = built.records('jhmdb', data_dir, 'test_1')
  paths = sorted((jhmdb_dir / 'Rename_Images/jump/b').iterdir())[:3]
  assert list(jump['frames']) == [path.read_bytes() for path in paths]
  with pytest.raises(errors.UserError, match="no split 'test_2'"):
    jhmdb_data.read(data_dir, split=2)
  expected, _ = jhmdb_run.evaluate(baselines.Identity(), jhmdb_dir, tmp_path)
  results = _evaluate('jhmdb', data_dir, tmp_path / 'program')
  _assert_evaluates_to(expected, results)


@pytest.mark.parametrize(
    ('path', 'content', 'told'),
    [
        ('Rename_Images/walk/a/00002.png', None, 'no frame .*00002.png'),
        (
            'joint_positions/walk/a/joint_positions.mat',
            b'no joints',
            'cannot read the joints .*walk/a',
        ),
    ],
)
def test_jhmdb_is_not_built_without_all_of_it(
    jhmdb_dir, tmp_path, path, content, told
):
  with pytest.raises(errors.UserError, match=told):
    _build(jhmdb.Jhmdb, _spoilt(jhmdb_dir, path, content), tmp_path / 'built')


def _point_example(video):
  return {
      'video': video,
      'points': _RNG.uniform(0, 1, (3, len(video), 2)).astype(np.float32),
      'occluded': _RNG.uniform(size=(3, len(video))) < 0.3,
  }


def _jpegs(frames):
  files = [io.BytesIO() for _ in frames]
  for frame, file in zip(frames, files, strict=True):
    Image.fromarray(frame).save(file, 'JPEG')
  return [file.getvalue() for file in files]


@pytest.fixture(name='tapvid_dir')
def fixture_tapvid_dir(tmp_path):
  """The three benchmarks, each in its folder as published."""
  root = tmp_path / 'TAP-Vid'
  yak, goat = (_point_example(_noise(time, 12, 16)) for time in (5, 4))
  square = _point_example(_noise(5, 16, 16))
  for path, content in {
      'davis/tapvid_davis.pkl': {'yak': yak, 'goat': goat},
      'rgb_stacking/tapvid_rgb_stacking.pkl': [square, square],
      'kinetics/0000_of_0002.pkl': [_point_example(_jpegs(_noise(2, 24, 32)))],
      'kinetics/0001_of_0002.pkl': [_point_example(_jpegs(_noise(3, 24, 32)))],
  }.items():
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(pickle.dumps(content))
  return root


def _read_all(data_dir, split=None):
  for _, videos in tapvid_data.read_all(data_dir, split=split):
    yield from videos


def test_tapvid_is_read_and_evaluated_as_published(tapvid_dir, tmp_path):
  data_dir = _build(tapvid.Tapvid, tapvid_dir, tmp_path / 'built')
  for benchmark in 'davis', 'rgb_stacking', 'kinetics':
    _assert_same(
        _read_all(tapvid_dir / benchmark), _read_all(data_dir, benchmark)
    )
  for split, magic in ('kinetics', b'\xff\xd8'), ('davis', b'\x89PNG'):
    for record in built.records('tapvid', data_dir, split):
      assert all(frame.startswith(magic) for frame in record['frames'])
  published = pickle.loads(
      (tapvid_dir / 'kinetics/0001_of_0002.pkl').read_bytes()
  )
  record = built.records('tapvid', data_dir, 'kinetics')[1]
  assert list(record['frames']) == published[0]['video']
  with pytest.raises(errors.UserError, match='more than one.*--split, one of'):
    list(_read_all(data_dir))
  expected, _ = tapvid_run.evaluate(
      baselines.Identity(), tapvid_dir / 'davis', tmp_path
  )
  results = _evaluate('tapvid', data_dir, tmp_path / 'program', '--split=davis')
  _assert_evaluates_to(expected, results)


def test_tapvid_needs_no_split_where_there_is_one(tapvid_dir, tmp_path):
  path = tapvid_dir / 'davis/tapvid_davis.pkl'
  data_dir = _build(tapvid.Tapvid, path, tmp_path / 'built')
  _assert_same(_read_all(path), _read_all(data_dir))


def test_tapvid_is_not_built_without_all_of_it(tapvid_dir, tmp_path):
  path = tapvid_dir / 'kinetics/0001_of_0002.pkl'
  content = path.read_bytes()
  path.write_bytes(content[:500])
  with pytest.raises(errors.UserError, match='cannot read .*0001_of_0002.pkl'):
    _build(tapvid.Tapvid, tapvid_dir, tmp_path / 'built')
  path.write_bytes(content)
  _build(tapvid.Tapvid, tapvid_dir, tmp_path / 'built')
