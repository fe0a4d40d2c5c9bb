"""Lists folders, writes files and folders atomically, checks output paths."""

from collections.abc import Iterator, Sequence
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


def is_visible(name: str) -> bool:
  """Returns whether an entry of a folder is not what other tools left there.

  They leave hidden entries, such as ._00000.png and .DS_Store of macOS and
  .ipynb_checkpoints of Jupyter, and the folders __MACOSX of macOS and @eaDir
  of Synology.
  """
  return not name.startswith('.') and name not in ('__MACOSX', '@eaDir')


def visible(
    folder: str | os.PathLike[str], suffixes: Sequence[str] = ()
) -> list[pathlib.Path]:
  """Returns the entries of a folder by name, without what other tools left.

  Args:
    folder: The folder. If there is none, it has no entries.
    suffixes: Lower-case suffixes, such as '.png'. If given, only entries with
      one of them are returned, also if it is upper-case there.
  """
  return sorted(
      path
      for path in pathlib.Path(folder).glob('*')
      if is_visible(path.name)
      if not suffixes or path.suffix.lower() in suffixes
  )


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
  """Yields a temporary path, and renames it to `path` if no error was raised.

  So no reader ever sees a file that is only partly written.

  Args:
    path: The file to write or replace; ~ is the home folder. The temporary
      file is in the same folder and has the same suffix, since some writers
      choose their format by it. If `path` is a URL, the temporary file is local
      and is uploaded.
  """
  if is_url(path):
    with tempfile.TemporaryDirectory() as folder:
      temporary = pathlib.Path(folder) / os.path.basename(path)
      yield temporary
      system, remote = fsspec.url_to_fs(os.fspath(path))
      system.put_file(str(temporary), remote)
    return
  path = pathlib.Path(path).expanduser()
  # Several processes may write the same file. Each has its own temporary one.
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
  """Yields a temporary folder, and renames it to `path` if no error was raised.

  Args:
    path: The folder to make. If it exists, it is replaced with all its files.

  Raises:
    UserError: The folder that holds `path` cannot be made or written to.
  """
  path = pathlib.Path(path).expanduser()
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
  """Returns whether the path is a URL, such as gs://bucket/file."""
  return '://' in os.fspath(path)


def make_folder(path: str | os.PathLike[str]) -> None:
  """Makes a folder, and its parents, unless they exist. ~ is the home folder.

  Raises:
    UserError: The folder cannot be made, or it is not writable.
  """
  path = os.path.expanduser(path)
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
  """Checks that no output would replace the file that it is made from.

  Raises:
    UserError: An output is the source, or a folder that holds the source.
  """
  source = pathlib.Path(source).expanduser().resolve()
  for output in map(pathlib.Path, outputs):
    if output.expanduser().resolve() in (source, *source.parents):
      raise errors.UserError(
          f'{source} would be replaced by {output}: write to another folder'
      )


@contextlib.contextmanager
def report_full_disk(folder: str | os.PathLike[str]) -> Iterator[None]:
  """Turns any error of a library about a full disk into a `UserError`.

  Args:
    folder: The folder that is written to.

  Raises:
    UserError: The disk is full, its quota is used up, it is read-only, or a
      file is larger than it can hold.
  """
  try:
    yield
  except Exception as error:
    # Some libraries raise their own errors, which hold the system's message.
    codes = errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG
    reasons = [text for text in map(os.strerror, codes) if text in str(error)]
    if isinstance(error, errors.UserError) or not reasons:
      raise
    raise errors.UserError(
        f'{folder} cannot be written to any more ({reasons[0]}): fix that, then'
        ' run the same command again; training continues from its last'
        ' checkpoint'
    ) from error


def write_json(path: str | os.PathLike[str], content: Any) -> None:
  """Writes indented JSON. NaN and infinity, which JSON lacks, become null."""
  valid = json.loads(json.dumps(content), parse_constant=lambda _: None)
  with atomic_write(path) as temporary:
    temporary.write_text(json.dumps(valid, indent=2))
