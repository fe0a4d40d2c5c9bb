import io

import cv2
import numpy as np
from PIL import Image
import pytest
import tensorflow_datasets as tfds
import yaml

from tests import leftovers
from vidcolor import errors
from vidcolor import masks
from vidcolor.benchmarks.davis import analysis
from vidcolor.benchmarks.davis import data as davis_data


def _write_sequence(root, name, masks, size=(24, 32)):
  frames_dir = root / 'JPEGImages/480p' / name
  masks_dir = root / 'Annotations/480p' / name
  frames_dir.mkdir(parents=True)
  masks_dir.mkdir(parents=True)
  for index, mask in enumerate(masks):
    frame = np.full((*size, 3), (200, 100, 20), np.uint8)
    Image.fromarray(frame).save(frames_dir / f'{index:05}.jpg', quality=95)
    mask.save(masks_dir / f'{index:05}.png')


def _mask(value, mode='L', size=(24, 32)):
  pixels = np.zeros(size, np.uint8)
  pixels[4:8, 4:9] = value
  mask = Image.fromarray(pixels)
  if mode == 'P':
    mask.putpalette([128, 0, 0] * 256)
  return mask.convert(mode) if mode != 'P' else mask


def _write_list(root, year, lines, split='val'):
  path = root / 'ImageSets' / str(year) / f'{split}.txt'
  path.parent.mkdir(parents=True)
  path.write_text('\n'.join(lines) + '\n')


def test_reads_rgb_frames_and_masks_when_asked(tmp_path):
  _write_sequence(tmp_path, 'bear', [_mask(255), _mask(255)])
  (bear,) = davis_data.read_davis(tmp_path)
  assert bear.name == 'bear' and len(bear.frames) == len(bear.masks) == 2
  assert np.abs(bear.frames[1] - np.array([200.0, 100, 20])).max() < 6
  assert bear.masks[1].sum() == 20 and bear.masks[1][4, 4] == 1
  assert len(bear.frames[1:]) == 1 and bear.frames[1:][0].shape == (24, 32, 3)


def test_lists_name_the_sequences_in_order(tmp_path):
  for name in 'ant', 'bear', 'cow':
    _write_sequence(tmp_path, name, [_mask(255)])
  assert [s.name for s in davis_data.read_davis(tmp_path)] == [
      'ant',
      'bear',
      'cow',
  ]
  official = [
      f'/JPEGImages/480p/{name}/{i:05}.jpg'
      f' /Annotations/480p/{name}/{i:05}.png'
      for name in ('cow', 'bear')
      for i in range(2)
  ]
  _write_list(tmp_path, 2016, official)
  assert [s.name for s in davis_data.read_davis(tmp_path)] == ['cow', 'bear']
  _write_list(tmp_path, 2017, ['ant', ''])
  assert [s.name for s in davis_data.read_davis(tmp_path)] == ['ant']
  assert len(davis_data.read_davis(tmp_path, year=2016)) == 2


def _write_published_list(root, text, encoding='utf-8'):
  path = root / 'ImageSets/480p/val.txt'
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(text.encode(encoding))


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_2016_is_read_as_published(tmp_path, encoding):
  for name in 'ant', 'bear', 'cow':
    _write_sequence(tmp_path, name, 2 * [_mask(255)])
  lines = [
      f'/JPEGImages/480p/{name}/{i:05}.jpg'
      f' /Annotations/480p/{name}/{i:05}.png \r\n'
      for name in ('cow', 'bear')
      for i in range(2)
  ]
  _write_published_list(tmp_path, ''.join(lines), encoding)
  assert davis_data.latest_year(tmp_path) == 2016
  for year in None, 2016:
    sequences = davis_data.read_davis(tmp_path, year=year)
    assert [s.name for s in sequences] == ['cow', 'bear']
  with pytest.raises(errors.UserError, match='no list .*2017/val.txt'):
    davis_data.read_davis(tmp_path, year=2017)


@pytest.mark.parametrize('suffix', ['.jpg', '.JPG', '.jpeg', '.png', '.PNG'])
def test_frames_and_masks_have_any_usual_suffix(tmp_path, suffix):
  _write_sequence(tmp_path, 'bear', 3 * [_mask(255)])
  for path in (tmp_path / 'JPEGImages/480p/bear').iterdir():
    with Image.open(path) as picture:
      picture.save(path.with_suffix(suffix))
    if suffix != '.jpg':
      path.unlink()
  for path in (tmp_path / 'Annotations/480p/bear').iterdir():
    path.rename(path.with_suffix('.PNG'))
  (bear,) = davis_data.read_davis(tmp_path)
  assert len(bear.frames) == len(bear.masks) == 3
  assert bear.frame_names == ['00000', '00001', '00002']
  assert np.abs(bear.frames[1] - np.array([200.0, 100, 20])).max() < 6
  assert bear.masks[1].sum() == 20


def test_other_resolutions_and_unsupervised_annotations(tmp_path):
  _write_sequence(tmp_path, 'bear', 3 * [_mask(255)])
  for kind in 'JPEGImages', 'Annotations':
    (tmp_path / kind / '480p').rename(tmp_path / kind / 'Full-Resolution')
  (tmp_path / 'Annotations').rename(tmp_path / 'Annotations_unsupervised')
  (bear,) = davis_data.read_davis(tmp_path, resolution='Full-Resolution')
  assert len(bear.frames) == len(bear.masks) == 3
  with pytest.raises(errors.UserError, match='holds JPEGImages/480p'):
    davis_data.read_davis(tmp_path)


@pytest.mark.parametrize('has_lists', [False, True])
def test_what_macos_and_jupyter_leave_behind_is_ignored(tmp_path, has_lists):
  _write_sequence(tmp_path, 'bear', 3 * [_mask(255)])
  if has_lists:
    _write_list(tmp_path, 2017, ['bear'])
  leftovers.leave_in_all_folders(tmp_path)
  (bear,) = davis_data.read_scorable(tmp_path)
  assert bear.name == 'bear' and len(bear.frames) == len(bear.masks) == 3


def test_what_measures_needs_all_masks_and_a_sequence(tmp_path):
  for name in 'bear', 'dogs':
    _write_sequence(tmp_path, name, 3 * [_mask(255)])
  read = davis_data.read_fully_annotated
  assert [s.name for s in read(tmp_path)] == ['bear', 'dogs']
  assert [s.name for s in read(tmp_path, leave_out=['bear'])] == ['dogs']
  for names, message in (
      (['cat'], 'no cat to leave out, but bear, dogs'),
      (['bear', 'dogs'], 'are left out'),
  ):
    with pytest.raises(errors.UserError, match=message):
      read(tmp_path, leave_out=names)
  for name in 'bear', 'dogs':
    folder = tmp_path / 'Annotations' / '480p' / name
    for path in sorted(folder.iterdir())[1:]:
      path.unlink()
  with pytest.raises(errors.UserError, match='only first masks'):
    read(tmp_path)


def test_reads_the_published_lists_and_attributes(shared_dir):
  """Sixteen of the thirty training sequences of 2016 are at hand."""
  root = shared_dir / 'davis2016-train'
  sequences = davis_data.read_scorable(root, split='train')
  assert davis_data.latest_year(root) == 2016
  assert len(sequences) == 16 and sequences[0].name == 'bear'
  path = root / 'Annotations/db_info.yml'
  attributes = analysis.read_attributes(path)
  assert len(attributes) == 50 and not attributes['blackswan']
  assert attributes['bus'] == ['SC', 'OCC', 'HO', 'EA']
  listed = yaml.safe_load(path.read_text())['sequences']
  num_frames = {entry['name']: entry['num_frames'] for entry in listed}
  for sequence in sequences:
    assert len(sequence.frames) == num_frames[sequence.name]


def test_2017_keeps_objects_apart_and_2016_does_not(tmp_path):
  pixels = np.zeros((24, 32), np.uint8)
  pixels[1], pixels[2], pixels[3] = 1, 3, 255
  mask = Image.fromarray(pixels)
  mask.putpalette(list(range(256)) * 3)
  _write_sequence(tmp_path, 'dogs', [mask])
  (dogs,) = davis_data.read_davis(tmp_path)
  np.testing.assert_array_equal(dogs.masks[0], pixels)
  _write_list(tmp_path, 2016, ['dogs'])
  (dogs,) = davis_data.read_davis(tmp_path)
  np.testing.assert_array_equal(dogs.masks[0][1:4, 0], [1, 1, 0])


@pytest.mark.parametrize('mode', ['L', 'RGB', 'RGBA', '1', 'LA'])
def test_white_is_one_object(tmp_path, mode):
  _mask(255, mode).save(tmp_path / 'mask.png')
  mask = masks.read(tmp_path / 'mask.png')
  assert np.unique(mask).tolist() == [0, 1] and mask.sum() == 20


def test_greys_in_a_palette_are_greys(tmp_path):
  _mask(255).convert('P').save(tmp_path / 'mask.png')
  with Image.open(tmp_path / 'mask.png') as picture:
    assert picture.mode == 'P'
  for one_object in (False, True):
    mask = masks.read(tmp_path / 'mask.png', one_object=one_object)
    assert mask.max() == 1 and mask.sum() == 20


def test_void_is_never_taken_for_an_object(tmp_path):
  pixels = np.zeros((24, 32), np.uint8)
  pixels[3] = 255
  masks.write_png(tmp_path / 'mask.png', pixels)
  np.testing.assert_array_equal(masks.read(tmp_path / 'mask.png'), pixels)
  assert not masks.read(tmp_path / 'mask.png', one_object=True).any()
  pixels[4], pixels[5] = 1, 2
  Image.fromarray(pixels).save(tmp_path / 'mask.png')
  numbers = np.unique(masks.read(tmp_path / 'mask.png'))
  assert numbers.tolist() == [0, 1, 2]


def test_several_colours_tell_no_numbers(tmp_path):
  pixels = np.zeros((24, 32, 3), np.uint8)
  pixels[3], pixels[4] = (200, 0, 0), (0, 200, 0)
  Image.fromarray(pixels).save(tmp_path / 'mask.png')
  with pytest.raises(errors.UserError, match='mask.png has several colors'):
    masks.read(tmp_path / 'mask.png')
  assert masks.read(tmp_path / 'mask.png', one_object=True).sum() == 64


def test_grey_numbers_are_objects_unless_one_is_wanted(tmp_path):
  _mask(2).save(tmp_path / 'mask.png')
  assert masks.read(tmp_path / 'mask.png').max() == 2
  one = masks.read(tmp_path / 'mask.png', one_object=True)
  assert one.max() == 1 and one.sum() == 20


def _soft(size=(48, 64)):
  """A disk with edges as soft as after a blur, and the disk."""
  y, x = np.mgrid[: size[0], : size[1]]
  edge = 12 - np.hypot(x - 30, y - 22)
  soft = (255 / (1 + np.exp(-edge))).round().astype(np.uint8)
  return soft, (soft >= 128).astype(np.uint8)


def _soft_picture(mode):
  soft, hard = _soft()
  if mode == 'I;16':
    return Image.fromarray(soft.astype(np.uint16) * 257), hard
  if mode == 'P':
    picture = Image.fromarray(soft)
    picture.putpalette(np.arange(256).repeat(3).tolist())
    return picture, hard
  return Image.fromarray(soft).convert(mode), hard


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA', 'P', 'I;16'])
def test_soft_grey_edges_end_where_the_grey_is_128(tmp_path, mode):
  picture, hard = _soft_picture(mode)
  picture.save(tmp_path / 'mask.png')
  mask = masks.read(tmp_path / 'mask.png', one_object=True)
  np.testing.assert_array_equal(mask, hard)
  np.testing.assert_array_equal(masks.read_drawn(tmp_path / 'mask.png'), hard)
  with pytest.raises(errors.UserError, match='mask.png has greys between'):
    masks.read(tmp_path / 'mask.png')


def test_soft_colored_edges_end_at_half_of_the_color(tmp_path):
  rgb = np.zeros((24, 32, 3), np.uint8)
  rgb[8:16] = 200, 40, 20
  rgb[7], rgb[16] = (90, 18, 9), (150, 30, 15)
  Image.fromarray(rgb).save(tmp_path / 'mask.png')
  mask = masks.read(tmp_path / 'mask.png', one_object=True)
  assert np.flatnonzero(mask.any(axis=1)).tolist() == list(range(8, 17))


@pytest.mark.parametrize('values', [(1, 2), (2, 0), (100, 200), (3, 255)])
def test_rgb_and_grey_of_the_same_numbers_agree(tmp_path, values):
  pixels = np.zeros((24, 32), np.uint8)
  pixels[2:6], pixels[8:12] = values
  for mode in ('L', 'RGB'):
    Image.fromarray(pixels).convert(mode).save(tmp_path / f'{mode}.png')
  for one_object in (False, True):
    grey, rgb = (
        masks.read(tmp_path / f'{mode}.png', one_object=one_object)
        for mode in ('L', 'RGB')
    )
    np.testing.assert_array_equal(grey, rgb)
    expected = np.where(pixels == 255, 0, pixels)
    np.testing.assert_array_equal(
        grey, expected > 0 if one_object else expected
    )


def test_the_coding_of_a_sequence_holds_where_an_object_fades(tmp_path):
  soft, _ = _soft()
  paths = [tmp_path / f'{index:05}.png' for index in range(3)]
  for path, pixels in zip(paths, (soft, soft // 20, 0 * soft), strict=True):
    Image.fromarray(pixels).save(path)
  coding = masks.common_coding(paths)
  found = [masks.read(p, one_object=True, coding=coding).max() for p in paths]
  assert coding == masks.Coding.SOFT and found == [1, 0, 0]


@pytest.mark.parametrize('scale', [1, 257])
def test_a_soft_mask_below_half_shows_no_object(tmp_path, scale):
  soft, _ = _soft()
  faint = (soft // 3).astype(np.uint8 if scale == 1 else np.uint16) * scale
  Image.fromarray(faint).save(tmp_path / 'mask.png')
  assert not masks.read(tmp_path / 'mask.png', one_object=True).any()
  with pytest.raises(errors.UserError, match='mask.png has greys between'):
    masks.read(tmp_path / 'mask.png')


@pytest.mark.parametrize('number', [4, 200])
@pytest.mark.parametrize('mode', ['L', 'RGB', 'LA'])
def test_a_thin_object_is_no_soft_edge_of_the_void(tmp_path, mode, number):
  """If it is solid in another mask of the sequence."""
  thin, solid = np.zeros((2, 24, 32), np.uint8)
  thin[2:10, 2:20] = solid[2:10, 2:20] = 255
  thin[15, 4:7] = solid[12:20, 4:9] = number
  pictures = [Image.fromarray(x).convert(mode) for x in (thin, solid, thin)]
  _write_sequence(tmp_path, 'bear', pictures)
  for year, value in (2016, 1), (2017, number):
    (bear,) = davis_data.read_davis(tmp_path, year=year)
    # In 2017, void is left for the metrics to take off.
    areas = [np.count_nonzero(mask == value) for mask in bear.masks]
    assert areas == [3, 40, 3]
    assert {*np.unique(bear.masks[0])} <= {0, value, 255}


def _remove_frames_folder(root):
  (root / 'JPEGImages').rename(root / 'elsewhere')


def _list_a_sequence_that_is_not_there(root):
  _write_list(root, 2017, ['yak'])


def _remove_a_mask(root):
  (root / 'Annotations/480p/bear/00001.png').unlink()


def _remove_a_frame(root):
  (root / 'JPEGImages/480p/bear/00001.jpg').unlink()


def _add_a_frame_of_the_same_name(root):
  path = root / 'JPEGImages/480p/bear/00001.jpg'
  path.with_suffix('.png').write_bytes(path.read_bytes())


def _spoil_a_mask(root):
  (root / 'Annotations/480p/bear/00000.png').write_bytes(b'no picture')


def _shrink_a_mask(root):
  _mask(255, size=(12, 16)).save(root / 'Annotations/480p/bear/00001.png')


def _empty_the_list(root):
  _write_list(root, 2017, ['', ' '])


def _list_another_split(root):
  _write_list(root, 2017, ['bear'], split='train')


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (_remove_frames_folder, 'JPEGImages'),
        (_list_a_sequence_that_is_not_there, 'yak'),
        (_remove_a_mask, 'bear/00001.png'),
        (_remove_a_frame, 'no frame .*bear/00001.jpg'),
        (_add_a_frame_of_the_same_name, '00001.png and 00001.jpg are of'),
        (_spoil_a_mask, 'bear/00000.png'),
        (_shrink_a_mask, 'bear/00001.png is 16x12 but its frame is 32x24'),
        (_list_another_split, '2017/val.txt'),
        (_empty_the_list, 'no sequence in the list .*2017/val.txt'),
    ],
)
def test_says_what_is_wrong_with_a_folder(tmp_path, spoil, message):
  _write_sequence(tmp_path, 'bear', 3 * [_mask(255)])
  spoil(tmp_path)
  with pytest.raises(errors.UserError, match=message):
    davis_data.read_davis(tmp_path)


def test_a_first_mask_alone_is_enough(tmp_path):
  _write_sequence(tmp_path, 'bear', 3 * [_mask(255)])
  for index in (1, 2):
    (tmp_path / f'Annotations/480p/bear/{index:05}.png').unlink()
  (bear,) = davis_data.read_davis(tmp_path)
  assert len(bear.frames) == 3 and len(bear.masks) == 1
  assert bear.frame_names == ['00000', '00001', '00002']


@pytest.mark.parametrize('kind', ['frames', 'masks'])
def test_says_which_file_is_cut_short(tmp_path, kind):
  _write_sequence(tmp_path, 'bear', [_mask(255)], size=(24, 32))
  folder = 'JPEGImages' if kind == 'frames' else 'Annotations'
  (path,) = (tmp_path / folder / '480p/bear').iterdir()
  (bear,) = davis_data.read_davis(tmp_path)
  path.write_bytes(path.read_bytes()[:60])
  with pytest.raises(errors.UserError, match=str(path)):
    getattr(bear, kind)[0]


class SmallMasks(tfds.core.GeneratorBasedBuilder):
  """Two frames, with the features that `read_tfds` reads."""

  VERSION = tfds.core.Version('1.0.0')

  def _info(self):
    return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(
            {
                'name': tfds.features.Text(),
                'frames': tfds.features.Sequence(
                    tfds.features.Image(
                        shape=(24, 32, 3), encoding_format='jpeg'
                    )
                ),
                'masks': tfds.features.Sequence(
                    tfds.features.Image(
                        shape=(24, 32, 1), encoding_format='png'
                    )
                ),
            }
        ),
    )

  def _split_generators(self, dl_manager):
    return {'test': self._generate_examples()}

  def _generate_examples(self):
    frame = np.full((24, 32, 3), (20, 100, 200), np.uint8)  # BGR
    jpeg = cv2.imencode('.jpg', frame)[1].tobytes()
    masks = [cv2.imencode('.png', np.array(_mask(k)))[1] for k in (1, 2)]
    for key in range(2):
      yield key, {
          'name': f'clip-{key}',
          'frames': [io.BytesIO(jpeg) for _ in range(2)],
          'masks': [io.BytesIO(mask.tobytes()) for mask in masks],
      }


def test_reads_what_tfds_prepared(tmp_path):
  SmallMasks(
      data_dir=str(tmp_path), file_format='array_record'
  ).download_and_prepare()
  clips = davis_data.read_tfds('small_masks', tmp_path, 'test')
  assert sorted(clip.name for clip in clips) == ['clip-0', 'clip-1']
  assert np.abs(clips[0].frames[1] - np.array([200.0, 100, 20])).max() < 6
  assert [mask.max() for mask in clips[0].masks] == [1, 2]
  assert clips[0].masks[0].shape == (24, 32)
  assert len(davis_data.read_tfds('small_masks', tmp_path, 'test[:1]')) == 1
  with pytest.raises(errors.UserError, match='val'):
    davis_data.read_tfds('small_masks', tmp_path, 'val')
  with pytest.raises(errors.UserError, match='large_masks'):
    davis_data.read_tfds('large_masks', tmp_path, 'test')
