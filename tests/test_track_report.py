import re

import numpy as np
import pytest

from vidcolor import track_report
from vidcolor import video_tracker


@pytest.fixture
def folder(tmp_path):
  (tmp_path / 'overlay.mp4').write_bytes(b'film')
  (tmp_path / 'strip.jpg').write_bytes(b'stills')
  return tmp_path


def _write(folder, num_tracks, lost_frames, fault=None):
  names = [f'track {index}' for index in range(num_tracks)]
  track = {'visible': 0.8, 'mean_confidence': 0.9, 'lost_frames': lost_frames}
  summary = {
      'video': 'videos/a <clip>.mp4',
      'width': 96,
      'height': 72,
      'frames': 10,
      'frames_per_second': 10.0,
      'followed': {name: track for name in names},
      'fault': fault,
  }
  result = video_tracker.TrackResult(
      numbers=np.arange(1, num_tracks + 1),
      masks=None,
      position=np.zeros((10, num_tracks, 2)),
      visible=np.ones((10, num_tracks), bool),
      confidence=np.ones((10, num_tracks)),
      begins=np.zeros(num_tracks, int),
  )
  track_report.write_report(folder, summary, result)
  return (folder / 'report.html').read_text()


def test_it_shows_the_film_and_when_an_object_is_likely_lost(folder):
  page = _write(folder, 1, [[2, 4], [9, 9]])
  assert 'Tracked: a &lt;clip&gt;.mp4' in page
  assert '0.2 to 0.4, 0.9' in page
  kinds = re.findall('src="data:([a-z/0-9]+);', page)
  assert sorted(kinds) == ['image/jpeg', 'image/png', 'video/mp4']


def test_a_damaged_video_and_too_many_tracks_are_told(folder):
  page = _write(folder, 70, [[t, t] for t in range(6)], fault='it ends early')
  assert 'it ends early.' in page and '10 more are not drawn' in page
  assert 'and 2 times more' in page and 'track 69' in page
