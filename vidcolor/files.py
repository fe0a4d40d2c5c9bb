"""Files that are there only once they are whole."""

from collections.abc import Iterator
import contextlib
import os
import pathlib


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
  """Yields a temporary path beside `path`, which is renamed when all went well.

  Args:
    path: The file to make or replace; its suffix is the temporary path's too,
      for writers that go by it.
  """
  path = pathlib.Path(path)
  temporary = path.with_name(f'.{path.stem}.tmp{path.suffix}')
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
