import itertools
import threading

import cv2
import numpy as np
import pytest

from tests import odd_videos
from vidcolor import errors
from vidcolor.video import camera

_LEVELS = list(odd_videos.LEVELS)
_PERIOD = 0.08  # Seconds between the frames of the file.


@pytest.fixture
def path(tmp_path):
  """A file that plays as if it were a camera."""
  odd_videos.write(tmp_path / 'a.mp4')
  return str(tmp_path / 'a.mp4')


class _Capture:
  """Takes the place of OpenCV's. It gives some frames, then fails."""

  def __init__(self, count):
    self._left = count
    self.is_released = False

  def isOpened(self):
    return True

  def get(self, what):
    return {cv2.CAP_PROP_FRAME_HEIGHT: 48, cv2.CAP_PROP_FRAME_WIDTH: 64}.get(
        what, 0
    )

  def read(self):
    self._left -= 1
    is_read = self._left >= 0
    return is_read, np.full((48, 64, 3), (1, 2, 3), np.uint8)

  def release(self):
    self.is_released = True


def _replace_capture(monkeypatch, count):
  """Returns what is opened in the place of any camera."""
  capture = _Capture(count)
  monkeypatch.setattr(cv2, 'VideoCapture', lambda device: capture)
  return capture


def test_frames_that_come_too_fast_are_dropped(path):
  source = camera.Camera(path)
  frames = iter(source)
  first = odd_videos.level_of(next(frames).rgb)
  # The last frame replaces all that come before it.
  source._is_over.wait()
  (last,) = (odd_videos.level_of(frame.rgb) for frame in frames)
  assert last == _LEVELS[-1]
  assert source.dropped == len(_LEVELS) - 2 - _LEVELS.index(first)


def test_a_file_plays_at_its_own_rate(path):
  source = camera.Camera(path)
  frames = list(source)
  seconds = [frame.seconds for frame in frames]
  levels = [odd_videos.level_of(frame.rgb) for frame in frames]
  assert len(frames) + source.dropped == len(_LEVELS)
  assert levels == sorted(levels, key=_LEVELS.index)
  due = [_PERIOD * _LEVELS.index(level) for level in levels]
  assert (np.array(seconds) >= np.array(due) - 1e-6).all()
  assert source.age(frames[0]) >= seconds[-1] - seconds[0]


def test_a_part_counts_from_its_start(path):
  source = camera.Camera(path, start=0.1, end=0.3)
  frames = list(source)
  assert 0 <= frames[0].seconds and frames[-1].seconds < 0.2
  assert odd_videos.level_of(frames[0].rgb) not in _LEVELS[:2]
  assert len(frames) + source.dropped <= 3


def test_frames_are_shrunk(path):
  source = camera.Camera(path, scale=0.5)
  assert (source.full_size, source.size) == ((48, 64), (24, 32))
  assert next(iter(source)).rgb.shape == (24, 32, 3)


def test_frames_are_rgb_and_the_camera_is_released(monkeypatch):
  capture = _replace_capture(monkeypatch, 5)
  *_, last = camera.Camera('0')
  assert last.rgb[0, 0].tolist() == [3, 2, 1]
  assert capture.is_released


def test_another_thread_stops_a_camera_without_end(monkeypatch):
  capture = _replace_capture(monkeypatch, 1 << 60)
  source = camera.Camera('0')
  stopper = threading.Timer(0.05, source.stop)
  stopper.start()
  assert sum(1 for _ in source) > 0
  stopper.join()
  assert capture.is_released


def test_a_stopped_camera_gives_nothing(monkeypatch):
  _replace_capture(monkeypatch, 5)
  source = camera.Camera('0')
  source.stop()
  assert not list(source)


def test_a_camera_without_frames_is_told(monkeypatch):
  _replace_capture(monkeypatch, 0)
  with pytest.raises(errors.UserError, match='the camera 0 gives no frame'):
    list(camera.Camera('0'))


def test_only_the_message_tells_of_a_camera_that_is_not_there(tmp_path, capfd):
  path = tmp_path / 'text.mp4'
  path.write_text('no video')
  for name in '99', '/dev/video99':
    with pytest.raises(errors.UserError, match=f'open the camera {name}: '):
      camera.Camera(name)
  with pytest.raises(errors.UserError, match='cannot read .*text.mp4'):
    camera.Camera(str(path))
  assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'start': 2.0, 'end': 1.0}, 'from 2 s to 1 s'),
        ({'scale': 1.5}, 'cannot scale the camera .* by 1.5'),
    ],
)
def test_what_is_out_of_range_is_told(path, options, message):
  with pytest.raises(errors.UserError, match=message):
    camera.Camera(path, **options)


def test_pace_is_that_of_the_last_frames(monkeypatch):
  pace = camera.Pace()
  times = itertools.chain(np.arange(10.0), 10 + np.arange(50) / 10)
  monkeypatch.setattr(camera.time, 'monotonic', lambda: next(times))
  for latency in [1.0] * 10 + [0.05] * 50:
    pace.add(latency)
  assert pace.describe(40) == (
      '60 frames, 10.0 a second, latency 50 ms, 40 dropped (40%)'
  )
  assert pace.mean_latency == pytest.approx((10 + 50 * 0.05) / 60)
