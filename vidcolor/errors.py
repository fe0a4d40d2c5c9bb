"""Errors that end in one line a person can act on, not in a traceback."""

from collections.abc import Callable, Sequence
import os
import signal
import sys

from absl import app
from absl import flags
from absl import logging
from ml_collections import config_flags


class UserError(Exception):
  """Something the person at the keyboard can mend.

  The message is one line: what is wrong, the file or flag it is wrong in, and
  how to mend it.
  """


class PreemptedError(Exception):
  """The machine is about to be taken away, and all is saved: run it again."""


def run(main: Callable[[Sequence[str]], object]) -> None:
  """Runs an absl `main` whose errors end in one line.

  A `UserError` ends it with exit code 2, a `PreemptedError` with 75, the
  system's own code for what may go well another time (EX_TEMPFAIL), and Ctrl-C
  with 130, as shells have it.
  """
  app.run(_one_line_errors(main), flags_parser=_parse_flags)


def _one_line_errors(main):

  def wrapped(argv):
    # Orbax, TFDS and Grain tell a lot that only --verbosity should bring, and
    # each error that they raise before that, thread by thread.
    if not flags.FLAGS['verbosity'].present:
      logging.set_verbosity(logging.FATAL)
    try:
      _check_config_file()
      return main(argv)
    except UserError as error:
      _exit(error)
    except PreemptedError as error:
      print(error, file=sys.stderr)
      sys.exit(os.EX_TEMPFAIL)
    except KeyboardInterrupt:
      print('interrupted', file=sys.stderr)
      sys.exit(128 + signal.SIGINT)

  return wrapped


def _parse_flags(argv):
  try:
    return flags.FLAGS(argv)
  # ml_collections raises these two for a field the config does not have.
  except (AttributeError, KeyError) as error:
    _exit(f'--config: there is no such field: {error}')
  except (flags.Error, UserError) as error:
    _exit(error)


def _check_config_file():
  """Reads no config: ml_collections tells a missing one in many lines."""
  if 'config' in flags.FLAGS and flags.FLAGS['config'].present:
    path = config_flags.get_config_filename(flags.FLAGS['config'])
    if not os.path.isfile(path):
      raise UserError(f'--config={path}: there is no such file')


def _exit(error):
  message = ' '.join(str(error).replace('\\n', ' ').split())
  print(f'error: {message}', file=sys.stderr)
  sys.exit(2)
