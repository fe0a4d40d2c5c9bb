"""Trains a tracker from raw video in minutes on two cores.

python -m experiments.quickstart

Builds a dataset of clips, trains the compact network to colorize them, and
tracks objects in held-out video. Three baselines track the same objects: the
first mask repeated, optical flow, and the untrained network. Without flags the
videos are rendered. The same command resumes a run that was stopped.
"""

from collections.abc import Mapping
import os
import pathlib
import time
import zlib

from absl import flags
import numpy as np
import tqdm

from data_prep import palette as palette_lib
from data_prep.kinetics import kinetics
from data_prep.synthetic_clips import synthetic_clips
from experiments import quickstart_report
from experiments.configs import compact
from vidcolor import environment
from vidcolor import files
from vidcolor import network
from vidcolor import program
from vidcolor import tracking
from vidcolor.benchmarks import davis
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.tracking import baselines
from vidcolor.training import loop

_CLIPS_DIR = flags.DEFINE_string(
    'clips_dir', None, 'Folder of videos to train on. Default: rendered clips.'
)
_DAVIS_DIR = flags.DEFINE_string(
    'davis_dir',
    None,
    'DAVIS folder to track. Default: held-out rendered clips.',
)
_OUTPUT_DIR = flags.DEFINE_string(
    'output_dir', 'quickstart_output', 'Folder for data, checkpoint and report.'
)
_STEPS = flags.DEFINE_integer(
    'steps', None, 'Training steps. Default: 350, with --clips_dir 500.', 1
)


def main() -> None:
  """Builds the data, trains, tracks and writes the report."""
  start = time.time()
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.make_folder(output_dir)

  _headline('1/4 Data: JPEG frames in ArrayRecord files')
  davis_dir = _DAVIS_DIR.value  # Read first, so that errors come at once.
  sequences = davis_data.read_davis(davis_dir) if davis_dir else None
  config = _config(output_dir)
  if sequences is None:
    sequences = _held_out_clips(output_dir)

  _headline('2/4 Training: colors copied from frame to frame')
  data_dir = pathlib.Path(config.dataset.data_dir)
  workdir = output_dir / f'train_{data_dir.name}'
  loop.train(config, workdir)
  trained = network.Network.load(workdir)

  _headline('3/4 Tracking: masks copied by the same operation')
  trackers = _trackers(trained)
  tracked = []
  for sequence in tqdm.tqdm(sequences, unit='sequence'):
    tracked.append(_track(trackers, sequence))
    # Masks need much memory: keep only those to be drawn.
    if len(tracked) > quickstart_report.NUM_DRAWN:
      tracked[-1] = tracked[-1]._replace(masks={})

  _headline('4/4 Report')
  results = _results(tracked, time.time() - start)
  files.write_json(output_dir / 'results.json', results)
  quickstart_report.draw(output_dir, tracked, workdir, trained)
  quickstart_report.write_page(
      output_dir,
      results,
      trained_on=_CLIPS_DIR.value or 'rendered clips',
      tracked_in=_DAVIS_DIR.value or 'rendered clips that were held out',
  )
  print(quickstart_report.table(results))
  print(f'\nLook at it: {output_dir / "report.html"}')


def _headline(text):
  print(f'\n== {text}', flush=True)


def _config(output_dir):
  """Builds the training data, and returns the compact config to train on it."""
  if _CLIPS_DIR.value is None:
    builder = _synthetic_builder(output_dir)
  else:
    # Each folder of clips is a dataset of its own in the output folder.
    source = zlib.crc32(os.path.abspath(_CLIPS_DIR.value).encode())
    builder = kinetics.Kinetics(
        source_dir=_CLIPS_DIR.value, data_dir=output_dir / f'clips_{source:08x}'
    )
  builder.download_and_prepare()
  palette_lib.fit_once(builder.data_dir)
  config = compact.get_config()
  config.dataset.name = builder.name
  config.dataset.data_dir = str(builder.data_dir_root)
  if _STEPS.value is not None:
    config.steps = _STEPS.value
  elif _CLIPS_DIR.value is None:
    config.steps = 350  # Rendered clips need fewer steps than real ones.
  return config


def _synthetic_builder(output_dir):
  return synthetic_clips.SyntheticClips(
      num_train=128, num_test=10, data_dir=output_dir / 'rendered'
  )


def _held_out_clips(output_dir):
  builder = _synthetic_builder(output_dir)
  builder.download_and_prepare()
  sequences = davis_data.read_tfds(
      builder.name, builder.data_dir_root, split='test'
  )
  return sorted(sequences, key=lambda sequence: sequence.name)


def _trackers(trained) -> dict[str, tracking.MaskTracker]:
  return {
      'identity': baselines.Identity(),
      'optical_flow': baselines.OpticalFlow(baselines.dis),
      'untrained': trained.untrained().propagator(),
      'trained': trained.propagator(),
  }


def _track(trackers: Mapping[str, tracking.MaskTracker], sequence):
  frames, true_masks = list(sequence.frames), list(sequence.masks)
  masks, j_by_frame = {}, {}
  for name, tracker in trackers.items():
    masks[name], scores = davis.track_and_score(tracker, frames, true_masks)
    j_by_frame[name] = scores.j.mean(axis=0)
  return quickstart_report.Tracked(sequence, masks, j_by_frame)


def _results(tracked, seconds):
  per_sequence = {
      t.sequence.name: {
          method: t.mean_j(method) for method in quickstart_report.METHODS
      }
      for t in tracked
  }
  return {
      'mean_j': {
          method: float(np.mean([js[method] for js in per_sequence.values()]))
          for method in quickstart_report.METHODS
      },
      'per_sequence': per_sequence,
      'seconds': round(seconds),
      **environment.describe(),
  }


if __name__ == '__main__':
  program.run(main)
