"""Describes the machine, and caches compiled code on disk."""

from importlib import metadata
import os
import pathlib
import platform

import jax

# The size of the cache. Beyond it, JAX deletes the least recently used code.
_CACHE_BYTES = 1 << 30
# Code that compiles faster than this is not cached.
_CACHE_SECONDS = 0.1


def describe() -> dict[str, object]:
  """Returns the machine and the versions that a result depends on.

  Its keys 'machine' and 'versions' go to every summary.json and results.json.
  """
  devices = jax.devices()
  return {
      'machine': f'{_processor()}, {os.cpu_count()} cores,'
      f' {len(devices)} x {devices[0].device_kind}',
      'versions': {
          name: metadata.version(name) for name in ('jax', 'flax', 'vidcolor')
      },
  }


def _processor():
  """Returns the processor's model on Linux, elsewhere its architecture."""
  try:
    cpu_info = pathlib.Path('/proc/cpuinfo').read_text()
  except OSError:
    cpu_info = ''
  _, _, rest = cpu_info.partition('model name\t: ')
  return rest.partition('\n')[0] or platform.processor() or platform.machine()


def enable_compilation_cache() -> None:
  """Caches what JAX compiles, so that the next process starts faster.

  The cache is the folder vidcolor/compiled in $XDG_CACHE_HOME or ~/.cache. This
  does nothing if that folder is not writable, or if JAX_COMPILATION_CACHE_DIR
  or `jax.config` already names a cache.
  """
  if jax.config.values['jax_compilation_cache_dir'] is not None:
    return
  try:
    root = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    folder = pathlib.Path(root) / 'vidcolor' / 'compiled'
    folder.mkdir(parents=True, exist_ok=True)
  except (OSError, RuntimeError):  # RuntimeError: there is no home folder.
    return
  if os.access(folder, os.W_OK):
    jax.config.update('jax_compilation_cache_dir', str(folder))
    jax.config.update('jax_compilation_cache_max_size', _CACHE_BYTES)
    jax.config.update(
        'jax_persistent_cache_min_compile_time_secs', _CACHE_SECONDS
    )
