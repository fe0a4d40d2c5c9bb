"""A sequence whose items are read on access."""

from collections.abc import Callable, Sequence
from typing import Generic, overload, TypeVar

import numpy as np

_Key = TypeVar('_Key')
_Item = TypeVar('_Item')


class LazySequence(Sequence[_Item], Generic[_Key, _Item]):
  """The sequence of `read(key)` for a sequence of keys."""

  def __init__(
      self, keys: Sequence[_Key] | np.ndarray, read: Callable[[_Key], _Item]
  ):
    """Creates the sequence.

    Args:
      keys: Keys of the items, such as paths.
      read: Function that reads the item of a key.
    """
    self._keys = keys
    self._read = read

  def __len__(self) -> int:
    return len(self._keys)

  @overload
  def __getitem__(self, index: int) -> _Item:
    ...

  @overload
  def __getitem__(self, index: slice) -> 'LazySequence[_Key, _Item]':
    ...

  def __getitem__(self, index):
    """Returns an item; for a slice, a lazy sequence of its items."""
    if isinstance(index, slice):
      return LazySequence(self._keys[index], self._read)
    return self._read(self._keys[index])
