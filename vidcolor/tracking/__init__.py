"""Trackers: label propagation by the copy operation, and baselines.

The protocols say what a tracker is to the benchmarks and to `VideoTracker`.
Each method yields one item per frame; the first item is what was given.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float, UInt8
import numpy as np

Mask = UInt8[np.ndarray, 'height width']


class TrackedPoints(NamedTuple):
  """Points in one frame.

  Attributes:
    position: (x, y) in pixels. Pixel centres have whole coordinates.
    confidence: In 0 to 1. Above 0.5 the point counts as visible.
  """

  position: Float[np.ndarray, 'points 2']
  confidence: Float[np.ndarray, ' points']


class TrackedObjects(NamedTuple):
  """Objects in one frame.

  Attributes:
    mask: 0 or the number of an object.
    confidence: The probability that the mask is right at each pixel.
    by_object: The mean confidence over each object's pixels, 0 for an object
      without pixels. Below `confidence.LOST` the object is lost or hidden.
  """

  mask: Mask
  confidence: Float[np.ndarray, 'height width']
  by_object: Float[np.ndarray, ' objects']


@runtime_checkable
class MaskTracker(Protocol):
  """Tracks the objects of a mask."""

  def track(self, frames: Iterable[Any], first_mask: Mask) -> Iterator[Mask]:
    """Yields the mask of each frame. Void of the first one is background."""
    ...


@runtime_checkable
class ObjectTracker(Protocol):
  """Tracks the objects of a mask, and knows how certain each result is."""

  def track_objects(
      self, frames: Iterable[Any], first_mask: Mask
  ) -> Iterator[TrackedObjects]:
    """Yields the objects of each frame."""
    ...


@runtime_checkable
class PointTracker(Protocol):
  """Tracks points."""

  def track_points(
      self, frames: Iterable[Any], points: Float[np.ndarray, 'points 2']
  ) -> Iterator[TrackedPoints]:
    """Yields the points of each frame; `points` are (x, y) in the first."""
    ...


@runtime_checkable
class Embedder(Protocol):
  """Embeds single frames. Boxes need it, to separate object from background."""

  def embed(self, frame: Any) -> Float[Array, 'rows columns dim']:
    """Returns the embeddings of one frame."""
    ...
