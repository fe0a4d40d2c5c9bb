"""What is exported is read back, by pycocotools or a small reader of each."""

import configparser
import json
import weakref
from xml.etree import ElementTree

import cv2
from matplotlib import path as path_lib
import numpy as np
from PIL import Image
from pycocotools import coco
import pytest
import yaml

from tests import tiny
from vidcolor import errors
from vidcolor import export_formats
from vidcolor import lazy_sequence
from vidcolor import video_tracker

_NUMBERS = [2, 7]
_COUNT, _HEIGHT, _WIDTH = 6, 72, 96
_FRAMES = tiny.red_square()[0][:_COUNT]


def _masks():
  """Object 2 has parts and a hole with an island; 7 has a part of one pixel."""
  masks = np.zeros((_COUNT, _HEIGHT, _WIDTH), np.uint8)
  for t, mask in enumerate(masks):
    mask[10:40, 5 + t : 40 + t] = 2
    mask[18:25, 12 + t : 22 + t] = 0
    mask[20:23, 15 + t : 17 + t] = 2
    mask[50:60, 3:9] = 2
    mask[45:70, 50:90] = 7
    mask[71, 95] = mask[0, 0] = 7
  masks[2][masks[2] == 7] = 0  # Object 7 is gone.
  masks[4] = 0  # Nothing is there.
  return masks


def _result(masks):
  visible = np.stack([(masks == n).any((1, 2)) for n in _NUMBERS], axis=-1)
  visible[3, 0] = False  # Object 2 counts as lost, though it has pixels.
  return video_tracker.TrackResult(
      np.array(_NUMBERS),
      masks,
      np.zeros((_COUNT, 2, 2)),
      visible,
      np.full((_COUNT, 2), 0.875),
      np.zeros(2, int),
  )


def _truth():
  """Returns the mask of each visible object, by frame and number."""
  result = _result(_masks())
  return {
      (int(t), _NUMBERS[index]): result.masks[t] == _NUMBERS[index]
      for t, index in np.argwhere(result.visible)
  }


@pytest.fixture(name='exported', scope='module')
def fixture_exported(tmp_path_factory):
  folder = tmp_path_factory.mktemp('exported') / 'out'
  names = list(export_formats.FORMATS)
  export_formats.export(
      folder, _FRAMES, _result(_masks()), names, frames_per_second=12.4
  )
  return folder


def _assert_same(found):
  truth = _truth()
  assert sorted(found) == sorted(truth) and len(truth) == 8
  for key, mask in truth.items():
    np.testing.assert_array_equal(found[key], mask)


@pytest.mark.filterwarnings('ignore:__array__')  # Of pycocotools.
def test_coco(exported):
  dataset = coco.COCO(str(exported / 'coco.json'))
  assert dataset.getCatIds() == [1]
  images = dataset.loadImgs(dataset.getImgIds())
  assert [i['file_name'] for i in images] == [f'{n:05d}.jpg' for n in range(6)]
  assert {(i['height'], i['width']) for i in images} == {(_HEIGHT, _WIDTH)}
  found = {}
  for one in dataset.loadAnns(dataset.getAnnIds()):
    frame = dataset.imgs[one['image_id']]['frame_index']
    mask = dataset.annToMask(one)
    found[frame, one['track_id']] = mask == 1
    assert one['attributes'] == {'track_id': one['track_id']}
    assert one['area'] == mask.sum() and one['score'] == 0.875
    assert one['bbox'] == list(cv2.boundingRect(mask))
  _assert_same(found)


def test_cvat(exported):
  root = ElementTree.parse(exported / 'cvat.xml').getroot()
  assert root.findtext('version') == '1.1'
  assert root.findtext('meta/task/mode') == 'interpolation'
  assert root.findtext('meta/task/stop_frame') == '5'
  assert root.findtext('meta/task/original_size/width') == str(_WIDTH)
  (label,) = root.iterfind('meta/task/labels/label/name')
  found = {}
  for track in root.iterfind('track'):
    assert track.get('label') == label.text
    first, *ends = track.iterfind('mask')
    frame, number = int(first.get('frame')), int(first.findtext('attribute'))
    assert first.get('outside') == '0'
    # It ends with its frame.
    assert [(end.get('frame'), end.get('outside')) for end in ends] == (
        [] if frame == 5 else [(str(frame + 1), '1')]
    )
    left, top, width, height = (
        int(first.get(name)) for name in ('left', 'top', 'width', 'height')
    )
    runs = list(map(int, first.get('rle').split(',')))
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask = np.zeros((_HEIGHT, _WIDTH), bool)
    mask[top : top + height, left : left + width] = pixels.reshape(height, -1)
    found[frame, number] = mask
  _assert_same(found)


def test_mot(exported):
  rows = np.loadtxt(exported / 'mot' / 'gt' / 'gt.txt', delimiter=',')
  boxes = {(int(r[0]) - 1, int(r[1])): (r[2:6] - [1, 1, 0, 0]) for r in rows}
  truth = _truth()
  assert sorted(boxes) == sorted(truth)
  for key, mask in truth.items():
    assert boxes[key].tolist() == list(cv2.boundingRect(mask.view(np.uint8)))
  np.testing.assert_array_equal(rows[:, 6:], [[0.875, 1, 1]] * len(rows))
  info = configparser.ConfigParser()
  info.read(exported / 'mot' / 'seqinfo.ini')
  assert dict(info['Sequence']) == {
      'name': 'video',
      'imdir': 'img1',
      'framerate': '12',
      'seqlength': '6',
      'imwidth': '96',
      'imheight': '72',
      'imext': '.jpg',
  }


def _filled(line):
  """Fills a polygon of a label as Ultralytics does."""
  category, *values = line.split()
  assert category == '0' and len(values) >= 6
  points = np.array(values, float).reshape(-1, 2)
  assert points.min() > 0 and points.max() < 1
  mask = np.zeros((_HEIGHT, _WIDTH), np.uint8)
  points = (points * (_WIDTH, _HEIGHT)).astype(np.int32)
  return cv2.fillPoly(mask, [points], 1) == 1


def test_yolo(exported):
  data = yaml.safe_load((exported / 'yolo' / 'data.yaml').read_text())
  assert data['names'] == {0: 'object'} and data['train'] == 'images'
  paths = sorted((exported / 'yolo' / 'labels').iterdir())
  assert [path.name for path in paths] == [f'{n:05d}.txt' for n in range(6)]
  lines = [
      (t, line)
      for t, path in enumerate(paths)
      for line in path.read_text().splitlines()
  ]
  # Within a frame, objects are in the order of their numbers.
  for ((t, number), mask), (frame, line) in zip(
      sorted(_truth().items()), lines, strict=True
  ):
    found = _filled(line)
    assert frame == t
    assert not (mask & ~found).any()  # All of its pixels, parts and rims.
    # Lines between the parts are added.
    assert (found & mask).sum() / (found | mask).sum() > 0.93
    if number == 2:
      assert not found[19, 15 + t] and found[21, 16 + t]  # The hole.


def _within(lines):
  """Returns the pixels whose centres lie within an odd number of polygons."""
  rows, columns = np.indices((_HEIGHT, _WIDTH))
  centres = np.stack([columns.ravel(), rows.ravel()], axis=-1)
  within = [path_lib.Path(line).contains_points(centres) for line in lines]
  return np.logical_xor.reduce(within).reshape(_HEIGHT, _WIDTH)


def test_contours(exported):
  frames = json.loads((exported / 'contours.json').read_text())
  assert [frame['frame'] for frame in frames] == list(range(_COUNT))
  found = {
      (frame['frame'], one['number']): _within(one['contours'])
      for frame in frames
      for one in frame['objects']
  }
  _assert_same(found)
  # Points on a straight line are left out: here is a rectangle and two pixels.
  (seven,) = [one for one in frames[0]['objects'] if one['number'] == 7]
  assert sorted(map(len, seven['contours'])) == [4, 4, 8]


def test_svg(exported):
  paths = sorted((exported / 'svg').iterdir())
  assert [path.name for path in paths] == [
      f'{n:05d}.svg' for n in range(_COUNT)
  ]
  found = {}
  for t, path in enumerate(paths):
    root = ElementTree.parse(path).getroot()
    assert root.tag == '{http://www.w3.org/2000/svg}svg'
    assert root.get('viewBox') == f'0 0 {_WIDTH} {_HEIGHT}'
    for one in root:
      assert one.get('fill-rule') == 'evenodd'
      lines = one.get('d').removeprefix('M').removesuffix('Z').split('ZM')
      lines = [[p.split(',') for p in line.split(' ')] for line in lines]
      number = int(one.get('id').removeprefix('object-'))
      # A pixel centre is at half a pixel there.
      found[t, number] = _within(np.array(line, float) - 0.5 for line in lines)
  _assert_same(found)


@pytest.mark.parametrize('shape', [(1, 1), (1, 2), (2, 1), (1, 9), (4, 3)])
def test_the_smallest_objects_are_polygons(tmp_path, shape):
  masks = np.zeros((1, _HEIGHT, _WIDTH), np.uint8)
  masks[0, -shape[0] :, -shape[1] :] = 1  # In the corner.
  result = video_tracker.TrackResult(
      np.array([1]),
      masks,
      np.zeros((1, 1, 2)),
      masks.any((1, 2))[:, None],
      np.ones((1, 1)),
      np.zeros(1, int),
  )
  export_formats.export(tmp_path, _FRAMES[:1], result, ['yolo'])
  (line,) = (tmp_path / 'yolo/labels/00000.txt').read_text().splitlines()
  np.testing.assert_array_equal(_filled(line), masks[0] == 1)


def test_pictures_keep_their_names(tmp_path):
  folder = tmp_path / 'my video.v2 100%'
  folder.mkdir()
  # One more than could be read.
  names = [
      f'a.{number} b{suffix}'
      for number, suffix in enumerate(
          ['.png', '.JPG', '.png', '.png', '.bmp', '.png', '.png']
      )
  ]
  for name in names:
    Image.fromarray(_FRAMES[0]).save(folder / name)
  formats = ['coco', 'mot', 'yolo']
  export_formats.export(tmp_path, folder, _result(_masks()), formats)
  content = json.loads((tmp_path / 'coco.json').read_text())
  assert [image['file_name'] for image in content['images']] == names[:6]
  labels = {path.name for path in (tmp_path / 'yolo/labels').iterdir()}
  assert labels == {f'a.{number} b.txt' for number in range(6)}
  info = configparser.ConfigParser(interpolation=None)
  info.read(tmp_path / 'mot' / 'seqinfo.ini')
  assert info['Sequence']['name'] == 'my video.v2 100%'
  assert info['Sequence']['imExt'] == '.png'


def test_pictures_beside_the_labels_stay(tmp_path):
  for path in tmp_path / 'yolo/images/0.jpg', tmp_path / 'mot/img1/0.jpg':
    path.parent.mkdir(parents=True)
    path.touch()
  export_formats.export(tmp_path, _FRAMES, _result(_masks()), ['yolo', 'mot'])
  assert (tmp_path / 'yolo/images/0.jpg').exists()
  assert (tmp_path / 'mot/img1/0.jpg').exists()


def test_what_cannot_be_exported_is_told(tmp_path):
  result = _result(_masks())
  with pytest.raises(errors.UserError, match="'voc': .*coco, cvat, mot, yolo"):
    export_formats.export(tmp_path, _FRAMES, result, ['coco', 'voc'])
  with pytest.raises(errors.UserError, match='points have no masks'):
    points = result._replace(masks=None)
    export_formats.export(tmp_path, _FRAMES, points, ['coco'])
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', export_formats.FORMATS)
def test_nothing_is_half_written(tmp_path, name):
  masks = _masks()

  def read(number):
    if number == 3:
      raise errors.UserError('a mask is gone')
    return masks[number]

  lazy = lazy_sequence.LazySequence(range(_COUNT), read)
  result = _result(masks)._replace(masks=lazy)
  with pytest.raises(errors.UserError, match='a mask is gone'):
    export_formats.export(tmp_path, _FRAMES, result, [name])
  assert not [path for path in tmp_path.rglob('*') if path.is_file()]


@pytest.mark.parametrize('name', export_formats.FORMATS)
def test_masks_are_read_one_at_a_time(tmp_path, name):
  masks, read = _masks(), []

  def read_one(number):
    mask = masks[number].copy()
    read.append(weakref.ref(mask))
    # The one before may be there until it is replaced.
    assert sum(one() is not None for one in read) <= 2
    return mask

  lazy = lazy_sequence.LazySequence(range(_COUNT), read_one)
  result = _result(masks)._replace(masks=lazy)
  export_formats.export(tmp_path, _FRAMES, result, [name])
  assert len(read) >= _COUNT
