"""What was decoded lately, so that a conversation about a picture has it decoded once."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """At most `limit` bytes of values, those that were not asked for longest going first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._size = 0

    def get(self, key: Hashable) -> T | None:
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: T, size: int) -> None:
        if size > self._limit:
            return
        if key in self._values:
            self._size -= self._values.pop(key)[1]
        self._values[key] = value, size
        self._size += size
        while self._size > self._limit:
            _, (_, gone) = self._values.popitem(last=False)
            self._size -= gone
