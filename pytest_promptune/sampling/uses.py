"""Which item is the last to need a sample."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator


class Uses:
    """Says which samples nobody needs any more, so that their outputs can be dropped."""

    def __init__(self) -> None:
        self._last: dict[Hashable, int] = {}
        #: How many samples nobody needs any more.
        self._gone = 0
        self._last_unknown = -1
        self._keys: dict[Hashable, set[Hashable]] = {}
        self._expiring: list[tuple[int, int, Hashable]] = []

    def __len__(self) -> int:
        """How many different samples the items are known to need."""
        return self._gone + len(self._last)

    def expect(self, position: int, use: Hashable | None) -> None:
        """The item at `position` needs a sample; ``None``: nobody knows which."""
        if use is None:
            self._last_unknown = position
        else:
            self._last[use] = position

    def replace(self, planned: Hashable, actual: Hashable) -> None:
        """Items that were to need one sample need another."""
        self._last[actual] = max(self._last.get(actual, -1), self._last.get(planned, -1))

    def note(self, key: Hashable, use: Hashable) -> None:
        """A sample is known under `key` from now on."""
        keys = self._keys.setdefault(use, set())
        if not keys:
            heapq.heappush(self._expiring, (self._last.get(use, -1), len(self._keys), use))
        keys.add(key)

    def expired(self, position: int) -> Iterator[Hashable]:
        """Keys that no item after `position` needs; each is given once."""
        if position < self._last_unknown:
            return
        while self._expiring and self._expiring[0][0] <= position:
            use = heapq.heappop(self._expiring)[2]
            self._gone += self._last.pop(use, None) is not None
            yield from self._keys.pop(use, ())

    def of_app(self, app: int) -> list[Hashable]:
        """Keys of the samples of one app object."""
        return [
            key for keys in self._keys.values() for key in keys if isinstance(key, tuple) and key[0] == app
        ]
