"""Measures how tracking emerges while a network learns to color.

python -m experiments.emergence --workdir=RUN --davis_dir=DAVIS_2016 \
  --output_dir=OUT

RUN is a training run that keeps its checkpoints (config.keep_every). Each
checkpoint whose step is twice the one before tracks DAVIS, and so does the
network before training. Tracking copies labels in two ways: in the paper's
(configs/paper.py: all positions of the last three frames), and in the one that
later work agrees on (configs/tracking_window.py). Colors are measured on the
same videos, of which the network has seen none: as in training, a frame's
colors are copied from the three before it, 8 frames apart.

The folder gets results.json, table.md and emergence.png. A checkpoint that
results.json holds already is not measured again. Results of other flags or of
another run are refused.
"""

import json
import pathlib

from absl import flags
import cv2
import jax
from jax import numpy as jnp
import numpy as np
import tqdm

from experiments.configs import paper
from experiments.configs import tracking_window
from vidcolor import errors
from vidcolor import files
from vidcolor import network as network_lib
from vidcolor import program
from vidcolor.benchmarks.davis import data
from vidcolor.benchmarks.davis import run
from vidcolor.render import plots
from vidcolor.training import objective

_WORKDIR = flags.DEFINE_string('workdir', None, 'Training run.', required=True)
_DAVIS_DIR = flags.DEFINE_string(
    'davis_dir', None, 'Folder of DAVIS 2016.', required=True
)
_OUTPUT_DIR = program.define_output_dir()
_SPLIT = flags.DEFINE_string('split', 'train', 'Name of the list.')
_LEAVE_OUT = flags.DEFINE_list(
    'leave_out', [], 'Sequences to leave out, such as those trained on.'
)
_MAX_FRAMES = flags.DEFINE_integer(
    'max_frames', None, 'Frames to track of each sequence. Default: all.', 3
)
_STEPS = flags.DEFINE_list(
    'steps', None, 'Steps to measure. Default: each twice the one before.'
)

_WAYS = {
    "the paper's way": paper.get_config().tracking,
    "the field's way": tracking_window.get_config().tracking,
}
_FRAME_STEP = 8  # Between frames of 24 a second.


def main() -> None:
  """Measures the checkpoints, and writes the table and the plot."""
  sequences = data.read_fully_annotated(
      _DAVIS_DIR.value,
      year=2016,
      split=_SPLIT.value,
      leave_out=_LEAVE_OUT.value,
  )
  checkpoints = _checkpoints(pathlib.Path(_WORKDIR.value) / 'checkpoints')
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.make_folder(output_dir)
  results_file = output_dir / 'results.json'
  setup = {
      'workdir': _WORKDIR.value,
      'davis_dir': _DAVIS_DIR.value,
      'split': _SPLIT.value,
      'leave_out': _LEAVE_OUT.value,
      'max_frames': _MAX_FRAMES.value,
  }
  results = {}
  if results_file.exists():
    saved = json.loads(results_file.read_text())
    if saved['setup'] != setup:
      raise errors.UserError(
          f'{results_file} is of other flags: give another --output_dir, or'
          ' remove it'
      )
    results = saved['by_step']
  for step, path in tqdm.tqdm(checkpoints.items(), unit='checkpoint'):
    if str(step) not in results:
      network = network_lib.Network.load(path)
      if not step:
        network = network.untrained()
      results[str(step)] = measure(network, sequences, _MAX_FRAMES.value)
      files.write_json(results_file, {'setup': setup, 'by_step': results})
  rows = {step: results[str(step)] for step in checkpoints}
  table = _table(rows)
  with files.atomic_write(output_dir / 'table.md') as temporary:
    temporary.write_text(table)
  _plot(rows, output_dir / 'emergence.png')
  print(table)


def measure(
    network: network_lib.Network,
    sequences: list[data.AnnotatedSequence],
    max_frames: int | None = None,
) -> dict[str, float]:
  """Returns mean J by the name of the way, and the accuracy of colors.

  Args:
    network: The network.
    sequences: The sequences to track, and to copy colors in.
    max_frames: Frames to track of each sequence. Default: all.
  """
  result = {}
  for name, options in _WAYS.items():
    scores = run.score_tracker(
        network.propagator(**options), sequences, max_frames=max_frames
    )
    result[name] = scores['overall']['J_mean']
  return result | _color_accuracy(network, sequences)


def _color_accuracy(network, sequences):
  """Copies colors as in training; returns mean metrics over all clips."""
  clip_length = network.config.clips.num_frames
  side = network.config.clips.crop_size
  loss = objective.make_loss(network.config)
  palette = jnp.asarray(network.palette)
  metrics = jax.jit(
      lambda frames: loss(network.model, frames, palette)[1],
  )
  measured = []
  for sequence in sequences:
    length = len(sequence.frames)
    step = max(1, min(_FRAME_STEP, (length - 1) // (clip_length - 1)))
    span = step * (clip_length - 1)
    for start in range(0, length - span, step):
      frames = sequence.frames[start : start + span + 1 : step]
      clip = np.stack([_center(frame, side) for frame in frames])
      measured.append(jax.device_get(metrics(clip[np.newaxis])))
  return {
      'color accuracy': float(np.mean([m['accuracy'] for m in measured])),
      'accuracy of the same place': float(
          np.mean([m['accuracy_same_place'] for m in measured])
      ),
  }


def _center(frame, side):
  """Cuts out the square in the center and resizes it."""
  height, width = frame.shape[:2]
  short = min(height, width)
  top, left = (height - short) // 2, (width - short) // 2
  square = frame[top : top + short, left : left + short]
  return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)


def _checkpoints(folder):
  """Returns paths by step; step 0 has the path of any checkpoint."""
  steps = sorted(
      int(path.name) for path in folder.glob('*') if path.name.isdigit()
  )
  if not steps:
    raise errors.UserError(f'{folder} holds no checkpoints: give another run')
  if _STEPS.value:
    missing = set(_STEPS.value) - {'0', *map(str, steps)}
    if missing:
      raise errors.UserError(
          f'{folder} holds no step {min(missing)}, but {steps}'
      )
    chosen = [step for step in steps if str(step) in _STEPS.value]
  else:
    chosen = [steps[0]]
    for step in steps:
      if step >= 2 * chosen[-1]:
        chosen.append(step)
    chosen = sorted({*chosen, steps[-1]})
  return {0: folder / str(steps[-1])} | {s: folder / str(s) for s in chosen}


def _table(rows):
  columns = list(next(iter(rows.values())))
  lines = [
      f'| step | {" | ".join(columns)} |',
      '|---' * (len(columns) + 1) + '|',
  ]
  for step, row in rows.items():
    values = ' | '.join(f'{row[column]:.3f}' for column in columns)
    lines.append(f'| {step:,} | {values} |')
  return '\n'.join(lines) + '\n'


def _plot(rows, path):
  curves = {
      name: np.array([row[name] for row in rows.values()])
      for name in next(iter(rows.values()))
  }
  plots.by_step(np.array(list(rows)), curves, path)


if __name__ == '__main__':
  program.run(main)
