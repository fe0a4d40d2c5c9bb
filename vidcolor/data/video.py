"""Reads and writes video files, a frame at a time."""

from collections.abc import Iterable, Iterator
import fractions
import itertools
import os

import av
from av.video import reformatter
from jaxtyping import UInt8
import numpy as np

from vidcolor import errors
from vidcolor import files

# Matroska rounds times to a millisecond: a frame due within it counts as shown.
_TIME_SLACK = 1e-3


def read_frames(
    path: str | os.PathLike,
    *,
    frames_per_second: float | None = None,
    short_side: int | None = None,
) -> Iterator[UInt8[np.ndarray, 'height width 3']]:
  """Yields the RGB frames of a video, upright, in constant memory.

  Args:
    path: Video file, of any format that FFmpeg reads.
    frames_per_second: If given, yields the frame on show at each time k / rate
      from the first frame on, whatever the file's own (maybe varying) rate;
      otherwise every frame.
    short_side: If given, frames whose short side is longer are shrunk to it by
      averaging areas.

  Raises:
    UserError: (while iterating) no such file, or no video that decodes in it.
  """
  frames = _decode(path)
  if frames_per_second:
    frames = _sample(frames, frames_per_second)
  # It caches the conversion's tables, which cost far more than the conversion.
  converter = reformatter.VideoReformatter()
  try:
    # Sampling above the file's rate repeats frames: each is converted once.
    for frame, repeats in itertools.groupby(frames):
      rgb = _to_rgb(frame, short_side, converter)
      for _ in repeats:
        yield rgb
  except av.FFmpegError as error:
    raise errors.UserError(f'cannot read {path}: {error.strerror}') from error


def write_mp4(
    path: str | os.PathLike,
    frames: Iterable[UInt8[np.ndarray, 'height width 3']],
    frames_per_second: float,
) -> None:
  """Writes RGB frames as an H.264 file that browsers play.

  The encoder wants even sides: an odd last row or column is cropped.

  Args:
    path: File to write; it is there only once complete.
    frames: Frames of one size, each side at least two pixels.
    frames_per_second: Playing rate.

  Raises:
    UserError: there are no frames, or the file cannot be written.
  """
  frames = iter(frames)
  first = next(frames, None)
  if first is None:
    raise errors.UserError(f'no frames to write to {path}')
  try:
    with files.written_whole(path) as temporary:
      _encode(temporary, first, frames, frames_per_second)
  except (av.FFmpegError, OSError) as error:
    raise errors.UserError(f'cannot write {path}: {error.strerror}') from error


def _decode(path):
  # Any bytes may stand in a file's title; they are no reason to refuse it.
  with av.open(os.fspath(path), metadata_errors='replace') as container:
    if not container.streams.video:
      raise errors.UserError(f'no video in {path}')
    stream = container.streams.video[0]
    # More threads only slow small video down, and pools use every core anyway.
    stream.codec_context.thread_count = 1
    frame = None
    for index, frame in enumerate(container.decode(stream)):
      if frame.pts is None or container.format.name == 'avi':
        # Raw streams and AVI hold no presentation times, only a rate.
        frame.pts, frame.duration = index, 1
        frame.time_base = 1 / (stream.guessed_rate or fractions.Fraction(25))
      yield frame
    if frame is None:
      raise errors.UserError(f'no frame decodes in {path}')


def _sample(frames, frames_per_second):
  """Yields the frame on show at each time k / rate after the first frame."""
  start, count = None, 0
  for frame, following in itertools.pairwise(itertools.chain(frames, [None])):
    if start is None:
      start = frame.time
    if following is not None:
      end = following.time
    else:
      duration = float((frame.duration or 0) * frame.time_base)
      end = frame.time + max(duration, 2 * _TIME_SLACK)
    while count / frames_per_second < end - start - _TIME_SLACK:
      yield frame
      count += 1


def _to_rgb(frame, short_side, converter):
  scale = min(1, (short_side or np.inf) / min(frame.width, frame.height))
  rgb = converter.reformat(
      frame,
      width=round(frame.width * scale),
      height=round(frame.height * scale),
      format='rgb24',
      interpolation='AREA',
      threads=1,
  ).to_ndarray()
  if frame.rotation:
    rgb = np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))
  return rgb


def _encode(path, first, rest, frames_per_second):
  height, width = (side // 2 * 2 for side in first.shape[:2])
  rate = fractions.Fraction(frames_per_second).limit_denominator(1001)
  options = {'movflags': 'faststart'}
  with av.open(path, 'w', format='mp4', options=options) as container:
    stream = container.add_stream('libx264', rate=rate)
    stream.height, stream.width, stream.pix_fmt = height, width, 'yuv420p'
    for frame in itertools.chain([first], rest):
      rgb = np.ascontiguousarray(frame[:height, :width])
      picture = av.VideoFrame.from_ndarray(rgb, format='rgb24')
      container.mux(stream.encode(picture))
    container.mux(stream.encode())
