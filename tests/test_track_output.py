import csv
import json
import re

import cv2
import numpy as np
from PIL import Image
import pytest

from tests import full_disks
from tests import odd_videos
from tests import tiny
import vidcolor
from vidcolor import errors
from vidcolor import export_formats
from vidcolor import masks
from vidcolor import prompts
from vidcolor import sessions
from vidcolor import track_output
from vidcolor import video_tracker
from vidcolor.tracking import baselines
from vidcolor.video import mp4
from vidcolor.video import video_source

CLIP, IS_SQUARE = tiny.red_square()
TRACKER = video_tracker.VideoTracker(baselines.Identity())


@pytest.fixture
def clip(tmp_path):
  """A video whose frames have times of their own."""
  path = tmp_path / 'clip.mp4'
  mp4.write(path, CLIP, 10.0)
  return path


def _frames(path):
  return list(video_source.VideoSource(path))


def test_masks_are_drawn_over_a_file(clip, tmp_path):
  # Number 2 is green.
  result = TRACKER.track(clip, masks=2 * IS_SQUARE[0].astype(np.uint8))
  vidcolor.draw(clip, result, tmp_path / 'overlay.mp4')
  source, drawn = _frames(clip), _frames(tmp_path / 'overlay.mp4')
  assert [f.seconds for f in drawn] == [f.seconds for f in source]
  for before, after in zip(source, drawn, strict=True):
    red, green, _ = np.moveaxis(after.rgb.astype(int) - before.rgb, -1, 0)
    gain = green - red
    assert gain[IS_SQUARE[0]].mean() > 40
    assert abs(gain[~IS_SQUARE[0]]).mean() < 5


def test_points_are_drawn_over_an_array(tmp_path):
  points = [[10, 60], [80, 10]]
  result = TRACKER.track(CLIP, points=points)
  vidcolor.draw(CLIP, result, tmp_path / 'overlay.mp4')
  drawn = _frames(tmp_path / 'overlay.mp4')
  # Frames from memory play at 25 a second.
  assert [f.seconds for f in drawn] == pytest.approx(
      [number / 25 for number in range(len(CLIP))]
  )
  for before, after in zip(CLIP, drawn, strict=True):
    change = abs(after.rgb.astype(int) - before).max(axis=-1)
    for x, y in points:
      assert change[y - 1 : y + 2, x - 1 : x + 2].max() > 40
    assert np.median(change) < 10


def test_limbs_are_drawn_between_points(tmp_path):
  frames = np.full((3, 72, 96, 3), 90, np.uint8)
  result = TRACKER.track(frames, points=[[20, 40], [70, 40]])
  middle = {}
  for limbs in (), ((0, 1),):
    path = tmp_path / f'{len(limbs)}.mp4'
    vidcolor.draw(frames, result, path, limbs=limbs)
    middle[len(limbs)] = _frames(path)[1].rgb[40, 45].astype(int)
  assert abs(middle[0] - 90).max() < 10
  assert abs(middle[1] - 90).max() > 30


def test_a_video_is_not_replaced_by_its_own_film(clip):
  result = TRACKER.track(clip, points=[[10, 60]])
  before = clip.read_bytes()
  with pytest.raises(errors.UserError, match='would be replaced'):
    vidcolor.draw(clip, result, clip)
  assert clip.read_bytes() == before


def _write(folder, path, prompt, query_frame=0, tracker=TRACKER, **options):
  """Tracks as the program does; returns the summary."""
  source = video_source.VideoSource(path)
  tracked = tracker.stream(source, prompt, query_frame)
  return track_output.write_tracking(
      folder, source, prompt, tracked, lambda items, **_: items, **options
  )


def _rows(folder):
  with open(folder / 'tracks.csv', newline='') as file:
    return list(csv.DictReader(file))


@pytest.fixture(name='cut_off', scope='module')
def fixture_cut_off(tmp_path_factory):
  """A film whose second half is missing."""
  path = tmp_path_factory.mktemp('cut') / 'clip.mkv'
  odd_videos.write(path, CLIP, options={'g': '1'})
  data = path.read_bytes()
  path.write_bytes(data[: len(data) // 2])
  return path


@pytest.mark.parametrize('query_frame', [0, 2])
@pytest.mark.parametrize('kind', ['mask', 'points'])
def test_what_was_read_of_a_damaged_film_is_kept(
    cut_off, tmp_path, query_frame, kind
):
  mask = IS_SQUARE[query_frame].astype(np.uint8)
  prompt = {
      'mask': prompts.MaskPrompt(mask),
      'points': prompts.PointPrompt([[20, 30]]),
  }[kind]
  summary = _write(tmp_path, cut_off, prompt, query_frame)
  count = summary['frames']
  assert query_frame < count < len(CLIP)
  told = f'{cut_off} beyond {(count - 1) * 0.08:.1f} s.*the {count} frames'
  assert re.search(told, summary['fault'])
  assert len(_rows(tmp_path)) == count
  assert len(_frames(tmp_path / 'overlay.mp4')) == count
  written = list(tmp_path.glob('masks/clip/*.png'))
  assert len(written) == (count if kind == 'mask' else 0)


def test_what_was_tracked_of_a_damaged_film_is_exported(cut_off, tmp_path):
  prompt = prompts.MaskPrompt(2 * IS_SQUARE[0].astype(np.uint8))
  formats = list(export_formats.FORMATS)
  summary = _write(tmp_path, cut_off, prompt, export=formats, with_cutouts=True)
  count = summary['frames']
  assert summary['fault'] and 1 < count < len(CLIP)
  content = json.loads((tmp_path / 'coco.json').read_text())
  assert len(content['images']) == len(content['annotations']) == count
  assert len((tmp_path / 'mot/gt/gt.txt').read_text().splitlines()) == count
  assert 'frameRate=12\n' in (tmp_path / 'mot/seqinfo.ini').read_text()
  assert len(list((tmp_path / 'yolo/labels').iterdir())) == count
  assert (tmp_path / 'cvat.xml').read_text().count('outside="0"') == count
  assert len(list((tmp_path / 'cutouts/clip').iterdir())) == count
  assert len(_frames(tmp_path / 'cutouts.webm')) == count


@pytest.mark.parametrize(
    'options', [{'export': ['coco']}, {'with_cutouts': True}]
)
def test_points_are_not_exported(clip, tmp_path, options):
  with pytest.raises(errors.UserError, match='no masks: leave out --export'):
    _write(tmp_path / 'out', clip, prompts.PointPrompt([[9, 9]]), **options)
  assert not (tmp_path / 'out').exists()


def test_an_unknown_format_is_told_before_tracking(clip, tmp_path):
  prompt = prompts.MaskPrompt(IS_SQUARE[0].astype(np.uint8))
  with pytest.raises(errors.UserError, match="'voc': .*coco, cvat, mot, yolo"):
    _write(tmp_path / 'out', clip, prompt, export=['voc'])
  assert not (tmp_path / 'out').exists()


def test_python_is_told_of_damage_as_well(cut_off, tmp_path):
  with pytest.warns(UserWarning, match='the rest of the file is missing'):
    result = TRACKER.track(cut_off, points=[[20, 30]])
  assert 1 < len(result.position) < len(CLIP)
  vidcolor.draw(cut_off, result, tmp_path / 'overlay.mp4')
  assert len(_frames(tmp_path / 'overlay.mp4')) == len(result.position)


def test_a_frame_beyond_the_damage_cannot_be_marked(cut_off):
  with pytest.raises(errors.UserError, match='the rest of the file is missing'):
    TRACKER.track(cut_off, points=[[20, 30]], query_frame=len(CLIP) - 1)


def test_a_whole_film_has_no_fault(clip, tmp_path):
  summary = _write(tmp_path / 'out', clip, prompts.PointPrompt([[20, 30]]))
  assert summary['fault'] is None and summary['frames'] == len(CLIP)


class _Given:
  """Follows nothing: its masks are given."""

  def __init__(self, given):
    self._given = given

  def track(self, frames, first_mask):
    for _, mask in zip(frames, self._given, strict=False):
      yield mask


def test_tables_have_the_box_and_the_area_of_each_object(clip, tmp_path):
  given = np.zeros((len(CLIP), *IS_SQUARE[0].shape), np.uint8)
  given[:, 10:13, 20:25], given[:3, 40:41, 7:9] = 1, 2
  tracker = video_tracker.VideoTracker(_Given(given))
  prompt = prompts.MaskPrompt(given[0] * 2)  # They are called 2 and 4.
  _write(tmp_path / 'out', clip, prompt, tracker=tracker)
  rows = _rows(tmp_path / 'out')
  table = {(row['frame'], row['name']): list(row.values())[7:] for row in rows}
  assert list(rows[0])[7:] == ['left', 'top', 'right', 'bottom', 'area']
  assert table['0', '2'] == table['9', '2'] == ['20', '10', '24', '12', '15']
  assert table['2', '4'] == ['7', '40', '8', '40', '2']
  assert table['3', '4'] == ['', '', '', '', '0']
  with np.load(tmp_path / 'out' / 'tracks.npz') as tracks:
    np.testing.assert_array_equal(tracks['area'][:, 0], 15)
    assert tracks['right'][2].tolist() == [24, 8]
  # The box marks the same object again.
  box = np.array(table['0', '2'][:4], float)
  prompts.BoxPrompt([box]).in_frame(IS_SQUARE[0].shape, IS_SQUARE[0].shape)


def test_an_object_is_not_lost_before_it_begins(clip, tmp_path):
  mask = IS_SQUARE[0].astype(np.uint8)
  found = sessions.TrackedFrame(
      frame=0,
      numbers=np.array([1, 4]),
      mask=mask,
      position=np.array([[24.5, 34.5], [np.nan, np.nan]]),
      visible=np.array([True, False]),
      confidence=np.array([0.75, 0.0]),
  )
  seen = found._replace(visible=np.array([True, True]), mask=4 * mask)
  both = [seen if t == 6 else found for t in range(4, len(CLIP))]
  first = [
      found._replace(
          numbers=found.numbers[:1],
          position=found.position[:1],
          visible=found.visible[:1],
          confidence=found.confidence[:1],
      )
      for _ in range(4)
  ]
  tracked = [f._replace(frame=t) for t, f in enumerate(first + both)]
  summary = track_output.write_tracking(
      tmp_path,
      video_source.VideoSource(clip),
      prompts.MaskPrompt(mask),
      tracked,
      lambda items, **_: items,
  )
  late = summary['followed']['4']
  assert late['first_frame'] == 4
  assert late['lost_frames'] == [[4, 5], [7, 9]]
  assert late['visible'] == round(1 / 6, 4)
  assert summary['followed']['1']['mean_confidence'] == 0.75
  frames = [int(r['frame']) for r in _rows(tmp_path) if r['name'] == '4']
  assert frames == [4, 5, 6, 7, 8, 9]
  with np.load(tmp_path / 'tracks.npz') as tracks:
    assert tracks['begins'].tolist() == [0, 4]
    assert np.isnan(tracks['area'][:4, 1]).all()
  assert '0.4 to 0.5, 0.7 to 0.9' in (tmp_path / 'report.html').read_text()
  rows = np.asarray(Image.open(tmp_path / 'confidence.png'))[30:]
  red = np.flatnonzero((rows == (247, 190, 186)).all(-1).any(axis=0))
  assert abs(red[0] - 0.4 * rows.shape[1]) < 2


def test_a_table_has_the_times_of_a_time_lapse(tmp_path):
  times = [0, 30_000, 60_000, 61_000, 200_000]
  odd_videos.write(tmp_path / 'a.mp4', CLIP[:5], times_ms=times)
  prompt = prompts.PointPrompt([[20, 30]])
  summary = _write(tmp_path / 'out', tmp_path / 'a.mp4', prompt)
  seconds = [float(row['seconds']) for row in _rows(tmp_path / 'out')]
  assert seconds == [0, 30, 60, 61, 200]
  assert summary['frames_per_second'] == pytest.approx(4 / 200)
  drawn = _frames(tmp_path / 'out' / 'overlay.mp4')
  assert [f.seconds for f in drawn] == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize('size', [(48, 64), (48, 128), (24, 64)])
def test_masks_fit_pixels_that_are_not_square(tmp_path, size):
  odd_videos.write_wide_pixels(tmp_path / 'a.mp4', 2)
  mask = np.zeros((48, 64), np.uint8)
  mask[8:24, 16:40] = 3
  given = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST)
  with pytest.warns(UserWarning, match='64 x 48 pixels, .* show 128 x 48'):
    _write(tmp_path / 'out', tmp_path / 'a.mp4', prompts.MaskPrompt(given))
  written = masks.read(tmp_path / 'out/masks/a/00007.png')
  np.testing.assert_array_equal(written, mask)
  with pytest.warns(UserWarning, match='not square'):
    drawn = video_source.VideoSource(tmp_path / 'out' / 'overlay.mp4')
  assert (drawn.size, drawn.pixel_aspect) == ((48, 64), 2)


def test_a_mask_of_another_size_is_refused(tmp_path):
  odd_videos.write_wide_pixels(tmp_path / 'a.mp4', 2)
  mask = np.ones((48, 32), np.uint8)
  with pytest.raises(errors.UserError, match='mask is 32 x 48 .* 64 x 48'):
    with pytest.warns(UserWarning, match='not square'):
      TRACKER.track(tmp_path / 'a.mp4', masks=mask)


def test_objects_are_drawn_in_given_colors(clip, tmp_path):
  prompt = prompts.MaskPrompt(IS_SQUARE[0].astype(np.uint8))
  colors = np.full((256, 3), [0, 250, 0], np.uint8)
  _write(tmp_path, clip, prompt, colors=colors)
  change = (
      _frames(tmp_path / 'overlay.mp4')[0].rgb[IS_SQUARE[0]]
      - 1.0 * CLIP[0][IS_SQUARE[0]]
  )
  red, green, blue = change.mean(axis=0)
  assert green > 50 > max(red, blue)


@pytest.mark.parametrize('num_bytes', [10, 1500])
def test_a_full_disk_is_one_line(clip, tmp_path, num_bytes):
  prompt = prompts.MaskPrompt(IS_SQUARE[0].astype(np.uint8))
  with pytest.raises(errors.UserError, match='out.*File too large'):
    with full_disks.files_of_at_most(num_bytes):
      _write(tmp_path / 'out', clip, prompt)
  # The masks were written, or nothing was.
  left = {path.suffix for path in tmp_path.glob('out/**/*') if path.is_file()}
  assert left == ({'.png'} if num_bytes == 1500 else set())
