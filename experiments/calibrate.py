"""Calibrates the tracker's confidence against its measured accuracy.

python -m experiments.calibrate --data_dir=DAVIS --output_dir=OUT \
  [--checkpoint=FILE.npz] [--held_out=NAME,NAME]

Prints the line for the config. Writes results.json and a reliability diagram,
reliability.png, of the fitted sequences and of the held-out ones.

With --nofit, it fits nothing. It measures the calibration that the checkpoint
has, and whether the objects that are reported as lost are lost.
"""

import pathlib

from absl import flags
import numpy as np
from scipy import stats
from sklearn import metrics
import tqdm

from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import masks
from vidcolor import network
from vidcolor import program
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.benchmarks.davis import metrics as davis_metrics
from vidcolor.render import plots
from vidcolor.tracking import calibration
from vidcolor.tracking import confidence as confidence_lib

_CHECKPOINT = program.define_checkpoint()
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'DAVIS folder to track.', required=True
)
_OUTPUT_DIR = program.define_output_dir()
_HELD_OUT = flags.DEFINE_list(
    'held_out', [], 'Sequences to test on, and not to fit to.'
)
_MAX_FRAMES = flags.DEFINE_integer(
    'max_frames', None, 'Number of frames to track of each sequence.', 3
)

_FIT = flags.DEFINE_bool(
    'fit', True, 'Whether to fit. Otherwise the own calibration is measured.'
)

_LOST_IOU = 0.1  # An object with a lower IoU is lost.
_PIXEL_STRIDE = 4  # Neighboring pixels are redundant.


def main() -> None:
  """Tracks, fits the calibration and draws the diagram."""
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.make_folder(output_dir)
  trained = network.Network.load(_CHECKPOINT.value)
  # Slope 1 and intercept 0 keep the log-odds.
  unchanged = 1.0, 0.0
  fit = _FIT.value
  tracker = (
      trained.propagator(calibration=unchanged) if fit else trained.propagator()
  )
  sequences = davis_data.read_fully_annotated(_DATA_DIR.value)
  tracked = {
      sequence.name: _track(tracker, sequence)
      for sequence in tqdm.tqdm(sequences, unit='video')
  }
  held_out = {name: tracked.pop(name, None) for name in _HELD_OUT.value}
  if None in held_out.values() or not tracked:
    raise errors.UserError(
        f'--held_out={",".join(held_out)}: give some of the sequences of'
        f' {_DATA_DIR.value}'
    )
  slope, intercept = calibration.fit(*_pixels(tracked)) if fit else unchanged
  if fit:
    print(f'config.tracking.calibration = ({slope:.3f}, {intercept:.3f})')

  parts = {'fitted' if fit else 'measured': tracked}
  parts |= {'held out': held_out} if held_out else {}
  results, curves = {}, {}
  for name, part in parts.items():
    results[name], curve = _measure(part, slope, intercept)
    if not fit:
      results[name] |= _measure_lost(part)
    label = f'{name} (error {curve.error:.3f})'
    curves[label] = curve.confidence, curve.accuracy
  plots.reliability_diagram(curves, output_dir / 'reliability.png')
  files.write_json(
      output_dir / 'results.json',
      ({'calibration': [slope, intercept]} if fit else {})
      | results
      | environment.describe(),
  )
  for name, row in results.items():
    line = '  '.join(f'{k} {v:.3f}' for k, v in row.items())
    print(f'{name:9} {line}')
  print(f'Look at it: {output_dir / "reliability.png"}')


def _track(tracker, sequence):
  """Returns log-odds and correctness of pixels, confidence and J of objects.

  Objects are counted in every frame but the first one, whose mask is given.
  """
  true_masks = [
      masks.without_void(mask) for mask in sequence.masks[: _MAX_FRAMES.value]
  ]
  frames = sequence.frames[: _MAX_FRAMES.value]
  predicted, log_odds, correct, by_object = [], [], [], []
  tracked = tracker.track_objects(frames, true_masks[0])
  next(tracked)  # The first mask is given.
  for objects, true_mask in zip(tracked, true_masks[1:], strict=True):
    every = (slice(_PIXEL_STRIDE // 2, None, _PIXEL_STRIDE),) * 2
    confidence = np.clip(objects.confidence[every].ravel(), 1e-6, 1 - 1e-6)
    log_odds.append(np.log(confidence / (1 - confidence)))
    correct.append((objects.mask == true_mask)[every].ravel())
    # Calibration changes all confidences alike, so the ranks of their means
    # change little.
    by_object.extend(objects.by_object)
    predicted.append(objects.mask)
  scores = davis_metrics.score_masks(
      predicted, true_masks[1:], sequence.num_objects
  )
  pixels = np.concatenate(log_odds), np.concatenate(correct)
  return pixels, np.array(by_object), scores.j.T.ravel()


def _pixels(tracked):
  log_odds = [pixels[0] for pixels, _, _ in tracked.values()]
  correct = [pixels[1] for pixels, _, _ in tracked.values()]
  return np.concatenate(log_odds), np.concatenate(correct)


def _measure(tracked, slope, intercept):
  log_odds, correct = _pixels(tracked)
  confidence = 1 / (1 + np.exp(-(slope * log_odds + intercept)))
  curve = calibration.reliability(confidence, correct)
  by_object = np.concatenate([x for _, x, _ in tracked.values()])
  j = np.concatenate([x for _, _, x in tracked.values()])
  return {
      'pixels right': float(correct.mean()),
      'calibration error': curve.error,
      'area under the curve': float(metrics.roc_auc_score(correct, confidence)),
      'rank correlation with J': float(stats.spearmanr(by_object, j)[0]),
  }, curve


def _measure_lost(tracked):
  """Returns how well reports of lost objects agree with a low IoU."""
  reported, lost = (
      np.concatenate([part[index] for part in tracked.values()]) < least
      for index, least in ((1, confidence_lib.LOST), (2, _LOST_IOU))
  )
  score = lambda metric: float(metric(lost, reported, zero_division=np.nan))
  return {
      'lost': float(lost.mean()),
      'reported as lost': float(reported.mean()),
      'precision of reports': score(metrics.precision_score),
      'recall of reports': score(metrics.recall_score),
  }


if __name__ == '__main__':
  program.run(main)
