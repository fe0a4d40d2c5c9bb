"""Sequences whose items are read when they are asked for."""

from collections.abc import Callable, Sequence
from typing import Any


class LazySequence(Sequence):
  """A sequence of `read(key)` for keys that can be counted and indexed."""

  def __init__(self, keys: Any, read: Callable[[Any], Any]):
    self._keys = keys
    self._read = read

  def __len__(self) -> int:
    return len(self._keys)

  def __getitem__(self, index: int | slice) -> Any:
    """An item; or, of a slice, a lazy sequence of those."""
    if isinstance(index, slice):
      return LazySequence(self._keys[index], self._read)
    return self._read(self._keys[index])
