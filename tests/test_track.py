import csv
import json
import re

import av
import numpy as np
from PIL import Image
import pytest

from tests import odd_videos
from tests import programs
from tests import tiny
from vidcolor import masks
from vidcolor.video import mp4

pytestmark = pytest.mark.slow

CLIP, IS_SQUARE = tiny.red_square()
HEIGHT, WIDTH = IS_SQUARE[0].shape


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  """A video of a red square, beside its pictures and a mask of the fourth."""
  folder = tmp_path_factory.mktemp('clip') / 'a square'
  folder.mkdir()
  for number, frame in enumerate(CLIP):
    Image.fromarray(frame).save(folder / f'{number}.png')
  mp4.write(folder.with_suffix('.mp4'), CLIP, 10.0)
  masks.write_png(
      folder.with_name('mask.png'), 5 * IS_SQUARE[3].astype(np.uint8)
  )
  return folder.with_suffix('.mp4')


def _rows(output_dir):
  with open(output_dir / 'tracks.csv', newline='') as file:
    return list(csv.DictReader(file))


def _frames(path):
  with av.open(str(path)) as container:
    return [f.to_ndarray(format='rgb24') for f in container.decode(video=0)]


def test_tracks_objects_from_a_frame_in_the_middle(clip, tmp_path):
  mask = clip.with_name('mask.png')
  run = programs.track(clip, tmp_path, f'--mask={mask}', '--query_frame=3')
  assert run.returncode == 0, run.stderr
  assert 'report.html' in run.stdout
  paths = sorted((tmp_path / 'masks' / 'a square').iterdir())
  assert [path.name for path in paths] == [f'{n:05d}.png' for n in range(10)]
  for path, truth in zip(paths, IS_SQUARE, strict=True):
    found = masks.read(path) == 5
    assert found.shape == (HEIGHT, WIDTH)
    assert (found & truth).sum() / (found | truth).sum() > 0.7
  rows = _rows(tmp_path)
  assert len(rows) == 10 and {row['name'] for row in rows} == {'5'}
  x = [float(row['x']) for row in rows]
  np.testing.assert_allclose(x, 24.5 + 4 * np.arange(10), atol=3)
  assert [row['seconds'] for row in rows[:3]] == ['0.000', '0.100', '0.200']
  tracks = np.load(tmp_path / 'tracks.npz')
  np.testing.assert_allclose(tracks['x'][:, 0], x, atol=0.01)
  assert tracks['visible'].all() and tracks['confidence'].shape == (10, 1)
  tracks.close()
  summary = json.loads((tmp_path / 'summary.json').read_text())
  assert summary['frames'] == 10 and summary['followed']['5']['visible'] == 1
  assert summary['frames_per_second'] == pytest.approx(10)
  with Image.open(tmp_path / 'strip.jpg') as strip:
    assert strip.width > 4 * WIDTH and strip.height > 2 * HEIGHT
  frames = _frames(tmp_path / 'overlay.mp4')
  assert len(frames) == 10 and frames[0].shape == (HEIGHT, WIDTH, 3)


def test_tracks_boxes_in_a_part_of_a_smaller_video(clip, tmp_path):
  flags = '--boxes=18,20,47,49', '--start=0.2', '--end=0.6', '--scale=0.5'
  exports = '--export=coco,cvat,mot,yolo', '--cutouts', '--names=my square'
  run = programs.track(clip, tmp_path, *flags, *exports)
  assert run.returncode == 0, run.stderr
  rows = _rows(tmp_path)
  assert len(rows) == 4 and rows[0]['name'] == 'my square'
  for name in ('coco.json', 'cvat.xml', 'mot/gt/gt.txt', 'yolo/data.yaml'):
    assert (tmp_path / name).is_file()
  with Image.open(tmp_path / 'cutouts/a square/00003.png') as picture:
    assert (picture.size, picture.mode) == ((WIDTH // 2, HEIGHT // 2), 'RGBA')
  found = masks.read(tmp_path / 'masks/a square/00003.png')
  assert found.shape == (HEIGHT // 2, round(WIDTH / 2))
  assert abs(float(rows[3]['x']) - (24.5 + 4 * 5) / 2) < 3


def test_tracks_points_in_a_folder_of_pictures(clip, tmp_path):
  points = '--points=10,20;39,49', '--names=ground,corner'
  flags = *points, '--query_frame=0', '--fps=12'
  run = programs.track(clip.with_suffix(''), tmp_path, *flags)
  assert run.returncode == 0, run.stderr
  assert not (tmp_path / 'masks').exists()
  rows = [row for row in _rows(tmp_path) if row['name'] == 'corner']
  last = float(rows[-1]['x']), float(rows[-1]['y'])
  np.testing.assert_allclose(last, (39 + 4 * 9, 49), atol=6)
  assert float(rows[-1]['seconds']) == 9 / 12
  assert len(_frames(tmp_path / 'overlay.mp4')) == 10


def test_tracks_a_pose(clip, tmp_path):
  pose = tmp_path / 'pose.json'
  joints = {'head': [10, 20], 'foot': [39, 49]}
  pose.write_text(json.dumps({'joints': joints, 'limbs': [['head', 'foot']]}))
  run = programs.track(clip, tmp_path / 'out', f'--pose={pose}', '--end=0.4')
  assert run.returncode == 0, run.stderr
  rows = _rows(tmp_path / 'out')
  assert [row['name'] for row in rows] == 4 * ['head', 'foot']


@pytest.mark.parametrize('name', ['overlay.mp4', 'cutouts.webm'])
def test_its_own_film_is_not_replaced(clip, tmp_path, name):
  film = tmp_path / name
  film.write_bytes(clip.read_bytes())
  flags = '--boxes=20,20,60,60', '--cutouts'
  run = programs.track(film, tmp_path, *flags, run=programs.run_here)
  assert run.returncode == 2
  assert f'{film} would be replaced' in run.stderr
  assert film.read_bytes() == clip.read_bytes()
  assert list(tmp_path.iterdir()) == [film]


def test_masks_of_other_videos_stay(clip, tmp_path):
  names = ['another', 'a square']
  for name in names:
    (tmp_path / 'masks' / name).mkdir(parents=True)
    (tmp_path / 'masks' / name / '00077.png').touch()
  # A folder goes by its name, however it is called.
  run = programs.track(
      f'{clip.with_suffix("")}/../a square',
      tmp_path,
      '--boxes=20,20,60,60',
      '--end=0.04',
  )
  assert run.returncode == 0, run.stderr
  left, written = ((tmp_path / 'masks' / name).iterdir() for name in names)
  assert [path.name for path in left] == ['00077.png']
  assert [path.name for path in written] == ['00000.png']


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (('--mask=SMALL',), r'the mask is 10 x 10 and the frame 96 x 72'),
        (('--boxes=40,40,10,10',), r'upside down'),
        (('--mask=EMPTY',), r'marks no object'),
        ((), r'give one of --mask, --boxes, --points, --pose'),
        (('--points=1,1', '--boxes=1,1,9,9'), r'give only one of'),
        (('--boxes=.3,.3,.7,.9',), r'not fractions of the frame'),
        (('--points=1,1', '--video=TEXT'), r'cannot read .*text.mp4'),
        (('--points=1,1', '--video=SOUND'), r'sound.mp4.* no video'),
        (('--points=1,1', '--output_dir=TEXT/out'), r'text.mp4/out'),
        (('--points=1,1', '--checkpoint=TEXT'), r'text.mp4'),
        (('--points=1,1', '--start=9'), r'from 9 s'),
        (('--points=1,1', '--fps=9'), r'times of its own.*--fps'),
        (
            ('--boxes=1,1,9,9', '--names=a,b'),
            r'has 2 names, and --boxes=.*s 1:',
        ),
        (
            ('--points=1,1', '--names=a', '--export=svg'),
            r'points have no masks',
        ),
        (('--points=1,1', '--cutouts'), r'leave out --export and --cutouts'),
        (('--boxes=1,1,9,9', '--export=coco,voc'), r"'voc'.* coco, cvat, mot"),
    ],
)
def test_what_is_wrong_is_one_line(clip, tmp_path, flags, message):
  (tmp_path / 'text.mp4').write_text('no video')
  masks.write_png(tmp_path / 'small.png', np.ones((10, 10), np.uint8))
  masks.write_png(tmp_path / 'empty.png', np.zeros((HEIGHT, WIDTH), np.uint8))
  odd_videos.write_audio(tmp_path / 'sound.mp4')
  for name, file in {
      'SMALL': 'small.png',
      'EMPTY': 'empty.png',
      'TEXT': 'text.mp4',
      'SOUND': 'sound.mp4',
  }.items():
    flags = [flag.replace(name, str(tmp_path / file)) for flag in flags]
  output_dir = tmp_path / 'out'
  run = programs.track(clip, output_dir, *flags, run=programs.run_here)
  assert run.returncode == 2, run.stderr
  assert re.fullmatch(f'error: .*{message}.*\n', run.stderr), run.stderr
  assert not list(output_dir.glob('*'))


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (('--points=200,20',), '200,20 is outside of the frame'),
        (('--points=.5,.4',), 'not fractions of the frame'),
        (('--points=1,1', '--query_frame=10'), 'the video has 10 frames'),
    ],
)
def test_what_the_first_frames_tell_is_one_line(clip, tmp_path, flags, message):
  run = programs.track(clip, tmp_path / 'out', *flags)
  assert run.returncode == 2, run.stderr
  assert re.fullmatch(f'error: .*{message}.*\n', run.stderr), run.stderr
  assert not list((tmp_path / 'out').glob('*'))
