"""Writes the newest checkpoint of a run as one small file.

python -m experiments.export --workdir=DIR --output=FILE.npz
"""

from absl import flags

from vidcolor import errors
from vidcolor import pretrained
from vidcolor.training import checkpoint

_WORKDIR = flags.DEFINE_string('workdir', None, 'A run.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'An .npz.', required=True)


def main(argv):
  """Exports."""
  if len(argv) > 1:
    raise errors.UserError(f'{argv[1]} is not a flag; see --help')
  if not _OUTPUT.value.endswith('.npz'):
    raise errors.UserError(f'--output={_OUTPUT.value}: give a name in .npz')
  pretrained.save(_OUTPUT.value, *checkpoint.load_model(_WORKDIR.value))


if __name__ == '__main__':
  errors.run(main)
