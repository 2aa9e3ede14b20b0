"""A table of values by something and the run."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")

#: Stands where nothing is known of a run; ``None`` is a value.
_ABSENT: Any = object()


class ByRun(Generic[_K, _V]):
    """Values by key and run (1..N); with one list for all runs of a key, since there are many of them."""

    __slots__ = ("_lists",)

    def __init__(self) -> None:
        self._lists: dict[_K, list[_V]] = {}

    def put(self, key: _K, run: int, value: _V) -> None:
        """Set the value of one run."""
        values = self._lists.get(key)
        if values is None:
            values = self._lists[key] = []
        while len(values) < run:
            values.append(_ABSENT)
        values[run - 1] = value

    def get(self, key: _K, run: int) -> _V | None:
        """The value of one run, ``None`` where nothing is known."""
        return self._lists[key][run - 1] if self.has(key, run) else None

    def has(self, key: _K, run: int) -> bool:
        """Whether there is a value, ``None`` among them."""
        values = self._lists.get(key, ())
        return len(values) >= run and values[run - 1] is not _ABSENT

    def __iter__(self) -> Iterator[_K]:
        """All keys, in the order in which they came."""
        return iter(self._lists)

    def lists(self) -> Iterator[tuple[_K, list[_V]]]:
        """Each key with the values of its runs, in their order; those of which nothing is known left out."""
        for key, values in self._lists.items():
            yield key, [value for value in values if value is not _ABSENT]

    def runs(self, key: _K) -> Iterator[tuple[int, _V]]:
        """The runs of a key with their values; those of which nothing is known left out."""
        for run, value in enumerate(self._lists.get(key, ()), 1):
            if value is not _ABSENT:
                yield run, value

    def items(self) -> Iterator[tuple[_K, _V]]:
        """Each value with its key."""
        return ((key, value) for key, values in self.lists() for value in values)

    def values(self) -> Iterator[_V]:
        """All values."""
        return (value for _, values in self.lists() for value in values)

    def __len__(self) -> int:
        return sum(len(values) for _, values in self.lists())

    def __eq__(self, other: object) -> bool:
        return self._lists == other._lists if isinstance(other, ByRun) else NotImplemented
