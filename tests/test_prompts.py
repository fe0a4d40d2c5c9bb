import json

import numpy as np
from PIL import Image
import pytest

from vidcolor import errors
from vidcolor import masks
from vidcolor import prompts

FULL, HALF = (40, 60), (20, 30)


def _two_squares():
  mask = np.zeros(FULL, np.uint8)
  mask[10:20, 10:20], mask[22:30, 40:50] = 1, 2
  return mask


def test_a_mask_shrinks_with_its_frame():
  mask = prompts.MaskPrompt(_two_squares())
  np.testing.assert_array_equal(mask.in_frame(FULL, FULL), _two_squares())
  half = mask.in_frame(FULL, HALF)
  np.testing.assert_array_equal(half, _two_squares()[::2, ::2])


def test_of_masks_in_a_stack_later_ones_lie_on_top():
  stack = np.zeros((2, *FULL), bool)
  stack[0, :20], stack[1, 10:30] = True, True
  mask = prompts.MaskPrompt(stack).in_frame(FULL, FULL)
  assert mask[5, 0] == 1 and mask[15, 0] == 2 and mask[35, 0] == 0


def test_white_is_one_object():
  drawn = np.where(_two_squares() > 0, 255, 0)
  mask = prompts.MaskPrompt(drawn).in_frame(FULL, FULL)
  np.testing.assert_array_equal(mask, _two_squares() > 0)


def test_there_are_numbers_for_254_objects():
  stack = np.eye(FULL[0] * FULL[1], dtype=bool).reshape(-1, *FULL)
  mask = prompts.MaskPrompt(stack[:254]).in_frame(FULL, FULL)
  assert mask.max() == 254
  with pytest.raises(errors.UserError, match='255 objects: give at most 254'):
    prompts.MaskPrompt(stack[:255]).in_frame(FULL, FULL)


def test_objects_of_a_stack_must_be_seen():
  stack = np.zeros((3, *FULL), bool)
  stack[0, :20], stack[2, 10:] = True, True
  with pytest.raises(errors.UserError, match='object 2 has no pixel'):
    prompts.MaskPrompt(stack).in_frame(FULL, FULL)
  stack[1], stack[2] = stack[0], True
  with pytest.raises(errors.UserError, match='object 1 has no pixel'):
    prompts.MaskPrompt(stack).in_frame(FULL, FULL)


@pytest.mark.parametrize(
    ('mask', 'message'),
    [
        (np.full(FULL, 0.5), 'numbers 0.5 to 0.5: objects are 1 to 254'),
        (np.ones((20, 30), np.uint8), '30 x 20 and the frame 60 x 40'),
        (np.zeros(FULL, np.uint8), 'marks no object'),
        (np.full(FULL, masks.VOID, np.uint8), 'marks no object'),
        (np.ones((*FULL, 3), np.uint8), '3 x 60 x 40'),
        (np.full(FULL, 300), 'numbers 300 to 300: objects are 1 to 254'),
    ],
)
def test_a_mask_that_does_not_fit_is_one_line(mask, message):
  with pytest.raises(errors.UserError, match=message):
    prompts.MaskPrompt(mask, '--mask=a.png').in_frame(FULL, FULL)


def test_points_and_boxes_shrink_about_pixel_centres():
  points = prompts.PointPrompt([[0.5, 0.5], [59, 39]]).in_frame(FULL, HALF)
  np.testing.assert_allclose(points, [[0, 0], [29.25, 19.25]])
  boxes = prompts.BoxPrompt([[-9, 4.5, 20.5, 99]]).in_frame(FULL, HALF)
  np.testing.assert_allclose(boxes, [[-0.25, 2, 10, 19.25]])


@pytest.mark.parametrize(
    ('points', 'message'),
    [
        ([[60, 5]], '60,5 is outside of the frame, which is 60 x 40'),
        ([[1, 2, 3]], 'give 2 numbers'),
        ([[1, float('nan')]], 'give 2 numbers'),
        ([[1, 2], [3]], 'give 2 numbers'),
        ([], 'at least one'),
        ([[0.5, 0.5], [0, 1]], 'not fractions of the frame'),
    ],
)
def test_points_that_are_not_in_the_frame_are_one_line(points, message):
  with pytest.raises(errors.UserError, match=message):
    prompts.PointPrompt(points).in_frame(FULL, FULL)


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        ([20, 5, 10, 15], 'upside down'),
        ([10, 15, 20, 5], 'upside down'),
        ([70, 5, 80, 15], 'outside of the frame'),
        ([0.2, 0.3, 0.7, 0.9], 'not fractions of the frame'),
        ([1, 2, 3], 'give 4 numbers'),
    ],
)
def test_boxes_that_make_no_sense_are_one_line(box, message):
  with pytest.raises(errors.UserError, match=message):
    prompts.BoxPrompt([box]).in_frame(FULL, FULL)


def test_points_come_as_text():
  assert prompts.read_points('1,2; 3.5,4').position == [[1, 2], [3.5, 4]]


@pytest.mark.parametrize(
    'table',
    [
        '10.5,20\n30,40\n\n',
        'x,y\n10.5,20\n30,40\n,\n',
        'Y;X\n20;10,5\n40;30\n',  # As Excel writes it in half of Europe.
        'id\tx\ty\n0\t10.5\t20\n1\t30\t40\n',
        '10,5\t20\t\n30\t40\t\n',
        '# x y\n 1.05e+01  2.0e+01\n 3.0e+01  4.0e+01\n',  # As NumPy does.
        '10.5, 20,\n30, 40,\n',
        'frame,x,y\n7,10.5,20\n7,30,40\n',
    ],
)
@pytest.mark.parametrize('name', ['a.csv', 'a.TSV', 'a.txt'])
def test_points_come_as_tables(tmp_path, table, name):
  path = tmp_path / name
  path.write_text(table, encoding='utf-8-sig')  # As Excel writes it.
  points = prompts.read_points(str(path))
  assert points.position == [[10.5, 20], [30, 40]] and points.names == ()


@pytest.mark.parametrize(
    'table',
    [
        'name,Y,X\nnose,2,1\nleft eye,4,3\n',
        'x;y;id;name\n1;2;7;nose\n3;4;8;left eye\n',
        '1,2,nose\n3,4,left eye\n',
        'nose\t1\t2\nleft eye\t3\t4\n',
    ],
)
def test_tables_name_points(tmp_path, table):
  path = tmp_path / 'points.csv'
  path.write_text(table)
  points = prompts.read_points(str(path))
  assert points.position == [[1, 2], [3, 4]]
  assert points.names == ('nose', 'left eye')


def test_a_pose_has_names_and_limbs(tmp_path):
  path = tmp_path / 'joints.json'
  joints = {'neck': [1, 2], 'hip': [3, 4], 'knee': [5, 6]}
  limbs = [['neck', 'hip'], ['knee', 'hip']]
  path.write_text(json.dumps({'joints': joints, 'limbs': limbs}))
  pose = prompts.read_pose(path)
  assert pose.names == ('neck', 'hip', 'knee')
  assert pose.limbs == ((0, 1), (2, 1))
  assert pose.position == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ('read', 'name', 'content', 'message'),
    [
        (
            prompts.read_points,
            'a.csv',
            'a,b\n1,2\n',
            'no columns are called x and y',
        ),
        (prompts.read_points, 'a.csv', '1,2\n3\n', 'the numbers x and y'),
        (prompts.read_points, 'a.csv', '1,20,30\n2,40,50\n', 'such as id,x,y'),
        (prompts.read_points, 'a.csv', '1;20;30;.9\n', 'not one column of x'),
        (prompts.read_points, 'a.csv', '20\n30\n', 'not one column of x'),
        (prompts.read_points, 'a.csv', '1,2,a\n3,4,a\n', 'are called a: give'),
        (
            prompts.read_points,
            'a.csv',
            'frame,x,y\n0,1,2\n1,1,3\n',
            'of several frames',
        ),
        (prompts.read_points, 'a.csv', b'\xff\xfe\xff', 'not text'),
        (prompts.read_pose, 'a.json', '{"joints": [1]}', 'not of the form'),
        (prompts.read_pose, 'a.json', '{"joints": {"a": 1}}', 'not of the'),
        (prompts.read_pose, 'a.json', '[]', 'not of the form'),
        (prompts.read_pose, 'a.json', 'x', 'not of the form'),
    ],
)
def test_files_of_another_form_are_one_line(
    tmp_path, read, name, content, message
):
  path = tmp_path / name
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  with pytest.raises(errors.UserError, match=message):
    read(str(path))


def test_text_and_files_that_are_none_are_one_line(tmp_path):
  with pytest.raises(errors.UserError, match='give x,y;x,y'):
    prompts.read_points('1;b')
  with pytest.raises(errors.UserError, match='give left,top,right,bottom'):
    prompts.read_boxes('1,2,3,x')
  for read in prompts.read_mask, prompts.read_pose:
    with pytest.raises(errors.UserError, match='none.png'):
      read(tmp_path / 'none.png')


def _drawn(tmp_path, picture, name='mask.png'):
  picture.save(tmp_path / name)
  return prompts.read_mask(tmp_path / name).in_frame(FULL, FULL)


def test_masks_drawn_in_colors_become_numbers(tmp_path):
  rgb = np.zeros((*FULL, 3), np.uint8)
  rgb[10:20, 10:20], rgb[22:30, 40:50] = (10, 200, 30), (250, 20, 30)
  drawn = _drawn(tmp_path, Image.fromarray(rgb))
  np.testing.assert_array_equal(drawn, _two_squares())


def test_the_palettes_colors_keep_their_numbers(tmp_path):
  mask = 3 * _two_squares()
  drawn = _drawn(tmp_path, Image.fromarray(masks.palette()[mask]))
  np.testing.assert_array_equal(drawn, mask)
  masks.write_png(tmp_path / 'palette.png', mask)
  drawn = prompts.read_mask(tmp_path / 'palette.png').in_frame(FULL, FULL)
  np.testing.assert_array_equal(drawn, mask)


@pytest.mark.parametrize('mode', ['L', 'RGB', '1'])
def test_black_and_white_is_one_object_also_with_smooth_edges(tmp_path, mode):
  grey = np.where(_two_squares() > 0, 255, 0).astype(np.uint8)
  grey[9, 10:20] = 100
  grey[21, 40:50] = 200
  expected = (grey > 128).astype(np.uint8)
  picture = Image.fromarray(grey)
  if mode == '1':
    picture = Image.fromarray(expected.astype(bool))
  drawn = _drawn(tmp_path, picture.convert(mode))
  np.testing.assert_array_equal(drawn, expected)


def test_smooth_edges_of_colored_objects_are_theirs(tmp_path):
  rgb = np.zeros((*FULL, 3), np.uint8)
  rgb[10:20, 10:20], rgb[22:30, 40:50] = (0, 200, 30), (250, 20, 30)
  expected = _two_squares()
  rgb[9, 10:20], rgb[21, 40:50] = (0, 50, 8), (200, 16, 24)
  expected[21, 40:50] = 2
  drawn = _drawn(tmp_path, Image.fromarray(rgb))
  np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize('dtype', [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize('numbers', [(1, 2), (100, 200), (2, 254)])
def test_numbers_of_more_bits_are_object_numbers(tmp_path, dtype, numbers):
  mask = np.array([0, *numbers])[_two_squares()]
  mask[5, 5] = numbers[0]  # Objects may be thin.
  drawn = _drawn(tmp_path, Image.fromarray(mask.astype(dtype)), 'mask.tif')
  np.testing.assert_array_equal(drawn, mask)


def test_large_numbers_become_objects_and_the_log_tells_which(tmp_path, caplog):
  mask = np.array([0, 2000, 1000], np.uint16)[_two_squares()]
  with pytest.warns(match='mask.png are numbered anew: 1 is 1000, 2 is 2000'):
    drawn = _drawn(tmp_path, Image.fromarray(mask))
  np.testing.assert_array_equal(drawn, np.array([0, 2, 1])[_two_squares()])
  with pytest.raises(errors.UserError, match='mask.png has an object 2000: nu'):
    masks.read(tmp_path / 'mask.png')
  one = masks.read(tmp_path / 'mask.png', one_object=True)
  np.testing.assert_array_equal(one, _two_squares() > 0)


def test_a_mask_holds_254_objects(tmp_path):
  mask = np.zeros(FULL, np.int32)
  mask.flat[:255] = np.arange(255) * 1000
  with pytest.warns(match='254 is 254000'):
    drawn = _drawn(tmp_path, Image.fromarray(mask), 'mask.tif')
  assert drawn.max() == 254
  mask.flat[255] = 255_000
  with pytest.raises(errors.UserError, match='has 255 objects: keep at most'):
    _drawn(tmp_path, Image.fromarray(mask), 'mask.tif')


def test_white_of_16_bits_is_one_object(tmp_path):
  mask = np.where(_two_squares() > 0, 65535, 0).astype(np.uint16)
  drawn = _drawn(tmp_path, Image.fromarray(mask))
  np.testing.assert_array_equal(drawn, _two_squares() > 0)


@pytest.mark.parametrize('broken', [-1, 0.5, float('nan')])
def test_values_that_number_nothing_are_one_line(tmp_path, broken):
  mask = np.full(FULL, broken, np.float32)
  with pytest.raises(errors.UserError, match='negative or fractional values'):
    _drawn(tmp_path, Image.fromarray(mask), 'mask.tif')


@pytest.mark.parametrize('mode', ['L', 'RGB'])
def test_jpeg_holds_no_object_numbers(tmp_path, mode):
  picture = Image.fromarray(masks.palette()[_two_squares()]).convert(mode)
  # Its content counts, not its name.
  picture.save(tmp_path / 'mask.png', 'JPEG')
  for read in masks.read_drawn, masks.read:
    with pytest.raises(errors.UserError, match='lossy picture such as JPEG'):
      read(tmp_path / 'mask.png')


def test_a_black_and_white_jpeg_is_one_object_in_benchmarks(tmp_path):
  mask = np.zeros(FULL, np.uint8)
  mask[8:24, 8:40] = 255
  Image.fromarray(mask).convert('RGB').save(tmp_path / 'mask.jpg', quality=50)
  one = masks.read(tmp_path / 'mask.jpg', one_object=True)
  np.testing.assert_array_equal(one, mask > 0)


@pytest.mark.parametrize('mode', ['RGBA', 'LA'])
def test_what_is_transparent_is_background(tmp_path, mode):
  color = (250, 20, 30) if mode == 'RGBA' else (255, 255, 255)
  picture = Image.new('RGB', FULL[::-1], color).convert(mode)
  alpha = np.where(_two_squares() == 1, 255, 0).astype(np.uint8)
  picture.putalpha(Image.fromarray(alpha))
  drawn = _drawn(tmp_path, picture)
  np.testing.assert_array_equal(drawn, _two_squares() == 1)


def test_a_photograph_for_a_mask_is_one_line(tmp_path):
  rgb = np.random.default_rng(0).integers(0, 256, (*FULL, 3), np.uint8)
  with pytest.raises(
      errors.UserError, match='colors, as a photograph has: draw'
  ):
    _drawn(tmp_path, Image.fromarray(rgb))
