"""Times following an object through a video, stage by stage.

python -m experiments.benchmarks.tracking [--video=clip.mp4] [--num_frames=24]

By default the video is a rendered one of 480 x 854 pixels, written by
`mp4.write` and read again. Prints milliseconds a frame: medians, but means of
decoding and encoding, whose time few frames take for many.
"""

import pathlib
import tempfile
import time

from absl import flags
import jax
from jax import numpy as jnp
import numpy as np

import vidcolor
from vidcolor import environment
from vidcolor import errors
from vidcolor.data import footage
from vidcolor.data import mp4
from vidcolor.data import synthetic
from vidcolor.render import overlay
from vidcolor.tracking import confidence
from vidcolor.tracking import labels

_VIDEO = flags.DEFINE_string('video', None, 'Default: a rendered one.')
_NUM_FRAMES = flags.DEFINE_integer('num_frames', 24, 'Frames timed.', 3)
# Networks are compiled for the first ones.
_WARM_UP = 3
_UNEVEN = ('decode', 'encode')


def main(argv):
  """Measures and prints."""
  if len(argv) > 1:
    raise errors.UserError(f'{argv[1]} is not a flag; see --help')
  with tempfile.TemporaryDirectory() as folder:
    video = footage.Footage(_VIDEO.value or _render(folder))
    seconds = _measure(video, pathlib.Path(folder) / 'drawn.mp4')
  height, width = video.size
  machine = environment.describe()['machine']
  print(f'{width} x {height}, one object, ms a frame, {machine}')
  usual = {
      stage: (np.mean if stage in _UNEVEN else np.median)(values[_WARM_UP:])
      for stage, values in seconds.items()
  }
  for stage, value in (usual | {'all': sum(usual.values())}).items():
    print(f'{stage:8} {1000 * value:7.1f}')


def _render(folder):
  clip = synthetic.render_clip(
      0, num_frames=_NUM_FRAMES.value + _WARM_UP, height=480, width=854
  )
  mp4.write(f'{folder}/clip.mp4', clip.frames, 24.0)
  return f'{folder}/clip.mp4'


def _measure(video, drawn_path):
  """Seconds of each frame, by stage."""
  propagator = vidcolor.load_pretrained().propagator
  height, width = video.size
  mask = np.zeros(video.size, np.uint8)
  mask[height // 4 : height // 2, width // 4 : width // 2] = 1
  stages = ('decode', 'embed', 'copy', 'mask', 'draw', 'encode')
  seconds = {stage: [] for stage in stages}
  frames, state, drawn = iter(video), None, []
  for _ in range(_NUM_FRAMES.value + _WARM_UP):
    clock = _Clock()
    frame = next(frames, None)
    if frame is None:
      raise errors.UserError(
          f'{video.path} has fewer frames than --num_frames and {_WARM_UP} more'
      )
    seconds['decode'].append(clock.lap())
    jax.block_until_ready(propagator.embed(frame.rgb))
    embed = clock.lap()
    seconds['embed'].append(embed)
    if state is None:
      given = labels.from_mask(jnp.asarray(mask), 2)
      state = propagator.init(frame.rgb, given)
      clock.lap()
    state, copied = jax.block_until_ready(propagator.step(state, frame.rgb))
    seconds['copy'].append(clock.lap() - embed)  # It embeds as well.
    found = np.asarray(labels.to_mask(copied, height, width))
    calibration = propagator.options.calibration
    np.asarray(confidence.of_pixels(copied, height, width, calibration))
    seconds['mask'].append(clock.lap())
    drawn.append(frame._replace(rgb=overlay.draw_masks(frame.rgb, found)))
    seconds['draw'].append(clock.lap())
  clock = _Clock()
  mp4.write_like(drawn_path, drawn, video)
  seconds['encode'] = len(drawn) * [clock.lap() / len(drawn)]
  return seconds


class _Clock:

  def __init__(self):
    self._time = time.perf_counter()

  def lap(self):
    """Seconds since the last lap."""
    last, self._time = self._time, time.perf_counter()
    return self._time - last


if __name__ == '__main__':
  errors.run(main)
