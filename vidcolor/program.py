"""How every program starts: its flags, and errors that end in one line.

def main() -> None:
  ...

if __name__ == '__main__':
  program.run(main)
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import os
import signal
import sys
from typing import Any, TYPE_CHECKING
import warnings

from absl import app
from absl import flags
from absl import logging
from ml_collections import config_flags

from vidcolor import errors
from vidcolor import files
from vidcolor import presets

if TYPE_CHECKING:
  from vidcolor.video import video_source


@dataclasses.dataclass(frozen=True)
class VideoFlags:
  """The flags of a program that reads one video."""

  path: flags.FlagHolder[Any]  # A string, or None if --video is missing.
  start: flags.FlagHolder[float]
  end: flags.FlagHolder[float | None]
  fps: flags.FlagHolder[float | None]

  def open(
      self,
      path: str | None = None,
      *,
      scale: float = 1.0,
      max_short_side: int | None = None,
  ) -> video_source.VideoSource:
    """Opens a video.

    Args:
      path: The video. Default: --video.
      scale: As `VideoSource` takes it.
      max_short_side: As `VideoSource` takes it.

    Raises:
      UserError: As `VideoSource`.
    """
    # Imported late: programs that read no video do not load FFmpeg.
    from vidcolor.video import video_source

    return video_source.VideoSource(
        self.path.value if path is None else path,
        start=self.start.value,
        end=self.end.value,
        scale=scale,
        max_short_side=max_short_side,
        frames_per_second=self.fps.value,
    )


def define_video(*, required: bool = True) -> VideoFlags:
  """Defines --video, --start, --end and --fps."""
  return VideoFlags(
      flags.DEFINE_string(
          'video',
          None,
          'A video file, or a folder of pictures.',
          required=required,
      ),
      flags.DEFINE_float(
          'start', 0, 'Frames before this second are skipped.', 0
      ),
      flags.DEFINE_float('end', None, 'Reading stops at this second.', 0),
      flags.DEFINE_float(
          'fps',
          None,
          'Frames a second, for a folder of pictures or a TIFF stack. Default:'
          ' 25.',
      ),
  )


def define_checkpoint() -> flags.FlagHolder[str | None]:
  """Defines --checkpoint, for `Network.load`."""
  return flags.DEFINE_string(
      'checkpoint',
      None,
      'A training run, one of its checkpoints, or a file that'
      ' experiments.export wrote. Default: the network in the package.',
  )


def define_preset() -> flags.FlagHolder[str]:
  """Defines --preset, for `Network.propagator`."""
  return flags.DEFINE_enum(
      'preset',
      'default',
      list(presets.PRESETS),
      'How a network tracks. fast takes a fifth of the time, and loses objects'
      ' more often.',
  )


def define_output_dir() -> flags.FlagHolder[str]:
  """Defines --output_dir, which is required."""
  return flags.DEFINE_string(
      'output_dir', None, 'The folder to write all results to.', required=True
  )


def run(
    main: Callable[..., object],
    *,
    takes_arguments: bool = False,
    takes_urls: bool = False,
) -> None:
  """Runs an absl program whose errors end in one line on standard error.

  The exit code is 2 after a `UserError`, 75 (EX_TEMPFAIL: try again) after a
  `PreemptedError`, and 130 after Ctrl-C. Warnings are one line each. In flags,
  ~ at the start of a path is the home folder.

  Args:
    main: The program. Flags are parsed before it is called.
    takes_arguments: Whether `main` takes the list of arguments that are not
      flags. If not, such an argument is an error.
    takes_urls: Whether flags may be URLs. If not, a URL is an error.
  """

  def wrapped(argv):
    # Orbax, TFDS and Grain log a lot, and log each error before they raise it.
    # Only --verbosity turns these logs on.
    if not flags.FLAGS['verbosity'].present:
      logging.set_verbosity(logging.FATAL)
    try:
      _require_config_file()
      if len(argv) > 1 and not takes_arguments:
        raise errors.UserError(f'{argv[1]} is not a flag; see --help')
      with files.report_full_disk('the disk'):
        return main(argv[1:]) if takes_arguments else main()
    except errors.UserError as error:
      _exit(error)
    except errors.PreemptedError as error:
      print(error, file=sys.stderr)
      sys.exit(os.EX_TEMPFAIL)
    except KeyboardInterrupt:
      print('interrupted', file=sys.stderr)
      sys.exit(128 + signal.SIGINT)

  warnings.showwarning = _show_warning
  parse = functools.partial(_parse_flags, takes_urls=takes_urls)
  app.run(wrapped, flags_parser=parse)


def _parse_flags(argv, takes_urls=False):
  try:
    rest = flags.FLAGS(_expand_home(argv))
    if not takes_urls:
      _refuse_urls()
    return rest
  # ml_collections raises these two for a field that the config lacks.
  except (AttributeError, KeyError) as error:
    _exit(f'--config: there is no such field: {error}')
  except (flags.Error, errors.UserError) as error:
    _exit(error)


def _expand_home(argv):
  """Expands ~ in `--flag=~/a,~/b`, which shells leave as it is.

  What follows `--` is for another program or machine.
  """
  end = argv.index('--') if '--' in argv else len(argv)
  expanded = []
  for argument in argv[:end]:
    *name, value = argument.rpartition('=')
    paths = map(os.path.expanduser, value.split(','))
    expanded.append(''.join([*name, ','.join(paths)]))
  return expanded + argv[end:]


def _refuse_urls():
  for name, value in flags.FLAGS.flag_values_dict().items():
    for item in value if isinstance(value, list) else [value]:
      if isinstance(item, str) and files.is_url(item):
        raise errors.UserError(
            f'--{name}={item} is a URL: download the file, or mount the bucket,'
            ' and give a path'
        )


def _show_warning(message, category, filename, lineno, file=None, line=None):
  """Shows a warning in one line, without the code that it comes from."""
  print(f'warning: {message}', file=file or sys.stderr)


def _require_config_file():
  """Checks --config here: ml_collections reports a missing file at length."""
  if 'config' in flags.FLAGS and flags.FLAGS['config'].present:
    path = config_flags.get_config_filename(flags.FLAGS['config'])
    if not os.path.isfile(path):
      raise errors.UserError(f'--config={path}: there is no such file')


def _exit(error):
  message = ' '.join(str(error).replace('\\n', ' ').split())
  print(f'error: {message}', file=sys.stderr)
  sys.exit(2)
