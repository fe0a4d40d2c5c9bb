"""A disk that is full, as far as this process can tell."""

import contextlib
import resource


@contextlib.contextmanager
def files_of_at_most(num_bytes: int):
  """Makes writing fail with 'File too large', as it does on a full disk."""
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
