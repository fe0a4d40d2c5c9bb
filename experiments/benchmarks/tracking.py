"""Tracking an object through 480p video, stage by stage."""

import pathlib
import tempfile
import time

import jax
from jax import numpy as jnp
import numpy as np

from experiments.benchmarks import measuring
import vidcolor
from vidcolor.data import synthetic
from vidcolor.render import overlay
from vidcolor.tracking import confidence
from vidcolor.tracking import labels as labels_lib
from vidcolor.video import mp4
from vidcolor.video import video_source

_SIZE = 480, 854
_NUM_FRAMES = 24
# The first frames are not measured: they compile, and have few references.
_WARM_UP = 8
_UNEVEN = 'decode', 'encode'


def measure(settings: measuring.Settings) -> list[measuring.Measurement]:
  """Measures the milliseconds a frame of `vidcolor.track` by default.

  The values are medians over frames, except for decoding and encoding. These
  are means, because a few frames take the time for many.
  """
  del settings  # Each frame is a round.
  with tempfile.TemporaryDirectory() as folder:
    clip = synthetic.render_clip(
        0, num_frames=_NUM_FRAMES, height=_SIZE[0], width=_SIZE[1]
    )
    mp4.write(f'{folder}/clip.mp4', clip.frames, 24.0)
    video = video_source.VideoSource(f'{folder}/clip.mp4')
    seconds = _time_stages(video, pathlib.Path(folder) / 'drawn.mp4')
  measurements = []
  for stage, values in seconds.items():
    values = 1e3 * np.array(values[_WARM_UP:])
    if stage in _UNEVEN:
      values = values.mean()
    measurements.append(measuring.measurement(stage, 'ms', values))
  total = sum(measured.median for measured in measurements)
  return [
      *measurements,
      measuring.measurement('all stages', 'ms', total),
      measuring.measurement('one after another', 'frames/s', 1e3 / total),
  ]


def _time_stages(video, drawn_path):
  """Returns the seconds of each frame by stage."""
  propagator = vidcolor.load_pretrained().propagator
  height, width = video.size
  mask = np.zeros(video.size, np.uint8)
  mask[height // 4 : height // 2, width // 4 : width // 2] = 1
  given = labels_lib.from_mask(jnp.asarray(mask), 2)
  stages = ('decode', 'embed', 'copy', 'mask', 'draw', 'encode')
  seconds = {stage: [] for stage in stages}
  state, drawn = None, []
  clock = _Clock()
  for frame in video:
    seconds['decode'].append(clock.lap())
    jax.block_until_ready(propagator.embed(frame.rgb))
    embed = clock.lap()
    seconds['embed'].append(embed)
    if state is None:
      state = propagator.init(frame.rgb, given)
      clock.lap()
    state, copied = jax.block_until_ready(propagator.step(state, frame.rgb))
    seconds['copy'].append(clock.lap() - embed)  # The step embeds too.
    found = np.asarray(labels_lib.to_mask(copied, height, width))
    calibration = propagator.options.calibration
    np.asarray(confidence.of_pixels(copied, height, width, calibration))
    seconds['mask'].append(clock.lap())
    drawn.append(frame._replace(rgb=overlay.draw_masks(frame.rgb, found)))
    seconds['draw'].append(clock.lap())
  mp4.write_like(drawn_path, drawn, video)
  seconds['encode'] = len(drawn) * [clock.lap() / len(drawn)]
  return seconds


class _Clock:

  def __init__(self):
    self._time = time.perf_counter()

  def lap(self):
    """Returns the seconds since the last lap."""
    last, self._time = self._time, time.perf_counter()
    return self._time - last
