"""Measures the time to import vidcolor, and to track a first frame."""

import functools
import os
import subprocess
import sys
import tempfile

from experiments.benchmarks import measuring
from vidcolor import errors
from vidcolor.data import synthetic
from vidcolor.video import mp4

_ROUNDS = 3


def measure(settings: measuring.Settings) -> list[measuring.Measurement]:
  """Times whole processes. The first one fills a new compilation cache."""
  del settings
  with tempfile.TemporaryDirectory() as folder:
    clip = synthetic.render_clip(0, num_frames=2, height=480, width=854)
    mp4.write(f'{folder}/clip.mp4', clip.frames, 24.0)
    # A user's environment, except for the folder of the cache.
    environment = os.environ | {'XDG_CACHE_HOME': f'{folder}/cache'}
    environment.pop('JAX_COMPILATION_CACHE_DIR', None)
    track = [
        '-m',
        'vidcolor.track',
        f'--video={folder}/clip.mp4',
        '--boxes=200,100,400,300',
        f'--output_dir={folder}/out',
    ]
    load = ['-c', 'import vidcolor; vidcolor.load_pretrained()']
    programs = {
        'import vidcolor': (['-c', 'import vidcolor'], {'at_most': 1.5}),
        'import, and load the network': (load, {}),
        'track two frames of 480p, first to last': (track, {'at_most': 10}),
    }
    calls = {
        name: functools.partial(_run, arguments, environment)
        for name, (arguments, _) in programs.items()
    }
    seconds = measuring.time_in_turn(calls, _ROUNDS)
  return [
      measuring.measurement(name, 's', seconds[name], **aim)
      for name, (_, aim) in programs.items()
  ]


def _run(arguments, environment):
  done = subprocess.run(
      [sys.executable, *arguments],
      env=environment,
      capture_output=True,
      text=True,
  )
  if done.returncode:
    raise errors.UserError(f'{arguments} failed: {done.stderr}')
