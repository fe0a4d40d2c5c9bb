"""The machine: what results are computed with, and where code is kept."""

from importlib import metadata
import os
import pathlib
import platform

import jax

# Of compiled code in the user's folder; what was not used for longest goes.
_CACHE_BYTES = 1 << 30
# Whatever takes longer to compile is kept.
_CACHE_SECONDS = 0.1


def describe() -> dict[str, object]:
  """The machine and the versions that a result depends on."""
  devices = jax.devices()
  return {
      'machine': f'{_processor()}, {os.cpu_count()} cores,'
      f' {len(devices)} x {devices[0].device_kind}',
      'versions': {
          name: metadata.version(name) for name in ('jax', 'flax', 'vidcolor')
      },
  }


def _processor():
  """Its model where the system tells, else what kind it is."""
  try:
    told = pathlib.Path('/proc/cpuinfo').read_text()
  except OSError:
    told = ''
  _, _, rest = told.partition('model name\t: ')
  return rest.partition('\n')[0] or platform.processor() or platform.machine()


def enable_compilation_cache() -> None:
  """Keeps what JAX compiles, so that the next process need not wait for it.

  In vidcolor/compiled of $XDG_CACHE_HOME or ~/.cache. Does nothing where that
  cannot be written to, or where JAX_COMPILATION_CACHE_DIR or `jax.config` names
  another folder.
  """
  if jax.config.values['jax_compilation_cache_dir'] is not None:
    return
  try:
    root = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    folder = pathlib.Path(root) / 'vidcolor' / 'compiled'
    folder.mkdir(parents=True, exist_ok=True)
  except (OSError, RuntimeError):  # The latter without a home.
    return
  if os.access(folder, os.W_OK):
    jax.config.update('jax_compilation_cache_dir', str(folder))
    jax.config.update('jax_compilation_cache_max_size', _CACHE_BYTES)
    jax.config.update(
        'jax_persistent_cache_min_compile_time_secs', _CACHE_SECONDS
    )
