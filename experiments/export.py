"""Exports the newest checkpoint of a training run to one small file.

python -m experiments.export --workdir=DIR --output=FILE.npz \
  [--config=experiments/configs/strong.py]

--config replaces the checkpoint's own settings of tracking.
"""

from absl import flags
from ml_collections import config_flags

from vidcolor import errors
from vidcolor import network
from vidcolor import program

_WORKDIR = flags.DEFINE_string('workdir', None, 'Training run.', required=True)
_OUTPUT = flags.DEFINE_string(
    'output', None, 'The .npz file to write.', required=True
)
_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config whose `tracking` replaces that of the network.'
)


def main() -> None:
  """Exports the checkpoint."""
  if not _OUTPUT.value.endswith('.npz'):
    raise errors.UserError(
        f'--output={_OUTPUT.value}: give a name that ends with .npz'
    )
  trained = network.Network.load(_WORKDIR.value)
  if _CONFIG.value:
    trained.config.tracking = _CONFIG.value.tracking
  trained.save(_OUTPUT.value)


if __name__ == '__main__':
  program.run(main)
