"""Strict settings for every test: shapes are checked, warnings are errors."""

from collections.abc import Iterator
import gc
import importlib.metadata
import importlib.util
import os
import pathlib
import signal

# Imports leave no garbage, and make more and more objects to look through.
gc.disable()
# Tests compile many small programs and run each once or twice: less optimized
# code is ready sooner, and still tracks with the network of the package. JAX
# reads this when it compiles for the first time.
_XLA_FLAGS = '--xla_backend_optimization_level=1'
# With its older emitters, XLA compiles for CPUs in half the time. An XLA that
# does not know this flag ends the process: only the one that was tried gets it.
_OLDER_EMITTERS = '--xla_cpu_use_fusion_emitters=false'
if importlib.metadata.version('jaxlib').startswith('0.10.'):
  os.environ.setdefault('XLA_FLAGS', f'{_XLA_FLAGS} {_OLDER_EMITTERS}')
os.environ.setdefault('XLA_FLAGS', _XLA_FLAGS)
# With libtpu but no TPU, JAX's profiler crashes unless JAX is told of CPUs.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

# ruff: noqa: E402
from absl import flags
import jax
import jaxtyping
import pytest

# Public signatures carry jaxtyping shapes; here they are enforced at run time.
jaxtyping.install_import_hook('vidcolor', 'beartype.beartype')

jax.config.update('jax_numpy_rank_promotion', 'raise')

# Many tests, and the programs that they run, compile the same networks.
for name, value in (
    (
        'jax_compilation_cache_dir',
        str(pathlib.Path(__file__).parents[1] / '.pytest_cache' / 'jax'),
    ),
    # With a size, JAX locks the cache, which pytest's own processes share.
    ('jax_compilation_cache_max_size', 2**30),
    # As vidcolor.environment has it: tiny networks compile in less than JAX's
    # own second, and programs that are started again find them.
    ('jax_persistent_cache_min_compile_time_secs', 0.1),
):
  os.environ[name.upper()] = str(value)
  jax.config.update(name, value)

# A shell has what it starts in the background ignore Ctrl-C, and so do the
# programs that tests start, unless it is handled here.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
  signal.signal(signal.SIGINT, signal.default_int_handler)

# Grain's worker processes ask absl for its flags, which pytest never parses.
flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope='module')
def libtpu() -> Iterator[None]:
  """Skips without libtpu, which compiles for TPUs that are not there."""
  if importlib.util.find_spec('libtpu') is None:
    pytest.skip("no libtpu: pip install 'vidcolor[tpu]'")
  with pytest.MonkeyPatch.context() as patch:
    # Its XLA does not know the flag for CPUs.
    patch.setenv('XLA_FLAGS', _XLA_FLAGS)
    yield


@pytest.fixture
def shared_dir() -> pathlib.Path:
  """The folder of real video beside a developer's checkout."""
  path = pathlib.Path(__file__).parents[2] / 'shared'
  if not path.is_dir():
    pytest.skip('no ../shared folder with real video on this machine')
  return path


def pytest_ignore_collect(
    collection_path: pathlib.Path, config: pytest.Config
) -> bool | None:
  """Does not import files of slow tests only, where no slow test runs.

  What they import takes longer than many of the fast tests.
  """
  if config.option.markexpr != 'not slow' or collection_path.suffix != '.py':
    return None
  mark = '\npytestmark = pytest.mark.slow\n'
  return True if mark in collection_path.read_text() else None


def pytest_collection_finish() -> None:
  """Collects garbage again, but never looks through what was imported."""
  gc.freeze()
  gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  """Runs the longest files first, so that no process waits at the end."""
  slow = {item.path for item in items if item.get_closest_marker('slow')}
  longest = {'test_faults.py', 'test_training.py', 'test_processes.py'}
  items.sort(key=lambda x: (x.path.name not in longest, x.path not in slow))
