"""Trains an embedding network by colorizing video.

python -m vidcolor.train --config=experiments/configs/compact.py --workdir=DIR
"""

from absl import flags
from ml_collections import config_flags

from vidcolor import errors
from vidcolor.training import loop

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config file; --config.FIELD=VALUE sets a field.'
)
_WORKDIR = flags.DEFINE_string(
    'workdir',
    None,
    'Where checkpoints and logs go; resumed if it has some.',
    required=True,
)


def main(argv):
  """Trains; run it again with the same line to resume."""
  if len(argv) > 1:
    raise errors.UserError(f'{argv[1]} is not a flag; see --help')
  loop.train(_CONFIG.value, _WORKDIR.value)


if __name__ == '__main__':
  flags.mark_flag_as_required('config')
  errors.run(main)
