import subprocess
import sys

import pytest

from tests import programs

pytestmark = pytest.mark.slow


def test_the_reference_of_all_modules_builds_without_warnings(tmp_path):
  run = subprocess.run(
      [
          *(sys.executable, '-W', 'error', '-m', 'pdoc'),
          *('--docformat', 'google', '--output-directory', tmp_path),
          'vidcolor',
      ],
      cwd=programs.ROOT,
      capture_output=True,
      text=True,
  )
  assert run.returncode == 0, run.stderr[-2000:]
  assert 'Warn' not in run.stderr
  page = (tmp_path / 'vidcolor' / 'video_tracker.html').read_text()
  assert 'Tracks objects and points through videos.' in page
  pages = {path.stem for path in tmp_path.rglob('*.html')}
  modules = {
      path.stem
      for path in (programs.ROOT / 'vidcolor').rglob('*.py')
      if path.stem != '__init__'
  }
  programs_ = {'train', 'evaluate', 'track', 'colorize', 'visualize'}
  assert modules - programs_ - {'__main__', 'folders'} <= pages
