"""Shows what a network knows of your video.

python -m vidcolor.visualize --video=clip.mp4 --output_dir=OUT

Writes three films, report.html, one page that holds them, and strip.jpg:

  embeddings.mp4  the embeddings' first three principal components as colours;
  affinity.mp4    where each frame matches points of one frame, a heat map each:
                  --points="x,y;x,y", up to four of them, of --query_frame;
  colors.mp4      the first frame's colours, copied along, beside the true ones.
"""

import functools
import itertools
import pathlib

from absl import flags
import numpy as np
import tqdm

from vidcolor import errors
from vidcolor import files
from vidcolor import network
from vidcolor import program
from vidcolor import prompts
from vidcolor import visualization
from vidcolor.render import panels
from vidcolor.render import pca
from vidcolor.render import report
from vidcolor.video import mp4
from vidcolor.video import video_source

_VIDEO = program.define_video()
_OUTPUT_DIR = program.define_output_dir()
_POINTS = flags.DEFINE_string(
    'points',
    None,
    '"x,y;x,y" in pixels of the video, up to four; by default the strongest'
    ' corner near the centre.',
)
_QUERY_FRAME = flags.DEFINE_integer(
    'query_frame', 0, 'The frame of the points; the first one read is 0.', 0
)
_SCALE = flags.DEFINE_float(
    'scale',
    None,
    'Shrinks frames; by default to a short side of 480 pixels.',
)
_CHECKPOINT = program.define_checkpoint()

_FILMS = 'embeddings', 'affinity', 'colors'
_MAX_POINTS = 4
_SHORT_SIDE = 480
_STRIP_FRAMES = 6
# Not every browser plays a longer film from within a page.
_MAX_EMBEDDED_BYTES = 20e6


def main() -> None:
  """Writes the films and the page."""
  footage = _footage()
  query = _query(footage)
  points = _points(footage, query)
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.refuse_to_replace(
      footage.path,
      *(output_dir / f'{name}.mp4' for name in _FILMS),
  )
  files.make_folder(output_dir)
  tracker = network.Network.load(_CHECKPOINT.value).propagator()

  first_pass = _watched(footage, 'principal components', footage.num_frames)
  basis = pca.fit(tracker.embed(frame.rgb) for frame in first_pass)
  films = {
      'embeddings': visualization.embeddings(tracker.embed, footage, basis),
      'affinity': visualization.affinity(
          tracker.embed, footage, query, points, tracker.options.temperature
      ),
      'colors': visualization.colors(tracker, footage),
  }
  strip = np.linspace(0, first_pass.n - 1, _STRIP_FRAMES).round()
  rows = []
  for name, moments in films.items():
    thumbnails = []
    moments = _watched(moments, name, first_pass.n)
    shown = panels.film(moments, strip, thumbnails)
    mp4.write_like(output_dir / f'{name}.mp4', shown, footage)
    rows.extend(zip(*thumbnails, strict=True))
  # Frame, embeddings, the first point's heat and copied colours.
  chosen = rows[0], rows[1], rows[3], rows[-1]
  panels.write_strip(output_dir / 'strip.jpg', chosen)
  _write_page(output_dir, footage, points)
  print(f'Look at it: {output_dir / "report.html"}')


def _footage():
  read = functools.partial(
      video_source.VideoSource,
      _VIDEO.path.value,
      start=_VIDEO.start.value,
      end=_VIDEO.end.value,
  )
  if _SCALE.value is not None:
    return read(scale=_SCALE.value)
  footage = read()
  short_side = min(footage.size)
  if short_side <= _SHORT_SIDE:
    return footage
  return read(scale=_SHORT_SIDE / short_side)


def _query(footage):
  """The frame of the points."""
  index = _QUERY_FRAME.value
  frame = next(itertools.islice(footage, index, None), None)
  if frame is None:
    raise errors.UserError(
        f'--query_frame={index}: {footage.path} is shorter than that; its'
        ' first frame is 0'
    )
  return frame.rgb


def _points(footage, query):
  """Points in pixels of the frames, as they are shrunk."""
  if _POINTS.value is None:
    points = visualization.salient_point(query)
    enlarged = np.divide(footage.full_size, footage.size)[::-1]
    x, y = (points[0] + 0.5) * enlarged - 0.5
    print(f'Without --points it looks for that of a corner, {x:.0f},{y:.0f}')
    return points
  given = prompts.read_points(_POINTS.value)
  points = given.at(footage.full_size, footage.size)
  if len(points) > _MAX_POINTS:
    raise errors.UserError(f'{given.name}: give at most {_MAX_POINTS}')
  return points


def _watched(moments, name, count):
  return tqdm.tqdm(moments, name, count, unit=' frames')


def _write_page(output_dir, footage, points):
  many = len(points) > 1
  sections = [
      _section(
          output_dir,
          'embeddings',
          'What looks alike to it',
          'The network turns each small patch of a frame into a vector, its'
          ' embedding. Their three directions of most variation over the whole'
          ' video are shown as red, green and blue: what has the same colour'
          ' is the same to the network, in all frames.',
      ),
      _section(
          output_dir,
          'affinity',
          'Where it finds ' + ('points' if many else 'a point'),
          f'From frame {_QUERY_FRAME.value} the embedding at'
          + (' each cross' if many else ' the cross')
          + ' is looked for in every frame by itself. Brightness is the share'
          ' that would be copied from there, on a logarithmic scale that is'
          ' the same in all frames: white is as sure as at the point itself,'
          ' what is a thousand times less is not shown. The ring is around the'
          ' best match.',
      ),
      _section(
          output_dir,
          'colors',
          'What it was trained for',
          'The colours of the first frame are copied along from frame to frame'
          ' by a network that is shown grey. What it follows keeps its colour;'
          ' what was not in the first frame gets one that it never had.',
      ),
  ]
  report.write(
      output_dir / 'report.html',
      title=f'What the network knows of {footage.path.name}',
      sections=sections,
  )


def _section(output_dir, name, title, text):
  file = f'{name}.mp4'
  if (output_dir / file).stat().st_size > _MAX_EMBEDDED_BYTES:
    return report.Section(title, f'{text} Too long for a page: see {file}.')
  return report.Section(title, text, media=[report.Media(file, file)])


if __name__ == '__main__':
  program.run(main)
