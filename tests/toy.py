"""A small dataset of training clips, built without `data_prep`."""

from collections.abc import Mapping, Sequence
import os
import pathlib

import cv2
import numpy as np
import tensorflow_datasets as tfds


class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Given clips of one shot each, with what every training record has."""

  VERSION = tfds.core.Version('2.0.0')

  def __init__(self, clips: Mapping[str, Sequence[np.ndarray]], **kwargs):
    super().__init__(file_format='array_record', **kwargs)
    self._clips = clips

  def _info(self):
    features = {
        'name': tfds.features.Text(),
        'frames': tfds.features.Sequence(
            tfds.features.Image(shape=(None, None, 3), encoding_format='jpeg')
        ),
        'shots': tfds.features.Tensor(shape=(None,), dtype=np.int32),
    }
    return tfds.core.DatasetInfo(
        builder=self, features=tfds.features.FeaturesDict(features)
    )

  def _split_generators(self, dl_manager):
    return {'train': self._generate_examples()}

  def _generate_examples(self):
    for name, frames in self._clips.items():
      jpegs = [
          cv2.imencode('.jpg', frame[..., ::-1])[1].tobytes()
          for frame in frames
      ]
      yield name, {'name': name, 'frames': jpegs, 'shots': np.int32([0])}


def build(
    data_dir: str | os.PathLike, clips: Mapping[str, Sequence[np.ndarray]]
) -> pathlib.Path:
  """Builds the dataset `toy` of RGB clips by name; returns its folder."""
  builder = Toy(clips, data_dir=data_dir)
  builder.download_and_prepare()
  return pathlib.Path(builder.data_dir)
