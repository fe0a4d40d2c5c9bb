"""Colours a video as one coloured frame of it is.

python -m vidcolor.colorize --video=grey.mp4 --reference=colored_frame.png \
  --output_dir=OUT

Writes colorized.mp4, strip.jpg (grey, colourised and true frames over time) and
summary.json. The reference is any frame of the scene, best the first; a cut
needs a program run for each side, by --start and --end. With --num_given=N
instead, the first N frames of the video are in colour.

Of the video only the lightness is seen. Where it is in colour nevertheless,
that is taken for the truth, and summary.json says how near to it the result is
(PSNR of the RGB frames, and ab_error, the mean distance in a and b of Lab),
next to no colours (grey) and to those of the last given frame staying where
they are (unmoved).
"""

from collections.abc import Iterator
import contextlib
import itertools
import math
import pathlib
import time
from typing import Any

from absl import flags
import cv2
import jax
import numpy as np
import tqdm

from vidcolor import color
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import network
from vidcolor import program
from vidcolor.benchmarks.colorization import metrics as colorization_metrics
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.render import overlay
from vidcolor.render import plots
from vidcolor.tracking import color_propagation
from vidcolor.video import mp4
from vidcolor.video import video_source

_VIDEO = program.define_video()
_REFERENCE = flags.DEFINE_string(
    'reference', None, 'Picture of the scene in colour.'
)
_NUM_GIVEN = flags.DEFINE_integer(
    'num_given', None, 'So many first frames of the video are in colour.', 1
)
_OUTPUT_DIR = program.define_output_dir()
_CHECKPOINT = program.define_checkpoint()

_SAME_SHAPE = 0.02
# In Lab, where 2.3 is just noticeable: less chroma is taken for none.
_LEAST_CHROMA = 2.0
_METHODS = ('colorized', 'grey', 'unmoved')
_PICTURED = 8
_PICTURED_HEIGHT = 160


def main() -> None:
  """Colours the video and writes what came of it."""
  if (_REFERENCE.value is None) == (_NUM_GIVEN.value is None):
    raise errors.UserError(
        'give --reference=FILE or --num_given=N, one of both'
    )
  start = time.time()
  video = video_source.VideoSource(
      _VIDEO.path.value, start=_VIDEO.start.value, end=_VIDEO.end.value
  )
  path = _REFERENCE.value
  reference = _read_reference(path, video.size) if path else None
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.refuse_to_replace(video.path, output_dir / 'colorized.mp4')
  files.make_folder(output_dir)
  # Colours want no settings of their own. Mean distance in a and b, at 240
  # pixels, on six sequences of DAVIS, every third of the first 30 frames,
  # 2026-11-23: as masks are copied 4.81; temperature 0.3 instead of 0.07 4.94,
  # 20 best matches instead of 5 4.96, both 5.50; the best alone 5.10, with more
  # flicker; half the window 5.46, twice the window 4.69, in twice the time. On
  # three of them, at 240 pixels 5.49, at 360 5.15.
  tracker = network.Network.load(_CHECKPOINT.value).propagator()
  scores, pictures = _Scores(), _Pictures()
  warning = mp4.write_like(
      output_dir / 'colorized.mp4',
      _colorized(tracker, video, reference, scores, pictures),
      video,
  )
  if warning:
    print(f'warning: {warning}')
  summary: dict[str, Any] = {
      'video': _VIDEO.path.value,
      'reference': _REFERENCE.value,
      'num_given': _NUM_GIVEN.value,
      'start': _VIDEO.start.value,
      'end': _VIDEO.end.value,
      **scores.summary(),
      'seconds': round(time.time() - start),
      **environment.describe(),
  }
  files.write_json(output_dir / 'summary.json', summary)
  columns = pictures.columns(with_truth=summary['truth_known'])
  with files.atomic_write(output_dir / 'strip.jpg') as temporary:
    cv2.imwrite(str(temporary), plots.color_grid(columns)[..., ::-1])
  if summary['truth_known']:
    for method, mean in summary['mean'].items():
      print(f'{method}: PSNR {mean["psnr"]:.1f} dB')
  print(f'Look at it: {output_dir / "colorized.mp4"}')


def _read_reference(path, size):
  """The reference at the video's size."""
  reference = davis_data.read_frame(pathlib.Path(path))
  height, width = size
  its_height, its_width, _ = reference.shape
  if not math.isclose(
      its_width / its_height, width / height, rel_tol=_SAME_SHAPE
  ):
    raise errors.UserError(
        f'{path} is {its_width}x{its_height} pixels and the video'
        f' {width}x{height}: give a reference of the same shape'
    )
  if _chroma(_ab(reference)) < _LEAST_CHROMA:
    raise errors.UserError(f'{path} holds no colours: give a coloured one')
  method = cv2.INTER_AREA if its_height > height else cv2.INTER_CUBIC
  return cv2.resize(reference, (width, height), interpolation=method)


def _colorized(
    tracker, video, reference, scores, pictures
) -> Iterator[video_source.VideoFrame]:
  """Yields the video in colour, and lays down what is told of it."""
  before = [] if reference is None else [reference]
  num_given: int = len(before) or _NUM_GIVEN.value  # pyrefly: ignore
  progress = tqdm.tqdm(video, total=video.num_frames, unit='frame')
  with contextlib.closing(progress):
    shown, fed = itertools.tee(progress)
    fed = itertools.chain(before, (frame.rgb for frame in fed))
    colorized = color_propagation.colorize(tracker, fed, num_given)
    colorized = itertools.islice(colorized, len(before), None)
    given_ab = None if reference is None else _ab(reference)
    for index, frame in enumerate(shown):
      rgb = next(colorized)
      yield frame._replace(rgb=rgb)
      lab = np.asarray(_to_lab(frame.rgb))
      lightness, true_ab = lab[..., 0], lab[..., 1:]
      grey = np.asarray(
          color_propagation.colored(lightness, np.zeros_like(true_ab))
      )
      pictures.add(grey, rgb, frame.rgb)
      if index < num_given - len(before):
        given_ab = true_ab
        continue
      unmoved = np.asarray(color_propagation.colored(lightness, given_ab))
      scores.add(frame.rgb, true_ab, (rgb, grey, unmoved))
  if not scores.num_frames:
    raise errors.UserError(
        f'{video.path} has {index + 1} frames: give fewer than that by'
        ' --num_given'
    )


_to_lab = jax.jit(color.rgb_to_lab)


def _ab(frame):
  return np.asarray(_to_lab(frame))[..., 1:]


def _chroma(ab):
  return float(colorization_metrics.ab_error(np.zeros_like(ab), ab))


class _Scores:
  """How near to the truth each frame is."""

  def __init__(self):
    self.num_frames = 0
    self._psnr = {method: [] for method in _METHODS}
    self._ab_error = {method: [] for method in _METHODS}

  def add(self, true, true_ab, frames):
    self.num_frames += 1
    for method, frame in zip(_METHODS, frames, strict=True):
      psnr = colorization_metrics.psnr_rgb(frame, true)
      self._psnr[method].append(float(psnr))
      error = colorization_metrics.ab_error(_ab(frame), true_ab)
      self._ab_error[method].append(float(error))

  def summary(self):
    # The error of grey is how much colour there is.
    known = float(np.mean(self._ab_error['grey'])) > _LEAST_CHROMA
    by_frame = {
        method: {
            'psnr': self._psnr[method],
            'ab_error': self._ab_error[method],
        }
        for method in _METHODS
    }
    mean = {
        method: {name: float(np.mean(values)) for name, values in rows.items()}
        for method, rows in by_frame.items()
    }
    return {
        'frames_colorized': self.num_frames,
        'truth_known': known,
        'mean': mean if known else None,
        'by_frame': by_frame if known else None,
    }


class _Pictures:
  """Some frames, evenly spaced, of a video of any length."""

  def __init__(self):
    self._rows, self._step, self._count = [], 1, 0

  def add(self, *panels):
    if self._count % self._step == 0:
      self._rows.append(
          [overlay.thumbnail(panel, _PICTURED_HEIGHT) for panel in panels]
      )
    self._count += 1
    if len(self._rows) == 4 * _PICTURED:
      self._rows, self._step = self._rows[::2], 2 * self._step

  def columns(self, with_truth):
    last = len(self._rows) - 1
    chosen = np.linspace(0, last, min(_PICTURED, last + 1)).round().astype(int)
    titles = ('grey', 'colorized', 'true')[: 2 + with_truth]
    return {
        title: np.stack([self._rows[index][column] for index in chosen])
        for column, title in enumerate(titles)
    }


if __name__ == '__main__':
  program.run(main)
