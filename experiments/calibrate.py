"""Fits how sure tracking is to how often it is right, and shows whether it is.

python -m experiments.calibrate --data_dir=DAVIS --output_dir=OUT \
  [--checkpoint=FILE.npz] [--held_out=NAME,NAME]

Prints the config's line; writes results.json and a reliability diagram,
reliability.png, of the sequences that were fitted to and of those held out.
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
from vidcolor.benchmarks.davis import metrics as davis_metrics
from vidcolor.benchmarks.davis import run as davis_run
from vidcolor.render import plots
from vidcolor.tracking import calibration

_CHECKPOINT = program.define_checkpoint()
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'DAVIS folder to track.', required=True
)
_OUTPUT_DIR = program.define_output_dir()
_HELD_OUT = flags.DEFINE_list(
    'held_out', [], 'Sequences to be judged by and not fitted to.'
)
_MAX_FRAMES = flags.DEFINE_integer(
    'max_frames', None, 'Only so many frames of each sequence.', 3
)

_PIXEL_STRIDE = 4  # Neighbours tell the same.


def main() -> None:
  """Tracks, fits and draws."""
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.make_folder(output_dir)
  trained = network.Network.load(_CHECKPOINT.value)
  # As it comes: 1 and 0 leave the log-odds as they are.
  tracker = trained.propagator(calibration=(1.0, 0.0))
  tracked = {
      sequence.name: _track(tracker, sequence)
      for sequence in tqdm.tqdm(davis_run.read(_DATA_DIR.value), unit='video')
  }
  held_out = {name: tracked.pop(name, None) for name in _HELD_OUT.value}
  if None in held_out.values() or not tracked:
    raise errors.UserError(
        f'--held_out={",".join(held_out)}: give some of the sequences of'
        f' {_DATA_DIR.value}'
    )
  slope, intercept = calibration.fit(*_pixels(tracked))
  print(f'config.tracking.calibration = ({slope:.3f}, {intercept:.3f})')

  parts = {'fitted': tracked} | ({'held out': held_out} if held_out else {})
  judged = {
      name: _judge(part, slope, intercept) for name, part in parts.items()
  }
  results = {name: told for name, (told, _) in judged.items()}
  curves = {name: curve for name, (_, curve) in judged.items()}
  plots.reliability(curves, output_dir / 'reliability.png')
  files.write_json(
      output_dir / 'results.json',
      {'calibration': [slope, intercept], **results, **environment.describe()},
  )
  for name, told in results.items():
    line = '  '.join(f'{k} {v:.3f}' for k, v in told.items())
    print(f'{name:9} {line}')
  print(f'Look at it: {output_dir / "reliability.png"}')


def _track(tracker, sequence):
  """Log-odds and right or wrong by pixel; confidence and J by object."""
  truth = [masks.without_void(m) for m in sequence.masks[: _MAX_FRAMES.value]]
  frames = sequence.frames[: _MAX_FRAMES.value]
  num_objects = int(truth[0].max())
  log_odds, right, by_object, j = [], [], [], []
  found = tracker.track_objects(frames, truth[0])
  next(found)  # The first frame is given.
  for objects, true in zip(found, truth[1:], strict=True):
    every = (slice(_PIXEL_STRIDE // 2, None, _PIXEL_STRIDE),) * 2
    sure = np.clip(objects.confidence[every].ravel(), 1e-6, 1 - 1e-6)
    log_odds.append(np.log(sure / (1 - sure)))
    right.append((objects.mask == true)[every].ravel())
    # Calibrating moves all confidences alike: the ranks of the means change
    # little.
    by_object.extend(objects.by_object)
    j.extend(
        davis_metrics.jaccard(objects.mask == number, true == number)
        for number in range(1, num_objects + 1)
    )
  pixels = np.concatenate(log_odds), np.concatenate(right)
  return pixels, np.array(by_object), np.array(j)


def _pixels(tracked):
  log_odds = [pixels[0] for pixels, _, _ in tracked.values()]
  right = [pixels[1] for pixels, _, _ in tracked.values()]
  return np.concatenate(log_odds), np.concatenate(right)


def _judge(tracked, slope, intercept):
  log_odds, right = _pixels(tracked)
  sure = 1 / (1 + np.exp(-(slope * log_odds + intercept)))
  curve = calibration.reliability(sure, right)
  by_object = np.concatenate([x for _, x, _ in tracked.values()])
  j = np.concatenate([x for _, _, x in tracked.values()])
  return {
      'pixels right': float(right.mean()),
      'calibration error': curve.error,
      'area under the curve': float(metrics.roc_auc_score(right, sure)),
      'rank correlation with J': float(stats.spearmanr(by_object, j)[0]),
  }, curve


if __name__ == '__main__':
  program.run(main)
