"""What a network knows of a video: pictures to set side by side, as it plays.

Each function reads the video once and keeps none of it.
"""

from collections.abc import Callable, Iterable, Iterator
import itertools

import cv2
from jaxtyping import Array, Float, UInt8
import numpy as np

from vidcolor.render import heat
from vidcolor.render import panels
from vidcolor.render import pca
from vidcolor.tracking import affinity as affinity_lib
from vidcolor.tracking import color_propagation
from vidcolor.tracking import propagation
from vidcolor.video import video_source

Frame = UInt8[np.ndarray, 'height width 3']
Embed = Callable[[Frame], Float[Array, 'rows columns dim']]


def embeddings(
    embed: Embed,
    video: Iterable[video_source.VideoFrame],
    basis: pca.Basis,
) -> Iterator[panels.Moment]:
  """Yields each frame and its embeddings' principal components.

  Args:
    embed: Embeds a frame.
    video: The frames.
    basis: `pca.fit` of the embeddings of the whole video.
  """
  for frame in video:
    colors = pca.colors(embed(frame.rgb), basis)
    height, width = frame.rgb.shape[:2]
    colors = cv2.resize(colors, (width, height), interpolation=cv2.INTER_CUBIC)
    yield panels.Moment(
        frame.seconds,
        {'frame': frame.rgb, 'embeddings, first 3 components': colors},
    )


def salient_point(frame: Frame) -> Float[np.ndarray, '1 2']:
  """Returns the strongest corner near the frame's centre, (x, y) in pixels.

  By Shi and Tomasi, "Good Features to Track" (1994), in the middle half of
  either side; the centre itself if there is none.
  """
  height, width = frame.shape[:2]
  grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
  near = np.zeros_like(grey)
  near[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 1
  corners = cv2.goodFeaturesToTrack(grey, 1, 0.01, 1, mask=near)
  if corners is None:
    return np.array([[(width - 1) / 2, (height - 1) / 2]])
  return corners[0].astype(np.float64)


def affinity(
    embed: Embed,
    video: Iterable[video_source.VideoFrame],
    query: Frame,
    points: Float[np.ndarray, 'points 2'],
    temperature: float,
) -> Iterator[panels.Moment]:
  """Yields where each frame matches points of one, a heat map for each point.

  The maps compare over time: their unit is the affinity of the point with
  itself, in its own frame.

  Args:
    embed: Embeds a frame.
    video: The frames.
    query: The points' frame.
    points: (x, y) in pixels, inside the frame.
    temperature: Of the copy operation.
  """
  size = query.shape[:2]
  queries = affinity_lib.at_points(embed(query), points, size)
  match = lambda frame: affinity_lib.match(
      queries, embed(frame), size, temperature
  )
  unit = match(query).affinity.max(axis=(1, 2), keepdims=True)
  marked = heat.mark(query, points)
  for frame in video:
    maps, best = match(frame.rgb)
    shown = {'what is looked for': marked}
    for number, drawn in enumerate(zip(maps / unit, best, strict=True), 1):
      title = f'point {number}' if len(points) > 1 else 'where it is found'
      shown[title] = heat.draw(frame.rgb, *drawn)
    yield panels.Moment(frame.seconds, shown)


def colors(
    tracker: propagation.LabelPropagator,
    video: Iterable[video_source.VideoFrame],
) -> Iterator[panels.Moment]:
  """Yields each frame in grey, in its colours, and in the first frame's.

  Args:
    tracker: Which copies the first frame's colours along, seeing grey.
    video: The frames.
  """
  video, fed = itertools.tee(video)
  copied = color_propagation.colorize(tracker, (frame.rgb for frame in fed))
  for frame, rgb in zip(video, copied, strict=True):
    shown = {
        'all the network sees': np.asarray(
            color_propagation.in_grey(frame.rgb)
        ),
        'true colours': frame.rgb,
        'colours copied from the first frame': rgb,
    }
    yield panels.Moment(frame.seconds, shown)
