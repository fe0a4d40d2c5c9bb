"""From raw video to a tracked object, in minutes on two cores.

python -m experiments.quickstart

Builds a dataset of clips, trains the small network to colorize them, and tracks
objects in held-out video with what it learned, beside three baselines. Every
step is a part of the library; what is written here is their order. Run again
with the same line, it goes on where it was stopped.
"""

from collections.abc import Mapping, Sequence
from importlib import metadata
import itertools
import json
import os
import pathlib
import platform
import time
from typing import NamedTuple
import zlib

from absl import flags
import cv2
from flax import nnx
import jax
import numpy as np
import tqdm

from data_prep import palette as palette_lib
from data_prep.kinetics import kinetics
from data_prep.synthetic_clips import synthetic_clips
from experiments.configs import compact
from vidcolor import errors
from vidcolor import files
from vidcolor import models
from vidcolor.data import sequences as sequences_lib
from vidcolor.data import video
from vidcolor.evaluation import baselines
from vidcolor.evaluation import davis
from vidcolor.render import figures
from vidcolor.render import overlay
from vidcolor.render import pca
from vidcolor.render import report
from vidcolor.tracking import propagation
from vidcolor.training import checkpoint
from vidcolor.training import loop
from vidcolor.training import objective
from vidcolor.training import telemetry

_CLIPS_DIR = flags.DEFINE_string(
    'clips_dir', None, 'Folder of videos to train on; default: rendered clips.'
)
_DAVIS_DIR = flags.DEFINE_string(
    'davis_dir',
    None,
    'DAVIS folder to track; default: held-out rendered clips.',
)
_OUTPUT_DIR = flags.DEFINE_string(
    'output_dir', 'quickstart_output', 'Folder for data, checkpoint and report.'
)
_STEPS = flags.DEFINE_integer(
    'steps', None, 'Training steps; default: 350, with --clips_dir 500.', 1
)

_NUM_DRAWN = 4  # Sequences in the films and pictures.
_FILM_RATE = 12.0  # Frames a second.
_FILM_HEIGHT = 240
_COLORS_SIZE = (256, 192)  # Width and height of the colorized frames.
_METHODS = {
    'identity': 'identity',
    'optical_flow': 'optical flow (DIS)',
    'untrained': 'untrained network',
    'trained': 'trained network',
}


class Tracked(NamedTuple):
  """One sequence, tracked by every method."""

  sequence: sequences_lib.AnnotatedSequence
  masks: Mapping[str, Sequence[np.ndarray]]
  j_by_frame: Mapping[str, np.ndarray]  # A mean over objects.

  def mean_j(self, method: str) -> float:
    """First and last frame left out, as in the DAVIS toolkit."""
    return float(self.j_by_frame[method][1:-1].mean())


def main(argv: Sequence[str]) -> None:
  """Builds, trains, tracks and reports."""
  if len(argv) > 1:
    raise errors.UserError(f'{argv[1]} is not a flag; see --help')
  start = time.time()
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  output_dir.mkdir(parents=True, exist_ok=True)

  _headline('1/4 Data: JPEG frames in ArrayRecord files')
  davis_dir = _DAVIS_DIR.value  # First, so that a wrong folder is told at once.
  sequences = sequences_lib.read_davis(davis_dir) if davis_dir else None
  config = _config(output_dir)
  sequences = sequences or _held_out_clips(output_dir)

  _headline('2/4 Training: colours copied from frame to frame')
  data_dir = pathlib.Path(config.dataset.data_dir)
  workdir = output_dir / f'train_{data_dir.name}'
  loop.train(config, workdir)
  model, palette, config = checkpoint.load_model(workdir)

  _headline('3/4 Tracking: masks copied by the same operation')
  methods = _methods(model, config)
  tracked = []
  for sequence in tqdm.tqdm(sequences, unit='sequence'):
    tracked.append(_track(methods, sequence))
    # Masks of every pixel and method are large: keep those to be drawn.
    if len(tracked) > _NUM_DRAWN:
      tracked[-1] = tracked[-1]._replace(masks={})

  _headline('4/4 Report')
  results = _results(tracked, time.time() - start)
  with files.written_whole(output_dir / 'results.json') as temporary:
    temporary.write_text(json.dumps(results, indent=2))
  _draw(output_dir, tracked, workdir, model, palette, config)
  _report(
      output_dir,
      results,
      trained_on=_CLIPS_DIR.value or 'rendered clips',
      tracked_in=_DAVIS_DIR.value or 'rendered clips that were held out',
  )
  print(_table(results))
  print(f'\nLook at it: {output_dir / "report.html"}')


def _headline(text):
  print(f'\n== {text}', flush=True)


def _config(output_dir):
  """Builds the training data; the compact config, to train on it."""
  if _CLIPS_DIR.value is None:
    builder = _synthetic_builder(output_dir)
  else:
    # Other clips are another dataset, also in the same output folder.
    source = zlib.crc32(os.path.abspath(_CLIPS_DIR.value).encode())
    builder = kinetics.Kinetics(
        source_dir=_CLIPS_DIR.value, data_dir=output_dir / f'clips_{source:08x}'
    )
  builder.download_and_prepare()
  if not (pathlib.Path(builder.data_dir) / 'palette.npy').exists():
    palette_lib.fit(builder.data_dir)
  config = compact.get_config()
  config.dataset.name = builder.name
  config.dataset.data_dir = str(builder.data_dir_root)
  if _STEPS.value is not None:
    config.steps = _STEPS.value
  elif _CLIPS_DIR.value is None:
    config.steps = 350  # Rendered clips are sooner learned than real ones.
  return config


def _synthetic_builder(output_dir):
  return synthetic_clips.SyntheticClips(
      num_train=128, num_test=10, data_dir=output_dir / 'rendered'
  )


def _held_out_clips(output_dir):
  builder = _synthetic_builder(output_dir)
  builder.download_and_prepare()
  sequences = sequences_lib.read_tfds(
      builder.name, builder.data_dir_root, split='test'
  )
  return sorted(sequences, key=lambda sequence: sequence.name)


def _methods(model, config):
  """Trackers by name: callables (frames, first mask) -> masks."""
  options = propagation.Options(**config.tracking)
  untrained = models.create(**config.model, seed=config.seed)
  untrained = nnx.view(untrained, use_running_average=True)
  return {
      'identity': baselines.identity,
      'optical_flow': baselines.optical_flow,
      'untrained': propagation.Tracker(untrained, options).track,
      'trained': propagation.Tracker(model, options).track,
  }


def _track(methods, sequence):
  frames, truth = list(sequence.frames), list(sequence.masks)
  first_mask = np.where(truth[0] == davis.VOID, 0, truth[0]).astype(np.uint8)
  masks = {
      name: list(track(frames, first_mask)) for name, track in methods.items()
  }
  scores = {
      name: davis.jaccard_by_object(predicted, truth)
      for name, predicted in masks.items()
  }
  j_by_frame = {
      name: np.mean(list(by_object.values()), axis=0)
      for name, by_object in scores.items()
  }
  return Tracked(sequence, masks, j_by_frame)


def _results(tracked, seconds):
  per_sequence = {
      t.sequence.name: {method: t.mean_j(method) for method in _METHODS}
      for t in tracked
  }
  return {
      'mean_j': {
          method: float(np.mean([js[method] for js in per_sequence.values()]))
          for method in _METHODS
      },
      'per_sequence': per_sequence,
      'seconds': round(seconds),
      'machine': f'{platform.machine()}, {os.cpu_count()} cores,'
      f' {jax.devices()[0].platform}',
      'versions': {
          name: metadata.version(name) for name in ('jax', 'flax', 'vidcolor')
      },
  }


def _table(results):
  """The results as text, a row a sequence."""
  width = max(map(len, results['per_sequence']))
  rows = [('mean J', results['mean_j']), *results['per_sequence'].items()]
  header = ' ' * width + ''.join(f'  {name}' for name in _METHODS.values())
  lines = [
      f'{name:<{width}}'
      + ''.join(f'  {js[m]:{len(title)}.3f}' for m, title in _METHODS.items())
      for name, js in rows
  ]
  return '\n'.join([header, *lines])


def _draw(output_dir, tracked, workdir, model, palette, config):
  """Films, figures and the page that shows them all."""
  drawn = tracked[:_NUM_DRAWN]
  video.write_mp4(output_dir / 'tracked.mp4', _film(drawn), _FILM_RATE)
  video.write_mp4(
      output_dir / 'embeddings.mp4',
      _embedding_film(model, config, drawn[0].sequence.frames),
      _FILM_RATE,
  )
  _write_image(output_dir / 'tracked.png', _strips(drawn))
  colors = _colors(model, palette, config, [t.sequence.frames for t in drawn])
  _write_image(output_dir / 'colors.png', colors)
  metrics = telemetry.read_metrics(workdir)
  figures.loss_curve(metrics['step'], metrics['loss'], output_dir / 'loss.png')
  figures.j_by_frame(_curves(tracked), output_dir / 'j_by_frame.png')


def _film(tracked):
  """The true masks beside what flow and the trained network tracked."""
  size = _film_size(tracked)
  for t in tracked:
    columns = {
        'true mask': t.sequence.masks,
        _METHODS['optical_flow']: t.masks['optical_flow'],
        _METHODS['trained']: t.masks['trained'],
    }
    for frame, *masks in zip(t.sequence.frames, *columns.values(), strict=True):
      panels = [_panel(frame, mask, size) for mask in masks]
      yield overlay.side_by_side(panels, list(columns))


def _strips(tracked):
  """What the trained network tracked, a row of frames for each sequence."""
  size = _film_size(tracked)
  rows = []
  for t in tracked[:3]:
    pairs = zip(t.sequence.frames, t.masks['trained'], strict=True)
    rows.append(figures.film_strip([_panel(*pair, size) for pair in pairs], 5))
    rows.append(np.full_like(rows[-1][:4], 255))
  return np.vstack(rows[:-1])


def _film_size(tracked):
  height, width = tracked[0].sequence.frames[0].shape[:2]
  return round(width * _FILM_HEIGHT / height), _FILM_HEIGHT


def _panel(frame, mask, size):
  drawn = overlay.draw_masks(frame, mask)
  return cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)


def _embedding_film(model, config, frames):
  """Frames beside their embeddings' principal components."""
  height, width = frames[0].shape[:2]
  embed = jax.jit(
      lambda frame: model.relate(
          propagation.encode(model, frame, config.tracking.short_side)[
              None, None
          ]
      )[0, 0]
  )
  embeddings = np.stack([np.asarray(embed(frame)) for frame in frames])
  for frame, colors in zip(frames, pca.project(embeddings), strict=True):
    colors = cv2.resize(colors, (width, height), interpolation=cv2.INTER_CUBIC)
    yield overlay.side_by_side(
        [frame, colors], ['frame', 'embeddings, first 3 components']
    )


def _colors(model, palette, config, videos):
  """Colours copied between frames of held-out videos, in rows."""
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
          objective.colorize(model, clips, palette, **config.copy)
      )
  )(clips)
  columns = np.split(np.asarray(255 * result).astype(np.uint8), 3, axis=2)
  titles = ('what the network sees', 'true colours', 'copied colours')
  return figures.color_grid(
      {
          title: column.repeat(model.stride, 1).repeat(model.stride, 2)
          for title, column in zip(titles, columns, strict=True)
      }
  )


def _curves(tracked):
  """Mean J by frame number, over the sequences that are that long."""
  longest = max(len(t.sequence.frames) for t in tracked)

  def mean_curve(method):
    curves = np.full((len(tracked), longest), np.nan)
    for curve, t in zip(curves, tracked, strict=True):
      curve[: len(t.j_by_frame[method])] = t.j_by_frame[method]
    return np.nanmean(curves, axis=0)

  return {title: mean_curve(method) for method, title in _METHODS.items()}


def _report(output_dir, results, trained_on, tracked_in):
  """One page with everything to look at."""
  name = lambda js: {title: js[m] for m, title in _METHODS.items()}
  rows = {'mean': name(results['mean_j'])}
  rows |= {s: name(js) for s, js in results['per_sequence'].items()}
  report.write(
      output_dir / 'report.html',
      title='vidcolor: a tracker that learned from colour',
      sections=[
          report.Section(
              'Tracked objects',
              'Each method is given the mask of the first frame and follows it. '
              f'The network was trained on {trained_on}, to copy colours from '
              'frame to frame; it was never shown a mask.',
              media=[
                  report.Media(
                      'tracked.mp4',
                      'The true mask; the mask carried along by optical flow; '
                      'the mask copied by the trained network.',
                  ),
                  report.Media(
                      'tracked.png',
                      'The trained network: first frame to last, a row each.',
                  ),
              ],
          ),
          report.Section(
              'How well',
              'Mean J is the overlap (intersection over union) of the tracked '
              'and the true mask: 1 is perfect. First and last frame are left '
              'out. The untrained network is the same network, tracking in the '
              'same way, before training.',
              table=report.Table(rows, f'Mean J on {tracked_in}'),
              media=[
                  report.Media(
                      'j_by_frame.png',
                      'Errors add up: mean J by frame number, over the '
                      'sequences that are that long.',
                  )
              ],
          ),
          report.Section(
              'What it learned',
              media=[
                  report.Media(
                      'embeddings.mp4',
                      'The first three principal components of the embeddings '
                      'as red, green and blue: what has the same colour here is '
                      'the same to the network.',
                  ),
                  report.Media(
                      'colors.png',
                      'Colours copied from the frames before. Each row: the '
                      'grey frame, its true colours, the copied ones.',
                  ),
                  report.Media(
                      'loss.png',
                      'Training loss: minus the log of the probability copied '
                      'to the true colour.',
                  ),
              ],
          ),
      ],
  )


def _write_image(path, image):
  with files.written_whole(path) as temporary:
    cv2.imwrite(str(temporary), image[..., ::-1])


if __name__ == '__main__':
  errors.run(main)
