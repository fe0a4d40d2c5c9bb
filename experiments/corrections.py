"""Measures what one correction is worth, on DAVIS 2016.

python -m experiments.corrections --data_dir=DAVIS \
  --sequences=bmx-bumps,dance-jump,lucia

Each sequence is tracked from its first mask. In the first frame whose J is
below 0.5, the object is corrected once: by the true mask, by its box, or by
three clicks (`simulated_clicks`). For each way, the table has J of that
frame, and the mean J of the frames after it.
"""

from collections.abc import Iterator
import itertools
import statistics
import warnings

from absl import flags
import cv2
from jaxtyping import Bool
import numpy as np

from experiments import simulated_clicks
import vidcolor
from vidcolor import program
from vidcolor import sessions
from vidcolor import video_tracker
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.benchmarks.davis import metrics

_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Folder of DAVIS 2016.', required=True
)
_SEQUENCES = flags.DEFINE_list(
    'sequences', None, 'Names of the sequences.', required=True
)
_NUM_AFTER = flags.DEFINE_integer(
    'num_after', None, 'Frames after the correction. Default: all.', 1
)
_CHECKPOINT = program.define_checkpoint()

_LOST = 0.5  # J of the frame that is corrected is below this.
_WAYS = 'none', 'mask', 'box', 'clicks'

_Mask = Bool[np.ndarray, 'height width']


def main() -> None:
  """Prints the mean J after a correction, by sequence and way."""
  warnings.simplefilter('ignore')  # Boxes that are taken whole show in J.
  tracker = vidcolor.load_pretrained(_CHECKPOINT.value)
  gains = {way: [] for way in _WAYS}
  print(
      f'{"sequence":16}{"frame":>6}{"after":>6}  J of the frame, mean J after'
  )
  print(' ' * 28 + ''.join(f'{way:>14}' for way in _WAYS))
  for name in _SEQUENCES.value:
    sequence = davis_data.find_sequence(_DATA_DIR.value, name, year=2016)
    lost = _first_lost(tracker, sequence)
    if lost is None:
      print(f'{name:16}  never below {_LOST}')
      continue
    row = []
    for way in _WAYS:
      here, after = _correct(tracker, sequence, lost, way)
      row.append((here, statistics.fmean(after)))
      gains[way].append(row[-1][1] - row[0][1])
    cells = ''.join(f'{here:8.3f}{after:6.3f}' for here, after in row)
    print(f'{name:16}{lost:6}{len(after):6}{cells}', flush=True)
  if gains['none']:
    means = ''.join(f'{statistics.fmean(gains[way]):+14.3f}' for way in _WAYS)
    print(f'{"mean gain":28}{means}')


def _first_lost(tracker, sequence):
  for found, truth in _tracked(tracker, sequence, len(sequence.frames)):
    if metrics.jaccard(np.asarray(found.mask) == 1, truth) < _LOST:
      return found.frame
  return None


def _tracked(
    tracker: video_tracker.VideoTracker,
    sequence: davis_data.AnnotatedSequence,
    count: int,
) -> Iterator[tuple[sessions.TrackedFrame, _Mask]]:
  session = tracker.start(sequence.frames[0], masks=sequence.masks[0])
  for index in range(1, count):
    yield session.step(sequence.frames[index]), sequence.masks[index] == 1


def _correct(tracker, sequence, lost, way):
  """Returns J of the corrected frame, and of each frame after it."""
  session = tracker.start(sequence.frames[0], masks=sequence.masks[0])
  for index in range(1, lost + 1):
    session.step(sequence.frames[index])
  found = session.found
  truth = np.asarray(sequence.masks[lost]) == 1
  if way == 'mask':
    found = session.correct(mask=truth)
  elif way == 'box':
    x, y, width, height = cv2.boundingRect(truth.view(np.uint8))
    found = session.correct(box=[x, y, x + width, y + height])
  elif way == 'clicks':
    found = session.correct(
        clicks=simulated_clicks.three_clicks(truth, found.mask == 1)
    )
  end = _NUM_AFTER.value and lost + 1 + _NUM_AFTER.value
  after = [
      metrics.jaccard(
          session.step(sequence.frames[index]).mask == 1, truth_at == 1
      )
      for index, truth_at in itertools.islice(
          enumerate(sequence.masks), lost + 1, end
      )
  ]
  return metrics.jaccard(found.mask == 1, truth), after


if __name__ == '__main__':
  program.run(main)
