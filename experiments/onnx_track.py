"""Tracks objects with ONNX Runtime and NumPy: the whole tracker, to be ported.

python -m experiments.onnx_track --model=vidcolor.onnx \
  --video=FOLDER_OR_FILE --first_mask=MASK.png --output_dir=OUT

It needs neither JAX nor vidcolor. `experiments.export` writes the model. Masks
have the number of the object at each pixel; white alone is one object. Labels
are [objects + 1, rows, columns], that of the background first.
"""

import argparse
import collections
import itertools
import json
import pathlib

import numpy as np
import onnxruntime
from PIL import Image

from experiments import onnx_edges

_TILE = 8  # Labels are copied to so many rows and columns at once.
# Options that the model must have been exported with. `radius` and `top_k` must
# be numbers, and `shrink_labels` 'antialias'. The others may have any value.
_ON = ['keep_first', 'window_first']
_OFF = ['repeat_first', 'square_window', 'stretch_labels']


class Tracker:
  """Tracks the objects of a first mask, frame by frame."""

  def __init__(self, model: str, frame: np.ndarray, mask: np.ndarray):
    """Starts at a frame, uint8 [height, width, 3] in RGB, and its mask."""
    self._network = onnxruntime.InferenceSession(model)
    metadata = self._network.get_modelmeta().custom_metadata_map
    self._options = json.loads(metadata['options'])
    if {name for name in _ON + _OFF if self._options[name]} != set(_ON):
      raise ValueError(f'export {model} with {_ON} on and {_OFF} off')
    features = self._embed(frame)
    labels = (np.arange(mask.max() + 1)[:, None, None] == mask).astype('f4')
    self._first = features, onnx_edges.resize(labels, features.shape[:2])
    self._recent = collections.deque(maxlen=self._options['recent'])

  def step(self, frame: np.ndarray) -> np.ndarray:
    """Returns the mask of the next frame."""
    features = self._embed(frame)
    references = [self._first, *self._recent]
    if self._options['follow_objects']:
      references += _moved(self._first, references[-1][1])
    labels = self._copy(features, references)
    self._recent.append((features, labels))
    if self._options['refine_edges']:
      labels = onnx_edges.refine(labels, frame)
    else:
      labels = onnx_edges.resize(labels, frame.shape[:2])
    return labels.argmax(axis=0).astype(np.uint8)

  def _embed(self, frame):
    size, short_side = frame.shape[1::-1], self._options['short_side']
    scale = short_side / min(size) if short_side else 1
    scale = min(scale, self._options['max_enlargement'])
    sides = [max(1, round(n * scale / 8)) * 8 for n in size]
    resized = Image.fromarray(frame).resize(sides, Image.Resampling.BILINEAR)
    return self._network.run(None, {'frame': np.asarray(resized)})[0]

  def _copy(self, target, references):
    """Copies labels from the best matches in a disk around each cell."""
    features = np.stack([features for features, _ in references])
    labels = np.stack([labels for _, labels in references], axis=1)
    rows, columns, dim = target.shape
    cells = np.indices((rows, columns), np.int32)
    radius, copied = self._options['radius'], np.zeros_like(labels[:, 0])
    reach, copied[0], top_k = int(radius), 1, self._options['top_k']
    for y, x in np.ndindex(-(-rows // _TILE), -(-columns // _TILE)):
      tile = [slice(n * _TILE, (n + 1) * _TILE) for n in (y, x)]
      near = [slice(max(0, s.start - reach), s.stop + reach) for s in tile]
      values = labels[:, :, *near].reshape(len(labels), -1)
      if values[1:].max(initial=0) < 1e-6:
        continue  # There is only background.
      scores = target[*tile].reshape(-1, dim) / self._options['temperature']
      scores = scores @ features[:, *near].reshape(-1, dim).T
      here, there = (cells[:, *s].reshape(2, -1) for s in (tile, near))
      distance = ((here[..., None] - there[:, None]) ** 2).sum(axis=0)
      bias = np.where(distance > radius**2, np.float32(-np.inf), 0)
      scores += np.tile(bias, len(references))
      best = np.argpartition(scores, -top_k)[:, -top_k:]
      scores = np.take_along_axis(scores, best, axis=1)
      weights = np.exp(scores - scores.max(axis=1, keepdims=True))
      found = (values[:, best] * weights).sum(axis=-1) / weights.sum(axis=-1)
      copied[:, *tile] = found.reshape(copied[:, *tile].shape)
    return copied


def _moved(first, last):
  """Returns the first frame, moved as each object has moved since then."""
  features, labels = first
  cells = np.indices(last.shape[1:])
  (start, first_area), (end, area) = _center(labels[1:]), _center(last[1:])
  is_present = area > 0.05 * first_area
  motion = np.where(is_present, np.rint(end - start), 0).astype(int)
  away = ((cells[:, None] - end[..., None, None]) ** 2).sum(axis=0)
  away[~is_present] = np.inf
  motion = motion[:, away.argmin(axis=0)]  # That of the nearest object.
  y, x = (cells - motion).clip(0, np.reshape(last.shape[1:], (2, 1, 1)) - 1)
  return [(features[y, x], labels[:, y, x])] if motion.any() else []


def _center(labels):
  """Returns the center of each label, [2, labels], and its area, in cells."""
  area, cells = labels.sum(axis=(1, 2)), np.indices(labels.shape[1:])
  return np.einsum('irc,lrc->il', cells, labels) / area.clip(1e-6), area


def _frames(path):
  if path.is_dir():
    for file in sorted(path.glob('[!.]*')):
      yield np.asarray(Image.open(file).convert('RGB'))
  else:
    import av

    for frame in av.open(path).decode(video=0):
      yield frame.to_ndarray(format='rgb24')


def main() -> None:
  """Writes a mask for each frame."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
  for name in 'model', 'video', 'first_mask', 'output_dir':
    parser.add_argument(f'--{name}', type=pathlib.Path, required=True)
  args = parser.parse_args()
  picture = Image.open(args.first_mask)
  davis = [(n >> bit & 1) * 128 for n, bit in np.ndindex(8, 3)]
  mask = np.asarray(picture if picture.mode in 'PL' else picture.convert('L'))
  # Beside numbers, 255 marks what no one could assign to an object.
  has_numbers = ((mask > 0) & (mask < 255)).any()
  mask = np.where(mask == 255, not has_numbers, mask)
  frames = _frames(args.video)
  tracker = Tracker(str(args.model), next(frames), mask)
  args.output_dir.mkdir(parents=True, exist_ok=True)
  masks = itertools.chain([mask], map(tracker.step, frames))
  for number, found in enumerate(masks):
    written = Image.fromarray(found.astype(np.uint8))
    written.putpalette(picture.getpalette() or davis)
    written.save(args.output_dir / f'{number:05}.png')


if __name__ == '__main__':
  main()
