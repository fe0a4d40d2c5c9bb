"""A benchmark from outside of the package, as a researcher writes one."""

import pathlib

import numpy as np


def evaluate(tracker, data_dir, output_dir=None, *, split='right'):
  """Measures how well a tracker follows a square, which data_dir holds."""
  del output_dir
  square = np.load(pathlib.Path(data_dir) / 'square.npy')
  masks = [np.roll(square, shift, axis=1) for shift in range(4)]
  if split == 'left':
    masks.reverse()
  frames = [np.stack(3 * [200 * mask], axis=-1) for mask in masks]
  tracked = list(tracker.track(frames, masks[0]))
  correct = [np.mean(a == b) for a, b in zip(tracked, masks, strict=True)]
  return {'split': split, 'overall': {'accuracy': float(np.mean(correct))}}
