"""Builds synthetic clips with exact labels, as a TFDS dataset."""

import cv2
import numpy as np
import tensorflow_datasets as tfds

from data_prep import clip_builder
from data_prep import clip_marks
from vidcolor.data import images
from vidcolor.data import records as records_lib
from vidcolor.data import synthetic
from vidcolor.video import decoding

_JPEG_QUALITY = 95
_FRAMES_PER_SECOND = 6.0  # Nominal: rendered clips have no real rate.
_THUMBNAIL = (decoding.THUMBNAIL_SIDE, decoding.THUMBNAIL_SIDE)
# The splits have different seeds, so that training never sees test clips.
_FIRST_TEST_SEED = 1_000_000_000


class SyntheticClips(clip_builder.ClipBuilder):
  """Clips of `vidcolor.data.synthetic`, for training and for evaluation.

  Training clips have no flow, which training does not use and which would take
  nine tenths of the bytes.
  """

  VERSION = tfds.core.Version('2.0.0')
  RELEASE_NOTES = {'2.0.0': 'Shots, and an index.', '1.0.0': 'Initial release.'}
  INDEX = records_lib.INDEX

  def __init__(
      self,
      *,
      num_train: int = 512,
      num_test: int = 32,
      num_frames: int = 24,
      height: int = 192,
      width: int = 256,
      **kwargs,
  ):
    """Initializes the builder.

    Args:
      num_train: Number of training clips.
      num_test: Number of test clips.
      num_frames: Number of frames in a clip.
      height: Height of the frames in pixels.
      width: Width of the frames in pixels.
      **kwargs: Arguments of `ClipBuilder`.
    """
    super().__init__(**kwargs)
    self._num_train = num_train
    self._num_test = num_test
    self._size = dict(num_frames=num_frames, height=height, width=width)

  def _info(self):
    image = tfds.features.Image
    tensor = tfds.features.Tensor
    features = records_lib.features() | {
        'masks': tfds.features.Sequence(
            image(shape=(None, None, 1), encoding_format='png'),
            doc='0 on the background, 1 to n on the objects.',
        ),
        'points': tensor(
            shape=(None, None, 2),
            dtype=np.float32,
            encoding='zlib',
            doc='(x, y) in pixels of each point in each frame.',
        ),
        'visible': tensor(shape=(None, None), dtype=np.bool_, encoding='zlib'),
        'flow': tensor(
            shape=(None, None, None, 2),
            dtype=np.float16,
            encoding='zlib',
            doc='(x, y) in pixels, from each frame to the next.',
        ),
    }
    return tfds.core.DatasetInfo(
        builder=self,
        description=self.__doc__,
        features=tfds.features.FeaturesDict(features),
    )

  def list_clips(self):
    """See base class."""

    def clip(split, index, first_seed, has_flow):
      return {
          'name': f'{split}{index:06d}',
          'render': {'seed': first_seed + index, **self._size},
          'has_flow': has_flow,
      }

    train = [clip('train', i, 0, False) for i in range(self._num_train)]
    test = [
        clip('test', i, _FIRST_TEST_SEED, True) for i in range(self._num_test)
    ]
    return {'train': train, 'test': test}, []

  @staticmethod
  def read_clip(clip):
    """See base class."""
    rendered = synthetic.render_clip(**clip['render'])
    thumbnails = [
        cv2.resize(frame, _THUMBNAIL, interpolation=cv2.INTER_AREA)
        for frame in rendered.frames
    ]
    yield clip_marks.mark(thumbnails) | {
        'name': clip['name'],
        'label': '',
        'start': 0.0,
        'frames_per_second': _FRAMES_PER_SECOND,
        'source_frames_per_second': _FRAMES_PER_SECOND,
        'frames': [
            images.encode_jpeg(frame, _JPEG_QUALITY)
            for frame in rendered.frames
        ],
        'shots': np.array([0], np.int32),
        'masks': [_encode_png(mask) for mask in rendered.masks],
        'points': rendered.points,
        'visible': rendered.visible,
        'flow': rendered.flow if clip['has_flow'] else rendered.flow[:0],
    }


def _encode_png(mask):
  return cv2.imencode('.png', mask)[1].tobytes()
