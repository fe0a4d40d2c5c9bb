"""Colorization of held-out clips, from one reference frame and from three.

The tracker copies colors as it copies masks. This shows what it learned from
colors, and how fast errors accumulate. It is no published benchmark: the paper
only shows examples.
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
from vidcolor.benchmarks.colorization import metrics
from vidcolor.data import images
from vidcolor.data import records
from vidcolor.render import panels as panels_lib
from vidcolor.render import plots
from vidcolor.render import report
from vidcolor.tracking import color_propagation
from vidcolor.tracking import propagation
from vidcolor.video import mp4

# Frames after the last one whose colors are given.
HORIZONS = (1, 2, 4, 8, 16)

_NUM_GIVEN = {'1 reference': 1, '3 references': 3}
_BASELINE = 'baseline'
# All methods colorize the same frames, those after this one.
_LAST_GIVEN = max(_NUM_GIVEN.values()) - 1
# Description of each metric, and the better of two values.
_METRICS = {
    'ab_error': ('Color error, distance in a and b', min),
    'accuracy': ('Color class accuracy', max),
    'cross_entropy': ('Cross-entropy of the color class, nats', min),
    'psnr': ('PSNR in Lab, dB', max),
}
_NUM_DRAWN = 4  # Clips in the video and the picture.
_PICTURED = 8  # Frames after the last given one.
_SIDE = 240  # Pixels of a drawn frame's sides.
_VIDEO_RATE = 6.0  # Frames per second, as in the dataset.

Results = dict[str, Any]


def evaluate(
    tracker: propagation.LabelPropagator,
    data_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    palette: Float[np.ndarray, 'colors 2'],
    split: str = 'validation',
    num_clips: int | None = None,
) -> Results:
  """Copies colors from each clip's third frame, or from its first three.

  Colors are scored at the resolution of the embeddings. The baseline copies the
  color of the same position in the third frame. Clips without colors, or of one
  tint such as sepia, are left out: they have no true colors.

  Args:
    tracker: The propagator of labels. If its memory holds fewer than three
      frames, '3 references' are those that it holds.
    data_dir: Folder in which `data_prep.build` built the dataset kinetics.
    output_dir: Folder for a video and a picture of some clips.
    palette: The ab colors of the classes that the network was trained with.
    split: A split that the network was not trained on. Default: 'validation'. A
      dataset without one can be split into 'train[:90%]' and 'train[90%:]'.
    num_clips: Number of clips of the split, whose order is random but fixed.
      Default: all.

  Returns:
    By method ('1 reference', '3 references', 'baseline'): ab_error, accuracy,
    cross_entropy and psnr (see `metrics`). 'per_horizon' is by the number of
    frames after the third, and averaged over the clips that are that long, of
    which there are 'num_clips'. 'overall' is its mean over horizons. 'per_clip'
    is the mean over the horizons of each clip. 'media' maps the files that were
    written to their captions.

  Raises:
    UserError: There is no dataset or no such split, or no clip of four frames.
  """
  source = records.open_source('kinetics', data_dir, split)
  labels_of = functools.partial(_labels, jnp.asarray(palette))
  scores, drawn = {}, []
  for index in tqdm.trange(
      min(num_clips or len(source), len(source)), unit='clip'
  ):
    record = source[index]
    jpegs = record['frames'][: _LAST_GIVEN + 1 + HORIZONS[-1]]
    if len(jpegs) <= _LAST_GIVEN + 1 or record.get('grey'):
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
        f'no colored clip of four frames in {split} of kinetics in {data_dir}:'
        ' give another split'
    )
  results = _results(scores)
  if output_dir is not None:
    results['media'] = _draw(drawn, pathlib.Path(output_dir))
  return results


def sections(
    results: Results, output_dir: str | os.PathLike[str]
) -> list[report.Section]:
  """Draws plots and returns the sections of a report.

  Args:
    results: Results of `evaluate`.
    output_dir: Folder of the report, for the plots.
  """
  num_clips = max(results['num_clips'].values())
  media = results.get('media', {}).items()
  result = [
      report.Section(
          'Copied colors',
          f'In {num_clips} clips, colors are copied from one reference frame,'
          ' or from three, to the frames after. The baseline copies the color'
          ' of the same position in the last reference frame. Its'
          ' cross-entropy is 13.8 wherever the class is wrong, so it is as'
          ' informative as accuracy.',
          media=[report.Media(*item) for item in media],
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
    plots.by_horizon(
        by_method, HORIZONS, pathlib.Path(output_dir) / file, ylabel=title
    )
    result.append(
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
  return result


def _labels(palette, ab):
  """Returns a and b, followed by the color class as one-hot."""
  classes = jax.nn.one_hot(color.quantize(ab, palette), len(palette))
  return jnp.concatenate([ab, classes], axis=-1)


def _copy(tracker, frames, num_given, labels_of):
  """Returns the colors of the last given frame and of those after it."""
  first = _LAST_GIVEN + 1 - num_given
  colors = color_propagation.propagate(
      tracker, frames[first:], num_given=num_given, labels_of=labels_of
  )
  return list(colors)[num_given - 1 :]


def _score_clip(tracked):
  """Returns scores by method and horizon."""
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


def _results(scores) -> Results:
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
  """Draws a video of all frames, and a picture of one frame of each clip."""
  titles = ('what the network sees', 'true colors', 'copied colors')
  mp4.write(
      output_dir / 'colors.mp4',
      (
          panels_lib.hstack(_panels(*pair), titles)
          for frames, copied_ab in drawn
          for pair in zip(frames, copied_ab, strict=True)
      ),
      _VIDEO_RATE,
  )
  rows = []
  for frames, copied_ab in drawn:
    index = min(_PICTURED, len(frames) - 1)
    panels = _panels(frames[index], copied_ab[index])
    rows.append([_square(frames[0]), *panels])
  columns = zip(('given colors', *titles), zip(*rows, strict=True), strict=True)
  picture = panels_lib.sample_grid({name: np.stack(c) for name, c in columns})
  panels_lib.write_picture(output_dir / 'colors.png', picture)
  return {
      'colors.mp4': 'Copied from one reference frame.',
      'colors.png': (
          f'Copied from one reference frame to the {_PICTURED}th after it.'
      ),
  }


def _panels(frame, copied_ab):
  """Returns the frame in grey, in its own and in the copied colors."""
  frame, copied_ab = _square(frame), _square(copied_ab)
  grey = color_propagation.in_grey(frame)
  copied = color_propagation.colored(
      color_propagation.lightness_of(frame), copied_ab
  )
  return [np.asarray(grey), frame, np.asarray(copied)]


def _square(picture):
  """Crops the largest square in the middle, and resizes it for drawing."""
  height, width = picture.shape[:2]
  side = min(height, width)
  top, left = (height - side) // 2, (width - side) // 2
  square = picture[top : top + side, left : left + side]
  method = cv2.INTER_AREA if side > _SIDE else cv2.INTER_LINEAR
  return cv2.resize(square, (_SIDE, _SIDE), interpolation=method)
