"""Draws plots as PNG files."""

from collections.abc import Mapping, Sequence
import os

from jaxtyping import Float, Num
from matplotlib import figure
from matplotlib import transforms
import numpy as np

from vidcolor import files

# The palette of Okabe and Ito, which is safe for color-blind readers.
_COLORS = (
    '#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#000000'
)  # fmt: skip

# Places of a label around its point: (right, up). The first free one is used.
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
    steps: The step of each loss.
    losses: The losses.
    path: The PNG file to write.
    label: The name and unit of the loss.
  """
  axes = _axes(xlabel='training step', ylabel=label)
  axes.plot(steps, losses, color=_COLORS[0], alpha=0.3, linewidth=1)
  # The window is a twentieth of the curve, and shorter at its ends.
  half = len(losses) // 40
  sums = np.cumsum(np.concatenate([[0.0], losses]))
  index = np.arange(len(losses))
  low = np.maximum(index - half, 0)
  high = np.minimum(index + half + 1, len(losses))
  mean = (sums[high] - sums[low]) / (high - low)
  axes.plot(steps, mean, color=_COLORS[0], label='running mean')
  _add_legend(axes)
  _save(axes, path)


def j_by_frame(
    curves: Mapping[str, Float[np.ndarray, ' frames']],
    path: str | os.PathLike,
) -> None:
  """Draws mean J against the frame number, one curve per method.

  Args:
    curves: The mean J of each frame, by the name of the method.
    path: The PNG file to write.
  """
  axes = _axes(xlabel='frame', ylabel='mean J')
  for name, values in curves.items():
    axes.plot(values, label=name)
  axes.set_ylim(0, 1.02)
  axes.set_xlim(left=0)
  _add_legend(axes)
  _save(axes, path)


def by_step(
    steps: Num[np.ndarray, ' steps'],
    curves: Mapping[str, Float[np.ndarray, ' steps']],
    path: str | os.PathLike,
) -> None:
  """Draws metrics in [0, 1] against training steps, one curve per metric.

  Args:
    steps: Training steps. They are drawn at equal distances.
    curves: The values of each metric, by its name.
    path: The PNG file to write.
  """
  axes = _axes(xlabel='training step', ylabel='J, or accuracy')
  places = np.arange(len(steps))
  for name, values in curves.items():
    axes.plot(places, values, marker='o', markersize=4, label=name)
  axes.set_xticks(places, [f'{step:,}' for step in steps])
  axes.set_ylim(0, 1)
  _add_legend(axes)
  _save(axes, path)


def by_horizon(
    curves: Mapping[str, Sequence[float]],
    horizons: Sequence[int],
    path: str | os.PathLike,
    *,
    ylabel: str,
) -> None:
  """Draws a metric against the horizon, one curve per method.

  Args:
    curves: The metric at each horizon, by the name of the method. A curve may
      end before the last horizon.
    horizons: The numbers of frames ahead. Their axis is logarithmic.
    path: The PNG file to write.
    ylabel: The name and unit of the metric.
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
  """Draws a scatter plot, such as two metrics of each sequence.

  Args:
    x: The finite x value of each point.
    y: The finite y value of each point.
    labels: The label of each point. A label without room is left out.
    path: The PNG file to write.
    xlabel: The name and unit of `x`.
    ylabel: The name and unit of `y`.
    title: The title, such as the correlation.
  """
  axes = _axes(xlabel, ylabel, (6.4, 4.8))
  axes.set_title(title, fontsize='medium')
  axes.scatter(x, y, s=16, color=_COLORS[0])
  axes.margins(0.08)
  _label(axes, np.stack([x, y], axis=1), labels)
  _save(axes, path)


def reliability_diagram(
    curves: Mapping[
        str, tuple[Float[np.ndarray, ' bins'], Float[np.ndarray, ' bins']]
    ],
    path: str | os.PathLike,
) -> None:
  """Draws accuracy against confidence, and the diagonal of perfect calibration.

  Args:
    curves: By name: the mean confidence and the accuracy of each bin, in 0 to
      1. NaN for empty bins.
    path: PNG file to write, in one atomic step.
  """
  axes = _axes(xlabel='confidence', ylabel='accuracy', size=(4, 4))
  axes.plot([0, 1], [0, 1], color='0.7', linestyle='--')
  for name, (confidence, accuracy) in curves.items():
    axes.plot(confidence, accuracy, marker='o', label=name)
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
  """Draws groups of horizontal bars, such as a metric by video attribute.

  Args:
    scores: The metric, by the name of the method and by that of the group.
      Groups go from top to bottom. A method may lack a group.
    path: The PNG file to write.
    xlabel: The name and unit of the metric.
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


def _axes(xlabel, ylabel, size=(6.4, 3.6)):
  # pyplot is not used: it would keep every plot in memory.
  axes = figure.Figure(size, layout='constrained').add_subplot()
  axes.set_prop_cycle(color=_COLORS)
  axes.set_xlabel(xlabel)
  axes.set_ylabel(ylabel)
  axes.grid(color='0.9')
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  return axes


def _label(axes, points, labels):
  """Puts each label where it hides no point and no other label."""
  axes.figure.draw_without_rendering()  # Computes the places of the points.
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
  # Above the axes it hides no curve.
  axes.figure.legend(
      frameon=False, loc='outside upper left', ncols=4, fontsize='small'
  )


def _save(axes, path):
  with files.atomic_write(path) as temporary:
    axes.figure.savefig(temporary, format='png', dpi=150)
