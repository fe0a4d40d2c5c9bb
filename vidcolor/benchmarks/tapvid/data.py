"""Reads TAP-Vid: videos with points tracked through them.

The benchmark (Doersch et al., "TAP-Vid: A Benchmark for Tracking Any Point in a
Video", NeurIPS 2022; github.com/google-deepmind/tapnet) is published as
pickles. Pickles can run any code when they are read: here one may hold numpy
arrays in lists and dicts, and whatever else it asks for is refused.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import io
import os
import pathlib
import pickle
from typing import Any, NamedTuple

from jaxtyping import Bool, Float32, UInt8
import numpy as np
from PIL import Image

from vidcolor import errors
from vidcolor import lazy_sequence
from vidcolor.data import built

# What pickled arrays are rebuilt by.
_ARRAY_GLOBALS = (
    ('numpy', 'ndarray'),
    ('numpy', 'dtype'),
    ('numpy._core.multiarray', '_reconstruct'),
    ('numpy._core.numeric', '_frombuffer'),
)


class Example(NamedTuple):
  """A video as it is published.

  Attributes:
    video: UInt8[np.ndarray, 'height width 3'] for each frame, or a picture
      file's bytes.
    points: (x, y), 0 to 1 from edge to edge of the frame.
    occluded: Whether a point is hidden or outside of the frame.
  """

  video: Sequence[Any]
  points: Float32[np.ndarray, 'points time 2']
  occluded: Bool[np.ndarray, 'points time']


@dataclasses.dataclass(frozen=True)
class PointSequence:
  """A video and points tracked through it.

  Attributes:
    name: Of the video, fit for a file.
    points: (x, y) in pixels of `frames`, whose centres have whole coordinates.
    occluded: Whether a point is hidden or outside of the frame.
    size: Height and width of `frames`.
  """

  name: str
  points: Float32[np.ndarray, 'points time 2']
  occluded: Bool[np.ndarray, 'points time']
  size: tuple[int, int]
  _video: Any = dataclasses.field(repr=False)

  @property
  def frame_names(self) -> list[str]:
    """The frames' numbers, five digits each."""
    return [f'{index:05}' for index in range(self.points.shape[1])]

  @property
  def frames(self) -> UInt8[np.ndarray, 'time height width 3']:
    """RGB, decoded and resized each time they are asked for.

    Resized as in the published evaluation, which calls `mediapy.resize_video`:
    Pillow's Lanczos filter, widened where it shrinks, whatever the video's
    proportions.

    Raises:
      UserError: one cannot be decoded.
    """
    height, width = self.size
    try:
      pictures = [
          _picture(frame).resize((width, height), Image.Resampling.LANCZOS)
          for frame in self._video
      ]
    except OSError as error:
      raise errors.UserError(
          f'cannot decode a frame of {self.name}: restore the pickle'
      ) from error
    return np.stack([np.asarray(picture) for picture in pictures])


def find(data_dir: str | os.PathLike) -> list[pathlib.Path]:
  """The pickles of a folder by name, or the one pickle that is given.

  Raises:
    UserError: there is none, or there are several that are not the shards of
      Kinetics, such as 0000_of_0010.pkl.
  """
  path = pathlib.Path(data_dir)
  pickles = sorted(path.glob('*.pkl')) if path.is_dir() else [path]
  if not pickles or not pickles[0].is_file():
    raise errors.UserError(
        f'no TAP-Vid pickle in {path}: give the folder that holds'
        ' tapvid_davis.pkl or its like'
    )
  alone = [p for p in pickles if '_of_' not in p.name]
  if alone and len(pickles) > 1:
    raise errors.UserError(
        f'{path} holds more than one benchmark: give the one file, such as'
        f' {alone[0]}'
    )
  return pickles


def read_all(
    data_dir: str | os.PathLike,
    *,
    split: str | None = None,
    size: tuple[int, int] = (256, 256),
) -> Iterator[tuple[str, Sequence[PointSequence]]]:
  """Yields the videos of a benchmark, so many at once as its files hold.

  Args:
    data_dir: As `find` takes it; or a folder in which `data_prep.build` built
      tapvid.
    split: The benchmark, where a built dataset holds several.
    size: As `read` takes it.

  Yields:
    What the videos are from, and the videos, as `read` returns them; those of a
    built dataset are read when asked for.

  Raises:
    UserError: as `find` and `read`; or it is not told which split.
  """
  splits = built.splits('tapvid', data_dir)
  if not splits:
    for path in find(data_dir):
      yield str(path), read(path, size=size)
    return
  if split is None and len(splits) > 1:
    raise errors.UserError(
        f'{data_dir} holds more than one benchmark: give --split, one of'
        f' {", ".join(splits)}'
    )
  records = built.records('tapvid', data_dir, split or splits[0])
  yield split or splits[0], lazy_sequence.LazySequence(
      range(len(records)), lambda index: _of_record(records[index], size)
  )


def read(
    path: str | os.PathLike, *, size: tuple[int, int] = (256, 256)
) -> list[PointSequence]:
  """Reads one pickle of TAP-Vid: DAVIS, RGB-Stacking or a shard of Kinetics.

  Args:
    path: A pickled dict of videos by name, or list of videos. Each is a dict of
      `video` (uint8 [time, height, width, 3], or a JPEG file's bytes for each
      frame), `points` ((x, y) [points, time, 2], 0 to 1 from edge to edge of
      the frame) and `occluded` (bool [points, time]).
    size: Height and width that frames are resized to; the published figures
      are for 256 x 256.

  Returns:
    As `read_examples`. JPEG files are not decoded yet.

  Raises:
    UserError: as `read_examples`.
  """
  examples = read_examples(path)
  return [_sequence(name, x, size) for name, x in examples.items()]


def read_examples(path: str | os.PathLike) -> dict[str, Example]:
  """Reads one pickle as it is, for `read`.

  Returns:
    The videos by name, in the file's order; those of a list are named by the
    file and their place in it.

  Raises:
    UserError: the file cannot be read, is no pickle of TAP-Vid, or holds
      anything but numbers, text and numpy arrays.
  """
  path = pathlib.Path(path)
  try:
    with path.open('rb') as file:
      examples = _ArrayUnpickler(file).load()
  # Malformed pickles raise errors of any kind.
  except Exception as error:
    raise errors.UserError(
        f'cannot read {path} ({error}): restore it from the published archive'
    ) from error
  if isinstance(examples, list):
    examples = {f'{path.stem}_{i:03}': x for i, x in enumerate(examples)}
  if not isinstance(examples, dict):
    raise errors.UserError(f'{path} holds no videos: give a TAP-Vid pickle')
  try:
    return {str(name): _example(name, x) for name, x in examples.items()}
  except (
      AttributeError, LookupError, OSError, TypeError, ValueError
  ) as error:  # fmt: skip
    raise errors.UserError(
        f'{path} is not laid out as TAP-Vid ({error}): restore it'
    ) from error


class _ArrayUnpickler(pickle.Unpickler):
  """Rebuilds numpy arrays, and refuses any other class or function."""

  def find_class(self, module_name: str, global_name: str) -> Any:
    # numpy's own module was called numpy.core before numpy 2.
    module_name = module_name.replace('numpy.core.', 'numpy._core.')
    if (module_name, global_name) not in _ARRAY_GLOBALS:
      raise pickle.UnpicklingError(
          f'it asks for {module_name}.{global_name}, which is no array'
      )
    return super().find_class(module_name, global_name)


def _example(name, example) -> Example:
  if pathlib.PurePath(str(name)).name != str(name):
    raise ValueError(f'{name!r} is no name of a file')
  video = example['video']
  points = np.asarray(example['points'], np.float32)
  occluded = np.asarray(example['occluded'], bool)
  if points.shape != (*occluded.shape, 2) or occluded.shape[1:] != (
      len(video),
  ):
    raise ValueError(
        f'{name}: {len(video)} frames, points {points.shape},'
        f' occluded {occluded.shape}'
    )
  _picture(video[0])  # Raises, now and not on access, if it is none.
  return Example(video, points, occluded)


def _sequence(name, example, size) -> PointSequence:
  height, width = size
  # From edges at 0 and 1 to pixels, the first of which has its centre at 0.
  points = example.points * np.array([width, height], np.float32) - np.float32(
      0.5
  )
  return PointSequence(name, points, example.occluded, size, example.video)


def _picture(frame) -> Image.Image:
  if isinstance(frame, bytes):
    picture = Image.open(io.BytesIO(frame))
  else:
    picture = Image.fromarray(frame)
  return picture.convert('RGB')


def _of_record(record, size):
  example = Example(record['frames'], record['points'], record['occluded'])
  return _sequence(record['name'].decode(), example, size)
