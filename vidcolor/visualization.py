"""Shows what a network sees in a video, as films of panels side by side.

`show_embeddings`, `show_affinity` and `show_colors` yield the panels of each
frame. They read the video once, one frame at a time.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
import itertools
import os
import pathlib
from typing import NamedTuple

import cv2
from jaxtyping import Array, Float, UInt8
import numpy as np

from vidcolor import files
from vidcolor.render import heat
from vidcolor.render import panels as panels_lib
from vidcolor.render import pca
from vidcolor.render import report
from vidcolor.tracking import affinity as affinity_lib
from vidcolor.tracking import color_propagation
from vidcolor.tracking import propagation
from vidcolor.video import mp4
from vidcolor.video import video_source

FILMS = ('embeddings', 'affinity', 'colors')

_STRIP_FRAMES = 6
_STRIP_HEIGHT = 135  # Pixels of each frame.

Frame = UInt8[np.ndarray, 'height width 3']
Embed = Callable[[Frame], Float[Array, 'rows columns dim']]


class PanelFrame(NamedTuple):
  """One frame of a film of panels.

  Attributes:
    seconds: The time of the frame in the video.
    panels: Pictures of one size, by title.
  """

  seconds: float
  panels: Mapping[str, Frame]


def show_embeddings(
    embed: Embed,
    video: Iterable[video_source.VideoFrame],
    basis: pca.Basis,
) -> Iterator[PanelFrame]:
  """Yields each frame and the principal components of its embeddings as colors.

  Args:
    embed: Embeds a frame.
    video: The frames.
    basis: `pca.fit_basis` of the embeddings of the whole video.
  """
  for frame in video:
    colors = pca.to_colors(embed(frame.rgb), basis)
    height, width = frame.rgb.shape[:2]
    colors = cv2.resize(colors, (width, height), interpolation=cv2.INTER_CUBIC)
    yield PanelFrame(
        frame.seconds,
        {'frame': frame.rgb, 'embeddings, first 3 components': colors},
    )


def show_affinity(
    embed: Embed,
    video: Iterable[video_source.VideoFrame],
    query: Frame,
    points: Float[np.ndarray, 'points 2'],
    temperature: float,
) -> Iterator[PanelFrame]:
  """Yields a heat map per query point: where each frame matches the point.

  Maps of different frames are comparable. Their unit is the point's affinity
  with itself in the query frame.

  Args:
    embed: Embeds a frame.
    video: The frames.
    query: The frame of the points.
    points: (x, y) in pixels, inside the frame.
    temperature: The softmax temperature of the copy operation.
  """
  size = query.shape[:2]
  queries = affinity_lib.at_points(embed(query), points, size)
  match = lambda frame: affinity_lib.match(
      queries, embed(frame), size, temperature
  )
  unit = match(query).affinity.max(axis=(1, 2), keepdims=True)
  marked = heat.mark_points(query, points)
  for frame in video:
    maps, best = match(frame.rgb)
    panels = {'query': marked}
    for number, (heat_map, peak) in enumerate(
        zip(maps / unit, best, strict=True), 1
    ):
      title = f'matches of point {number}' if len(points) > 1 else 'matches'
      panels[title] = heat.draw_affinity(frame.rgb, heat_map, peak)
    yield PanelFrame(frame.seconds, panels)


def show_colors(
    propagator: propagation.LabelPropagator,
    video: Iterable[video_source.VideoFrame],
) -> Iterator[PanelFrame]:
  """Yields each frame in grey, in its own colors, and in propagated colors.

  Args:
    propagator: Propagates the colors of the first frame. It sees grey frames.
    video: The frames.
  """
  frames, inputs = itertools.tee(video)
  colorized = color_propagation.colorize(
      propagator, (frame.rgb for frame in inputs)
  )
  for frame, rgb in zip(frames, colorized, strict=True):
    panels = {
        'grey, as the network sees it': np.asarray(
            color_propagation.in_grey(frame.rgb)
        ),
        'true colors': frame.rgb,
        'colors copied from the first frame': rgb,
    }
    yield PanelFrame(frame.seconds, panels)


def salient_point(frame: Frame) -> Float[np.ndarray, '1 2']:
  """Returns the strongest corner near the frame's centre, (x, y) in pixels.

  The corner measure is that of Shi and Tomasi, "Good Features to Track"
  (1994). The search covers the middle half of the width and of the height. If
  there is no corner, the result is the centre.
  """
  height, width = frame.shape[:2]
  grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
  is_central = np.zeros_like(grey)
  is_central[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 1
  corners = cv2.goodFeaturesToTrack(grey, 1, 0.01, 1, mask=is_central)
  if corners is None:
    return np.array([[(width - 1) / 2, (height - 1) / 2]])
  return corners[0].astype(np.float64)


def write_film(
    path: str | os.PathLike[str],
    frames: Iterable[PanelFrame],
    source: video_source.VideoSource,
    still_numbers: Collection[int] = (),
) -> list[list[Frame]]:
  """Writes an MP4 file of the panels, with the source's times and sound.

  Args:
    path: The file to write, in one atomic step.
    frames: The panels of each frame.
    source: The video that they show.
    still_numbers: The numbers of frames to return as stills.

  Returns:
    For each panel, from left to right, one small still per still number.

  Raises:
    UserError: There are no frames, or the file cannot be written.
  """
  stills = []

  def laid_out():
    for number, frame in enumerate(frames):
      if number in still_numbers:
        stills.append(
            [
                panels_lib.thumbnail(panel, _STRIP_HEIGHT)
                for panel in frame.panels.values()
            ]
        )
      rgb = panels_lib.film_frame(frame.panels)
      yield video_source.VideoFrame(rgb, frame.seconds)

  mp4.write_like(path, laid_out(), source)
  return [list(row) for row in zip(*stills, strict=True)]


def write_visualization(
    output_dir: pathlib.Path,
    propagator: propagation.LabelPropagator,
    video: video_source.VideoSource,
    points: Float[np.ndarray, 'points 2'],
    query_frame: int,
    query: Frame,
    progress: Callable[..., Iterable],
) -> str | None:
  """Writes three films, strip.jpg and report.html, which shows the films.

  Args:
    output_dir: The folder to write to.
    propagator: Propagates colors; its network embeds frames.
    video: The video.
    points: (x, y) of the query points, in pixels of the query frame.
    query_frame: The number of the query frame.
    query: The query frame, RGB.
    progress: Yields the items of an iterable and shows how many are done. It is
      called like `tqdm.tqdm`, with `desc`, `total` (None if unknown) and
      `unit`.

  Returns:
    A line that says why the films end before the video does, or None.

  Raises:
    UserError: No frame can be read, or a file cannot be written.
  """
  files.make_folder(output_dir)
  embed = propagator.embed
  readable = video_source.ReadablePart(video)
  basis, num_frames = _fit_basis(embed, readable, video.num_frames, progress)
  films = {
      'embeddings': show_embeddings(embed, readable, basis),
      'affinity': show_affinity(
          embed, readable, query, points, propagator.options.temperature
      ),
      'colors': show_colors(propagator, readable),
  }
  still_numbers = np.linspace(0, num_frames - 1, _STRIP_FRAMES).round()
  rows = []
  with files.report_full_disk(output_dir):
    for name, frames in films.items():
      frames = progress(frames, desc=name, total=num_frames, unit='frame')
      rows.extend(
          write_film(output_dir / f'{name}.mp4', frames, video, still_numbers)
      )
    # Frames, embeddings, heat map of the first point, and propagated colors.
    chosen = rows[0], rows[1], rows[3], rows[-1]
    strip = panels_lib.vstack([panels_lib.hstack(row) for row in chosen])
    panels_lib.write_picture(output_dir / 'strip.jpg', strip)
    _write_page(output_dir, video.path.name, query_frame, len(points))
  return readable.describe(num_frames)


def _fit_basis(embed, video, total, progress):
  """Returns the PCA basis of the video's embeddings, and its frame count."""
  num_frames = 0

  def embeddings():
    nonlocal num_frames
    frames = progress(video, desc='PCA basis', total=total, unit='frame')
    for frame in frames:
      num_frames += 1
      yield embed(frame.rgb)

  return pca.fit_basis(embeddings()), num_frames


def _write_page(output_dir, video_name, query_frame, num_points):
  cross = 'each cross' if num_points > 1 else 'the cross'
  sections = {
      'embeddings': (
          'Which parts look alike to the network',
          'The network turns each small patch of a frame into a vector, its'
          ' embedding. The first three principal components of all embeddings'
          ' of the video are shown as red, green and blue. Patches of the same'
          ' color look the same to the network, in all frames.',
      ),
      'affinity': (
          'Where the network finds the query',
          f'The embedding at {cross} of frame {query_frame} is compared with'
          ' the embeddings of every other frame. Brightness shows the share'
          ' that would be copied from each place, on a logarithmic scale that'
          ' is the same in all frames. White is the similarity of the point to'
          ' itself. A thousandth of that, or less, is not shown. The ring is'
          ' around the best match.',
      ),
      'colors': (
          'What the network was trained for',
          'The colors of the first frame are copied from frame to frame. The'
          ' network sees grey frames. A thing that it tracks keeps its color.'
          ' A thing that was not in the first frame gets a wrong color.',
      ),
  }
  report.write_page(
      output_dir / 'report.html',
      title=f'What the network sees in {video_name}',
      sections=[
          report.film_section(output_dir, f'{name}.mp4', *sections[name])
          for name in FILMS
      ],
  )
