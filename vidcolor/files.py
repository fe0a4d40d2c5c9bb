"""Files that are there only once they are whole."""

from collections.abc import Iterator
import contextlib
import errno
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any
import uuid

import fsspec

from vidcolor import errors


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
  """Yields a temporary path beside `path`, which is renamed when all went well.

  Args:
    path: The file to make or replace; its suffix is the temporary path's too,
      for writers that go by it. Of a URL, the temporary path is local, and
      uploaded when all went well: a bucket holds whole files only.
  """
  if is_url(path):
    with tempfile.TemporaryDirectory() as folder:
      temporary = pathlib.Path(folder) / os.path.basename(path)
      yield temporary
      system, remote = fsspec.url_to_fs(os.fspath(path))
      system.put_file(str(temporary), remote)
    return
  path = pathlib.Path(path)
  # Its own, also where several processes make the same file.
  unique = uuid.uuid4().hex[:8]
  temporary = path.with_name(f'.{path.stem}.{unique}.tmp{path.suffix}')
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(
    path: str | os.PathLike[str],
) -> Iterator[pathlib.Path]:
  """Yields a temporary folder, which takes `path`'s place when all went well.

  Args:
    path: The folder to make, or to replace with all that is in it.

  Raises:
    UserError: as `make_folder`.
  """
  path = pathlib.Path(path)
  make_folder(path.parent)
  temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex[:8]}.tmp')
  temporary.mkdir()
  try:
    yield temporary
    shutil.rmtree(path, ignore_errors=True)
    os.replace(temporary, path)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def is_url(path: str | os.PathLike[str]) -> bool:
  """Whether it is in a bucket or elsewhere, as in gs://bucket/file."""
  return '://' in os.fspath(path)


def make_folder(path: str | os.PathLike[str]) -> None:
  """Makes a folder to write to, if it is not there, and those above it.

  Raises:
    UserError: it cannot be made, or not be written to.
  """
  try:
    os.makedirs(path, exist_ok=True)
  except OSError as error:
    raise errors.UserError(
        f'cannot make the folder {path} ({error.strerror}): give another one'
    ) from error
  if not os.access(path, os.W_OK):
    raise errors.UserError(
        f'cannot write to the folder {path}: make it writable, or give another'
    )


def refuse_to_replace(
    source: str | os.PathLike[str], *outputs: str | os.PathLike[str]
) -> None:
  """Sees to it that no output takes the place of what it is made from.

  Raises:
    UserError: one is the source, or a folder that holds it.
  """
  source = pathlib.Path(source).resolve()
  for output in map(pathlib.Path, outputs):
    if output.resolve() in (source, *source.parents):
      raise errors.UserError(
          f'{source} would be replaced by {output}: write to another folder'
      )


@contextlib.contextmanager
def report_full_disk(folder: str | os.PathLike[str]) -> Iterator[None]:
  """Turns what libraries raise, when a folder's disk is full, into a UserError.

  Raises:
    UserError: nothing more can be written to the folder.
  """
  try:
    yield
  except Exception as error:
    # Some wrap the system's error in errors of their own.
    codes = errno.ENOSPC, errno.EDQUOT, errno.EROFS
    told = [why for why in map(os.strerror, codes) if why in str(error)]
    if isinstance(error, errors.UserError) or not told:
      raise
    raise errors.UserError(
        f'{folder} cannot be written to any more ({told[0]}): mend that, and'
        ' run the same line again to go on from the last checkpoint'
    ) from error


def write_json(path: str | os.PathLike[str], content: Any) -> None:
  """Writes JSON for people to read; what is no number (NaN) becomes null."""
  valid = json.loads(json.dumps(content), parse_constant=lambda _: None)
  with atomic_write(path) as temporary:
    temporary.write_text(json.dumps(valid, indent=2))
