"""TAP-Vid as a TFDS dataset."""

import io
import pathlib
import re

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds

from data_prep import clip_builder
from vidcolor.benchmarks.tapvid import data as tapvid_data


class Tapvid(clip_builder.ClipBuilder):
  """TAP-Vid's videos, with points tracked through them.

  There is a split for each of its benchmarks that is there: davis,
  rgb_stacking, kinetics.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Initial release.'}
  SOURCE = 'the folder of its pickles'
  SHUFFLED = False
  MAY_SKIP = False

  def _info(self):
    tensor = tfds.features.Tensor
    features = {
        'name': tfds.features.Text(),
        'frames': tfds.features.Sequence(
            tfds.features.Image(shape=(None, None, 3)),
            doc='JPEG where it was published, else PNG.',
        ),
        'points': tensor(
            shape=(None, None, 2),
            dtype=np.float32,
            encoding='zlib',
            doc='(x, y) of each point in each frame, 0 to 1 from edge to edge.',
        ),
        'occluded': tensor(shape=(None, None), dtype=np.bool_, encoding='zlib'),
    }
    return tfds.core.DatasetInfo(
        builder=self,
        description=self.__doc__,
        features=tfds.features.FeaturesDict(features),
        homepage='https://github.com/google-deepmind/tapnet',
    )

  def list_clips(self):
    """See base class: here a pickle is a clip, and gives all of its videos."""
    root = pathlib.Path(self.source_dir())
    pickles = [*sorted(root.glob('*.pkl')), *sorted(root.glob('*/*.pkl'))]
    clips = {}
    for path in pickles or tapvid_data.find(root):
      clip = {'name': path.stem, 'path': str(path)}
      clips.setdefault(_split(path.stem), []).append(clip)
    return clips, []

  @staticmethod
  def read_clip(clip):
    """See base class."""
    for name, example in tapvid_data.read_examples(clip['path']).items():
      yield {
          'name': name,
          'frames': [_encoded(frame) for frame in example.video],
          'points': example.points,
          'occluded': example.occluded,
      }


def _split(stem):
  """The benchmark that a pickle is of: tapvid_davis, or 0000_of_0010."""
  if '_of_' in stem:
    return 'kinetics'
  # TFDS reads no split of another name.
  return re.sub(r'\W+', '_', stem.removeprefix('tapvid_'))


def _encoded(frame):
  if isinstance(frame, bytes):
    return frame
  file = io.BytesIO()
  Image.fromarray(frame).save(file, 'PNG', compress_level=1)
  return file.getvalue()
