"""Reads the newest frame of a camera. Frames that come too fast are dropped.

source = camera.Camera('0')
for frame in source:
  ...  # Meanwhile newer frames replace one another.
  pace.add(source.age(frame))
"""

import collections
from collections.abc import Iterator
import math
import os
import threading
import time

import cv2

from vidcolor import errors
from vidcolor.video import video_source

_RECENT = 30  # Frames over which rate and latency are shown.
_PATIENCE = 2.0  # Seconds that a camera may take to end.


class Camera:
  """A camera, which is read until it is stopped or ends. It is read once.

  A thread reads all frames and keeps the newest one. The iteration waits for a
  frame, takes it, and yields it. A frame that is replaced before it is taken is
  dropped.

  A video file in place of a camera plays at its own rate, as if it were one.

  Attributes:
    name: The name in error messages.
    full_size: Height and width of the camera's frames in pixels.
    size: Height and width of the frames that are yielded.
    dropped: The number of frames that were dropped so far.
  """

  def __init__(
      self,
      device: str,
      *,
      start: float = 0.0,
      end: float | None = None,
      scale: float = 1.0,
  ):
    """Opens the camera, and does not read it yet.

    Args:
      device: The number of a camera, the path of its device, such as
        /dev/video0, or a video file.
      start: Seconds for which the frames are left out.
      end: The second at which the iteration stops. None reads to the end.
      scale: Factor in (0, 1] by which frames are shrunk, by averaging areas.

    Raises:
      UserError: The camera cannot be opened, or a number is out of range.
    """
    self.name = str(device)
    self.dropped = 0
    self._start, self._end = start, math.inf if end is None else end
    video_source.check_part(f'the camera {self.name}', start, self._end, scale)
    self._capture = _open(self.name)
    height, width = (
        round(self._capture.get(side))
        for side in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
    )
    self.full_size = height, width
    self.size = max(1, round(height * scale)), max(1, round(width * scale))
    # A file gives frames as fast as they are decoded, a camera in its own time.
    rate = self._capture.get(cv2.CAP_PROP_FPS)
    self._period = 1 / rate if os.path.isfile(self.name) and rate > 0 else 0
    self._num_read = 0
    self._origin = 0.0  # The time of second 0.
    self._newest: tuple | None = None
    # It guards the newest frame. A signal may stop the camera while it is held
    # by the same thread, which a condition allows.
    self._changed = threading.Condition()
    self._is_over = threading.Event()
    self._is_stopped = False

  def __iter__(self) -> Iterator[video_source.VideoFrame]:
    """Yields the newest frame each time. Its time counts from `start`.

    Raises:
      UserError: The camera gives no frame.
    """
    reader = threading.Thread(target=self._read, daemon=True)
    reader.start()
    try:
      while taken := self._take():
        bgr, seconds = taken
        yield video_source.VideoFrame(self._to_rgb(bgr), seconds)
      if not (self._num_read or self._is_stopped):
        raise errors.UserError(
            f'the camera {self.name} gives no frame: end what else uses it, or'
            ' connect it anew'
        )
    finally:
      self.stop()
      reader.join(_PATIENCE)
      if not reader.is_alive():  # Else it waits for a camera without answer.
        self._capture.release()

  def age(self, frame: video_source.VideoFrame) -> float:
    """Returns the seconds since a frame was captured."""
    return time.monotonic() - self._origin - frame.seconds

  def stop(self) -> None:
    """Ends the iteration. Other threads and signals may call it."""
    with self._changed:
      self._is_stopped = True
      self._is_over.set()
      self._newest = None
      self._changed.notify_all()

  def _take(self):
    """Waits for a frame; returns it and its time, or None after the last."""
    with self._changed:
      self._changed.wait_for(lambda: self._newest or self._is_over.is_set())
      taken, self._newest = self._newest, None
    return taken

  def _read(self):
    """Keeps the newest frame until the camera ends or is stopped."""
    try:
      for bgr, seconds in self._captured():
        if seconds >= self._end - self._start:
          break
        if seconds >= 0:
          self._keep(bgr, seconds)
    finally:
      with self._changed:  # The last frame may still be taken.
        self._is_over.set()
        self._changed.notify_all()

  def _captured(self):
    """Yields all frames and their times."""
    first = None
    while not self._is_over.is_set():
      is_read, bgr = self._capture.read()
      if first is None:
        first = time.monotonic()
        self._origin = first + self._start
      if self._period:
        due = first + self._num_read * self._period
        self._is_over.wait(due - time.monotonic())
      if not is_read:
        return
      self._num_read += 1
      yield bgr, time.monotonic() - self._origin

  def _keep(self, bgr, seconds):
    with self._changed:
      if self._is_over.is_set():
        return
      self.dropped += self._newest is not None
      self._newest = bgr, seconds
      self._changed.notify_all()

  def _to_rgb(self, bgr):
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    if self.size == self.full_size:
      return rgb
    return cv2.resize(rgb, self.size[::-1], interpolation=cv2.INTER_AREA)


class Pace:
  """Rate and latency of live frames.

  Attributes:
    count: The number of frames.
  """

  def __init__(self):
    self.count = 0
    self._total_latency = 0.0
    self._recent = collections.deque(maxlen=_RECENT)

  def add(self, latency: float) -> None:
    """Counts a frame. `latency` is in seconds, from capture to result."""
    self.count += 1
    self._total_latency += latency
    self._recent.append((time.monotonic(), latency))

  @property
  def mean_latency(self) -> float:
    """Seconds, over all frames."""
    return self._total_latency / max(1, self.count)

  def describe(self, dropped: int) -> str:
    """Returns a line on the last frames, and on how many were dropped."""
    (first, _), (last, _) = self._recent[0], self._recent[-1]
    rate = (len(self._recent) - 1) / max(last - first, 1e-6)
    latency = sum(late for _, late in self._recent) / len(self._recent)
    share = dropped / (dropped + self.count)
    return (
        f'{self.count} frames, {rate:.1f} a second, latency'
        f' {1000 * latency:.0f} ms, {dropped} dropped ({share:.0%})'
    )


def _open(name):
  """Opens a camera by its number or path, or a file."""
  if os.path.isfile(name):
    video_source.VideoSource(name)  # It tells what is wrong with a file.
  level = cv2.utils.logging.getLogLevel()
  # OpenCV tells of a missing camera in several lines of its own.
  cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
  try:
    capture = cv2.VideoCapture(int(name) if name.isdecimal() else name)
  finally:
    cv2.utils.logging.setLogLevel(level)
  if not capture.isOpened():
    raise errors.UserError(
        f'cannot open the camera {name}: give the number of one that is'
        ' connected and that no other program uses, such as 0, or its path,'
        ' such as /dev/video0'
    )
  return capture
