import json
import os

import fsspec
import pytest

from data_prep.kinetics import clip_finder
from tests import leftovers
from vidcolor import errors

_HEADER = 'label,youtube_id,time_start,time_end,split\n'


def _touch(folder, *names):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()


def _found(folder, annotations=()):
  """Returns (split, label) of each clip by name, and the faults."""
  clips, faults = clip_finder.find_clips(str(folder), annotations)
  found = {
      clip['name']: (split, clip['label'])
      for split, of_split in clips.items()
      for clip in of_split
  }
  assert len(found) == sum(map(len, clips.values()))
  return found, [(f.split, f.name, f.reason) for f in faults]


def _found_by(tmp_path, rows):
  """As `_found`, with annotations of these rows."""
  (tmp_path / 'rows.csv').write_text(_HEADER + '\n'.join(rows))
  return _found(tmp_path, [tmp_path / 'rows.csv'])


def test_folders_of_the_tarballs(tmp_path):
  first, second = 'aaaaaaaaaaa_000001_000011', 'b_b_aaaaaaa_000002_000012'
  _touch(
      tmp_path,
      f'k400/train/{first}.mp4',
      f'k400/val/{second}.mp4',
      'k400/test/c_000003_000013.mp4',
      f'k400/replacement/replacement_for_corrupted_k400/{second}.mp4',
  )
  replacement = f'k400/replacement/replacement_for_corrupted_k400/{second}.mp4'
  assert _found(tmp_path) == (
      {
          f'k400/train/{first}.mp4': ('train', ''),
          replacement: ('validation', ''),
          'k400/test/c_000003_000013.mp4': ('test', ''),
      },
      [
          (
              'validation',
              f'k400/val/{second}.mp4',
              f'replaced by {replacement}',
          )
      ],
  )


def test_one_of_two_replacements(tmp_path):
  _touch(tmp_path, 'replacement_1/a.mp4', 'replacement_2/a.mp4', 'val/x/a.mkv')
  assert _found(tmp_path) == (
      {'replacement_1/a.mp4': ('validation', 'x')},
      [
          ('train', 'replacement_2/a.mp4', 'replaced by replacement_1/a.mp4'),
          ('validation', 'val/x/a.mkv', 'replaced by replacement_1/a.mp4'),
      ],
  )


def test_replacements_with_annotations(tmp_path):
  _touch(tmp_path, 'train/a_1_11.mp4', 'val/a_1_11.mp4')
  _touch(tmp_path, 'replacement/b_1_11.mp4', 'val/b_1_11.mp4')
  found, faults = _found_by(tmp_path, ['x,b,1,11,val', 'x,a,1,11,val'])
  assert found == {
      'replacement/b_1_11.mp4': ('validation', 'x'),
      'val/a_1_11.mp4': ('validation', 'x'),
  }
  assert [fault[:2] for fault in faults] == [
      ('validation', 'val/b_1_11.mp4'),
      ('train', 'train/a_1_11.mp4'),
  ]


def test_folders_of_classes_within_splits(tmp_path):
  _touch(tmp_path, 'val/tai chi/a_1_11.mp4', 'train/surfing/b.webm')
  leftovers.leave_in_all_folders(tmp_path)
  assert _found(tmp_path)[0] == {
      'val/tai chi/a_1_11.mp4': ('validation', 'tai chi'),
      'train/surfing/b.webm': ('train', 'surfing'),
  }


@pytest.mark.parametrize(
    'folder, split',
    [
        ('Train', 'train'),
        ('videos_train', 'train'),
        ('videos_val', 'validation'),
        ('train_256', 'train'),
        ('val_256', 'validation'),
        ('val_340x256', 'validation'),
        ('valid', 'validation'),
        ('validate', 'validation'),
        ('VALIDATION', 'validation'),
        ('kinetics400_train', 'train'),
        ('kinetics-700-2020_test', 'test'),
        ('k400_val', 'validation'),
    ],
)
def test_folders_of_splits(tmp_path, folder, split):
  _touch(tmp_path, f'some/{folder}/a.mp4', f'some/{folder}/tai chi/b.mp4')
  assert _found(tmp_path)[0] == {
      f'some/{folder}/a.mp4': (split, ''),
      f'some/{folder}/tai chi/b.mp4': (split, 'tai chi'),
  }


@pytest.mark.parametrize(
    'folder',
    ['test driving a car', 'crash_test', 'training dog', 'test_drive', 'vals'],
)
def test_folders_of_classes_like_splits(tmp_path, folder):
  _touch(tmp_path, f'{folder}/a.mp4', f'val/{folder}/b.mp4')
  assert _found(tmp_path)[0] == {
      f'{folder}/a.mp4': ('train', folder),
      f'val/{folder}/b.mp4': ('validation', folder),
  }


def test_topmost_split_decides(tmp_path):
  _touch(tmp_path, 'val/test/train/a.mp4')
  assert _found(tmp_path)[0] == {'val/test/train/a.mp4': ('validation', '')}


def test_specs(tmp_path, monkeypatch):
  _touch(tmp_path, 'x/a.mp4')
  (tmp_path / 'x' / 'a.mp4').write_bytes(b'four')
  spec = {
      'name': 'x/a.mp4',
      'label': 'x',
      'path': f'{tmp_path}/x/a.mp4',
      'size': 4,
  }
  monkeypatch.chdir(tmp_path.parent)
  monkeypatch.setenv('HOME', str(tmp_path.parent))
  for root in (tmp_path, f'{tmp_path}/', tmp_path.name, f'~/{tmp_path.name}'):
    assert clip_finder.find_clips(str(root), []) == ({'train': [spec]}, [])
  url = f'file://{tmp_path}'
  assert clip_finder.find_clips(url, []) == (
      {'train': [spec | {'path': f'{url}/x/a.mp4'}]},
      [],
  )
  system = fsspec.filesystem('memory')
  system.pipe('/layout/val/a.mp4', b'four')
  ((clip,),) = clip_finder.find_clips('memory://layout/', [])[0].values()
  assert clip == {
      'name': 'val/a.mp4',
      'label': '',
      'path': 'memory://layout/val/a.mp4',
      'size': 4,
  }


def test_roots_of_no_use(tmp_path):
  _touch(tmp_path, 'a.mp4')
  wrong = {
      tmp_path / 'b': 'no folder .*/b: give the folder of videos',
      tmp_path / 'a.mp4': '.*/a.mp4 is a file: give the folder of videos',
      'nowhere://a': 'cannot list nowhere://a: .*; give the URL',
      f'file://{tmp_path}/b': 'no videos in file://.*/b: ',
  }
  for root, message in wrong.items():
    with pytest.raises(errors.UserError, match=message):
      _found(root)


def test_folders_that_cannot_be_read(tmp_path, monkeypatch):
  _touch(tmp_path, 'a.mp4', 'locked/b.mp4')
  scandir = os.scandir

  def locked(path):  # Of root, chmod would keep nothing.
    if str(path).endswith('locked'):
      raise PermissionError(13, 'Permission denied', path)
    return scandir(path)

  monkeypatch.setattr(os, 'scandir', locked)
  with pytest.raises(errors.UserError, match='/locked: Permission denied; '):
    _found(tmp_path)


def test_links(tmp_path):
  _touch(tmp_path, 'videos/val/a.mp4', 'elsewhere/b.mp4')
  videos = tmp_path / 'videos'
  (videos / 'val' / 'cycle').symlink_to(videos)
  (videos / 'again').symlink_to(videos / 'val')
  (videos / 'test').symlink_to(tmp_path / 'elsewhere')
  (videos / 'linked.mp4').symlink_to(tmp_path / 'elsewhere' / 'b.mp4')
  (videos / 'broken.mp4').symlink_to(tmp_path / 'nowhere')
  assert _found(videos)[0] == {
      'val/a.mp4': ('validation', ''),
      'test/b.mp4': ('test', ''),
      'linked.mp4': ('train', ''),
      'broken.mp4': ('train', ''),
  }
  sizes = {
      c['name']: c['size']
      for c in clip_finder.find_clips(str(videos), [])[0]['train']
  }
  assert sizes == {'linked.mp4': 0, 'broken.mp4': None}


def test_what_is_no_video(tmp_path):
  _touch(tmp_path, 'a.mp4', '._a.mp4', '.git/b.mp4', 'x.mp4/c.txt', 'mp4')
  assert _found(tmp_path) == ({'a.mp4': ('train', '')}, [])
  assert _found(f'file://{tmp_path}') == ({'a.mp4': ('train', '')}, [])


def test_names_that_are_not_utf8(tmp_path):
  _touch(tmp_path, 'a.mp4', os.fsdecode(b'val/\xff\xe9.mp4'))
  for root in (tmp_path, f'file://{tmp_path}'):
    found, faults = _found(root)
    assert found == {'a.mp4': ('train', '')}
    ((split, name, reason),) = faults
    assert split == 'validation'
    assert name == 'val/\\udcff\\udce9.mp4'
    assert reason == 'its name is not UTF-8: rename it'
    json.dumps(faults).encode()


def test_annotations_of_several_files_and_either_form_of_times(tmp_path):
  _touch(tmp_path, 'a_1_11.mp4', 'b_000002_000012.mp4')
  (tmp_path / 'train.csv').write_text(_HEADER + 'tai chi,a,1,11,train\n')
  # The test list has no labels.
  (tmp_path / 'test.csv').write_text(_HEADER[6:] + 'b,2.0,12.0,test\n')
  paths = [tmp_path / 'train.csv', tmp_path / 'test.csv']
  assert _found(tmp_path, paths) == (
      {
          'a_1_11.mp4': ('train', 'tai chi'),
          'b_000002_000012.mp4': ('test', ''),
      },
      [],
  )


def test_annotations_of_spreadsheets(tmp_path):
  _touch(tmp_path, 'tai chi/a.mp4', 'b.mp4')
  text = _HEADER[6:] + 'a,1,11,Validate\nb,1,11,holdout test\n'
  (tmp_path / 'a.csv').write_text(text, encoding='utf-8-sig', newline='\r\n')
  assert _found(tmp_path, [tmp_path / 'a.csv']) == (
      {
          'tai chi/a.mp4': ('validation', 'tai chi'),
          'b.mp4': ('holdout_test', ''),
      },
      [],
  )


@pytest.mark.parametrize(
    'content, message',
    [
        (b'', 'is not a Kinetics CSV: it has no youtube_id, time_start'),
        (_HEADER.encode(), 'is not a Kinetics CSV: it has no rows'),
        (_HEADER.encode('utf-16'), 'cannot read .*; give a CSV .* in UTF-8'),
        (b'label\xff', 'cannot read .*; give a CSV of Kinetics, in UTF-8'),
        (b'"' + b'a' * 200_000, 'cannot read .*field limit.*; give a CSV'),
        (b'x,a,1,11, ', 'line 2: a has no split: give it one'),
        (b'x,a,1,11', 'line 2: a has no split: give it one'),
        (b'x,a,1,inf,train', 'line 2: a lacks a time in seconds: give it'),
        (b'x,a,nan,11,train', 'line 2: a lacks a time in seconds: give it'),
        (b'x,a,,11,train', 'line 2: a lacks a time in seconds: give it'),
    ],
)
def test_annotations_of_no_use(tmp_path, content, message):
  _touch(tmp_path, 'a.mp4')
  if content[:2] == b'x,':
    content = _HEADER.encode() + content
  (tmp_path / 'bad.csv').write_bytes(content)
  with pytest.raises(errors.UserError, match=message) as caught:
    _found(tmp_path, [tmp_path / 'bad.csv'])
  assert 'bad.csv' in str(caught.value) and '\n' not in str(caught.value)


def test_identifiers_with_underscores(tmp_path):
  whole, cut = 'AbC12_34_56', 'AbC12_34_57'
  _touch(tmp_path, f'{whole}.mp4', f'{cut}_1_11.mp4.mkv', '-_a-3_4_5_6.MP4')
  rows = [
      f'x,{whole},5,15,train',
      f'x,{cut},1,11,train',
      'x,-_a-3_4_5_6,0,9,val',
  ]
  assert _found_by(tmp_path, rows) == (
      {
          f'{whole}.mp4': ('train', 'x'),
          f'{cut}_1_11.mp4.mkv': ('train', 'x'),
          '-_a-3_4_5_6.MP4': ('validation', 'x'),
      },
      [],
  )


def test_several_files_of_a_clip(tmp_path):
  names = 'a.mp4', 'test/a_01_11.mp4', 'train/a_1_11.mp4', 'val/a_1_11.mp4'
  _touch(tmp_path, *names)
  assert len(_found(tmp_path)[0]) == 4
  for split, used in (('val', names[3]), ('test', names[1]), ('x', names[1])):
    found, faults = _found_by(tmp_path, [f'x,a,1,11,{split}'])
    assert list(found) == [used]
    assert {name: reason for _, name, reason in faults} == {
        name: f'{used} is used for this clip' for name in names if name != used
    }


def test_several_rows_of_a_file(tmp_path):
  _touch(tmp_path, 'a.mp4', 'b_1_11.mp4', 'b.mp4', 'c_1_11.mp4')
  rows = ['x,a,1,11,train', 'y,a,20,30,val', 'x,b,1,11,val', 'x,b,1,11,train']
  reason = 'its video is used for another row of the annotations'
  assert _found_by(tmp_path, rows) == (
      {'a.mp4': ('train', 'x'), 'b_1_11.mp4': ('validation', 'x')},
      [
          ('validation', 'a_000020_000030', reason),
          ('train', 'b_000001_000011', reason),
          ('train', 'b.mp4', 'b_1_11.mp4 is used for this clip'),
          ('train', 'c_1_11.mp4', 'not in the annotations'),
      ],
  )
  # What no file was cut for is cut from the whole.
  found, _ = _found_by(tmp_path, ['x,b,1,11,train', 'y,b,5,15,train'])
  assert found == {'b_1_11.mp4': ('train', 'x'), 'b.mp4': ('train', 'y')}


def test_all_files_and_rows_are_accounted_for(tmp_path):
  folders = '', 'val/', 'train/x/', 'replacement/'
  stems = 'a_1_11', 'a_01_11', 'a', 'b', 'c_2_12', 'c_2_13'
  names = {f'{f}{s}.mp4' for f in folders for s in stems}
  _touch(tmp_path, *names)
  rows = [
      f'x,{i},{start},{start + 10},{split}'
      for i in 'abcd'
      for start in (1, 2)
      for split in ('train', 'val')
  ]
  found, faults = _found_by(tmp_path, rows)
  faulty = [name for _, name, _ in faults]
  assert names == set(found) | {name for name in faulty if '.' in name}
  assert len(names) + len(rows) == 2 * len(found) + len(faulty)
