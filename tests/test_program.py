"""How every program reads its flags and ends."""

import errno
import os
import pathlib
import sys
import warnings

from absl import app
from absl import flags
from absl import logging
from ml_collections import config_flags
import pytest

from vidcolor import program

# ml_collections loads config files so.
pytestmark = pytest.mark.filterwarnings('ignore:the load_module')

_ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(name='values')
def fixture_values(monkeypatch):
  """The flags of a program: paths of all kinds."""
  values = flags.FlagValues()
  for name in ('video', 'points'):
    flags.DEFINE_string(name, None, '', flag_values=values)
  flags.DEFINE_list('annotations', None, '', flag_values=values)
  config_flags.DEFINE_config_file('config', flag_values=values)
  monkeypatch.setattr(flags, 'FLAGS', values)
  monkeypatch.setenv('HOME', '/home/me')
  return values


def _parse(monkeypatch, arguments, **options):
  config = f'--config={_ROOT}/experiments/configs/compact.py'
  argv = ['program', config, *arguments]
  monkeypatch.setattr(sys, 'argv', argv)  # Config flags look at it.
  return program._parse_flags(argv, **options)


def test_every_program_starts_at_the_same_root():
  programs = []
  for folder in ('vidcolor', 'experiments', 'data_prep'):
    for path in (_ROOT / folder).rglob('*.py'):
      text = path.read_text()
      if "__name__ == '__main__'" in text and 'from absl import flags' in text:
        programs.append(path.stem)
        assert 'program.run(main' in text, path
  assert {'train', 'track', 'build', 'export', 'app', 'run'} <= set(programs)


@pytest.mark.parametrize('given', ['~/a', '~'])
def test_the_home_folder_is_expanded_in_every_flag(monkeypatch, values, given):
  arguments = [f'--video={given}', f'--annotations={given},/b,{given}']
  arguments += [f'--config.dataset.data_dir={given}', '--points', given, given]
  rest = _parse(monkeypatch, [*arguments, '--', f'--x={given}'])
  home = given.replace('~', '/home/me')
  assert values.video == values.points == home
  assert values.annotations == [home, '/b', home]
  assert values.config.dataset.data_dir == home
  # What is for other programs, or other machines, stays as it is.
  assert rest == ['program', home, f'--x={given}']


def test_only_the_start_of_a_path_is_the_home_folder(monkeypatch, values):
  _parse(monkeypatch, ['--video=/a/~/b~', '--points=1,2;3,4'])
  assert (values.video, values.points) == ('/a/~/b~', '1,2;3,4')


@pytest.mark.parametrize(
    'argument',
    [
        '--video=https://a.b/c.mp4',
        '--annotations=/a,s3://b/c',
        '--config.dataset.data_dir=gs://b/c',
    ],
)
def test_a_url_is_refused_in_one_line(monkeypatch, values, capsys, argument):
  with pytest.raises(SystemExit) as ended:
    _parse(monkeypatch, [argument])
  assert ended.value.code == 2
  line = capsys.readouterr().err
  assert line.startswith('error: --') and line.count('\n') == 1
  assert 'is a URL: download' in line


def test_a_url_is_left_to_programs_that_read_it(monkeypatch, values):
  _parse(monkeypatch, ['--video=gs://b/c'], takes_urls=True)
  assert values.video == 'gs://b/c'


def test_a_warning_is_one_line(capsys, monkeypatch):
  monkeypatch.setattr(warnings, 'showwarning', program._show_warning)
  with warnings.catch_warnings():
    warnings.simplefilter('always')
    monkeypatch.setattr(warnings, 'showwarning', program._show_warning)
    warnings.warn('numbers are new', stacklevel=1)
  assert capsys.readouterr().err == 'warning: numbers are new\n'


def test_a_full_disk_ends_any_program_in_one_line(monkeypatch, capsys):
  monkeypatch.setattr(app, 'run', lambda main, flags_parser: main(['program']))
  monkeypatch.setattr(logging, 'set_verbosity', lambda _: None)
  monkeypatch.setattr(warnings, 'showwarning', warnings.showwarning)

  def main():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'a.png')

  with pytest.raises(SystemExit) as ended:
    program.run(main)
  assert ended.value.code == 2
  line = capsys.readouterr().err
  assert line.startswith('error: the disk cannot be written to any more (No sp')
  assert line.count('\n') == 1
