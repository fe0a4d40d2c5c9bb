"""Draws the videos, the plots and the page of the quickstart."""

from collections.abc import Mapping, Sequence
import itertools
import os
import pathlib
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np

from vidcolor import network
from vidcolor.benchmarks.davis import analysis
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.render import overlay
from vidcolor.render import panels as panels_lib
from vidcolor.render import pca
from vidcolor.render import plots
from vidcolor.render import report
from vidcolor.tracking import propagation
from vidcolor.training import objective
from vidcolor.training import telemetry
from vidcolor.video import mp4

METHODS = {
    'identity': 'identity',
    'optical_flow': 'optical flow (DIS)',
    'untrained': 'untrained network',
    'trained': 'trained network',
}
NUM_DRAWN = 4  # Sequences in the videos and pictures.
_VIDEO_RATE = 12.0  # Frames per second.
_VIDEO_HEIGHT = 240
_COLORS_SIZE = (256, 192)  # Width and height of the colorized frames.


class Tracked(NamedTuple):
  """One sequence, tracked by every method.

  Attributes:
    sequence: The sequence.
    masks: The masks of each frame by method, or nothing if they are not drawn.
    j_by_frame: J of each frame by method, the mean over objects.
  """

  sequence: davis_data.AnnotatedSequence
  masks: Mapping[str, Sequence[np.ndarray]]
  j_by_frame: Mapping[str, np.ndarray]

  def mean_j(self, method: str) -> float:
    """Returns mean J without the first and the last frame, as DAVIS does."""
    return float(self.j_by_frame[method][1:-1].mean())


def table(results: Mapping[str, Any]) -> str:
  """Returns the results as text, with a row for each sequence."""
  width = max(map(len, results['per_sequence']))
  rows = [('mean J', results['mean_j']), *results['per_sequence'].items()]
  header = ' ' * width + ''.join(f'  {name}' for name in METHODS.values())
  lines = [
      f'{name:<{width}}'
      + ''.join(f'  {js[m]:{len(title)}.3f}' for m, title in METHODS.items())
      for name, js in rows
  ]
  return '\n'.join([header, *lines])


def draw(
    output_dir: pathlib.Path,
    tracked: Sequence[Tracked],
    workdir: str | os.PathLike[str],
    trained: network.Network,
) -> None:
  """Writes the videos and pictures that the page shows."""
  drawn = tracked[:NUM_DRAWN]
  mp4.write(output_dir / 'tracked.mp4', _draw_video(drawn), _VIDEO_RATE)
  mp4.write(
      output_dir / 'embeddings.mp4',
      _embedding_video(trained, drawn[0].sequence.frames),
      _VIDEO_RATE,
  )
  panels_lib.write_picture(output_dir / 'tracked.png', _strips(drawn))
  colors = _colors(trained, [t.sequence.frames for t in drawn])
  panels_lib.write_picture(output_dir / 'colors.png', colors)
  metrics = telemetry.read_metrics(workdir)
  plots.loss_curve(metrics['step'], metrics['loss'], output_dir / 'loss.png')
  plots.j_by_frame(_curves(tracked), output_dir / 'j_by_frame.png')


def _draw_video(tracked):
  """Yields frames in three panels: true masks, flow, the trained network."""
  size = _video_size(tracked)
  for t in tracked:
    columns = {
        'true mask': t.sequence.masks,
        METHODS['optical_flow']: t.masks['optical_flow'],
        METHODS['trained']: t.masks['trained'],
    }
    for frame, *masks in zip(t.sequence.frames, *columns.values(), strict=True):
      panels = [_panel(frame, mask, size) for mask in masks]
      yield panels_lib.hstack(panels, list(columns))


def _strips(tracked):
  """Draws masks of the trained network, a row of frames for each sequence."""
  size = _video_size(tracked)
  rows = []
  for t in tracked[:3]:
    pairs = zip(t.sequence.frames, t.masks['trained'], strict=True)
    rows.append(
        panels_lib.film_strip([_panel(*pair, size) for pair in pairs], 5)
    )
  return panels_lib.vstack(rows)


def _video_size(tracked):
  height, width = tracked[0].sequence.frames[0].shape[:2]
  return round(width * _VIDEO_HEIGHT / height), _VIDEO_HEIGHT


def _panel(frame, mask, size):
  drawn = overlay.draw_masks(frame, mask)
  return cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)


def _embedding_video(trained, frames):
  """Yields frames beside the principal components of their embeddings."""
  height, width = frames[0].shape[:2]
  options = propagation.PropagationOptions.from_config(trained.config)
  embed = propagation.single_image(trained.model, options)
  basis = pca.fit_basis(map(embed, frames))
  for frame in frames:
    colors = pca.to_colors(embed(frame), basis)
    colors = cv2.resize(colors, (width, height), interpolation=cv2.INTER_CUBIC)
    yield panels_lib.hstack(
        [frame, colors], ['frame', 'embeddings, first 3 components']
    )


def _colors(trained, videos):
  """Draws colors copied between frames of held-out videos, in rows."""
  config = trained.config
  clips = np.stack(
      [
          [
              cv2.resize(frame, _COLORS_SIZE, interpolation=cv2.INTER_AREA)
              for frame in itertools.islice(frames, config.clips.num_frames)
          ]
          for frames in videos
      ]
  )
  result = jax.jit(
      lambda clips: objective.side_by_side(
          objective.predict_colors(
              trained.model,
              clips,
              trained.palette,
              target=config.target,
              **config.copy,
          )
      )
  )(clips)
  columns = np.split(np.asarray(255 * result).astype(np.uint8), 3, axis=2)
  titles = ('what the network sees', 'true colors', 'copied colors')
  return panels_lib.sample_grid(
      {
          title: column.repeat(trained.model.stride, 1).repeat(
              trained.model.stride, 2
          )
          for title, column in zip(titles, columns, strict=True)
      }
  )


def _curves(tracked):
  """Returns mean J by frame number, over the sequences that are that long."""
  return {
      title: analysis.mean_by_frame([t.j_by_frame[method] for t in tracked])
      for method, title in METHODS.items()
  }


def write_page(
    output_dir: pathlib.Path,
    results: Mapping[str, Any],
    trained_on: str,
    tracked_in: str,
) -> None:
  """Writes the page, which contains all videos and pictures."""
  name = lambda js: {title: js[m] for m, title in METHODS.items()}
  report.write_page(
      output_dir / 'report.html',
      title='vidcolor: a tracker that learned from color',
      sections=[
          report.Section(
              'Tracked objects',
              'Each method gets the mask of the first frame and tracks it. '
              f'The network was trained on {trained_on}, to copy colors from '
              'frame to frame. It was never trained on masks.',
              media=[
                  report.Media(
                      'tracked.mp4',
                      'The true mask; the mask moved by optical flow; the mask '
                      'copied by the trained network.',
                  ),
              ],
          ),
          report.Section(
              'How well',
              'Mean J is the overlap (intersection over union) of the tracked '
              'and the true mask: 1 is perfect. First and last frame are left '
              'out. The untrained network is the same network, tracking in the '
              'same way, before training.',
              table=report.Table(
                  {s: name(js) for s, js in results['per_sequence'].items()},
                  f'Mean J on {tracked_in}',
                  summary={'mean': name(results['mean_j'])},
                  best=max,
              ),
              media=[
                  report.Media(
                      'tracked.png',
                      'The trained network: first frame to last, a row each.',
                  ),
                  report.Media(
                      'j_by_frame.png',
                      'Errors accumulate: mean J by frame number, over the '
                      'sequences that are that long.',
                  ),
              ],
          ),
          report.Section(
              'What it learned',
              media=[
                  report.Media(
                      'embeddings.mp4',
                      'The first three principal components of the embeddings '
                      'as red, green and blue: what has the same color looks '
                      'alike to the network.',
                  ),
                  report.Media(
                      'loss.png',
                      'Training loss: minus the log of the probability copied '
                      'to the true color.',
                  ),
                  report.Media(
                      'colors.png',
                      'Colors copied from the frames before. Each row: the '
                      'grey frame, its true colors, the copied ones.',
                  ),
              ],
          ),
      ],
  )
