"""Writes WebM files with transparency, which browsers and editors show."""

from collections.abc import Callable, Iterator
import contextlib
import fractions
import os

import av
from jaxtyping import UInt8
import numpy as np

from vidcolor import errors
from vidcolor import files

_TICK = fractions.Fraction(1, 1000)  # Seconds. The format has no finer times.
_ENCODER = {'crf': '24', 'b:v': '0', 'deadline': 'realtime', 'cpu-used': '6'}
_ENCODER |= {'auto-alt-ref': '0'}  # FFmpeg wants it for transparency.
# FFmpeg's AVColorSpace and AVColorRange.
_BT709, _LIMITED_RANGE = 1, 1

_Write = Callable[[UInt8[np.ndarray, 'height width 4'], float], None]


@contextlib.contextmanager
def open_webm(path: str | os.PathLike[str]) -> Iterator[_Write]:
  """Yields a function that takes RGBA frames of one size, and their seconds.

  The video is VP9, and its pixels are square. Alpha is not premultiplied.

  Args:
    path: The file to write, in one atomic step, if no error is raised.

  Raises:
    UserError: The file cannot be written.
  """
  try:
    with files.atomic_write(path) as temporary:
      # Without `file:`, FFmpeg takes a name with a colon for a URL.
      with av.open(f'file:{temporary}', 'w', format='webm') as container:
        stream = container.add_stream('libvpx-vp9', options=_ENCODER)
        stream.pix_fmt = 'yuva420p'
        codec = stream.codec_context
        codec.time_base = _TICK
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
        codec.color_range = _LIMITED_RANGE
        last = -1

        def write(rgba, seconds):
          nonlocal last
          if last < 0:
            stream.height, stream.width = rgba.shape[:2]
          picture = av.VideoFrame.from_ndarray(rgba, format='rgba').reformat(
              format='yuva420p',
              dst_colorspace=_BT709,
              dst_color_range=_LIMITED_RANGE,
          )
          last = picture.pts = max(round(seconds / _TICK), last + 1)
          picture.time_base = _TICK
          container.mux(stream.encode(picture))

        yield write
        container.mux(stream.encode())
  except av.FFmpegError as error:
    raise errors.UserError(f'cannot write {path}: {error.strerror}') from error
