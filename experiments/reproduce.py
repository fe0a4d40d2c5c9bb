"""Makes the network `permissive` again, from the clips that may be used.

python -m experiments.reproduce --clips_dir=CLIPS --output_dir=DIR

CLIPS holds videos and MANIFEST.tsv, a table with the columns `file`, `source`
and `licence`. The program trains on the clips whose licence is permissive. It
writes DIR/permissive.npz, and DIR/sources.tsv with the number of clips by
source. The same command resumes a run that was stopped. On one machine, the
file is the same bit for bit each time.
"""

import os
import pathlib

from absl import flags
from ml_collections import config_flags

from data_prep import licences as licences_lib
from data_prep import palette as palette_lib
from data_prep.kinetics import kinetics
from vidcolor import errors
from vidcolor import files
from vidcolor import network
from vidcolor import program
from vidcolor.training import loop

_CLIPS_DIR = flags.DEFINE_string(
    'clips_dir', None, 'Folder of videos and MANIFEST.tsv.', required=True
)
_LICENCES = flags.DEFINE_list(
    'licences',
    list(licences_lib.PERMISSIVE),
    'Licences of the clips to train on. What follows in parentheses, as in "MIT'
    ' (from its README)", does not count, but "(doubtful)" leaves a clip out.',
)
_LEAVE_OUT = flags.DEFINE_list(
    'leave_out', [], 'Clips whose names contain one of these are left out.'
)
_CONFIG = config_flags.DEFINE_config_file(
    'config', 'experiments/configs/permissive.py', 'What to train, and how.'
)
_OUTPUT_DIR = flags.DEFINE_string(
    'output_dir', None, 'Folder for data, run and network.', required=True
)


def main() -> None:
  """Selects the clips, builds the dataset, trains and exports the network."""
  output_dir = pathlib.Path(_OUTPUT_DIR.value).expanduser()
  clips_dir = pathlib.Path(_CLIPS_DIR.value).expanduser()
  clips = list(
      licences_lib.permitted_clips(clips_dir, _LICENCES.value, _LEAVE_OUT.value)
  )
  if not clips:
    raise errors.UserError(
        f'no clip of {clips_dir / "MANIFEST.tsv"} has one of the licences'
        f' {", ".join(_LICENCES.value)}: give others by --licences'
    )
  files.make_folder(output_dir)
  print(f'{len(clips)} clips', flush=True)
  _link(clips, clips_dir, output_dir / 'clips')
  with files.atomic_write(output_dir / 'sources.tsv') as temporary:
    temporary.write_text(licences_lib.sources(clips))
  builder = kinetics.Kinetics(
      source_dir=output_dir / 'clips', data_dir=output_dir / 'data'
  )
  builder.download_and_prepare()
  palette_lib.fit_once(builder.data_dir)
  config = _CONFIG.value
  config.dataset.data_dir = str(output_dir / 'data')
  loop.train(config, output_dir / 'run')
  network.Network.load(output_dir / 'run').save(output_dir / 'permissive.npz')
  print(f'\nThe network: {output_dir / "permissive.npz"}')


def _link(clips, clips_dir, folder):
  """Makes a folder with links to the clips and to nothing else.

  Raises:
    UserError: The folder has other clips, of a run that was begun before.
  """
  if folder.exists():
    known = {p.relative_to(folder) for p in folder.rglob('*') if p.is_symlink()}
    if known != {pathlib.Path(clip.file) for clip in clips}:
      raise errors.UserError(
          f'{folder} has other clips than those selected now: give another'
          ' --output_dir'
      )
    return
  with files.atomic_folder(folder) as temporary:
    for clip in clips:
      link = temporary / clip.file
      link.parent.mkdir(parents=True, exist_ok=True)
      os.symlink((clips_dir / clip.file).resolve(), link)


if __name__ == '__main__':
  program.run(main)
