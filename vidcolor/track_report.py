"""Writes the page of what was tracked: one file to look at or to send."""

from collections.abc import Mapping
import pathlib
from typing import Any

import numpy as np

from vidcolor import video_tracker
from vidcolor.render import confidence_strip
from vidcolor.render import panels
from vidcolor.render import report

_MAX_ROWS = 60  # Of the picture of confidence.
_MAX_RUNS = 4  # Of lost frames, in a cell of the table.
_CONFIDENCE = 'confidence.png'


def write_report(
    output_dir: pathlib.Path,
    summary: Mapping[str, Any],
    result: video_tracker.TrackResult,
) -> None:
  """Writes confidence.png and report.html.

  Args:
    output_dir: The folder of the results, with overlay.mp4 and strip.jpg.
    summary: What `track_output.write_tracking` returns.
    result: What was tracked.
  """
  followed = summary['followed']
  shown = slice(_MAX_ROWS)
  picture = confidence_strip.draw_confidence(
      result.confidence[:, shown].clip(0, 1),
      result.visible[:, shown],
      result.begins[shown].tolist(),
      marked={},
      names=list(followed)[shown] if len(followed) > 1 else (),
  )
  panels.write_picture(output_dir / _CONFIDENCE, picture)
  left_out = max(0, len(followed) - _MAX_ROWS)
  sections = [
      report.film_section(
          output_dir, 'overlay.mp4', 'What was tracked', _text(summary)
      ),
      report.Section(
          'Confidence over time',
          'The higher, the surer. Red: likely lost.'
          + f' {left_out} more are not drawn.' * bool(left_out),
          table=report.Table(
              {name: _row(track, summary) for name, track in followed.items()},
              'Each object or point',
              row_header='name',
          ),
          media=[
              report.Media(_CONFIDENCE, 'Confidence, from the first frame on'),
              report.Media('strip.jpg', 'Stills'),
          ],
      ),
  ]
  name = pathlib.Path(summary['video']).name
  report.write_page(
      output_dir / 'report.html', title=f'Tracked: {name}', sections=sections
  )


def _text(summary):
  text = (
      f'{summary["frames"]} frames of {summary["width"]} x {summary["height"]}.'
  )
  return f'{text} {summary["fault"]}.' if summary['fault'] else text


def _row(track, summary):
  runs = [
      _times(first, last, summary['frames_per_second'])
      for first, last in track['lost_frames']
  ]
  more = len(runs) - _MAX_RUNS
  return {
      'share of frames that show it': track['visible'],
      'mean confidence': track['mean_confidence'],
      'likely lost, in seconds': ', '.join(runs[:_MAX_RUNS])
      + f' and {more} times more' * (more > 0),
  }


def _times(first, last, rate):
  first, last = np.array([first, last]) / (rate or 1)
  return f'{first:.1f} to {last:.1f}' if last > first else f'{first:.1f}'
