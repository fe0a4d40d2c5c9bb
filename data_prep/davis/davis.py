"""DAVIS 2016 and 2017, at 480p, as a TFDS dataset."""

import pathlib

import tensorflow_datasets as tfds

from data_prep import clip_builder
from vidcolor import errors
from vidcolor.benchmarks.davis import analysis
from vidcolor.benchmarks.davis import data as davis_data


class Davis(clip_builder.ClipBuilder):
  """The sequences of DAVIS with the files of their frames and masks.

  A split is a list of a year, such as val_2017; a sequence that is in several
  lists is stored with each. What a mask's numbers mean is `vidcolor.masks`'s to
  tell: in 2016 all objects count as one.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Initial release.'}
  SOURCE = 'the folder that holds JPEGImages'
  SHUFFLED = False
  MAY_SKIP = False

  def _info(self):
    text = tfds.features.Text
    features = {
        'name': text(),
        'frame_names': tfds.features.Sequence(
            text(), doc='Of the files, without the suffix.'
        ),
        'frames': tfds.features.Sequence(
            tfds.features.Image(shape=(None, None, 3), encoding_format='jpeg')
        ),
        # TFDS would decode the colours of a palette, where its indices count.
        'masks': tfds.features.Sequence(
            text(), doc='PNG files; in test-dev, of the first frame only.'
        ),
        'attributes': tfds.features.Sequence(
            text(), doc='Such as OCC, occlusion; DAVIS 2016 has them.'
        ),
    }
    return tfds.core.DatasetInfo(
        builder=self,
        description=self.__doc__,
        features=tfds.features.FeaturesDict(features),
        homepage='https://davischallenge.org',
    )

  def list_clips(self):
    """See base class."""
    root = pathlib.Path(self.source_dir())
    lists = sorted((root / 'ImageSets').glob('[0-9][0-9][0-9][0-9]/*.txt'))
    attributes = root / 'Annotations' / 'db_info.yml'
    attributes = (
        analysis.read_attributes(attributes) if attributes.exists() else {}
    )
    clips = {}
    for path in lists:
      year, split = path.parent.name, path.stem
      found = davis_data.read_davis(root, year=int(year), split=split)
      clips[f'{split}_{year}'] = [
          {
              'name': sequence.name,
              'source_dir': str(root),
              'attributes': attributes.get(sequence.name, []),
          }
          for sequence in found
      ]
    if not clips:
      raise errors.UserError(
          f'no lists {root}/ImageSets/<year>/<split>.txt: restore them, or give'
          ' the DAVIS folder that holds them and JPEGImages/480p'
      )
    return clips, []

  @staticmethod
  def read_clip(clip):
    """See base class."""
    frames, masks = davis_data.find_files(clip['source_dir'], clip['name'])
    yield {
        'name': clip['name'],
        'frame_names': [path.stem for path in frames],
        'frames': [path.read_bytes() for path in frames],
        'masks': [path.read_bytes() for path in masks],
        'attributes': clip['attributes'],
    }
