"""Kinetics, or any folder of videos laid out like it, as a TFDS dataset."""

import csv
import os
import pathlib

import cv2
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
      raise errors.UserError('building Kinetics takes a source_dir of videos')
    root = pathlib.Path(self._source_dir)
    paths = sorted(p for p in root.rglob('*') if p.suffix.lower() in _SUFFIXES)
    if not paths:
      raise errors.UserError(
          f'no videos in {root}: no file there ends in {", ".join(_SUFFIXES)}'
      )
    if self._annotations is None:
      clips = [_clip(p, root, p.relative_to(root).parent.name) for p in paths]
      return {'train': clips}, []
    return _match(_read_annotations(self._annotations), paths, root)

  @staticmethod
  def read_clip(clip):
    """See base class."""
    frames = [
        _encode_jpeg(frame)
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


def _clip(path, root, label):
  name = path.relative_to(root).as_posix()
  return {'name': name, 'label': label, 'path': str(path)}


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


def _match(rows, paths, root):
  """Pairs annotations with videos; those without one are skipped."""
  by_stem = {path.stem: path for path in paths}
  clips, missing = {}, []
  for row in rows:
    split = _SPLITS.get(row['split'], row['split'])
    video_id = row['youtube_id']
    start, end = (int(float(row[key])) for key in ('time_start', 'time_end'))
    name = f'{video_id}_{start:06d}_{end:06d}'
    path = by_stem.get(name) or by_stem.get(video_id)
    if path is None:
      missing.append(clip_builder.Skipped(split, name, f'no video in {root}'))
    else:
      # The test split's file has no labels.
      clips.setdefault(split, []).append(
          _clip(path, root, row.get('label', ''))
      )
  if not clips:
    raise errors.UserError(f'no videos in {root} are in the annotations')
  return clips, missing


def _encode_jpeg(rgb):
  bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
  options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
  return cv2.imencode('.jpg', bgr, options)[1].tobytes()
