"""Baseline trackers, which are not trained."""

from collections.abc import Callable, Iterable, Iterator

import cv2
from jaxtyping import Float, UInt8
import numpy as np

from vidcolor import masks
from vidcolor import tracking

Frames = Iterable[UInt8[np.ndarray, 'height width 3']]
Grey = UInt8[np.ndarray, 'height width']
Flow = Float[np.ndarray, 'height width 2']


class Identity:
  """A tracker that assumes that nothing moves."""

  def track(
      self, frames: Frames, first_mask: masks.Mask
  ) -> Iterator[masks.Mask]:
    """Yields the first mask for every frame."""
    first_mask = masks.without_void(first_mask)
    for _ in frames:
      yield first_mask

  def track_points(
      self, frames: Frames, points: Float[np.ndarray, 'points 2']
  ) -> Iterator[tracking.TrackedPoints]:
    """Yields the same points for every frame, all visible."""
    for _ in frames:
      yield tracking.TrackedPoints(points, np.ones(len(points)))


class OpticalFlow:
  """A tracker that moves masks and points by dense optical flow."""

  def __init__(
      self, estimate: Callable[[Grey, Grey], Flow], *, from_first: bool = False
  ):
    """Creates the tracker.

    Args:
      estimate: A function of two grey frames, such as `dis` or `farneback`. It
        returns the displacement (x, y) in pixels of each pixel of the first
        one.
      from_first: Whether flow is estimated between the first frame and each
        later frame. By default it is estimated between consecutive frames, and
        the displacements are added up.
    """
    self._estimate = estimate
    self._from_first = from_first

  def track(
      self, frames: Frames, first_mask: masks.Mask
  ) -> Iterator[masks.Mask]:
    """Yields masks that are warped by the flow from each frame back.

    The mask of each object is warped as a soft mask with bilinear
    interpolation. Each pixel then gets its most likely object.
    """
    first_mask = masks.without_void(first_mask)
    y, x = np.mgrid[: len(first_mask), : len(first_mask[0])].astype(np.float32)
    first_soft = [
        (first_mask == number).astype(np.float32)
        for number in range(first_mask.max() + 1)
    ]
    soft = first_soft
    yield first_mask
    for before, now in self._pairs(frames):
      flow = self._estimate(now, before)
      from_x, from_y = x + flow[..., 0], y + flow[..., 1]
      soft = [
          _sample(mask, from_x, from_y)
          for mask in (first_soft if self._from_first else soft)
      ]
      yield np.argmax(soft, 0).astype(np.uint8)

  def track_points(
      self, frames: Frames, points: Float[np.ndarray, 'points 2']
  ) -> Iterator[tracking.TrackedPoints]:
    """Yields the moved points. Points outside the frame count as hidden."""
    position = points
    yield tracking.TrackedPoints(points, np.ones(len(points)))
    for before, now in self._pairs(frames):
      position = points if self._from_first else position
      if len(points):  # OpenCV cannot sample at zero points.
        x, y = position.T.astype(np.float32)
        flow = _sample(self._estimate(before, now), x, y)
        position = position + flow.reshape(position.shape)
      inside = (position >= 0) & (position <= np.array(now.shape[::-1]) - 1)
      yield tracking.TrackedPoints(position, inside.all(axis=1).astype(float))

  def _pairs(self, frames):
    """Yields grey frames, each after the first frame or the one before it."""
    before = None
    for frame in frames:
      now = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
      if before is not None:
        yield before, now
      if before is None or not self._from_first:
        before = now


def _sample(picture, x, y):
  """Samples a picture bilinearly. Outside it, border values are repeated."""
  return cv2.remap(
      picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
  )


def dis(first: Grey, second: Grey) -> Flow:
  """Estimates DIS flow (Kroeger et al., ECCV 2016) with the medium preset."""
  estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
  # pyrefly: ignore[no-matching-overload]
  return estimator.calc(first, second, None)


def farneback(first: Grey, second: Grey) -> Flow:
  """Estimates Farneback's flow (SCIA 2003), coarse to fine in five levels."""
  # pyrefly: ignore[no-matching-overload]
  return cv2.calcOpticalFlowFarneback(
      first, second, None, 0.5, 5, 15, 3, 5, 1.2, 0
  )
