"""Trackers: label propagation by the copy operation, and baselines.

The protocols define the methods that benchmarks and `VideoTracker` call on a
tracker. Each tracking method yields one item per frame. The first item holds
the given mask or points.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, UInt8
import numpy as np

Mask = UInt8[np.ndarray, 'height width']


class TrackedPoints(NamedTuple):
  """Points in one frame.

  Attributes:
    position: Positions (x, y) in pixels. Pixel centers have integer
      coordinates.
    confidence: Values in 0 to 1. A point above 0.5 counts as visible.
  """

  position: Float[np.ndarray, 'points 2']
  confidence: Float[np.ndarray, ' points']


class TrackedObjects(NamedTuple):
  """Objects in one frame.

  Attributes:
    mask: The number of the object at each pixel, 0 on the background.
    confidence: The probability, in 0 to 1, that the mask is correct at each
      pixel.
    by_object: The mean confidence over the pixels of each object, 0 for an
      object without pixels. Below `confidence.LOST`, the object counts as lost
      or hidden.
  """

  mask: Mask
  confidence: Float[np.ndarray, 'height width']
  by_object: Float[np.ndarray, ' objects']


@runtime_checkable
class MaskTracker(Protocol):
  """Tracks the objects of a mask."""

  def track(self, frames: Iterable[Any], first_mask: Mask) -> Iterator[Mask]:
    """Yields the mask of each frame. Void in `first_mask` is background."""
    ...


@runtime_checkable
class ObjectTracker(Protocol):
  """Tracks the objects of a mask and estimates its confidence."""

  def track_objects(
      self, frames: Iterable[Any], first_mask: Mask
  ) -> Iterator[TrackedObjects]:
    """Yields the mask of each frame and its confidence."""
    ...


@runtime_checkable
class ObjectSteps(Protocol):
  """Tracks objects frame by frame.

  Attributes:
    found: The objects in the frame shown last.
  """

  found: TrackedObjects

  def step(self, frame: Any) -> TrackedObjects:
    """Returns the objects in the next frame."""
    ...

  def give(
      self, objects: Mapping[int, Bool[np.ndarray, 'height width']]
  ) -> TrackedObjects:
    """Says where objects, by their indices, are in the frame shown last.

    The next indices begin new objects. Returns the new value of `found`.
    """
    ...


@runtime_checkable
class SessionTracker(Protocol):
  """Tracks objects that can be corrected in any frame."""

  def start_objects(self, frame: Any, mask: Mask) -> ObjectSteps:
    """Starts from the first frame. Void in `mask` is background."""
    ...


@runtime_checkable
class PointTracker(Protocol):
  """Tracks points."""

  def track_points(
      self, frames: Iterable[Any], points: Float[np.ndarray, 'points 2']
  ) -> Iterator[TrackedPoints]:
    """Yields the points of each frame, given (x, y) in the first frame."""
    ...


@runtime_checkable
class Embedder(Protocol):
  """Embeds single frames. Box prompts need it to find the object in the box."""

  def embed(self, frame: Any) -> Float[Array, 'rows columns dim']:
    """Returns the embeddings of one frame."""
    ...
