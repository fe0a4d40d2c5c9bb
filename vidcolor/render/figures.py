"""Figures: curves as PNG files, and frames laid out as pictures."""

from collections.abc import Mapping, Sequence
import os

from jaxtyping import Float, Num, UInt8
from matplotlib import figure
import numpy as np

from vidcolor import files
from vidcolor.render import overlay

# Okabe and Ito's colours, which the colour-blind can tell apart.
_COLOURS = (
    '#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#000000'
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
    rows.append(np.full_like(rows[-1][:4], 255))
  return np.vstack(rows[:-1])


def film_strip(
    frames: Sequence[np.ndarray] | UInt8[np.ndarray, 'time height width 3'],
    count: int,
) -> UInt8[np.ndarray, 'rows columns 3']:
  """Sets `count` evenly spaced frames, first and last among them, in a row."""
  chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
  return overlay.side_by_side([frames[index] for index in chosen])


def _axes(xlabel, ylabel):
  # Not pyplot, which would keep every figure it made.
  axes = figure.Figure((6.4, 3.6), layout='constrained').add_subplot()
  axes.set_prop_cycle(color=_COLOURS)
  axes.set_xlabel(xlabel)
  axes.set_ylabel(ylabel)
  axes.grid(color='0.9')
  axes.spines[['top', 'right']].set_visible(False)
  return axes


def _add_legend(axes):
  # Above the plot, where it hides no curve.
  axes.figure.legend(
      frameon=False, loc='outside upper left', ncols=4, fontsize='small'
  )


def _save(axes, path):
  with files.written_whole(path) as temporary:
    axes.figure.savefig(temporary, format='png', dpi=150)
