"""Files that are there only once they are whole."""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
from typing import Any

from vidcolor import errors


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


def make_folder(path: str | os.PathLike[str]) -> None:
  """Makes a folder, if it is not there, and those above it.

  Raises:
    UserError: it cannot be made.
  """
  try:
    os.makedirs(path, exist_ok=True)
  except OSError as error:
    raise errors.UserError(
        f'cannot make the folder {path} ({error.strerror}): give another one'
    ) from error


def write_json(path: str | os.PathLike[str], content: Any) -> None:
  """Writes JSON for people to read; what is no number (NaN) becomes null."""
  valid = json.loads(json.dumps(content), parse_constant=lambda _: None)
  with written_whole(path) as temporary:
    temporary.write_text(json.dumps(valid, indent=2))
