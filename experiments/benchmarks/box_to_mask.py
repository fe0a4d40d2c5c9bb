"""Compares masks from boxes with those of simpler methods, on DAVIS.

python -m experiments.benchmarks.box_to_mask --data_dir=DAVIS --split=train

The boxes are the bounds of the annotated masks in every tenth frame: as they
are; with each side moved by up to 5% of the box's size; and with each side
moved out by 10% of it.
"""

from collections.abc import Callable, Mapping
import itertools
import statistics
import time
import warnings

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
_SPLIT = flags.DEFINE_string(
    'split', 'val', 'Name of the list of sequences: val, train.'
)

_EVERY = 10
_KINDS = 'exact', 'moved', 'loose'


def main() -> None:
  """Prints each method's mean IoU over sequences, its time and whole boxes."""
  embed = vidcolor.load_pretrained().propagator.embed
  methods = {
      'box': _filled,
      'ellipse': _ellipse,
      'grabcut': _grabcut,
      'from_box': lambda frame, box: box_to_mask.from_box(embed, frame, box),
  }
  sequences = davis_data.read_davis(
      _DATA_DIR.value, year=2016, split=_SPLIT.value
  )
  warnings.simplefilter('ignore')  # Whole boxes are counted.
  header = ''.join(f'{kind:>8}' for kind in (*_KINDS, 'all'))
  results = {method: {} for method in methods}
  print(f'{"from_box":20}{header}', flush=True)
  for sequence in sequences:
    measured = _measure(sequence, methods)
    for method, of_sequence in measured.items():
      results[method][sequence.name] = of_sequence
    print(f'{sequence.name:20}{_columns([measured["from_box"]])}', flush=True)
  print(f'\n{"method":20}{header}{"seconds":>9}')
  for method, by_name in results.items():
    seconds = statistics.median(second for _, second, _ in _boxes(by_name))
    print(f'{method:20}{_columns(by_name.values())}{seconds:9.2f}')
  boxes = _boxes(results['from_box'])
  whole = statistics.fmean(is_whole for _, _, is_whole in boxes)
  print(f'from_box took {whole:.1%} of {len(boxes)} boxes whole')


def _boxes(by_name):
  return [box for kinds in by_name.values() for box in itertools.chain(*kinds)]


def _measure(
    sequence: davis_data.AnnotatedSequence, methods: Mapping[str, Callable]
) -> dict[str, list[list[tuple[float, float, bool]]]]:
  """Returns by method and kind: each box's IoU, seconds and wholeness."""
  rng = np.random.default_rng(0)
  measured = {method: [[] for _ in _KINDS] for method in methods}
  for index in range(0, len(sequence.masks), _EVERY):
    truth = np.asarray(sequence.masks[index]) == 1
    if not truth.any():
      continue
    frame = sequence.frames[index]
    x, y, width, height = cv2.boundingRect(truth.view(np.uint8))
    exact = np.array([x, y, x + width, y + height])
    size = np.array([width, height, width, height])
    moves = 0, rng.uniform(-0.05, 0.05, 4), np.array([-0.1, -0.1, 0.1, 0.1])
    for kind, move in enumerate(moves):
      box = exact + size * move
      for method, mask_of in methods.items():
        start = time.perf_counter()
        mask = mask_of(frame, box)
        seconds = time.perf_counter() - start
        iou = (mask & truth).sum() / (mask | truth).sum()
        is_whole = box_to_mask.is_whole(mask, box)
        measured[method][kind].append((iou, seconds, is_whole))
  return measured


def _columns(by_sequence) -> str:
  """Formats the mean IoU over sequences for each kind of box, and for all."""
  by_kind = [
      statistics.fmean(
          statistics.fmean(iou for iou, _, _ in boxes) for boxes in of_kind
      )
      for of_kind in zip(*by_sequence, strict=True)
  ]
  values = *by_kind, statistics.fmean(by_kind)
  return ''.join(f'{value:8.3f}' for value in values)


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
