"""Growth of tracking's time and memory. Each point is a new process."""

import itertools
import os
import time
from typing import NamedTuple

from matplotlib import figure
import numpy as np

from experiments.benchmarks import measuring
from vidcolor import files
from vidcolor import network
from vidcolor.data import synthetic


class Case(NamedTuple):
  """A video to track, of which one attribute grows.

  Attributes:
    frames: Number of frames.
    objects: Number of objects in the first mask.
    height: Height of the 16:9 frames. The network sees them in full size.
    references: Number of reference frames: the first frame and recent ones.
  """

  frames: int = 8
  objects: int = 1
  height: int = 240
  references: int = 6


_GROWING = {
    'frames': [20, 40, 80],
    'objects': [1, 10, 25, 50],
    'height': [240, 360, 480, 720, 1080],
    'references': [2, 5, 10, 20],
}
_WARM_UP = 3  # Frames, which compile.
_NAMES = {
    'frames': 'frames of the video',
    'objects': 'objects',
    'height': 'pixels of a frame, millions',
    'references': 'reference frames',
}


def measure(settings: measuring.Settings) -> list[measuring.Curve]:
  """Tracks with the package's network and its options."""
  del settings
  curves = []
  for field, values in _GROWING.items():
    cases = [Case()._replace(**{field: value}) for value in values]
    results = [measuring.in_new_process(_track, case) for case in cases]
    seconds, taken = map(list, zip(*results, strict=True))
    unit = 'a frame'
    if field == 'frames':
      unit = 'the video'
      seconds = [s * n for s, n in zip(seconds, values, strict=True)]
    elif field == 'height':
      values = [height * _width(height) / 1e6 for height in values]
    curves.append(measuring.Curve(_NAMES[field], values, unit, seconds, taken))
  return curves


def draw(curves: list[measuring.Curve], path: str | os.PathLike) -> None:
  """Plots time and memory against each variable, as a PNG file."""
  plot = figure.Figure((3 * len(curves), 5), layout='constrained')
  axes = plot.subplots(2, len(curves), sharex='col', squeeze=False)
  for curve, (above, below) in zip(curves, axes.T, strict=True):
    _panel(above, f'ms, {curve.time}', curve.values, curve.seconds, 1e3)
    _panel(below, 'MB', curve.values, curve.memory, 1e-6)
    below.set_xlabel(curve.name)
  with files.atomic_write(path) as temporary:
    plot.savefig(temporary, format='png', dpi=120)


def _panel(axes, title, x, y, scale):
  """Draws one plot. Its axes start at 0, so that a constant part is visible."""
  y = np.multiply(y, scale)
  axes.plot(x, y, marker='o')
  axes.set(title=title, xlim=(0, 1.05 * max(x)), ylim=(0, 1.1 * max(y)))
  axes.grid(color='0.9')
  axes.spines[['top', 'right']].set_visible(False)


def _track(case):
  """Returns the mean seconds of a frame, and the memory of tracking.

  Both exclude compiling. The memory excludes the loaded network.
  """
  trained = network.Network.load()
  tracker = trained.propagator(short_side=None, recent=case.references - 1)
  clip = synthetic.render_clip(
      0, num_frames=6, height=case.height, width=_width(case.height)
  )
  mask = _squares(case.objects, clip.masks.shape[1:])
  memory = measuring.Memory()
  # The clip plays back and forth, so that a long video needs no memory.
  swing = itertools.cycle([*clip.frames, *clip.frames[-2:0:-1]])
  found = tracker.track_objects(itertools.islice(swing, case.frames), mask)
  for _ in itertools.islice(found, _WARM_UP):
    pass
  memory.reset()
  start = time.perf_counter()
  count = sum(1 for _ in found)
  return (time.perf_counter() - start) / count, memory.peak()


def _squares(count, size):
  """Returns a mask of `count` squares."""
  mask = np.zeros(size, np.uint8)
  side = size[0] // 8
  places = itertools.product(range(8), range(size[1] // side))
  for number, (row, column) in enumerate(itertools.islice(places, count), 1):
    y, x = row * side, column * side
    mask[y : y + side, x : x + side] = number
  return mask


def _width(height):
  return height * 16 // 9 // 8 * 8
