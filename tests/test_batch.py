import json
import os

import numpy as np
import pytest

from tests import programs
from tests import tiny
from vidcolor import batch
from vidcolor import errors
from vidcolor import masks
from vidcolor.video import mp4

OPTIONS = {'scale': 1}


def _touch(folder, *names):
  for name in names:
    path = folder / name
    path.mkdir(parents=True) if name.endswith('/') else path.touch()


def _names(paths):
  return [path.name for path in paths]


def test_videos_are_found_without_what_marks_them(tmp_path):
  _touch(tmp_path, 'b.mp4', 'a.MOV', 'a.json', 'b.png', 'b.csv', '._b.mp4')
  _touch(tmp_path, 'b/', 'pictures/', 'pictures.PNG', '[1].mp4')
  found = batch.find_videos(str(tmp_path / '*'))
  assert _names(found) == ['[1].mp4', 'a.MOV', 'b.mp4', 'pictures']
  assert _names(batch.find_videos(str(tmp_path / '*.mp4'))) == [
      '[1].mp4',
      'b.mp4',
  ]
  assert batch.is_pattern(str(tmp_path / '*.mp4'))
  assert not batch.is_pattern(str(tmp_path / '[1].mp4'))


def test_videos_without_a_name_of_their_own_are_refused(tmp_path):
  with pytest.raises(errors.UserError, match='there is no such video'):
    batch.find_videos(str(tmp_path / '*.mp4'))
  _touch(tmp_path, 'a.mp4', 'a.mov')
  with pytest.raises(errors.UserError, match='a.mov and .*a.mp4 would have'):
    batch.find_videos(str(tmp_path / '*'))


@pytest.mark.parametrize(
    ('beside', 'kind'),
    [
        ('a.b.json', 'prompts'),
        ('a.b.png', 'mask'),
        ('a.b.csv', 'points'),
        ('a.b/', 'masks'),
    ],
)
def test_what_marks_a_video_lies_beside_it(tmp_path, beside, kind):
  _touch(tmp_path, 'a.b.mp4', beside)
  marked = batch.find_marks(tmp_path / 'a.b.mp4')
  assert (marked.kind, marked.prompt) == (kind, tmp_path / beside)


def test_a_folder_of_pictures_does_not_mark_itself(tmp_path):
  _touch(tmp_path, 'a/')
  with pytest.raises(errors.UserError, match='give one of a.json, a.png, a.cs'):
    batch.find_marks(tmp_path / 'a')
  _touch(tmp_path, 'a.png')
  assert batch.find_marks(tmp_path / 'a').prompt == tmp_path / 'a.png'
  _touch(tmp_path, 'a.json')
  with pytest.raises(errors.UserError, match='by a.json and a.png: remove all'):
    batch.find_marks(tmp_path / 'a')


def test_results_that_still_hold_are_kept(tmp_path, capsys):
  videos = [tmp_path / 'a.mp4', tmp_path / 'b.mp4']
  _touch(tmp_path, 'a.mp4', 'b.mp4', 'a.png', 'b.png')
  tracked = []

  def track_one(marked, folder, progress):
    list(progress([1, 2], desc='track', total=None, unit='frame'))
    tracked.append(marked.video.name)
    track = {'visible': 0.5, 'mean_confidence': 0.9, 'lost_frames': []}
    summary = OPTIONS | {'frames': 3, 'followed': {'1': track}, 'fault': None}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'summary.json').write_text(json.dumps(summary))
    return summary

  def track(options=OPTIONS):
    tracked.clear()
    batch.track_each(videos, tmp_path / 'out', track_one, options)
    return tracked

  assert track() == ['a.mp4', 'b.mp4'] and not track()
  assert 'b  3 frames, seen in 50%' in capsys.readouterr().out
  (tmp_path / 'out' / 'b' / 'summary.json').unlink()
  assert track() == ['b.mp4']
  later = (tmp_path / 'out' / 'a' / 'summary.json').stat().st_mtime + 9
  (tmp_path / 'a.png').touch()
  os.utime(tmp_path / 'a.png', (later, later))
  assert track() == ['a.mp4']
  assert track({'scale': 0.5}) == ['a.mp4', 'b.mp4']
  (tmp_path / 'out' / 'a' / 'summary.json').write_text('{"scale": 1, ')
  assert track() == ['a.mp4']


@pytest.mark.parametrize('kind', ['prompts', 'masks'])
def test_changed_masks_are_tracked_again(tmp_path, kind):
  _touch(tmp_path, 'a.mp4', 'masks/')
  masks.write_png(tmp_path / 'masks' / '0.png', np.ones((8, 8), np.uint8))
  prompt = tmp_path / 'masks'
  if kind == 'prompts':
    prompt = tmp_path / 'a.json'
    entry = {'frame': 0, 'number': 1, 'mask': 'masks/0.png'}
    prompt.write_text(json.dumps([entry]))
  marked = batch.Marked(tmp_path / 'a.mp4', kind, prompt)
  summary = tmp_path / 'summary.json'
  summary.write_text('{}')
  later = max(p.stat().st_mtime for p in tmp_path.rglob('*')) + 9
  os.utime(summary, (later, later))
  assert batch._finished(tmp_path, marked, {}) == {}
  os.utime(tmp_path / 'masks' / '0.png', (later + 9, later + 9))
  assert batch._finished(tmp_path, marked, {}) is None


@pytest.mark.slow
def test_a_broken_video_does_not_stop_the_others(tmp_path):
  frames, is_square = tiny.red_square()
  for name in 'good', 'unmarked':
    mp4.write(tmp_path / f'{name}.mp4', frames[:4], 10.0)
  (tmp_path / 'broken.mp4').write_bytes(b'no video')
  for name in 'broken', 'good':
    masks.write_png(tmp_path / f'{name}.png', is_square[0].astype('uint8'))
  flags = f'--video={tmp_path / "*.mp4"}', f'--output_dir={tmp_path / "out"}'
  run = programs.run('vidcolor.track', *flags)
  assert run.returncode == 2
  assert '2 of 3 videos have a fault' in run.stderr.splitlines()[-1]
  told = {line.split()[0]: line for line in run.stdout.splitlines()}
  assert f'cannot read {tmp_path / "broken.mp4"}' in told['broken']
  assert '4 frames, seen in 100%' in told['good']
  assert 'give one of unmarked.json' in told['unmarked']
  out = tmp_path / 'out'
  assert (out / 'good' / 'report.html').is_file()
  assert len(list((out / 'good' / 'masks' / 'good').iterdir())) == 4
  page = (out / 'report.html').read_text()
  assert all(name in page for name in ('broken', 'good', 'unmarked'))


def test_flags_of_one_video_are_refused_for_many(tmp_path):
  run = programs.run_here(
      'vidcolor.track',
      f'--video={tmp_path / "*.mp4"}',
      '--boxes=1,2,3,4',
      f'--output_dir={tmp_path / "out"}',
  )
  assert run.returncode == 2 and '--boxes is for one video' in run.stderr
