"""Serves a folder to the browsers of this machine."""

import functools
from http import server
import os

from vidcolor import errors

# Isolated from other sites, a page may compute with several threads.
_HEADERS = {
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cache-Control': 'no-cache',
}


def serve(
    folder: str | os.PathLike[str], port: int
) -> server.ThreadingHTTPServer:
  """Returns a server for a folder; `serve_forever` runs it.

  Args:
    folder: The folder.
    port: The port; 0 takes a free one.

  Raises:
    UserError: The port is taken.
  """
  handler = functools.partial(_Handler, directory=os.fspath(folder))
  try:
    return server.ThreadingHTTPServer(('127.0.0.1', port), handler)
  except OSError as error:
    raise errors.UserError(
        f'--port={port} cannot be used ({error.strerror}): give another one'
    ) from error


class _Handler(server.SimpleHTTPRequestHandler):
  # The defaults depend on the machine. Browsers insist on these types.
  extensions_map = {
      **server.SimpleHTTPRequestHandler.extensions_map,
      '.js': 'text/javascript',
      '.mjs': 'text/javascript',
      '.wasm': 'application/wasm',
      '.svg': 'image/svg+xml',
  }

  def end_headers(self):
    for name, value in _HEADERS.items():
      self.send_header(name, value)
    super().end_headers()

  def log_message(self, format, *args):
    pass
