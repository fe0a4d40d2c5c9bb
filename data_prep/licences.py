"""Selects clips by their licence."""

import collections
from collections.abc import Iterator, Sequence
import csv
import io
import pathlib
from typing import NamedTuple

from vidcolor import errors

# Licences that allow commercial use and do not bind what is made from a work.
PERMISSIVE = (
    'Apache-2.0',
    'BSD',
    'BSD-2',
    'BSD-3',
    'BSD-3-Clear',
    'BSL-1.0',
    'CC BY 4.0',
    'CC0',
    'MIT',
    'Unlicense',
)
_COLUMNS = ('file', 'source', 'licence')


class Clip(NamedTuple):
  """A line of MANIFEST.tsv.

  Attributes:
    file: Name of the video in its folder.
    source: Repository that it comes from.
    licence: Licence of that repository.
  """

  file: str
  source: str
  licence: str


def permitted_clips(
    clips_dir: pathlib.Path, licences: Sequence[str], leave_out: Sequence[str]
) -> Iterator[Clip]:
  """Yields the clips of MANIFEST.tsv that may be used.

  Args:
    clips_dir: The folder of the clips.
    licences: The licences to use.
    leave_out: Words. Clips whose file contains one of them are left out.

  Raises:
    UserError: There is no such table, or it lacks a column, or it names a file
      that is missing or outside of the folder, or one file twice.
  """
  path = clips_dir / 'MANIFEST.tsv'
  try:
    # Spreadsheets begin UTF-8 with a mark of the byte order.
    with path.open(encoding='utf-8-sig', newline='') as file:
      rows = list(csv.DictReader(file, delimiter='\t', strict=True))
  except (OSError, ValueError, csv.Error) as error:
    raise errors.UserError(
        f'{path} cannot be read ({error}): write a table with the columns'
        f' {", ".join(_COLUMNS)}, separated by tabs'
    ) from error
  names = set()
  for number, row in enumerate(rows, 2):
    if not all(row.get(column) for column in _COLUMNS):
      raise errors.UserError(
          f'{path} line {number} lacks one of {", ".join(_COLUMNS)}: complete'
          ' it'
      )
    clip = Clip(*(row[column] for column in _COLUMNS))
    if clip.licence.split(' (')[0] not in licences:
      continue
    if '(doubtful)' in clip.licence or any(x in clip.file for x in leave_out):
      continue
    name = pathlib.PurePath(clip.file)
    if name.is_absolute() or '..' in name.parts or name in names:
      raise errors.UserError(
          f'{path} line {number}: {clip.file} is outside of the folder, or in'
          ' the table twice: correct it'
      )
    names.add(name)
    if not (clips_dir / clip.file).is_file():
      raise errors.UserError(
          f'{clips_dir / clip.file} is missing, and {path} names it: add the'
          ' file, or remove the line'
      )
    yield clip


def sources(clips: Sequence[Clip]) -> str:
  """Returns a table of repositories, their licences and numbers of clips.

  Its columns are separated by tabs. A repository is what precedes a colon in
  the source of a clip.
  """
  counts = collections.Counter(
      (clip.source.split(':')[0], clip.licence) for clip in clips
  )
  table = io.StringIO()
  writer = csv.writer(table, delimiter='\t', lineterminator='\n')
  writer.writerow(['source', 'licence', 'clips'])
  writer.writerows(
      [*key, counts[key]] for key in sorted(counts, key=lambda x: x[0].lower())
  )
  return table.getvalue()
