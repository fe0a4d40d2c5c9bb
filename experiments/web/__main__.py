"""Makes the site that tracks objects in a browser tab, and shows it.

python -m experiments.web --output_dir=site [--serve] [--port=8000]

It needs npm, and the extra [onnx]. Any host of static files can serve the
folder. The page asks no other host for anything, and sends nothing.
"""

from absl import flags

from experiments.web import server
from experiments.web import site
from vidcolor import program

_OUTPUT_DIR = program.define_output_dir()
_SERVE = flags.DEFINE_bool(
    'serve', False, 'Whether to show the site, to this machine only.'
)
_PORT = flags.DEFINE_integer(
    'port', 8000, 'Port at which it is shown. 0: a free one.', 0, 65535
)


def main() -> None:
  """Makes the site."""
  site.build(_OUTPUT_DIR.value)
  print(f'{_OUTPUT_DIR.value} holds the site.')
  if _SERVE.value:
    with server.serve(_OUTPUT_DIR.value, _PORT.value) as http:
      print(f'It is at http://127.0.0.1:{http.server_port}. Ctrl-C ends this.')
      http.serve_forever()


if __name__ == '__main__':
  program.run(main)
