"""Runs a program of vidcolor: `vidcolor track --video=clip.mp4 ...`.

`vidcolor NAME FLAGS` is `python -m vidcolor.NAME FLAGS`.
"""

import runpy
import sys

_PROGRAMS = {
    'track': 'Tracks objects or points through a video.',
    'colorize': 'Colorizes a video from one colored frame.',
    'visualize': 'Shows what a network sees in a video.',
    'train': 'Trains a network by colorizing video.',
    'evaluate': 'Evaluates a network or another method on a benchmark.',
}


def main() -> None:
  """Runs the program that the first argument names."""
  name = sys.argv[1] if len(sys.argv) > 1 else '--help'
  if name in _PROGRAMS:
    sys.argv[:2] = [f'vidcolor {name}']
    runpy.run_module(f'vidcolor.{name}', run_name='__main__', alter_sys=True)
    return
  if name not in ('-h', '--help', 'help'):
    message = f'error: vidcolor has no program {name}; see vidcolor --help'
    print(message, file=sys.stderr)
    sys.exit(2)
  print('Usage: vidcolor PROGRAM FLAGS, where PROGRAM is one of\n')
  for program, text in _PROGRAMS.items():
    print(f'  {program:<10} {text}')
  print('\nvidcolor PROGRAM --help lists the flags.')


if __name__ == '__main__':
  main()
