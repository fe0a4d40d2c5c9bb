"""DAVIS 2016 and 2017: objects followed from the first frame's mask.

Scored by J and F. Predictions are written as the benchmark's submissions are,
<sequence>/<frame>.png with DAVIS's palette, and scored from these files: those
of any other method can be scored too.
"""

from collections.abc import Callable, Iterable, Sequence
import functools
import os
import pathlib
from typing import Any

import cv2
import numpy as np
import tqdm

from vidcolor import errors
from vidcolor import lazy_sequence
from vidcolor import masks
from vidcolor.benchmarks.davis import analysis
from vidcolor.benchmarks.davis import data
from vidcolor.benchmarks.davis import metrics
from vidcolor.render import overlay
from vidcolor.render import plots
from vidcolor.render import report
from vidcolor.video import mp4

_FILM_RATE = 24.0  # Frames a second.
_FILM_HEIGHT = 240
_NUM_FILMS = 2  # Of the best, and of the worst.

Results = dict[str, Any]
Sections = list[report.Section]


def evaluate(
    tracker: Any,
    data_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    year: int,
    split: str = 'val',
    frames_of: Callable[
        [data.AnnotatedSequence], Iterable[Any]
    ] = lambda sequence: sequence.frames,
) -> tuple[Results, Sections]:
  """Tracks the objects of a split, and scores them as `score` does.

  Args:
    tracker: Has `track(frames, first_mask)`, which yields masks.
    data_dir: As `sequences.read_davis` takes it.
    output_dir: Folder to write to: the masks to predictions/.
    year: 2016, where all objects are one, or 2017.
    split: As `sequences.read_davis` takes it.
    frames_of: What the tracker is fed for a sequence: its frames, or features
      that were computed elsewhere.

  Returns:
    As `score`.

  Raises:
    UserError: as `read`.
  """
  sequences = read(data_dir, year=year, split=split)
  predictions_dir = pathlib.Path(output_dir) / 'predictions'
  total = sum(len(sequence.frames) for sequence in sequences)
  with tqdm.tqdm(total=total, unit='frame') as progress:
    for sequence in sequences:
      progress.set_postfix_str(sequence.name)
      tracked = tracker.track(frames_of(sequence), sequence.masks[0])
      paths = _paths(predictions_dir, sequence)
      paths[0].parent.mkdir(parents=True, exist_ok=True)
      for path, mask in zip(paths, tracked, strict=True):
        masks.write(path, mask)
        progress.update()
  return _score(predictions_dir, data_dir, output_dir, year, sequences)


def score(
    predictions_dir: str | os.PathLike,
    data_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    year: int,
    split: str = 'val',
) -> tuple[Results, Sections]:
  """Scores masks by J and F, exactly as the official toolkit.

  Args:
    predictions_dir: Folder of <sequence>/<frame>.png. Those of first and last
      frames are not read.
    data_dir: As `sequences.read_davis` takes it.
    output_dir: Folder to write films of the best and worst sequences and
      figures to.
    year: As `evaluate` takes it.
    split: As `sequences.read_davis` takes it.

  Returns:
    As `evaluation.davis.summarize`; likewise 'per_sequence', means over its
    objects, with 'j_by_frame' from the second frame on; 'j_by_frame', the mean
    of that over sequences; and 'j_by_attribute' where DAVIS's list of
    attributes, Annotations/db_info.yml, is there. Nothing if there are no more
    than first masks, as in test-dev. Then the sections of a report.

  Raises:
    UserError: as `read`, or a prediction is missing or
      unreadable, of another size, or with more objects than the first mask.
  """
  sequences = read(data_dir, year=year, split=split)
  return _score(predictions_dir, data_dir, output_dir, year, sequences)


def read(
    data_dir: str | os.PathLike,
    *,
    year: int | None = None,
    split: str = 'val',
) -> list[data.AnnotatedSequence]:
  """Reads the sequences as `sequences.read_davis`, those that can be scored.

  Raises:
    UserError: as `sequences.read_davis`; or a sequence has fewer than three
      frames, or a first mask without objects; or some sequences have all their
      masks and others only the first.
  """
  sequences = data.read_davis(data_dir, year=year, split=split)
  for sequence in sequences:
    if len(sequence.frames) < 3:
      raise errors.UserError(
          f'{sequence.name} has {len(sequence.frames)} frames; first and last'
          ' do not count: take it off the list'
      )
    if not _num_objects(sequence):
      raise errors.UserError(
          f'the first mask of {sequence.name} has no object: take it off the'
          ' list'
      )
    if (len(sequence.masks) == 1) != (len(sequences[0].masks) == 1):
      raise errors.UserError(
          f'only one of {sequences[0].name} and {sequence.name} has more than a'
          ' first mask: restore the others, or list them apart'
      )
  return sequences


def _score(predictions_dir, data_dir, output_dir, year, sequences):
  if len(sequences[0].masks) == 1:
    return {}, [report.Section('No figures: only first masks are given')]
  attributes = _attributes(data_dir, sequences)
  predictions_dir = pathlib.Path(predictions_dir)
  predicted = {s.name: _predicted(predictions_dir, s, year) for s in sequences}
  scores = {}
  for s in tqdm.tqdm(sequences, desc='scoring', unit='sequence'):
    truth = s.masks[1:-1]
    scores[s.name] = metrics.score(predicted[s.name], truth, _num_objects(s))
  results = metrics.summarize(scores)
  results['per_sequence'] = {
      name: {
          'J_mean': float(x.j.mean()),
          'F_mean': float(x.f.mean()),
          'J&F': float(np.mean(x)),
          'j_by_frame': x.j.mean(axis=0).tolist(),
      }
      for name, x in scores.items()
  }
  results['j_by_frame'] = analysis.mean_by_frame(
      [x.j.mean(axis=0) for x in scores.values()]
  ).tolist()
  by_attribute = analysis.mean_by_attribute(
      {name: row['J_mean'] for name, row in results['per_sequence'].items()},
      attributes,
  )
  if by_attribute:
    results['j_by_attribute'] = by_attribute
  ranked = sorted(sequences, key=lambda s: np.mean(scores[s.name]))
  films = _write_films(ranked, predicted, output_dir)
  return results, _sections(results, films, pathlib.Path(output_dir), year)


def _attributes(data_dir, sequences):
  """By sequence: from DAVIS's list of them, or as the dataset holds them."""
  path = pathlib.Path(data_dir) / 'Annotations' / 'db_info.yml'
  if path.exists():
    return analysis.read_attributes(path)
  return {sequence.name: sequence.attributes for sequence in sequences}


def _num_objects(sequence):
  return int(masks.without_void(sequence.masks[0]).max())


def _paths(predictions_dir, sequence):
  folder = predictions_dir / sequence.name
  return [folder / f'{name}.png' for name in sequence.frame_names]


def _predicted(predictions_dir, sequence, year):
  """The masks of the frames that count, read when asked for."""
  paths = _paths(predictions_dir, sequence)[1:-1]
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
          num_objects=_num_objects(sequence),
          one_object=year == 2016,
      ),
  )


def _read_prediction(path, *, shape, num_objects, one_object):
  mask = masks.read(path, one_object=one_object)
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


def _write_films(ranked, predicted, output_dir):
  """Films of the worst and best sequences, and what they show."""
  titles = {}
  for sequence in ranked[-_NUM_FILMS:][::-1]:
    titles[sequence.name] = f'Among the best: {sequence.name}.'
  for sequence in ranked[:_NUM_FILMS]:
    titles.setdefault(sequence.name, f'Among the worst: {sequence.name}.')
  by_name = {sequence.name: sequence for sequence in ranked}
  for name in titles:
    mp4.write(
        pathlib.Path(output_dir) / f'{name}.mp4',
        _film(by_name[name], predicted[name]),
        _FILM_RATE,
    )
  return [report.Media(f'{name}.mp4', text) for name, text in titles.items()]


def _film(sequence: data.AnnotatedSequence, predicted: Sequence):
  """The true masks beside the predicted ones, of the frames that count."""
  triples = zip(
      sequence.frames[1:-1], sequence.masks[1:-1], predicted, strict=True
  )
  for frame, *pair in triples:
    size = round(frame.shape[1] * _FILM_HEIGHT / len(frame)), _FILM_HEIGHT
    frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    panels = [
        overlay.draw_masks(
            frame, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        )
        for mask in pair
    ]
    yield overlay.side_by_side(panels, ['true mask', 'tracked'])


def _sections(results, films, output_dir, year):
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
  return [
      report.Section(
          f'Objects, on DAVIS {year}',
          'J is the overlap of the tracked and the true mask, F the agreement'
          ' of their outlines. Recall is the fraction of frames above 0.5;'
          ' decay is the mean of the first quarter of the frames less that of'
          ' the last. First and last frame are left out.',
          table=report.Table(
              {f'{len(results["per_object"])} objects': results['overall']},
              'Means over objects',
              row_header='mean of',
          ),
          media=media,
      ),
      report.Section('Best and worst', media=films),
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
