import os
import pathlib
import subprocess
import sys

import jax
import pytest

from vidcolor import environment

pytestmark = pytest.mark.slow

_PROGRAM = """
import jax
from jax import monitoring
jax.jit(lambda x: x + 1)(1)  # Before the network is loaded, as in a notebook.
hits = []
monitoring.register_event_listener(
    lambda event, **_: hits.append('cache_hits' in event))
import vidcolor
tracker = vidcolor.load_pretrained()
import numpy as np
tracker.propagator.embed(np.zeros((32, 32, 3), np.uint8))
print(sum(hits))
"""


def _run(**env):
  kept = {
      name: value
      for name, value in os.environ.items()
      if name != 'JAX_COMPILATION_CACHE_DIR'
  }
  done = subprocess.run(
      [sys.executable, '-c', _PROGRAM],
      env=kept | env,
      capture_output=True,
      text=True,
      check=True,
      timeout=300,
  )
  assert not done.stderr
  return int(done.stdout)


def test_the_next_process_finds_what_was_compiled(tmp_path):
  assert _run(XDG_CACHE_HOME=str(tmp_path)) == 0
  assert any((tmp_path / 'vidcolor' / 'compiled').iterdir())
  assert _run(XDG_CACHE_HOME=str(tmp_path)) > 0


def test_a_cache_named_otherwise_is_kept(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  chosen = jax.config.jax_compilation_cache_dir
  assert chosen
  environment.enable_compilation_cache()
  assert jax.config.jax_compilation_cache_dir == chosen
  assert not any(tmp_path.iterdir())


@pytest.fixture
def _no_cache():
  chosen = jax.config.jax_compilation_cache_dir
  jax.config.update('jax_compilation_cache_dir', None)
  yield
  jax.config.update('jax_compilation_cache_dir', chosen)


def test_a_folder_that_cannot_be_made_is_done_without(
    tmp_path, monkeypatch, _no_cache
):
  (tmp_path / 'vidcolor').touch()  # A file where the folder would be.
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  environment.enable_compilation_cache()
  assert jax.config.jax_compilation_cache_dir is None


def test_who_has_no_home_does_without(monkeypatch, _no_cache):
  def no_home():
    raise RuntimeError('Could not determine home directory.')

  monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
  monkeypatch.setattr(pathlib.Path, 'home', no_home)
  environment.enable_compilation_cache()
  assert jax.config.jax_compilation_cache_dir is None


def test_a_folder_that_cannot_be_written_to_is_done_without(
    tmp_path, monkeypatch, _no_cache
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  monkeypatch.setattr(os, 'access', lambda path, mode: False)
  environment.enable_compilation_cache()
  assert jax.config.jax_compilation_cache_dir is None
