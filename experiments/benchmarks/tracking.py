"""Following an object through 480p video, stage by stage."""

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
# Networks are compiled for the first ones, and there are few references yet.
_WARM_UP = 8
_UNEVEN = 'decode', 'encode'


def measure(settings: measuring.Settings) -> list[measuring.Figure]:
  """Milliseconds a frame of `vidcolor.track`, with what it does by default.

  Medians over frames, but means of decoding and encoding, whose time few frames
  take for many.
  """
  del settings  # Frames are the rounds.
  with tempfile.TemporaryDirectory() as folder:
    clip = synthetic.render_clip(
        0, num_frames=_NUM_FRAMES, height=_SIZE[0], width=_SIZE[1]
    )
    mp4.write(f'{folder}/clip.mp4', clip.frames, 24.0)
    video = video_source.VideoSource(f'{folder}/clip.mp4')
    seconds = _time_stages(video, pathlib.Path(folder) / 'drawn.mp4')
  figures = []
  for stage, values in seconds.items():
    values = 1e3 * np.array(values[_WARM_UP:])
    if stage in _UNEVEN:
      values = values.mean()
    figures.append(measuring.figure(stage, 'ms', values))
  total = sum(figure.median for figure in figures)
  return [
      *figures,
      measuring.figure('all stages', 'ms', total),
      measuring.figure('one after another', 'frames/s', 1e3 / total),
  ]


def _time_stages(video, drawn_path):
  """Seconds of each frame, by stage."""
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
    seconds['copy'].append(clock.lap() - embed)  # It embeds as well.
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
    """Seconds since the last lap."""
    last, self._time = self._time, time.perf_counter()
    return self._time - last
