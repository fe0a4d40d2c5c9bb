"""The test videos of JHMDB as a TFDS dataset."""

import pathlib

import numpy as np
import tensorflow_datasets as tfds

from data_prep import clip_builder
from vidcolor.benchmarks.jhmdb import data as jhmdb_data


class Jhmdb(clip_builder.ClipBuilder):
  """The annotated frames of JHMDB's test videos, with 15 joints in each.

  There is a split test_1, test_2 or test_3 for each of the dataset's own whose
  lists are there; a video that several list is stored with each.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Initial release.'}
  SOURCE = 'the folder that holds Rename_Images'
  SHUFFLED = False
  MAY_SKIP = False

  def _info(self):
    features = {
        'name': tfds.features.Text(doc='Class and name of the video.'),
        'frames': tfds.features.Sequence(
            tfds.features.Image(shape=(None, None, 3), encoding_format='png')
        ),
        'joints': tfds.features.Tensor(
            shape=(None, len(jhmdb_data.JOINTS), 2),
            dtype=np.float64,
            encoding='zlib',
            doc='(x, y) in pixels, whose centres have whole coordinates.',
        ),
    }
    return tfds.core.DatasetInfo(
        builder=self,
        description=self.__doc__,
        features=tfds.features.FeaturesDict(features),
        homepage='http://jhmdb.is.tue.mpg.de',
    )

  def list_clips(self):
    """See base class."""
    root = pathlib.Path(self.source_dir())
    splits = [s for s in jhmdb_data.SPLITS if jhmdb_data.list_names(root, s)]
    # Reading the first split tells what is missing if there are no lists.
    clips = {
        f'test_{split}': [
            {'name': sequence.name, 'source_dir': str(root)}
            for sequence in jhmdb_data.read(root, split=split)
        ]
        for split in splits or jhmdb_data.SPLITS[:1]
    }
    return clips, []

  @staticmethod
  def read_clip(clip):
    """See base class."""
    frames, joints = jhmdb_data.find_files(clip['source_dir'], clip['name'])
    yield {
        'name': clip['name'],
        'frames': [path.read_bytes() for path in frames],
        'joints': joints,
    }
