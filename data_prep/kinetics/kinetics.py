"""Kinetics, or any folder of videos laid out like it, as a TFDS dataset."""

import csv
import glob
import os

import numpy as np
import tensorflow_datasets as tfds

from data_prep import clip_builder
from vidcolor import errors
from vidcolor.data import video

_SUFFIXES = ('.mp4', '.mkv', '.webm', '.avi', '.mov')
_FRAMES_PER_SECOND = 6.0
_SHORT_SIDE = 256
_JPEG_QUALITY = 90
# TFDS's names of splits, where Kinetics has others.
_SPLITS = {'val': 'validation', 'validate': 'validation'}
_COLUMNS = ('youtube_id', 'time_start', 'time_end', 'split')


class Kinetics(clip_builder.ClipBuilder):
  """Videos as JPEG frames, six a second, with a short side of 256 pixels.

  Smaller videos are not enlarged. Clips of fewer than two frames are skipped.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Initial release.'}

  def __init__(
      self,
      *,
      source_dir: str | os.PathLike | None = None,
      annotations: str | os.PathLike | None = None,
      **kwargs,
  ):
    """Initialises the builder.

    Args:
      source_dir: Folder of videos, at any depth; needed to build. Without
        `annotations` all are training clips, labelled by their folder.
      annotations: The official CSV file, which gives the clips, their labels
        and splits. Videos are named ID_START_END, with six digits for a time in
        seconds, or ID.
      **kwargs: As for `ClipBuilder`.
    """
    super().__init__(**kwargs)
    self._source_dir = source_dir
    self._annotations = annotations

  def _info(self):
    features = {
        'name': tfds.features.Text(doc='Path of the video in its folder.'),
        'label': tfds.features.Text(doc='Action shown; empty if unknown.'),
        'frames_per_second': np.float32,
        'frames': tfds.features.Sequence(
            tfds.features.Image(shape=(None, None, 3), encoding_format='jpeg')
        ),
    }
    return tfds.core.DatasetInfo(
        builder=self,
        description=self.__doc__,
        features=tfds.features.FeaturesDict(features),
        homepage='https://github.com/cvdfoundation/kinetics-dataset',
    )

  def list_clips(self):
    """See base class."""
    if self._source_dir is None:
      raise errors.UserError(
          'to build kinetics, name the folder of its videos: --source_dir'
      )
    root = os.fspath(self._source_dir)
    names = [
        name
        for name in sorted(glob.glob('**', root_dir=root, recursive=True))
        if os.path.splitext(name)[1].lower() in _SUFFIXES
    ]
    if not names:
      raise errors.UserError(
          f'no videos in {root}: no file there ends in {", ".join(_SUFFIXES)}'
      )
    if self._annotations is None:
      clips = [
          _clip(root, name, os.path.basename(os.path.dirname(name)))
          for name in names
      ]
      return {'train': clips}, []
    return _match(_read_annotations(self._annotations), root, names)

  @staticmethod
  def read_clip(clip):
    """See base class."""
    frames = [
        clip_builder.encode_jpeg(frame, _JPEG_QUALITY)
        for frame in video.read_frames(
            clip['path'],
            frames_per_second=_FRAMES_PER_SECOND,
            short_side=_SHORT_SIDE,
        )
    ]
    if len(frames) < 2:
      raise errors.UserError(
          f'{clip["path"]} is too short: it shows one frame at'
          f' {_FRAMES_PER_SECOND:g} a second'
      )
    return {
        'name': clip['name'],
        'label': clip['label'],
        'frames_per_second': _FRAMES_PER_SECOND,
        'frames': frames,
    }


def _clip(root, name, label):
  return {'name': name, 'label': label, 'path': os.path.join(root, name)}


def _read_annotations(path):
  try:
    with open(path, newline='') as file:
      rows = list(csv.DictReader(file))
  except OSError as error:
    raise errors.UserError(f'cannot read {path}: {error.strerror}') from error
  absent = [column for column in _COLUMNS if rows and column not in rows[0]]
  if absent or not rows:
    raise errors.UserError(
        f'{path} is not a Kinetics CSV: it has no {", ".join(absent) or "rows"}'
    )
  return rows


def _match(rows, root, names):
  """Pairs annotations with videos; those without one are skipped."""
  by_stem = {
      os.path.splitext(os.path.basename(name))[0]: name for name in names
  }
  clips, missing = {}, []
  for row in rows:
    split = _SPLITS.get(row['split'], row['split'])
    stem = _stem(row)
    name = by_stem.get(stem) or by_stem.get(row['youtube_id'])
    if name is None:
      missing.append(clip_builder.Skipped(split, stem, f'no video in {root}'))
    else:
      # The CSV of the test split has no labels.
      clips.setdefault(split, []).append(
          _clip(root, name, row.get('label', ''))
      )
  if not clips:
    raise errors.UserError(f'no videos in {root} are in the annotations')
  return clips, missing


def _stem(row):
  try:
    start, end = (int(float(row[key])) for key in ('time_start', 'time_end'))
  except (TypeError, ValueError):
    raise errors.UserError(
        f'the annotations of {row["youtube_id"]} lack a time in seconds'
    ) from None
  return f'{row["youtube_id"]}_{start:06d}_{end:06d}'
