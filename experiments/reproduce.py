"""Makes the network in the package again, from the clips that may be used.

python -m experiments.reproduce --clips_dir=CLIPS --output_dir=DIR

CLIPS holds videos and MANIFEST.tsv, a table with the columns `file`, `source`
and `licence`. The program trains on the clips whose licence is permissive, and
writes DIR/strong.npz and DIR/sources.tsv, the number of clips by source. The
same command resumes a run that was stopped. On one machine, the file is the
same bit for bit each time.
"""

import collections
from collections.abc import Iterator
import csv
import io
import os
import pathlib
from typing import NamedTuple

from absl import flags
from ml_collections import config_flags

from data_prep import palette as palette_lib
from data_prep.kinetics import kinetics
from vidcolor import errors
from vidcolor import files
from vidcolor import network
from vidcolor import program
from vidcolor.training import loop

# Licences that allow commercial use and do not bind what is made from a work.
_PERMISSIVE = (
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

_CLIPS_DIR = flags.DEFINE_string(
    'clips_dir', None, 'Folder of videos and MANIFEST.tsv.', required=True
)
_LICENCES = flags.DEFINE_list(
    'licences',
    list(_PERMISSIVE),
    'Licences of the clips to train on. What follows in parentheses, as in "MIT'
    ' (from its README)", does not count, but "(doubtful)" leaves a clip out.',
)
_LEAVE_OUT = flags.DEFINE_list(
    'leave_out', [], 'Clips whose names contain one of these are left out.'
)
_CONFIG = config_flags.DEFINE_config_file(
    'config', 'experiments/configs/strong.py', 'What to train, and how.'
)
_OUTPUT_DIR = flags.DEFINE_string(
    'output_dir', None, 'Folder for data, run and network.', required=True
)


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


def main() -> None:
  """Selects the clips, builds the dataset, trains and exports the network."""
  output_dir = pathlib.Path(_OUTPUT_DIR.value).expanduser()
  clips_dir = pathlib.Path(_CLIPS_DIR.value).expanduser()
  clips = list(permitted_clips(clips_dir, _LICENCES.value, _LEAVE_OUT.value))
  if not clips:
    raise errors.UserError(
        f'no clip of {clips_dir / "MANIFEST.tsv"} has one of the licences'
        f' {", ".join(_LICENCES.value)}: give others by --licences'
    )
  files.make_folder(output_dir)
  print(f'{len(clips)} clips', flush=True)
  with files.atomic_write(output_dir / 'sources.tsv') as temporary:
    temporary.write_text(_sources(clips))
  _link(clips, clips_dir, output_dir / 'clips')
  builder = kinetics.Kinetics(
      source_dir=output_dir / 'clips', data_dir=output_dir / 'data'
  )
  builder.download_and_prepare()
  if not (builder.data_path / 'palette.npy').exists():
    palette_lib.fit(builder.data_dir)
  config = _CONFIG.value
  config.dataset.data_dir = str(output_dir / 'data')
  loop.train(config, output_dir / 'run')
  network.Network.load(output_dir / 'run').save(output_dir / 'strong.npz')
  print(f'\nThe network: {output_dir / "strong.npz"}')


def permitted_clips(
    clips_dir: pathlib.Path, licences: list[str], leave_out: list[str]
) -> Iterator[Clip]:
  """Yields the clips of MANIFEST.tsv that may be used.

  Args:
    clips_dir: The folder of the clips.
    licences: The licences to use.
    leave_out: Words. Clips whose file contains one of them are left out.

  Raises:
    UserError: There is no such table, or it lacks a column or names a file that
      is missing.
  """
  path = clips_dir / 'MANIFEST.tsv'
  try:
    rows = list(csv.DictReader(path.open(newline=''), delimiter='\t'))
  except (OSError, ValueError, csv.Error) as error:
    raise errors.UserError(
        f'{path} cannot be read ({error}): write a table with the columns'
        f' {", ".join(_COLUMNS)}, separated by tabs'
    ) from error
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
    if not (clips_dir / clip.file).is_file():
      raise errors.UserError(
          f'{clips_dir / clip.file} is missing, and {path} names it: add the'
          ' file, or remove the line'
      )
    yield clip


def _sources(clips):
  """Returns a table of repositories, their licences and numbers of clips."""
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


def _link(clips, clips_dir, folder):
  """Makes a folder with links to the clips and to nothing else."""
  with files.atomic_folder(folder) as temporary:
    for clip in clips:
      link = temporary / clip.file
      link.parent.mkdir(parents=True, exist_ok=True)
      os.symlink((clips_dir / clip.file).resolve(), link)


if __name__ == '__main__':
  program.run(main)
