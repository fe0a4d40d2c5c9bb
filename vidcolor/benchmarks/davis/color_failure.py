"""Does tracking fail where colorizing does (Vondrick et al. 2018, 4.5)?

Colours need no labels: if their failure foretells that of tracking, it tells
on any video where to distrust a track.
"""

from collections.abc import Callable, Iterable
import os
import pathlib
from typing import Any

from jaxtyping import Float
import numpy as np
import tqdm

from vidcolor.benchmarks.colorization import metrics as colorization_metrics
from vidcolor.benchmarks.davis import analysis
from vidcolor.benchmarks.davis import data
from vidcolor.render import plots
from vidcolor.render import report
from vidcolor.tracking import color_propagation
from vidcolor.tracking import propagation


def analyze(
    tracker: propagation.LabelPropagator,
    results: dict[str, Any],
    data_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    year: int,
    split: str = 'val',
    frames_of: Callable[
        [data.AnnotatedSequence], Iterable[Any]
    ] = lambda sequence: sequence.frames,
) -> tuple[dict[str, Any], report.Section]:
  """Copies the first frame's colours as the masks were, and compares.

  Args:
    tracker: The one that the results are of.
    results: Of `davis.evaluate`.
    data_dir: As `davis.evaluate` took it.
    output_dir: Folder to write the figure to.
    year: As `davis.evaluate` took it.
    split: As `davis.evaluate` took it.
    frames_of: As `davis.evaluate` took it.

  Returns:
    Under 'color_failure': those of `analysis.failure_correlation`, Spearman's
    rho of colour error and 1 - J and its 95% confidence interval (NaN where
    there are too few sequences for one), and 'color_error', the mean error by
    sequence; then a section of a report.
  """
  sequences = data.read_davis(data_dir, year=year, split=split)
  color_errors, scores = {}, {}
  for sequence in tqdm.tqdm(sequences, desc='colours', unit='sequence'):
    name = sequence.name
    by_frame = color_error_by_frame(
        tracker, sequence.frames, inputs=frames_of(sequence)
    )
    color_errors[name] = by_frame[1:-1]
    scores[name] = np.array(results['per_sequence'][name]['j_by_frame'])
  correlations = analysis.failure_correlation(
      list(color_errors.values()), list(scores.values())
  )
  means = {name: float(e.mean()) for name, e in color_errors.items()}
  described = {key: _describe(value) for key, value in correlations.items()}
  plots.scatter(
      np.array(list(means.values())),
      np.array([1 - j.mean() for j in scores.values()]),
      list(means),
      pathlib.Path(output_dir) / 'color_failure.png',
      xlabel='colorization failure: mean error in a and b',
      ylabel='tracking failure: 1 - mean J',
      title=f'Spearman’s {described["per_sequence"]}',
  )
  more = {key: value._asdict() for key, value in correlations.items()}
  section = report.Section(
      'Where colours fail',
      'The colours of the first frame are copied along as the masks are. By'
      f' sequence, Spearman’s {described["per_sequence"]}; by frame'
      f' {described["per_frame"]}. Both errors grow with time: with the number'
      f' of the frame held fixed, {described["per_frame_given_time"]}. The'
      ' interval, where sequences suffice for one, is a bootstrap over them.',
      media=[report.Media('color_failure.png', 'A point is a sequence.')],
  )
  return {'color_failure': {**more, 'color_error': means}}, section


def color_error_by_frame(
    tracker: propagation.LabelPropagator,
    frames: Iterable[color_propagation.Frame],
    *,
    inputs: Iterable[Any] | None = None,
) -> Float[np.ndarray, ' time']:
  """The error of the first frame's colours, copied to the frames after.

  Args:
    tracker: As `color_propagation.propagate` takes it.
    frames: RGB.
    inputs: As `color_propagation.propagate` takes them.

  Returns:
    `colorization_metrics.ab_error` of each frame; 0 for the first.
  """
  errors = [
      colorization_metrics.ab_error(each.copied, each.true)
      for each in color_propagation.propagate(tracker, frames, inputs=inputs)
  ]
  return np.stack(errors)


def _describe(correlation):
  rho, low, high = correlation
  interval = f', 95% interval {low:.2f} to {high:.2f}'
  return f'rho {rho:.2f}{"" if np.isnan(low) else interval}'
