"""Makes the static site: the page, the network, a sample, and libraries.

package.json names the libraries and their versions. npm gets them as the site
is made; the page itself asks no other host for anything.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from vidcolor import errors
from vidcolor import files
from vidcolor import network
from vidcolor.data import synthetic
from vidcolor.video import mp4

_HERE = pathlib.Path(__file__).parent
_LIST = 'files.json'  # Also tells that a folder is such a site.
# Files of npm's packages, by their name in the site.
_LIBRARIES = {
    'mediabunny.js': 'mediabunny/dist/bundles/mediabunny.min.mjs',
    'mediabunny.LICENSE.txt': 'mediabunny/LICENSE',
    'fflate.js': 'fflate/esm/browser.js',
    'fflate.LICENSE.txt': 'fflate/LICENSE',
    **{
        name: f'onnxruntime-web/dist/{name}'
        for name in (
            'ort.wasm.min.mjs',
            'ort-wasm-simd-threaded.mjs',
            'ort-wasm-simd-threaded.wasm',
            'ort.webgpu.min.mjs',
            'ort-wasm-simd-threaded.asyncify.mjs',
            'ort-wasm-simd-threaded.asyncify.wasm',
        )
    },
}
_COMPILER = 'assemblyscript/bin/asc.js'
_COMPILER_FLAGS = '-O3 --runtime stub --enable simd --noAssert'.split()
# The sample. Of its three objects, J is 0.94 to 0.99 (2026-11-27).
_SEED, _HEIGHT, _WIDTH, _RATE = 33, 240, 424, 24.0


def build(
    output_dir: str | os.PathLike[str], *, num_frames: int = 72
) -> synthetic.Clip:
  """Makes the site.

  Args:
    output_dir: The folder to make. An older site in it is replaced.
    num_frames: Number of frames of the sample.

  Returns:
    The sample.

  Raises:
    UserError: The folder holds something else; or npm or the extra [onnx] is
      missing; or npm cannot get the libraries.
  """
  output_dir = pathlib.Path(output_dir).expanduser()
  _refuse_other(output_dir)
  npm, node = _find('npm'), _find('node')
  graph = _graph()
  with files.atomic_folder(output_dir) as folder:
    shutil.copytree(_HERE / 'page', folder, dirs_exist_ok=True)
    _add_network(folder, graph)
    clip = synthetic.render_clip(
        _SEED, num_frames=num_frames, height=_HEIGHT, width=_WIDTH
    )
    mp4.write(folder / 'sample.mp4', clip.frames, _RATE)
    with tempfile.TemporaryDirectory() as temporary:
      packages = _install(npm, pathlib.Path(temporary))
      (folder / 'lib').mkdir()
      for name, source in _LIBRARIES.items():
        shutil.copy(packages / source, folder / 'lib' / name)
      _run(
          [
              *(node, packages / _COMPILER, _HERE / 'copying.ts'),
              *('-o', folder / 'copying.wasm', *_COMPILER_FLAGS),
          ],
          'copying.ts cannot be compiled',
      )
    _add_list(folder)
  return clip


def _refuse_other(folder):
  """Checks that nothing but a site is replaced."""
  if folder.exists() and not (folder / _LIST).exists():
    if not folder.is_dir() or any(folder.iterdir()):
      raise errors.UserError(
          f'{folder} holds other files: give --output_dir a new folder'
      )


def _find(program):
  path = shutil.which(program)
  if path is None:
    raise errors.UserError(
        f'there is no {program}: install Node.js, which brings node and npm'
    )
  return path


def _graph():
  # Imported late, to tell which extra is missing.
  try:
    from experiments import onnx_graph
  except ImportError as error:
    raise errors.UserError(
        f'the network cannot be written ({error}): pip install "vidcolor[onnx]"'
    ) from error
  return onnx_graph.build(network.Network.load())


def _add_network(folder, graph):
  properties = {item.key: item.value for item in graph.metadata_props}
  (folder / 'vidcolor.onnx').write_bytes(graph.SerializeToString())
  # ONNX Runtime Web does not show a graph's metadata to the page.
  (folder / 'options.json').write_text(properties['options'])


def _install(npm, folder):
  """Returns the folder of the packages that package.json names."""
  shutil.copy(_HERE / 'package.json', folder)
  options = '--no-audit --no-fund --ignore-scripts --prefer-offline'.split()
  # npm's own limits wait for a quarter of an hour without a network.
  options += ['--fetch-retries=1', '--fetch-timeout=60000']
  _run(
      [npm, 'install', *options, '--prefix', folder],
      'npm cannot get the libraries',
  )
  return folder / 'node_modules'


def _run(command, problem):
  run = subprocess.run(command, capture_output=True, text=True)
  if run.returncode:
    lines = (run.stderr or run.stdout).strip().splitlines() or ['']
    raise errors.UserError(f'{problem}: {lines[0]}')


def _add_list(folder):
  """Lists the files for the service worker, and tells it their version."""
  paths = sorted(path for path in folder.rglob('*') if path.is_file())
  names = [path.relative_to(folder).as_posix() for path in paths]
  digest = hashlib.sha256()
  for path in paths:
    digest.update(path.read_bytes())
  worker = folder / 'service_worker.js'
  # Browsers install a worker anew if any of its bytes has changed.
  script = worker.read_text().replace("'VERSION'", f"'{digest.hexdigest()}'")
  worker.write_text(script)
  names.remove(worker.name)
  (folder / _LIST).write_text(json.dumps(names))
