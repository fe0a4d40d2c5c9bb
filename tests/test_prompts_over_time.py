import json
import re

import numpy as np
import pytest

from tests import programs
from tests import tiny
from vidcolor import errors
from vidcolor import masks
from vidcolor import prompts_over_time
from vidcolor.video import mp4

CLIP, IS_SQUARE = tiny.red_square()
HEIGHT, WIDTH = IS_SQUARE[0].shape
SIZE = IS_SQUARE[0].shape
BOX = {'frame': 0, 'number': 1, 'box': [8, 18, 42, 52]}


def _write(folder, entries):
  path = folder / 'prompts.json'
  text = entries if isinstance(entries, str) else json.dumps(entries)
  path.write_text(text)
  return path


def _square(t, number=1):
  return number * IS_SQUARE[t].astype(np.uint8)


def test_reads_boxes_clicks_and_masks(tmp_path):
  (tmp_path / 'masks').mkdir()
  masks.write_png(tmp_path / 'masks' / '3.png', _square(3, 5))
  masks.write_png(tmp_path / 'both.png', _square(3, 2) + 1)
  clicks = [[20, 30, 1], [5, 5, 0]]
  path = _write(
      tmp_path,
      [
          {'frame': 6, 'number': 1, 'mask': 'both.png'},
          {'frame': 3, 'number': 2, 'points': clicks},
          {'frame': 3, 'number': 1, 'mask': 'masks/3.png', 'name': 'Jäger'},
          {'frame': 4, 'number': 3, 'box': BOX['box'], 'points': clicks},
          BOX,
      ],
  )
  given = prompts_over_time.read_prompts(path)
  assert given.frames == [0, 3, 4, 6] and given.names == {1: 'Jäger'}
  assert prompts_over_time.numbers_of(given) == [1, 2, 3]
  assert given.at(0)[1].in_frame(SIZE, SIZE).tolist() == [BOX['box']]
  at = given.at(3)
  assert set(at) == {1, 2}
  # A picture of one object needs not have its number.
  np.testing.assert_array_equal(at[1].in_frame(SIZE, SIZE), _square(3))
  assert at[2].in_frame(SIZE, SIZE).tolist() == clicks
  assert given.at(4)[3].box.corners == [BOX['box']]
  half = at[2].in_frame(SIZE, (HEIGHT // 2, WIDTH // 2))
  np.testing.assert_allclose(half[0], [9.75, 14.75, 1])
  # Of several, that with the number is taken.
  ground = given.at(6)[1].in_frame(SIZE, SIZE)
  np.testing.assert_array_equal(ground, 1 - _square(3))


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        ('[{', 'not JSON: .* line 1 column'),
        ({}, 'not a list of prompts: give'),
        ([], 'not a list of prompts: give'),
        ([3], 'prompt 1 is 3: give'),
        ([BOX | {'label': 1}], "prompt 1 has an unknown key 'label': give"),
        ([{'frame': 0, 'number': 1}], 'nothing to mark its object: give one'),
        (
            [BOX | {'mask': 'a.png'}],
            'box and mask to mark its object: give one',
        ),
        ([BOX | {'frame': -1}], 'has frame -1: give a whole number, 0 or more'),
        ([BOX | {'frame': 1.5}], 'has frame 1.5: give a whole'),
        ([{'number': 1, 'box': BOX['box']}], 'has frame null: give a whole'),
        ([BOX | {'number': 0}], 'has number 0: give a whole number, 1 to 254'),
        ([BOX | {'number': True}], 'has number true: give a whole'),
        ([BOX | {'box': [1, 2]}], r'\(frame 0, object 1\): give 4 numbers'),
        ([BOX | {'box': 'all'}], r'\(frame 0, object 1\): give 4 numbers'),
        (
            [BOX | {'box': [1], 'points': [[1, 1, 1]]}],
            r'\(frame 0, object 1\): give 4 numbers',
        ),
        (
            [BOX, BOX | {'number': 3}],
            'object 2 has no prompt, and object 3 has',
        ),
        ([BOX | {'name': 7}], 'prompt 1: give a name in quotes'),
        ([BOX | {'name': ''}], "'' is no name: give 1 to 40 letters"),
        (
            [BOX | {'name': 'a'}, BOX | {'frame': 3, 'name': 'b'}],
            'object 1 has several names: keep one',
        ),
        (
            [BOX | {'name': '2'}, BOX | {'number': 2}],
            "'2' is the name of several: give each its own",
        ),
        ([BOX, BOX], 'two prompts for object 1 in frame 0: remove one'),
        ([{'frame': 0, 'number': 1, 'points': []}], 'at least one of them'),
        (
            [{'frame': 4, 'number': 1, 'points': [[1, 1, 0]]}],
            'all clicks are beside the object, which begins here: give one on',
        ),
        ([{'frame': 0, 'number': 1, 'mask': 7}], 'give the path of a mask'),
        ([{'frame': 0, 'number': 1, 'mask': 'a.png'}], 'read the mask .*a.png'),
        (
            [{'frame': 0, 'number': 3, 'mask': 'b.png'}],
            'b.png shows objects 1, 2',
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(tmp_path, entries, message):
  masks.write_png(tmp_path / 'b.png', _square(0) + 1)
  path = _write(tmp_path, entries)
  with pytest.raises(errors.UserError, match=message) as raised:
    prompts_over_time.read_prompts(path)
  assert 'prompts.json' in str(raised.value) or 'a.png' in str(raised.value)
  assert '\n' not in str(raised.value)


def test_reads_masks_by_the_names_of_frames(tmp_path):
  for name, mask in (
      ('a7', _square(7, 2)),
      ('a3', _square(3)),
      ('a4', 0 * _square(3)),
  ):
    masks.write_png(tmp_path / f'{name}.png', mask)
  names = [f'a{t}' for t in range(10)]
  given = prompts_over_time.read_masks(tmp_path, names)
  assert given.frames == [3, 7]  # The other one shows no object.
  np.testing.assert_array_equal(given.at(7)[2].mask, IS_SQUARE[7])
  with pytest.raises(errors.UserError, match='no frame for a3.png.* 00057.png'):
    prompts_over_time.read_masks(tmp_path, None)
  with pytest.raises(errors.UserError, match='no frame for a7.png.* as a4.png'):
    prompts_over_time.read_masks(tmp_path, names[:5])


def test_reads_masks_by_the_numbers_of_frames(tmp_path):
  masks.write_png(tmp_path / '00003.png', _square(3))
  masks.write_png(tmp_path / '12.png', _square(4))
  assert prompts_over_time.read_masks(tmp_path, None).frames == [3, 12]
  masks.write_png(tmp_path / '3.png', _square(3))
  with pytest.raises(errors.UserError, match='00003.png and 3.png are of the'):
    prompts_over_time.read_masks(tmp_path, None)


def test_a_folder_without_masks_is_one_line(tmp_path):
  with pytest.raises(errors.UserError, match='no folder with pictures'):
    prompts_over_time.read_masks(tmp_path / 'none', None)
  masks.write_png(tmp_path / '0.png', 0 * _square(3))
  with pytest.raises(errors.UserError, match='mark no object'):
    prompts_over_time.read_masks(tmp_path, None)


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
  mp4.write(path, CLIP, 10.0)
  return path


@pytest.mark.slow
def test_the_program_takes_prompts_over_time(clip, tmp_path):
  masks.write_png(tmp_path / 'late.png', _square(6))
  path = _write(
      tmp_path,
      [
          {'frame': 2, 'number': 1, 'box': [70, 2, 90, 22], 'name': 'sky'},
          {'frame': 5, 'number': 2, 'points': [[45, 35, 1], [80, 60, 0]]},
          {'frame': 6, 'number': 2, 'mask': 'late.png'},
      ],
  )
  run = programs.track(clip, tmp_path / 'out', f'--prompts={path}')
  assert run.returncode == 0, run.stderr
  summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
  assert summary['query_frame'] == 2 and summary['given'] == f'--prompts={path}'
  late = summary['followed']['2']
  assert (late['first_frame'], late['lost_frames']) == (5, [])
  assert summary['followed']['sky']['first_frame'] == 0
  for t in range(10):
    found = (
        masks.read(tmp_path / 'out' / 'masks' / 'clip' / f'{t:05d}.png') == 2
    )
    assert found.any() == (t >= 5)
    if t >= 6:
      truth = IS_SQUARE[t]
      assert (found & truth).sum() / (found | truth).sum() > 0.7


@pytest.mark.slow
def test_the_program_takes_its_own_masks_again(clip, tmp_path):
  folder = tmp_path / 'masks'
  folder.mkdir()
  for t in (0, 4):
    masks.write_png(folder / f'{t:05d}.png', _square(t, 3))
  run = programs.track(clip, tmp_path / 'out', f'--masks={folder}', '--end=0.6')
  assert run.returncode == 0, run.stderr
  for t in (0, 4):
    found = masks.read(tmp_path / 'out' / 'masks' / 'clip' / f'{t:05d}.png')
    np.testing.assert_array_equal(found, _square(t, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('flags', 'entries', 'message'),
    [
        (
            (),
            [BOX, BOX | {'frame': 10}],
            'no frame 10: the video has 10 frames',
        ),
        ((), [BOX | {'box': [200, 1, 230, 9]}], 'is outside of the frame'),
        (
            (),
            [{'frame': 0, 'number': 1, 'points': [[200, 5, 1]]}],
            'the point 200,5 is outside',
        ),
        ((), [BOX, {'frame': 9, 'number': 1, 'mask': 's.png'}], 'is 9 x 9'),
        (('--query_frame=1',), [BOX], 'leave out --query_frame'),
        (('--boxes=1,1,9,9',), [BOX], 'give only one of'),
    ],
)
def test_what_is_wrong_is_one_line_before_anything(
    clip, tmp_path, flags, entries, message
):
  masks.write_png(tmp_path / 's.png', np.ones((9, 9), np.uint8))
  path = _write(tmp_path, entries)
  run = programs.track(
      clip, tmp_path / 'out', f'--prompts={path}', *flags, run=programs.run_here
  )
  assert run.returncode == 2, run.stderr
  assert re.fullmatch(f'error: .*{message}.*\n', run.stderr), run.stderr
  assert not list((tmp_path / 'out').glob('*'))


@pytest.mark.slow
@pytest.mark.parametrize('flag', ['masks', 'mask', 'prompts'])
def test_given_masks_are_not_replaced(clip, tmp_path, flag):
  folder = tmp_path / 'masks' / 'clip'
  folder.mkdir(parents=True)
  path = folder / '00002.png'
  masks.write_png(path, _square(2))
  entries = [{'frame': 2, 'number': 1, 'mask': 'masks/clip/00002.png'}]
  value, replaced = {
      'masks': (folder, folder),
      'mask': (path, path),
      'prompts': (_write(tmp_path, entries), path),
  }[flag]
  run = programs.track(
      clip, tmp_path, f'--{flag}={value}', run=programs.run_here
  )
  assert run.returncode == 2
  assert f'{replaced} would be replaced' in run.stderr
  assert [path.name for path in folder.iterdir()] == ['00002.png']
