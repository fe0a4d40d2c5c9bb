"""Figures: plots as PNG files, and frames laid out as pictures."""

from collections.abc import Mapping, Sequence
import os

from jaxtyping import Float, Num, UInt8
from matplotlib import figure
from matplotlib import transforms
import numpy as np

from vidcolor import files
from vidcolor.render import overlay
from vidcolor.tracking import calibration

# Okabe and Ito's colours, which the colour-blind can tell apart.
_COLOURS = (
    '#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#000000'
)  # fmt: skip

# Where a label goes from its point, the first that is free: right and up are 1.
_DIRECTIONS = (
    (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)
)  # fmt: skip


def loss_curve(
    steps: Num[np.ndarray, ' steps'],
    losses: Float[np.ndarray, ' steps'],
    path: str | os.PathLike,
    *,
    label: str = 'loss',
) -> None:
  """Draws a loss against training steps, with its running mean.

  Args:
    steps: Where the losses were taken.
    losses: One at each of them.
    path: PNG file to write; it is there only once complete.
    label: What the loss is, and its unit.
  """
  axes = _axes(xlabel='training step', ylabel=label)
  axes.plot(steps, losses, color=_COLOURS[0], alpha=0.3, linewidth=1)
  # A mean over a twentieth of the curve, shorter towards its ends.
  half = len(losses) // 40
  sums = np.cumsum(np.concatenate([[0.0], losses]))
  index = np.arange(len(losses))
  low = np.maximum(index - half, 0)
  high = np.minimum(index + half + 1, len(losses))
  mean = (sums[high] - sums[low]) / (high - low)
  axes.plot(steps, mean, color=_COLOURS[0], label='running mean')
  _add_legend(axes)
  _save(axes, path)


def j_by_frame(
    curves: Mapping[str, Float[np.ndarray, ' frames']],
    path: str | os.PathLike,
) -> None:
  """Draws mean J against the frame's number, a curve for each method.

  Args:
    curves: By method's name.
    path: PNG file to write; it is there only once complete.
  """
  axes = _axes(xlabel='frame', ylabel='mean J')
  for name, values in curves.items():
    axes.plot(values, label=name)
  axes.set_ylim(0, 1.02)
  axes.set_xlim(left=0)
  _add_legend(axes)
  _save(axes, path)


def by_horizon(
    curves: Mapping[str, Sequence[float]],
    horizons: Sequence[int],
    path: str | os.PathLike,
    *,
    ylabel: str,
) -> None:
  """Draws a metric against how many frames ahead it is, a curve a method.

  Args:
    curves: By method's name; one may end before the last horizon.
    horizons: In frames, drawn on a logarithmic axis.
    path: PNG file to write; it is there only once complete.
    ylabel: What the metric is, and its unit.
  """
  axes = _axes(xlabel='frames ahead', ylabel=ylabel)
  for name, values in curves.items():
    axes.plot(horizons[: len(values)], values, marker='o', label=name)
  axes.set_xscale('log', base=2)
  axes.set_xticks(horizons, [str(horizon) for horizon in horizons])
  _add_legend(axes)
  _save(axes, path)


def scatter(
    x: Float[np.ndarray, ' points'],
    y: Float[np.ndarray, ' points'],
    labels: Sequence[str],
    path: str | os.PathLike,
    *,
    xlabel: str,
    ylabel: str,
    title: str = '',
) -> None:
  """Draws one quantity against another, such as two scores of each sequence.

  Args:
    x: Of each point; finite.
    y: Of each point; finite.
    labels: Of the points; one that has no room beside its point is left out.
    path: PNG file to write; it is there only once complete.
    xlabel: What `x` is, and its unit.
    ylabel: What `y` is, and its unit.
    title: Such as the correlation.
  """
  axes = _axes(xlabel, ylabel, (6.4, 4.8))
  axes.set_title(title, fontsize='medium')
  axes.scatter(x, y, s=16, color=_COLOURS[0])
  axes.margins(0.08)
  _label(axes, np.stack([x, y], axis=1), labels)
  _save(axes, path)


def reliability(
    curves: Mapping[str, calibration.Reliability], path: str | os.PathLike
) -> None:
  """Draws how often what is so sure is right; the diagonal is as it should be.

  Args:
    curves: By name; each is drawn with its expected calibration error.
    path: PNG file to write; it is there only once complete.
  """
  axes = _axes(xlabel='confidence', ylabel='share that is right', size=(4, 4))
  axes.plot([0, 1], [0, 1], color='0.7', linestyle='--')
  for name, curve in curves.items():
    label = f'{name} (error {curve.error:.3f})'
    axes.plot(curve.confidence, curve.accuracy, marker='o', label=label)
  axes.set_xlim(0, 1.02)
  axes.set_ylim(0, 1.02)
  _add_legend(axes)
  _save(axes, path)


def bars(
    scores: Mapping[str, Mapping[str, float]],
    path: str | os.PathLike,
    *,
    xlabel: str,
) -> None:
  """Draws groups of horizontal bars, such as scores by attribute of a video.

  Args:
    scores: By method's name: by group's name, from the top. A group that a
      method lacks has no bar of it.
    path: PNG file to write; it is there only once complete.
    xlabel: What the scores are, and their unit.
  """
  groups = list(dict.fromkeys(g for row in scores.values() for g in row))
  thickness = 0.8 / len(scores)
  inches = 1 + len(groups) * (0.1 + 0.14 * len(scores))
  axes = _axes(xlabel, '', (6.4, inches))
  axes.grid(visible=False, axis='y')
  for index, (name, row) in enumerate(scores.items()):
    places = np.arange(len(groups)) + thickness * (index - len(scores) / 2)
    values = [row.get(group, np.nan) for group in groups]
    axes.barh(places, values, thickness, align='edge', label=name)
  axes.set_yticks(range(len(groups)), groups, parse_math=False)
  axes.set_ylim(len(groups) - 0.5, -0.5)
  _add_legend(axes)
  _save(axes, path)


def color_grid(
    columns: Mapping[str, UInt8[np.ndarray, 'samples height width 3']],
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Lays samples out in rows, such as grey, true and copied colours of each.

  Args:
    columns: By title, from left to right: a picture for each sample.

  Returns:
    The picture of all.
  """
  titles = list(columns)
  rows = []
  for panels in zip(*columns.values(), strict=True):
    rows.append(overlay.side_by_side(panels, titles))
    titles = None  # Only above the first row.
  return overlay.stacked(rows)


def film_strip(
    frames: Sequence[np.ndarray] | UInt8[np.ndarray, 'time height width 3'],
    count: int,
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Sets `count` evenly spaced frames, first and last among them, in a row."""
  chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
  return overlay.side_by_side([frames[index] for index in chosen])


def _axes(xlabel, ylabel, size=(6.4, 3.6)):
  # Not pyplot, which would keep every figure it made.
  axes = figure.Figure(size, layout='constrained').add_subplot()
  axes.set_prop_cycle(color=_COLOURS)
  axes.set_xlabel(xlabel)
  axes.set_ylabel(ylabel)
  axes.grid(color='0.9')
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  return axes


def _label(axes, points, labels):
  """Sets each label where it hides no point and no other label."""
  axes.figure.draw_without_rendering()  # Places are known once laid out.
  taken = [
      transforms.Bbox.from_bounds(x - 2, y - 2, 4, 4)
      for x, y in axes.transData.transform(points)
  ]
  for point, label in zip(points, labels, strict=True):
    for dx, dy in _DIRECTIONS:
      text = axes.annotate(
          label,
          point,
          xytext=(4 * dx, 4 * dy),
          textcoords='offset points',
          ha=('center', 'left', 'right')[dx],
          va=('center', 'bottom', 'top')[dy],
          fontsize='x-small',
          parse_math=False,
      )
      box = text.get_window_extent()
      inside = axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1
      if inside and not box.count_overlaps(taken):
        taken.append(box)
        break
      text.remove()


def _add_legend(axes):
  # Above the plot, where it hides no curve.
  axes.figure.legend(
      frameon=False, loc='outside upper left', ncols=4, fontsize='small'
  )


def _save(axes, path):
  with files.atomic_write(path) as temporary:
    axes.figure.savefig(temporary, format='png', dpi=150)
