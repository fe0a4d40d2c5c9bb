"""Exports a network to one small file.

python -m experiments.export --output=FILE.npz --workdir=DIR
python -m experiments.export --output=FILE.onnx [--format=onnx] \
  [--workdir=DIR] [--config=experiments/configs/strong.py]

The end of the file's name gives the format. `Network.load` reads .npz files.
An .onnx file holds the graph from a frame to its embeddings; see onnx_graph.py.
It needs the extra [onnx], and onnx_track.py tracks with it.

--config replaces the network's own settings of tracking.
"""

import os

from absl import flags
from ml_collections import config_flags

from vidcolor import errors
from vidcolor import files
from vidcolor import network
from vidcolor import program

_FORMATS = 'npz', 'onnx'
_WORKDIR = flags.DEFINE_string(
    'workdir',
    None,
    'A training run, one of its checkpoints, an .npz file, or the name of a'
    ' network in the package. Default: strong.',
)
_OUTPUT = flags.DEFINE_string(
    'output', None, 'The .npz or .onnx file to write.', required=True
)
_FORMAT = flags.DEFINE_enum(
    'format', None, _FORMATS, "Default: by the end of the output's name."
)
_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config whose `tracking` replaces that of the network.'
)


def main() -> None:
  """Exports the network."""
  ending = os.path.splitext(_OUTPUT.value)[1][1:]
  formats = [_FORMAT.value] if _FORMAT.value else _FORMATS
  if ending not in formats:
    endings = ' or '.join(f'.{name}' for name in formats)
    raise errors.UserError(
        f'--output={_OUTPUT.value}: give a name that ends with {endings}'
    )
  trained = network.Network.load(_WORKDIR.value)
  if _CONFIG.value:
    trained.config.tracking = _CONFIG.value.tracking
  if ending == 'npz':
    trained.save(_OUTPUT.value)
  else:
    _save_onnx(trained, _OUTPUT.value)


def _save_onnx(trained, path):
  try:
    from experiments import onnx_graph
  except ImportError as error:
    raise errors.UserError(
        f'{path} cannot be written ({error}): pip install "vidcolor[onnx]"'
    ) from error
  graph = onnx_graph.build(trained).SerializeToString()
  with files.atomic_write(path) as temporary:
    temporary.write_bytes(graph)


if __name__ == '__main__':
  program.run(main)
