"""How an xdist controller hands out the items: the tests of one sample stay on one worker.

xdist's own schedulers deal with single items, or with groups that are told by node ids. Which items
share a sample only the workers know, since only they collect: they tell it before they report their
collection, and `SampleScheduling` follows it. Sessions without promptune tests keep xdist's scheduler.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pytest


class Node(Protocol):
    """What is used of xdist's worker controllers."""

    gateway: Any
    shutting_down: bool

    def send_runtest_some(self, indices: Sequence[int]) -> None: ...  # noqa: D102  # xdist's

    def shutdown(self) -> None: ...  # noqa: D102  # xdist's


class SampleScheduling:
    """xdist's scheduler for sessions with promptune tests; see `xdist.scheduler.protocol`.

    Each worker gets all items of its slot at once, so that it can generate their samples ahead. Items
    that are bound to nothing are kept back and handed out as workers become free.

    Where the session looks before all runs are there, each worker gets those before the next look, and the
    first one after it, which it keeps for later: a worker runs an item when it knows the next one. Items
    that are bound to nothing are dealt round then, since a worker that waits for a look takes nothing else.
    """

    def __init__(
        self,
        config: pytest.Config,
        *,
        default: Any,
        slots: Callable[[], Sequence[int | None] | None],
        slot_of: Callable[[Node], int],
        looks: Callable[[], Sequence[int] | None] = lambda: None,
        look: Callable[[], int] = lambda: 0,
    ) -> None:
        """Begins as the `default`.

        Args:
            config: of the controller.
            default: the scheduler that xdist would use.
            slots: a slot for each collected item once the workers told it, else ``None``.
            slot_of: the slot of a worker.
            looks: number of the look before which each collected item runs, ``None`` without looks.
            look: called when everything before the next look has run; gives the number up to which items are
                to be handed out.
        """
        self._config = config
        self._default = default
        self._slots = slots
        self._slot_of = slot_of
        self._looks = looks
        self._look = look
        #: Number of the look before which each item runs; ascending, as in all lists of items here.
        self._numbers: Sequence[int] = ()
        #: Items up to this look are handed out, and there are some up to the other.
        self._open = self._last = 0
        self._ids: list[str] | None = None
        self._collections: dict[Node, list[str]] = {}
        self._pending: dict[Node, list[int]] = {}
        #: Items that wait for the worker of their slot.
        self._kept: dict[int, list[int]] = {}
        #: Items that any worker may run.
        self._free: deque[int] = deque()

    @property
    def _has_begun(self) -> bool:
        return self._ids is not None

    @property
    def nodes(self) -> list[Any]:
        """The workers."""
        return list(self._pending) if self._has_begun else list(self._default.nodes)

    @property
    def collection_is_completed(self) -> bool:
        """All first workers have collected."""
        return True if self._has_begun else bool(self._default.collection_is_completed)

    @property
    def tests_finished(self) -> bool:
        """Nothing is left to hand out; the last item of a worker runs when it is told that it is."""
        if not self._has_begun:
            return bool(self._default.tests_finished)
        return not self._has_more and all(len(pending) < 2 for pending in self._pending.values())

    @property
    def has_pending(self) -> bool:
        """Some items have not been run."""
        if not self._has_begun:
            return bool(self._default.has_pending)
        return self._has_more or any(self._pending.values())

    @property
    def _has_more(self) -> bool:
        return bool(self._free) or any(self._kept.values()) or any(map(self._is_held, self._pending))

    def add_node(self, node: Node) -> None:
        """A worker is ready to collect."""
        if self._has_begun:
            self._pending[node] = []
        else:
            self._default.add_node(node)

    def add_node_collection(self, node: Node, collection: Sequence[str]) -> None:
        """A worker has collected."""
        if not self._has_begun:
            self._collections[node] = list(collection)
            self._default.add_node_collection(node, collection)
        elif list(collection) != self._ids:
            self._report_other_collection(node)

    def _report_other_collection(self, node: Node) -> None:
        """What waited for a replacement that collected other items can't run any more: that is an error."""
        lost = self._kept.pop(self._slot_of(node), [])
        del self._pending[node]
        node.shutdown()
        report = pytest.CollectReport(
            nodeid=node.gateway.id,
            outcome="failed",
            longrepr=f"worker {node.gateway.id} collected other tests than the one it replaces: "
            f"{len(lost)} tests were not run.",
            result=[],
        )
        self._config.hook.pytest_collectreport(report=report)

    def schedule(self) -> None:
        """Hand out what there is; called again when a worker was replaced."""
        if not self._has_begun and not self._begin():
            self._default.schedule()
            return
        for node in self.nodes:
            self._hand_out(node)
        for node in self.nodes:
            self._feed(node)
        self._look_if_due()

    def _begin(self) -> bool:
        slots = self._slots()
        collections = list(self._collections.values())
        if slots is None or any(ids != collections[0] for ids in collections):
            return False  # xdist's own reports the difference
        self._ids = collections[0]
        self._pending = {node: [] for node in self._default.nodes}
        known = sorted(self._slot_of(node) for node in self._pending)
        looks = self._looks()
        self._numbers = looks or [0] * len(slots)
        self._last = max(self._numbers, default=0)
        for index, slot in enumerate(slots):
            if slot is None and looks is None:
                self._free.append(index)
            else:
                self._kept.setdefault(known[(index if slot is None else slot) % len(known)], []).append(index)
        return True

    def _hand_out(self, node: Node) -> None:
        """Send a worker what waits for its slot, up to the next look and one item beyond."""
        kept = self._kept.pop(self._slot_of(node), [])
        size = sum(self._numbers[index] <= self._open for index in kept) + (not self._is_held(node))
        self._send(node, kept[:size])
        if len(kept) > size:
            self._kept[self._slot_of(node)] = kept[size:]

    def _is_held(self, node: Node) -> bool:
        """A worker has an item that waits for a look: the last one."""
        pending = self._pending[node]
        return self._open < self._last and bool(pending) and self._numbers[pending[-1]] > self._open

    def _look_if_due(self) -> None:
        """Once everything before a look has run, hand out what it leaves."""
        while self._open < self._last and not self._has_some_before_the_look:
            self._open = self._look()
            for node in self.nodes:
                self._hand_out(node)
            for node in self.nodes:
                self._feed(node)

    @property
    def _has_some_before_the_look(self) -> bool:
        firsts = (indices[0] for indices in (*self._pending.values(), *self._kept.values()) if indices)
        return any(self._numbers[index] <= self._open for index in firsts)

    def _send(self, node: Node, indices: Sequence[int]) -> None:
        if indices:
            self._pending[node].extend(indices)
            node.send_runtest_some(list(indices))

    def _feed(self, node: Node) -> None:
        """Keep a worker busy: it needs two items, or to know that there is no further one."""
        if node.shutting_down or self._is_held(node):
            return
        if self._free and len(self._pending[node]) < 2:
            size = max(2, len(self._free) // (4 * len(self._pending)))
            self._send(node, [self._free.popleft() for _ in range(min(size, len(self._free)))])
        if not self._free:
            node.shutdown()

    def mark_test_complete(self, node: Node, item_index: int, duration: float = 0) -> None:
        """A worker has run an item."""
        if not self._has_begun:
            self._default.mark_test_complete(node, item_index, duration)
            return
        self._pending[node].remove(item_index)
        self._feed(node)
        self._look_if_due()

    def mark_test_pending(self, item: str) -> None:
        """A plugin wants an item to run again."""
        if self._ids is None:
            self._default.mark_test_pending(item)
            return
        self._free.appendleft(self._ids.index(item))
        for node in self.nodes:
            self._feed(node)

    def remove_pending_tests_from_node(self, node: Node, indices: Sequence[int]) -> None:
        """A worker gave items back."""
        if not self._has_begun:
            self._default.remove_pending_tests_from_node(node, indices)
            return
        back = set(indices)
        self._pending[node] = [index for index in self._pending[node] if index not in back]
        self._free.extend(indices)
        for other in self.nodes:
            self._feed(other)

    def remove_node(self, node: Node) -> str | None:
        """A worker is gone; gives the item at which it crashed, if it did.

        Raises:
            KeyError: for a worker that is not known (any more).
        """
        if self._ids is None:
            self._collections.pop(node, None)
            crashed: str | None = self._default.remove_node(node)
            return crashed
        pending = self._pending.pop(node)
        if not pending:
            return None
        is_idle = self._numbers[pending[0]] > self._open  # what waits for a look has not run
        left = pending if is_idle else pending[1:]
        slots = self._slots() or ()
        for index in left:
            if slots[index] is None and self._looks() is None:
                self._free.append(index)
            else:
                self._kept.setdefault(self._slot_of(node), []).append(index)
        self._kept.get(self._slot_of(node), []).sort()
        return None if is_idle else self._ids[pending[0]]

    def first_left(self, slot: int) -> int:
        """Index of the first item that waits for a worker in this slot; past the last one if none does."""
        return min(self._kept.get(slot, []), default=len(self._ids or ()))
