"""Writes a colorized video and stills, and compares colors to the true ones."""

from collections.abc import Callable, Iterable
import itertools
import math
import os
import pathlib
from typing import Any

import cv2
import jax
from jaxtyping import UInt8
import numpy as np

from vidcolor import color
from vidcolor import errors
from vidcolor import files
from vidcolor.benchmarks.colorization import metrics as colorization_metrics
from vidcolor.render import panels as panels_lib
from vidcolor.tracking import color_propagation
from vidcolor.tracking import propagation
from vidcolor.video import mp4
from vidcolor.video import pictures
from vidcolor.video import video_source

# The relative difference of aspect ratios that still count as equal.
_ASPECT_TOLERANCE = 0.02
# Mean chroma in Lab. Below it, a picture counts as grey. If chroma deviates by
# less than this from one tint, a picture counts as tinted. A difference of 2.3
# is just noticeable.
_MIN_CHROMA = 2.0
_LIGHTNESS_LEVELS = 50
_METHODS = ('colorized', 'grey', 'unmoved')
_NUM_STILLS = 8
_STILL_HEIGHT = 160  # Pixels.

Frame = UInt8[np.ndarray, 'height width 3']


def read_reference(
    path: str | os.PathLike, video: video_source.VideoSource
) -> Frame:
  """Reads a color picture and resizes it to a video's size.

  Args:
    path: The picture.
    video: The video. If its pixels are not square, the picture may have the
      shape of its frames, or that which players show.

  Raises:
    UserError: The picture cannot be read, has another aspect ratio than the
      video, or is grey.
  """
  reference = pictures.read_picture(path)
  height, width = video.size
  own_height, own_width, _ = reference.shape
  if not any(
      math.isclose(
          own_width / own_height, width / height, rel_tol=_ASPECT_TOLERANCE
      )
      for height, width in (video.size, *video.shown_sizes)
  ):
    raise errors.UserError(
        f'{path} is {own_width}x{own_height} pixels and the video'
        f' {width}x{height}: give a reference of the same shape'
    )
  ab = _to_ab(reference)
  chroma = colorization_metrics.ab_error(np.zeros_like(ab), ab)
  if float(chroma) < _MIN_CHROMA:
    raise errors.UserError(f'{path} has no colors: give a color picture')
  if _deviation_from_tint(reference) < _MIN_CHROMA:
    raise errors.UserError(
        f'{path} has one tint, such as sepia: give a color picture'
    )
  method = cv2.INTER_AREA if own_height > height else cv2.INTER_CUBIC
  return cv2.resize(reference, (width, height), interpolation=method)


def write_colorization(
    output_dir: pathlib.Path,
    propagator: propagation.LabelPropagator,
    video: video_source.VideoSource,
    *,
    reference: Frame | None = None,
    num_given: int = 0,
    progress: Callable[..., Iterable],
) -> dict[str, Any]:
  """Colorizes a video and writes colorized.mp4 and strip.jpg.

  Colors come from the reference, from the first frames, or from both. Only the
  lightness of the other frames is used.

  Args:
    output_dir: The folder to write to.
    propagator: Propagates the colors.
    video: The video.
    reference: A color picture of the scene, of the video's size.
    num_given: The number of first frames whose colors are used.
    progress: Yields the items of an iterable and shows how many are done. It is
      called like `tqdm.tqdm`, with `desc`, `total` (None if unknown) and
      `unit`.

  Returns:
    A summary. It has 'frames_colorized', the number of frames that were not
    given, and 'truth_known', whether these are in color. One tint, such as
    sepia, is no color. If they are, it has 'by_frame' and 'mean', by method:
    'psnr' of the RGB frame in dB, and 'ab_error', the mean distance in the ab
    plane of Lab. The methods are 'colorized', 'grey' (no colors) and 'unmoved'
    (each pixel keeps its color of the last given frame). 'left_out' is a line
    that says which sound the film lacks, or None. 'fault' is a line that says
    why the film ends before the video does, or None.

  Raises:
    UserError: No frame can be read, a file cannot be written, or the video has
      no more than `num_given` frames.
  """
  files.make_folder(output_dir)
  scores, stills = _Scores(), _Stills()
  readable, number = video_source.ReadablePart(video), 0

  def colorized_frames():
    nonlocal number
    given_ab = None if reference is None else _to_ab(reference)
    frames = progress(
        readable, desc='colorize', total=video.num_frames, unit='frame'
    )
    pairs = _colorize(propagator, frames, reference, num_given)
    for number, (frame, rgb) in enumerate(pairs, 1):
      yield frame._replace(rgb=rgb)
      grey = np.asarray(color_propagation.in_grey(frame.rgb))
      stills.add(grey, rgb, frame.rgb)
      if number <= num_given:
        given_ab = _to_ab(frame.rgb)
        continue
      lightness = color_propagation.lightness_of(frame.rgb)
      unmoved = np.asarray(color_propagation.colored(lightness, given_ab))
      scores.add(frame.rgb, (rgb, grey, unmoved))
    if not scores.num_frames:
      raise errors.UserError(
          f'{video.path} has {number} frames: give fewer than that by'
          ' --num_given'
      )

  with files.report_full_disk(output_dir):
    sound_fault = mp4.write_like(
        output_dir / 'colorized.mp4', colorized_frames(), video
    )
    summary = scores.summary()
    columns = stills.columns(with_truth=summary['truth_known'])
    panels_lib.write_picture(
        output_dir / 'strip.jpg', panels_lib.sample_grid(columns)
    )
  fault = readable.describe(number)
  return summary | {'left_out': sound_fault, 'fault': fault}


def _colorize(propagator, video, reference, num_given):
  """Yields each frame of the video with its colorized RGB picture."""
  before = [] if reference is None else [reference]
  frames, inputs = itertools.tee(video)
  inputs = itertools.chain(before, (frame.rgb for frame in inputs))
  colorized = color_propagation.colorize(
      propagator, inputs, len(before) + num_given
  )
  yield from zip(
      frames, itertools.islice(colorized, len(before), None), strict=True
  )


_rgb_to_lab = jax.jit(color.rgb_to_lab)


def _to_ab(frame):
  return np.asarray(_rgb_to_lab(frame))[..., 1:]


def _deviation_from_tint(frame):
  """Returns the mean distance in ab from the mean ab of equal lightness.

  It is small if the color of a pixel is a function of its lightness, as in
  grey, sepia or otherwise toned pictures.
  """
  lab = np.asarray(_rgb_to_lab(frame)).reshape(-1, 3)
  level = (lab[:, 0] * _LIGHTNESS_LEVELS / 101).astype(int)
  totals = [np.bincount(level, weights) for weights in lab.T[1:]]
  mean = np.stack(totals, axis=-1) / np.maximum(np.bincount(level), 1)[:, None]
  return float(np.linalg.norm(lab[:, 1:] - mean[level], axis=-1).mean())


class _Scores:
  """Collects the metrics of each frame and method."""

  def __init__(self):
    self.num_frames = 0
    self._deviations = []
    self._by_frame = {
        method: {'psnr': [], 'ab_error': []} for method in _METHODS
    }

  def add(self, true, frames):
    """Adds the scores of one frame; `frames` has one picture per method."""
    self.num_frames += 1
    self._deviations.append(_deviation_from_tint(true))
    true_ab = _to_ab(true)
    for method, frame in zip(_METHODS, frames, strict=True):
      psnr = colorization_metrics.psnr_rgb(frame, true)
      error = colorization_metrics.ab_error(_to_ab(frame), true_ab)
      self._by_frame[method]['psnr'].append(float(psnr))
      self._by_frame[method]['ab_error'].append(float(error))

  def summary(self):
    is_known = float(np.mean(self._deviations)) > _MIN_CHROMA
    mean = {
        method: {name: float(np.mean(values)) for name, values in rows.items()}
        for method, rows in self._by_frame.items()
    }
    return {
        'frames_colorized': self.num_frames,
        'truth_known': is_known,
        'mean': mean if is_known else None,
        'by_frame': self._by_frame if is_known else None,
    }


class _Stills:
  """Keeps some evenly spaced frames of a video of unknown length."""

  def __init__(self):
    self._rows, self._step, self._count = [], 1, 0

  def add(self, *panels):
    if self._count % self._step == 0:
      self._rows.append(
          [panels_lib.thumbnail(panel, _STILL_HEIGHT) for panel in panels]
      )
    self._count += 1
    if len(self._rows) == 4 * _NUM_STILLS:  # Keeps every other one.
      self._rows, self._step = self._rows[::2], 2 * self._step

  def columns(self, with_truth):
    """Returns the stills of each panel, by title."""
    last = len(self._rows) - 1
    chosen = np.linspace(0, last, min(_NUM_STILLS, last + 1))
    chosen = chosen.round().astype(int)
    titles = ('grey', 'colorized', 'true')[: 2 + with_truth]
    return {
        title: np.stack([self._rows[index][column] for index in chosen])
        for column, title in enumerate(titles)
    }
