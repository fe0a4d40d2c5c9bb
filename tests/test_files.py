import errno
import json
import os

import numpy as np
import pytest

from vidcolor import errors
from vidcolor import files


def test_only_visible_entries_are_listed(tmp_path):
  for name in ('b.png', 'a.PNG', 'c.jpg', '._b.png', '.DS_Store'):
    (tmp_path / name).touch()
  for name in ('.ipynb_checkpoints', '__MACOSX', '@eaDir', 'folder'):
    (tmp_path / name).mkdir()
  names = lambda *args: [path.name for path in files.visible(tmp_path, *args)]
  assert names() == ['a.PNG', 'b.png', 'c.jpg', 'folder']
  assert names(('.png',)) == ['a.PNG', 'b.png']
  assert not files.visible(tmp_path / 'missing')


def test_a_file_is_there_only_once_whole(tmp_path):
  path = tmp_path / 'a.txt'
  path.write_text('old')
  with pytest.raises(RuntimeError, match='half way'):
    with files.atomic_write(path) as temporary:
      temporary.write_text('new')
      assert path.read_text() == 'old'
      raise RuntimeError('half way')
  assert path.read_text() == 'old'
  with files.atomic_write(path) as temporary:
    temporary.write_text('new')
  assert path.read_text() == 'new'
  assert [p.name for p in tmp_path.iterdir()] == ['a.txt']


def test_paths_may_start_at_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.chdir(tmp_path)
  files.make_folder('~/a')
  files.write_json('~/a/b.json', {})
  with files.atomic_folder('~/c') as temporary:
    (temporary / 'd.txt').touch()
  with pytest.raises(errors.UserError, match='would be replaced'):
    files.refuse_to_replace(tmp_path / 'a' / 'b.json', '~/a/b.json')
  written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*')}
  assert written == {'a', 'a/b.json', 'c', 'c/d.txt'}


@pytest.mark.parametrize('output', ['video', 'video/a.mp4'])
def test_no_output_replaces_its_source(tmp_path, output):
  source = tmp_path / 'video' / 'a.mp4'
  files.refuse_to_replace(source, tmp_path / 'video' / 'b.mp4', tmp_path / 'x')
  with pytest.raises(errors.UserError, match='would be replaced'):
    files.refuse_to_replace(source, tmp_path / 'x', tmp_path / output)


def test_json_has_null_for_what_is_no_number(tmp_path):
  files.write_json(tmp_path / 'a.json', {'a': [1.5, float('nan'), np.inf]})
  text = (tmp_path / 'a.json').read_text()
  assert json.loads(text) == {'a': [1.5, None, None]}
  assert 'NaN' not in text and 'Infinity' not in text


@pytest.mark.parametrize(
    ('error', 'told'),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 'No space left'),
        (ValueError('io: Disk quota exceeded [os_error_code=122]'), 'quota'),
    ],
)
def test_a_full_disk_is_one_line_whoever_tells_it(error, told):
  with pytest.raises(errors.UserError, match=f'^/run cannot .*{told}'):
    with files.report_full_disk('/run'):
      raise error


@pytest.mark.parametrize(
    'error', [ValueError('wrong'), errors.UserError('No space left on device')]
)
def test_other_errors_are_left_as_they_are(error):
  with pytest.raises(type(error)) as raised:
    with files.report_full_disk('/run'):
      raise error
  assert raised.value is error
