"""Measures whether tracking fails where colorization fails.

Vondrick et al. 2018, section 4.5, report that it does. Color errors can be
measured without annotations. If they predict tracking errors, they show in any
video which tracks are unreliable.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    sequences: Sequence[data.AnnotatedSequence],
    per_sequence: Mapping[str, Mapping[str, Any]],
    *,
    frames_of: Callable[
        [data.AnnotatedSequence], Iterable[Any]
    ] = lambda sequence: sequence.frames,
) -> dict[str, dict[str, float]]:
  """Copies the colors of first frames, and correlates their errors with J.

  Args:
    tracker: The label propagator whose masks were scored.
    sequences: The sequences that were tracked.
    per_sequence: Results of each sequence, with 'j_by_frame'.
    frames_of: Function from a sequence to the tracker's inputs, the same as for
      `run.evaluate`.

  Returns:
    For each correlation of `analysis.failure_correlation`: 'rho', and 'low' and
    'high' of its 95% confidence interval, NaN for too few sequences. Also
    'color_error', the mean error of each sequence.
  """
  color_errors, scores = {}, []
  for sequence in tqdm.tqdm(sequences, desc='colors', unit='sequence'):
    by_frame = color_error_by_frame(
        tracker, sequence.frames, inputs=frames_of(sequence)
    )
    color_errors[sequence.name] = by_frame[1:-1]
    scores.append(np.array(per_sequence[sequence.name]['j_by_frame']))
  correlations = analysis.failure_correlation(
      list(color_errors.values()), scores
  )
  return {
      **{key: value._asdict() for key, value in correlations.items()},
      'color_error': {
          name: float(error.mean()) for name, error in color_errors.items()
      },
  }


def section(
    results: Mapping[str, Any], output_dir: str | os.PathLike[str]
) -> report.Section:
  """Plots tracking errors over color errors, and returns a report section.

  Args:
    results: Results with 'per_sequence', and with 'color_failure' as `analyze`
      returns it.
    output_dir: Folder of the report, where the plot is written.
  """
  failure = results['color_failure']
  means = failure['color_error']
  described = {
      key: _describe(**value)
      for key, value in failure.items()
      if key != 'color_error'
  }
  plots.scatter(
      np.array(list(means.values())),
      np.array(
          [
              1 - np.mean(results['per_sequence'][name]['j_by_frame'])
              for name in means
          ]
      ),
      list(means),
      pathlib.Path(output_dir) / 'color_failure.png',
      xlabel='colorization failure: mean error in a and b',
      ylabel='tracking failure: 1 - mean J',
      title=f'Spearman’s {described["per_sequence"]}',
  )
  return report.Section(
      'Where colors fail',
      'The tracker copies the colors of the first frame in the same way as the'
      f' masks. By sequence, Spearman’s {described["per_sequence"]}. By frame,'
      f' {described["per_frame"]}. Both errors grow with time: with the frame'
      f' number held fixed, {described["per_frame_given_time"]}. The intervals'
      ' come from a bootstrap over the sequences, if there are at least five.',
      media=[report.Media('color_failure.png', 'A point is a sequence.')],
  )


def color_error_by_frame(
    tracker: propagation.LabelPropagator,
    frames: Iterable[color_propagation.Frame],
    *,
    inputs: Iterable[Any] | None = None,
) -> Float[np.ndarray, ' time']:
  """Copies the first frame's colors, and returns their error in each frame.

  Args:
    tracker: Label propagator, as for `color_propagation.propagate`.
    frames: RGB frames.
    inputs: Inputs of the tracker, as for `color_propagation.propagate`.

  Returns:
    `ab_error` of `colorization.metrics` in each frame; 0 in the first one.
  """
  errors = [
      colorization_metrics.ab_error(each.copied, each.true)
      for each in color_propagation.propagate(tracker, frames, inputs=inputs)
  ]
  return np.stack(errors)


def _describe(rho, low, high):
  interval = f', 95% interval {low:.2f} to {high:.2f}'
  return f'rho {rho:.2f}{"" if np.isnan(low) else interval}'
