"""Shows what a network sees in your video.

python -m vidcolor.visualize --video=clip.mp4 --output_dir=OUT

Writes three films, report.html, which shows them on one page, and strip.jpg:

  embeddings.mp4  the first three principal components of the embeddings, as
                  colors
  affinity.mp4    a heat map for each of up to four points, --points="x,y;x,y"
                  of --query_frame: where each frame matches the point
  colors.mp4      the first frame's colors, copied from frame to frame, beside
                  the true colors
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

_VIDEO = program.define_video()
_OUTPUT_DIR = program.define_output_dir()
_POINTS = flags.DEFINE_string(
    'points',
    None,
    '"x,y;x,y" in pixels of the video, up to four points. Default: the'
    ' strongest corner near the centre.',
)
_QUERY_FRAME = flags.DEFINE_integer(
    'query_frame',
    0,
    'The number of the frame of the points. The first frame read is 0.',
    0,
)
_SCALE = flags.DEFINE_float(
    'scale',
    None,
    'Factor by which frames are shrunk. Default: to a short side of at most'
    ' 480 pixels.',
)
_CHECKPOINT = program.define_checkpoint()

_MAX_POINTS = 4
_MAX_SHORT_SIDE = 480


def main() -> None:
  """Writes the films and the page."""
  if _SCALE.value is None:
    video = _VIDEO.open(max_short_side=_MAX_SHORT_SIDE)
  else:
    video = _VIDEO.open(scale=_SCALE.value)
  query = _query(video)
  points = _points(video, query)
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  films = [output_dir / f'{name}.mp4' for name in visualization.FILMS]
  files.refuse_to_replace(video.path, *films)
  files.make_folder(output_dir)
  fault = visualization.write_visualization(
      output_dir,
      network.Network.load(_CHECKPOINT.value).propagator(),
      video,
      points,
      _QUERY_FRAME.value,
      query,
      # A bar would stand above the one line of an early error.
      functools.partial(tqdm.tqdm, delay=1),
  )
  print(f'Look at it: {output_dir / "report.html"}')
  if fault:
    raise errors.UserError(fault)


def _query(video):
  """Returns the frame of the points."""
  index = _QUERY_FRAME.value
  frame = next(itertools.islice(video, index, None), None)
  if frame is None:
    raise errors.UserError(
        f'--query_frame={index}: {video.path} has fewer frames: give a smaller'
        ' number, the first frame is 0'
    )
  return frame.rgb


def _points(video, query):
  """Returns the points in pixels of the shrunk frames."""
  if _POINTS.value is None:
    points = visualization.salient_point(query)
    enlargement = np.divide(video.full_size, video.size)[::-1]
    x, y = (points[0] + 0.5) * enlargement - 0.5
    print(f'No --points: the query is the corner at {x:.0f},{y:.0f}')
    return points
  prompt = prompts.read_points(_POINTS.value)
  points = prompt.in_frame(video.full_size, video.size)
  if len(points) > _MAX_POINTS:
    raise errors.UserError(f'{prompt.name}: give at most {_MAX_POINTS} points')
  return points


if __name__ == '__main__':
  program.run(main)
