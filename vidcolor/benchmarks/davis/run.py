"""DAVIS 2016 and 2017: tracks objects from the first mask, scored by J and F.

Predictions are files in the format of DAVIS's submissions,
<sequence>/<frame>.png with DAVIS's palette. Scores are computed from these
files, so `score` also takes the files of any other method.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import functools
import os
import pathlib
from typing import Any
import warnings

import cv2
import numpy as np
import tqdm

from vidcolor import errors
from vidcolor import files
from vidcolor import lazy_sequence
from vidcolor import masks
from vidcolor import tracking
from vidcolor.benchmarks import folders
from vidcolor.benchmarks.davis import analysis
from vidcolor.benchmarks.davis import color_failure as color_failure_lib
from vidcolor.benchmarks.davis import data
from vidcolor.benchmarks.davis import metrics
from vidcolor.render import overlay
from vidcolor.render import panels as panels_lib
from vidcolor.render import plots
from vidcolor.render import report
from vidcolor.tracking import propagation
from vidcolor.video import mp4

_VIDEO_RATE = 24.0  # Frames per second.
_VIDEO_HEIGHT = 240
_NUM_VIDEOS = 2  # Of the best sequences, and of the worst.

Results = dict[str, Any]
FramesOf = Callable[[data.AnnotatedSequence], Sequence[Any]]


def evaluate(
    tracker: tracking.MaskTracker,
    data_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    year: int | None = None,
    split: str = 'val',
    resolution: str = '480p',
    sequences: Sequence[str] = (),
    max_frames: int | None = None,
    color_failure: bool = False,
    frames_of: FramesOf = lambda sequence: sequence.frames,
) -> Results:
  """Tracks the objects of a split, and scores them as `score` does.

  Objects that start in different frames are tracked in separate runs. Where
  they overlap, the one that started later covers the other.

  Args:
    tracker: The tracker.
    data_dir: As `data.read_davis` takes it, also in the layout of YouTube-VOS.
    output_dir: Folder to write to. Masks go to predictions/.
    year: 2016, where all objects are one, or 2017. Default: the latest one with
      lists in `data_dir`.
    split: As `data.read_davis` takes it.
    resolution: As `data.read_davis` takes it.
    sequences: Names of the sequences to track. Default: all of the split.
    max_frames: Only so many frames of each are tracked. Default: all.
    color_failure: Whether to also measure if tracking fails where colorization
      fails. The tracker must be a `LabelPropagator`. It takes twice the time.
    frames_of: Returns what the tracker gets as the frames of a sequence.
      Default: its frames.

  Returns:
    As `score`; with `color_failure`, also what `color_failure.analyze` returns
    as 'color_failure'.

  Raises:
    UserError: As `data.read_scorable`; or `color_failure` is set, and the
      tracker is no `LabelPropagator` or the layout is not that of DAVIS.
  """
  is_propagator = isinstance(tracker, propagation.LabelPropagator)
  if color_failure and not is_propagator:
    raise errors.UserError(
        '--color_failure is for networks: leave it out, or give no --baseline'
    )
  year = year or data.latest_year(data_dir)
  chosen = data.read_scorable(
      data_dir,
      year=year,
      split=split,
      resolution=resolution,
      sparse=True,
      names=sequences,
      max_frames=max_frames,
  )
  if color_failure and chosen[0].annotated is not None:
    raise errors.UserError('--color_failure is for DAVIS: leave it out')
  total = sum(len(sequence.frames) for sequence in chosen)
  with folders.predictions_dir(output_dir) as predictions_dir:
    with tqdm.tqdm(total=total, unit='frame') as progress:
      for sequence in chosen:
        progress.set_postfix_str(sequence.name)
        tracked = _track(tracker, frames_of(sequence), sequence.starts)
        paths = _paths(predictions_dir, sequence)
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        for path, mask in zip(paths, tracked, strict=True):
          masks.write_png(path, mask)
          progress.update()
    results = _score(predictions_dir, data_dir, output_dir, year, chosen)
  if color_failure and results and is_propagator:
    results['color_failure'] = color_failure_lib.analyze(
        tracker, chosen, results['per_sequence'], frames_of=frames_of
    )
  return results | _part(sequences, max_frames)


def score(
    predictions_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    year: int | None = None,
    split: str = 'val',
    resolution: str = '480p',
    sequences: Sequence[str] = (),
    max_frames: int | None = None,
) -> Results:
  """Scores masks by J and F, exactly as the official toolkit.

  In the layout of YouTube-VOS, an object is scored in every frame with a true
  mask after the one that it starts in.

  Args:
    predictions_dir: Folder of <sequence>/<frame>.png. Those of frames that are
      not scored, as the first and the last one, are not read.
    data_dir: As `evaluate` takes it.
    output_dir: Folder for videos of the best and the worst sequences.
    year: As `evaluate` takes it.
    split: As `data.read_davis` takes it.
    resolution: As `data.read_davis` takes it.
    sequences: Names of the sequences to score. Default: all of the split.
    max_frames: Only so many frames of each are scored. Default: all.

  Returns:
    As `score_tracker`. Also 'year'; 'part', which names the given sequences and
    number of frames; 'j_by_attribute' if the list of attributes,
    Annotations/db_info.yml, is there; and 'media', which maps the videos that
    were written to their captions. Nothing if the data holds only first masks,
    as test-dev does.

  Raises:
    UserError: As `data.read_scorable`; or a prediction is missing, unreadable,
      of another size, or has more objects than the first mask.
  """
  year = year or data.latest_year(data_dir)
  chosen = data.read_scorable(
      data_dir,
      year=year,
      split=split,
      resolution=resolution,
      sparse=True,
      names=sequences,
      max_frames=max_frames,
  )
  predictions_dir = pathlib.Path(predictions_dir)
  results = _score(predictions_dir, data_dir, output_dir, year, chosen)
  return results | _part(sequences, max_frames)


def sections(
    results: Results, output_dir: str | os.PathLike[str]
) -> list[report.Section]:
  """Draws plots and returns the sections of a report.

  Args:
    results: Results of `evaluate` or `score`.
    output_dir: Folder of the report, for the plots.
  """
  if 'overall' not in results:
    return [report.Section('No scores: only first masks are given')]
  output_dir = pathlib.Path(output_dir)
  videos = results.get('media', {}).items()
  result = [
      report.Section(
          f'Objects, on DAVIS {results["year"]}',
          'J is the overlap of the tracked and the true mask, F the agreement'
          ' of their outlines. Recall is the fraction of frames above 0.5.'
          ' Decay is the mean of the first quarter of the frames minus that of'
          ' the last. First and last frame are left out.',
          table=report.Table(
              {f'{len(results["per_object"])} objects': results['overall']},
              'Means over objects',
              row_header='mean of',
          ),
          media=_draw_plots(results, output_dir),
      ),
      report.Section(
          'Best and worst', media=[report.Media(*item) for item in videos]
      ),
      report.Section(
          'Sequence by sequence',
          table=report.Table(
              {
                  name: {key: row[key] for key in ('J&F', 'J_mean', 'F_mean')}
                  for name, row in results['per_sequence'].items()
              },
              'Means over the objects of a sequence',
          ),
      ),
      report.Section(
          'Object by object',
          table=report.Table(
              results['per_object'],
              'The number is that of the object in the masks',
              row_header='object',
          ),
      ),
  ]
  if 'color_failure' in results:
    result.append(color_failure_lib.section(results, output_dir))
  return result


def track_and_score(
    tracker: tracking.MaskTracker,
    frames: Iterable[Any],
    true_masks: metrics.Masks,
) -> tuple[list[masks.Mask], metrics.Scores]:
  """Tracks the objects of one video in memory, and scores every frame.

  Args:
    tracker: The tracker.
    frames: What the tracker takes as frames.
    true_masks: The mask of each frame. The tracker gets the first one.

  Returns:
    The tracked masks, and the scores of all frames. `Scores.counted` leaves out
    the first and the last frame, as DAVIS does.
  """
  tracked = list(tracker.track(frames, true_masks[0]))
  num_objects = int(masks.without_void(true_masks[0]).max())
  return tracked, metrics.score_masks(tracked, true_masks, num_objects)


def score_tracker(
    tracker: tracking.MaskTracker,
    sequences: Iterable[data.AnnotatedSequence],
    *,
    max_frames: int | None = None,
) -> Results:
  """Tracks sequences in memory and scores them, without any file.

  Args:
    tracker: The tracker.
    sequences: Sequences with all their masks.
    max_frames: Only so many frames of each sequence are tracked. Default: all.

  Returns:
    As `metrics.summarize`. Also 'per_sequence', with means over the objects of
    each and 'j_by_frame' from the second frame on; and 'j_by_frame', its mean
    over sequences.
  """
  scores = {}
  for sequence in sequences:
    _, every_frame = track_and_score(
        tracker, sequence.frames[:max_frames], sequence.masks[:max_frames]
    )
    scores[sequence.name] = every_frame.counted()
  return _summarize(scores)


def _part(sequences, max_frames) -> Results:
  """Returns results that say which part of the benchmark they are of."""
  parts = [', '.join(sequences)] if sequences else []
  if max_frames:
    parts.append(f'the first {max_frames} frames of each sequence')
  return {'part': '; '.join(parts)} if parts else {}


def _score(predictions_dir, data_dir, output_dir, year, sequences):
  unknown = [s.name for s in sequences if not s.true_frames]
  sequences = [s for s in sequences if s.true_frames]
  if not sequences:
    return {}
  if unknown:
    warnings.warn(
        'not scored, since only the masks that objects start with are given:'
        f' {", ".join(unknown)}',
        stacklevel=3,
    )
  attributes_file = pathlib.Path(data_dir) / 'Annotations' / 'db_info.yml'
  attributes = (
      analysis.read_attributes(attributes_file)
      if attributes_file.exists()
      else {}
  )
  predicted = {s.name: _predicted(predictions_dir, s, year) for s in sequences}
  scores = {
      s.name: _score_sequence(s, predicted[s.name])
      for s in tqdm.tqdm(sequences, desc='scoring', unit='sequence')
  }
  results = {'year': year, **_summarize(scores)}
  by_attribute = analysis.mean_by_attribute(
      {name: row['J_mean'] for name, row in results['per_sequence'].items()},
      attributes,
  )
  if by_attribute:
    results['j_by_attribute'] = by_attribute
  if output_dir is not None:
    j_and_f = {name: x['J&F'] for name, x in results['per_sequence'].items()}
    ranked = sorted(sequences, key=lambda s: j_and_f[s.name])
    results['media'] = _write_videos(ranked, predicted, output_dir)
  return results


def _track(tracker, frames, starts):
  """Yields masks. Objects that start in different frames are tracked apart."""
  if list(starts) == [0]:
    yield from tracker.track(frames, starts[0])
    return
  started = []
  empty = np.zeros_like(next(iter(starts.values())))
  for index in range(len(frames)):
    if index in starts:
      numbers = np.unique(np.append(starts[index], empty))
      first_mask = np.searchsorted(numbers, starts[index]).astype(np.uint8)
      started.append((numbers, tracker.track(frames[index:], first_mask)))
    mask = empty
    for numbers, tracked in started:
      found = numbers[next(tracked)]
      mask = np.where(found > 0, found, mask)
    yield mask


def _score_sequence(sequence, predicted):
  """Returns scores by object and frame, from the second frame on."""
  frames = list(sequence.true_frames)
  truth = lazy_sequence.LazySequence(frames, sequence.true_mask)
  scores = metrics.score_masks(predicted, truth, sequence.num_objects)
  if sequence.annotated is None:
    return scores
  # NaN where there is no true mask, or the object has not started.
  every = np.full((2, len(scores.j), len(sequence.frames) - 1), np.nan)
  for start, mask in sequence.starts.items():
    later = [i for i, frame in enumerate(frames) if frame > start]
    columns = [frames[i] - 1 for i in later]
    for row in np.unique(mask[mask > 0]) - 1:
      every[:, row, columns] = np.stack(scores)[:, row, later]
  return metrics.Scores(*every)


def _summarize(scores: Mapping[str, metrics.Scores]) -> Results:
  results = metrics.summarize(scores)
  by_frame = {
      name: analysis.mean_by_frame(list(x.j)) for name, x in scores.items()
  }
  results['per_sequence'] = {
      name: _means(x) | {'j_by_frame': by_frame[name].tolist()}
      for name, x in scores.items()
  }
  results['j_by_frame'] = analysis.mean_by_frame(
      list(by_frame.values())
  ).tolist()
  return results


def _means(scores):
  """Returns the means over the objects of a sequence."""
  rows = metrics.summarize({'': scores})['overall']
  return {name: rows[name] for name in ('J_mean', 'F_mean', 'J&F')}


def _paths(predictions_dir, sequence):
  folder = predictions_dir / sequence.name
  return [folder / f'{name}.png' for name in sequence.frame_names]


def _predicted(predictions_dir, sequence, year):
  """Returns the masks of the frames that count, which are read on access."""
  folder = predictions_dir / sequence.name
  written = {path.stem: path for path in files.visible(folder, ('.png',))}
  paths = _paths(predictions_dir, sequence)
  paths = [paths[index] for index in sequence.true_frames]
  paths = [written.get(path.stem, path) for path in paths]
  for path in paths:
    if not path.exists():
      raise errors.UserError(
          f'no prediction {path}: write a mask for every frame between the'
          f' first and the last of {sequence.name}'
      )
  return lazy_sequence.LazySequence(
      paths,
      functools.partial(
          _read_prediction,
          shape=sequence.masks[0].shape,
          num_objects=sequence.num_objects,
          one_object=year == 2016,
          coding=masks.common_coding(paths),
      ),
  )


def _read_prediction(path, *, shape, num_objects, **reading):
  mask = masks.read(path, **reading)
  if mask.shape != shape:
    size = lambda shape: f'{shape[1]}x{shape[0]}'
    raise errors.UserError(
        f'{path} is {size(mask.shape)} but its true mask is {size(shape)}:'
        ' write it at that size'
    )
  if mask.max() > num_objects:
    raise errors.UserError(
        f'{path} has an object {mask.max()}, but the first true mask has'
        f' {num_objects}: number the objects as there'
    )
  return mask


def _write_videos(ranked, predicted, output_dir):
  """Writes videos of the best and worst sequences; returns their captions."""
  titles = {}
  for sequence in ranked[-_NUM_VIDEOS:][::-1]:
    titles[sequence.name] = f'Among the best: {sequence.name}.'
  for sequence in ranked[:_NUM_VIDEOS]:
    titles.setdefault(sequence.name, f'Among the worst: {sequence.name}.')
  by_name = {sequence.name: sequence for sequence in ranked}
  for name in titles:
    mp4.write(
        pathlib.Path(output_dir) / f'{name}.mp4',
        _draw_video(by_name[name], predicted[name]),
        _VIDEO_RATE,
    )
  return {f'{name}.mp4': caption for name, caption in titles.items()}


def _draw_video(
    sequence: data.AnnotatedSequence, predicted: Sequence[masks.Mask]
) -> Iterator[np.ndarray]:
  """Yields the frames that count, with the true mask beside the predicted."""
  for index, mask in zip(sequence.true_frames, predicted, strict=True):
    frame, pair = sequence.frames[index], (sequence.true_mask(index), mask)
    size = round(frame.shape[1] * _VIDEO_HEIGHT / len(frame)), _VIDEO_HEIGHT
    frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    panels = [
        overlay.draw_masks(
            frame, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        )
        for mask in pair
    ]
    yield panels_lib.hstack(panels, ['true mask', 'tracked'])


def _draw_plots(results, output_dir):
  """Draws J by frame, and by attribute where there is a list of them."""
  plots.j_by_frame(
      # The first frame's mask is given.
      {'tracked': np.array([np.nan, *results['j_by_frame']])},
      output_dir / 'j_by_frame.png',
  )
  media = [
      report.Media(
          'j_by_frame.png',
          'Mean J by frame number, over the sequences that are that long.',
      )
  ]
  if 'j_by_attribute' in results:
    plots.bars(
        {'tracked': results['j_by_attribute']},
        output_dir / 'j_by_attribute.png',
        xlabel='mean J',
    )
    media.append(
        report.Media(
            'j_by_attribute.png',
            'Mean J over the sequences that DAVIS gives an attribute, such as'
            ' occlusion (OCC) or fast motion (FM).',
        )
    )
  return media
