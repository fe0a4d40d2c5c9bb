"""Colours of held-out clips, copied from one given frame and from three.

The tracker copies colours as it copies masks, which shows what it learned from
them, and how fast errors add up. Not a published benchmark: the paper shows
pictures of it.
"""

import functools
import os
import pathlib
from typing import Any

import cv2
import jax
from jax import numpy as jnp
from jaxtyping import Float
import numpy as np
import tqdm

from vidcolor import color
from vidcolor import errors
from vidcolor import files
from vidcolor.benchmarks.colorization import metrics
from vidcolor.data import images
from vidcolor.data import records
from vidcolor.render import panels as panels_lib
from vidcolor.render import plots
from vidcolor.render import report
from vidcolor.tracking import color_propagation
from vidcolor.tracking import propagation
from vidcolor.video import mp4

# Frames after the last one whose colours are given.
HORIZONS = (1, 2, 4, 8, 16)

_NUM_GIVEN = {'1 reference': 1, '3 references': 3}
_BASELINE = 'baseline'
# All methods colour the same frames, those after this one.
_LAST_GIVEN = max(_NUM_GIVEN.values()) - 1
# What each metric is, and whether more is better.
_METRICS = {
    'ab_error': ('Colour error, distance in a and b', min),
    'accuracy': ('Colour class accuracy', max),
    'cross_entropy': ('Cross-entropy of the colour class, nats', min),
    'psnr': ('PSNR in Lab, dB', max),
}
_NUM_DRAWN = 4  # Clips in the film and the picture.
_PICTURED = 8  # Frames after the last given one.
_SIDE = 240  # Of a drawn frame.
_FILM_RATE = 6.0  # Frames a second, as in the dataset.


def evaluate(
    tracker: propagation.LabelPropagator,
    data_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    palette: Float[np.ndarray, 'colors 2'],
    split: str = 'validation',
    num_clips: int | None = None,
) -> tuple[dict[str, Any], list[report.Section]]:
  """Copies colours from each clip's third frame, or from its first three.

  Colours are scored at the embeddings' resolution. The baseline copies the same
  position of the third frame.

  Args:
    tracker: Copies labels. One whose memory holds fewer than three frames
      copies '3 references' from those that it holds.
    data_dir: Folder that the dataset kinetics was built in by
      `data_prep.build`.
    output_dir: Folder to write a film, a picture and curves to.
    palette: The colour classes, those that the network was trained with.
    split: Of clips that the network was not trained on; a dataset without such
      a split is trained on 'train[:90%]' and evaluated on 'train[90%:]'.
    num_clips: How many clips of the split, whose order is random but fixed; by
      default all.

  Returns:
    The results, by method ('1 reference', '3 references', 'baseline') ab_error,
    accuracy, cross_entropy and psnr (see `colorization`): 'per_horizon' in
    frames after the third, a mean over the clips that are that long, of which
    there are 'num_clips'; 'overall', the mean of that over horizons; and
    'per_clip', likewise over a clip's. Then the sections of a report.

  Raises:
    UserError: there is no dataset or no such split, or no clip of four frames.
  """
  source = records.open_source('kinetics', data_dir, split)
  labels_of = functools.partial(_labels, jnp.asarray(palette))
  scores, drawn = {}, []
  for index in tqdm.trange(
      min(num_clips or len(source), len(source)), unit='clip'
  ):
    record = source[index]
    jpegs = record['frames'][: _LAST_GIVEN + 1 + HORIZONS[-1]]
    if len(jpegs) <= _LAST_GIVEN + 1:
      continue
    frames = [images.decode(jpeg) for jpeg in jpegs]
    tracked = {
        name: _copy(tracker, frames, num_given, labels_of)
        for name, num_given in _NUM_GIVEN.items()
    }
    scores[record['name'].decode()] = _score_clip(tracked)
    if len(drawn) < _NUM_DRAWN:
      copied_ab = [colors.copied[..., :2] for colors in tracked['1 reference']]
      drawn.append((frames[_LAST_GIVEN:], copied_ab))
  if not scores:
    raise errors.UserError(
        f'no clip of four frames in {split} of kinetics in {data_dir}: give'
        ' another split'
    )
  results = _results(scores)
  output_dir = pathlib.Path(output_dir)
  _draw(drawn, output_dir)
  return results, _sections(results, output_dir)


def _labels(palette, ab):
  """Colours, a and b, and beside them the colour class, one-hot."""
  classes = jax.nn.one_hot(color.quantize(ab, palette), len(palette))
  return jnp.concatenate([ab, classes], axis=-1)


def _copy(tracker, frames, num_given, labels_of):
  """The colours of the last given frame and of those after it."""
  first = _LAST_GIVEN + 1 - num_given
  colors = color_propagation.propagate(
      tracker, frames[first:], num_given=num_given, labels_of=labels_of
  )
  return list(colors)[num_given - 1 :]


def _score_clip(tracked):
  """Scores by method, by horizon."""
  given, *after = tracked['1 reference']
  same_position = [colors._replace(copied=given.true) for colors in after]
  tracked = tracked | {_BASELINE: [given, *same_position]}
  return {
      name: {
          horizon: _score(*colors[horizon])
          for horizon in HORIZONS
          if horizon < len(colors)
      }
      for name, colors in tracked.items()
  }


def _score(true, copied):
  ab, true_ab = copied[..., :2], true[..., :2]
  probability, true_class = copied[..., 2:], true[..., 2:].argmax(axis=-1)
  return {
      'ab_error': float(metrics.ab_error(ab, true_ab)),
      'accuracy': float(metrics.accuracy(probability, true_class)),
      'cross_entropy': float(metrics.cross_entropy(probability, true_class)),
      'psnr': float(metrics.psnr(ab, true_ab)),
  }


def _results(scores):
  reached = {
      horizon: [clip for clip in scores.values() if horizon in clip[_BASELINE]]
      for horizon in HORIZONS
  }
  reached = {
      horizon: by_clip for horizon, by_clip in reached.items() if by_clip
  }
  methods = [*_NUM_GIVEN, _BASELINE]
  per_horizon = {
      method: {
          str(horizon): _mean([clip[method][horizon] for clip in by_clip])
          for horizon, by_clip in reached.items()
      }
      for method in methods
  }
  return {
      'overall': {
          method: _mean(by_horizon.values())
          for method, by_horizon in per_horizon.items()
      },
      'per_horizon': per_horizon,
      'num_clips': {str(h): len(by_clip) for h, by_clip in reached.items()},
      'per_clip': {
          name: {method: _mean(clip[method].values()) for method in methods}
          for name, clip in scores.items()
      },
  }


def _mean(rows):
  rows = list(rows)
  return {
      metric: float(np.mean([row[metric] for row in rows]))
      for metric in _METRICS
  }


def _draw(drawn, output_dir):
  """The film of all frames, and the picture of one of each clip."""
  titles = ('what the network sees', 'true colours', 'copied colours')
  mp4.write(
      output_dir / 'colors.mp4',
      (
          panels_lib.hstack(_panels(*pair), titles)
          for frames, copied_ab in drawn
          for pair in zip(frames, copied_ab, strict=True)
      ),
      _FILM_RATE,
  )
  rows = []
  for frames, copied_ab in drawn:
    index = min(_PICTURED, len(frames) - 1)
    panels = _panels(frames[index], copied_ab[index])
    rows.append([_square(frames[0]), *panels])
  columns = zip(
      ('given colours', *titles), zip(*rows, strict=True), strict=True
  )
  picture = panels_lib.sample_grid({name: np.stack(c) for name, c in columns})
  with files.atomic_write(output_dir / 'colors.png') as temporary:
    cv2.imwrite(str(temporary), picture[..., ::-1])


def _panels(frame, copied_ab):
  """The frame in grey, as it is, and in the copied colours."""
  frame, copied_ab = _square(frame), _square(copied_ab)
  grey = color_propagation.in_grey(frame)
  copied = color_propagation.colored(
      color_propagation.lightness_of(frame), copied_ab
  )
  return [np.asarray(grey), frame, np.asarray(copied)]


def _square(picture):
  """The largest square in the middle, at the size to draw."""
  height, width = picture.shape[:2]
  side = min(height, width)
  top, left = (height - side) // 2, (width - side) // 2
  square = picture[top : top + side, left : left + side]
  method = cv2.INTER_AREA if side > _SIDE else cv2.INTER_LINEAR
  return cv2.resize(square, (_SIDE, _SIDE), interpolation=method)


def _sections(results, output_dir):
  num_clips = max(results['num_clips'].values())
  sections = [
      report.Section(
          'Copied colours',
          f'In {num_clips} clips colours are copied from one given frame, or'
          ' from three, to the frames after. The baseline copies the same'
          ' position of the last given frame; its cross-entropy tells nothing'
          ' new, being 13.8 wherever the class is wrong.',
          media=[
              report.Media('colors.mp4', 'Copied from one given frame.'),
              report.Media(
                  'colors.png',
                  f'Copied from one given frame to the {_PICTURED}th after.',
              ),
          ],
      )
  ]
  for metric, (title, best) in _METRICS.items():
    rows = {}
    for method, by_horizon in results['per_horizon'].items():
      for horizon, scores in by_horizon.items():
        rows.setdefault(horizon, {})[method] = scores[metric]
    file = f'{metric}.png'
    by_method = {
        method: [scores[metric] for scores in by_horizon.values()]
        for method, by_horizon in results['per_horizon'].items()
    }
    plots.by_horizon(by_method, HORIZONS, output_dir / file, ylabel=title)
    sections.append(
        report.Section(
            title,
            table=report.Table(
                rows,
                'By the number of frames after the last given one',
                row_header='frames after',
                summary={
                    'mean': {
                        method: scores[metric]
                        for method, scores in results['overall'].items()
                    }
                },
                best=best,
            ),
            media=[report.Media(file, title)],
        )
    )
  return sections
