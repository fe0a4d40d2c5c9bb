"""Compares masks from boxes with those of simpler methods, on DAVIS.

python -m experiments.benchmarks.box_to_mask --data_dir=DAVIS

The boxes are the bounds of the annotated masks in the first frame and in the
20th and 40th after it. Each side is moved by up to 5% of the box's size.
"""

from collections.abc import Callable, Mapping
import statistics
import time

from absl import flags
import cv2
import numpy as np

import vidcolor
from vidcolor import program
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.tracking import box_to_mask

_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Folder of DAVIS 2016.', required=True
)

_FRAMES = 0, 20, 40
_JITTER = 0.05
# These sequences were not used to choose anything.
_HELD_OUT = 'camel', 'horsejump-high', 'soapbox'


def main() -> None:
  """Prints each method's mean IoU over sequences and its time."""
  embed = vidcolor.load_pretrained().propagator.embed
  methods = {
      'box': _filled,
      'ellipse': _ellipse,
      'grabcut': _grabcut,
      'from_box': lambda frame, box: box_to_mask.from_box(embed, frame, box),
  }
  scores, seconds = _measure(_DATA_DIR.value, methods)
  print(
      f'{"method":10}{"tuned on":>11}{"held out":>10}{"all":>7}{"seconds":>9}'
  )
  for method, by_name in scores.items():
    held_out = [by_name[name] for name in _HELD_OUT if name in by_name]
    others = [by_name[name] for name in by_name if name not in _HELD_OUT]
    print(
        f'{method:10}{_mean(others):11.3f}{_mean(held_out):10.3f}'
        f'{_mean(by_name.values()):7.3f}'
        f'{statistics.median(seconds[method]):9.2f}'
    )


def _measure(
    data_dir: str, methods: Mapping[str, Callable]
) -> tuple[dict[str, dict[str, float]], dict[str, list[float]]]:
  """Returns IoU by method and sequence, and each call's seconds by method."""
  rng = np.random.default_rng(0)
  scores, seconds = {method: {} for method in methods}, {
      method: [] for method in methods
  }
  for sequence in davis_data.read_davis(data_dir, year=2016):
    ious = {method: [] for method in methods}
    for index in filter(lambda index: index < len(sequence.masks), _FRAMES):
      truth = np.asarray(sequence.masks[index]) == 1
      frame = sequence.frames[index]
      x, y, width, height = cv2.boundingRect(truth.view(np.uint8))
      size = np.array([width, height, width, height])
      box = np.array([x, y, x + width, y + height]) + size * rng.uniform(
          -_JITTER, _JITTER, 4
      )
      for method, mask_of in methods.items():
        start = time.perf_counter()
        mask = mask_of(frame, box)
        seconds[method].append(time.perf_counter() - start)
        ious[method].append((mask & truth).sum() / (mask | truth).sum())
    for method in methods:
      scores[method][sequence.name] = _mean(ious[method])
  return scores, seconds


def _mean(values):
  values = list(values)
  return statistics.fmean(values) if values else float('nan')


def _filled(frame, box):
  return _drawn(frame, box, lambda x, y: np.maximum(abs(x), abs(y)) <= 1)


def _ellipse(frame, box):
  return _drawn(frame, box, lambda x, y: x**2 + y**2 <= 1)


def _drawn(frame, box, shape):
  x0, y0, x1, y1 = box
  y, x = np.indices(frame.shape[:2]) + 0.5
  return shape((2 * x - x0 - x1) / (x1 - x0), (2 * y - y0 - y1) / (y1 - y0))


def _grabcut(frame, box):
  """Runs OpenCV's GrabCut from the box alone, at full resolution."""
  height, width, _ = frame.shape
  x0, y0, x1, y1 = np.clip(np.round(box).astype(int), 0, [width, height] * 2)
  label = np.zeros((height, width), np.uint8)
  cv2.setRNGSeed(0)
  models = np.zeros((1, 65)), np.zeros((1, 65))
  rectangle = int(x0), int(y0), int(x1 - x0), int(y1 - y0)
  cv2.grabCut(frame, label, rectangle, *models, 5, cv2.GC_INIT_WITH_RECT)
  return label % 2 == 1


if __name__ == '__main__':
  program.run(main)
