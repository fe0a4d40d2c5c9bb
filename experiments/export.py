"""Writes the newest checkpoint of a run as one small file.

python -m experiments.export --workdir=DIR --output=FILE.npz \
  [--config=experiments/configs/strong.py]

--config gives other settings of tracking than the checkpoint's own.
"""

from absl import flags
from ml_collections import config_flags

from vidcolor import errors
from vidcolor import network
from vidcolor import program

_WORKDIR = flags.DEFINE_string('workdir', None, 'A run.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'An .npz.', required=True)
_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config whose `tracking` takes the place of the network’s.'
)


def main() -> None:
  """Exports."""
  if not _OUTPUT.value.endswith('.npz'):
    raise errors.UserError(f'--output={_OUTPUT.value}: give a name in .npz')
  trained = network.Network.load(_WORKDIR.value)
  if _CONFIG.value:
    trained.config.tracking = _CONFIG.value.tracking
  trained.save(_OUTPUT.value)


if __name__ == '__main__':
  program.run(main)
