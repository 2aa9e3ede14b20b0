"""Which items have the same app."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.store.log import SampleKey


class Reach:
    """Which items have the same app as the one that asks."""

    __slots__ = ("_depends", "group", "module", "scope")

    def __init__(self, item: PlannedItem, *, everywhere: bool, depends: Container[str] | None) -> None:
        self._depends = depends
        self.group = self._group(item)
        #: A module's own fixture hides others of its name: its app must not meet their cases.
        self.module = None if everywhere else item.module
        #: The same in every session, unlike the identity of the app: whose of several apps of one name.
        home = folder_of(item) if everywhere else item.module
        self.scope = " ".join([*([home] if home else []), *(f"{n}={v}" for n, v in self.group[2])])

    def covers(self, other: PlannedItem) -> bool:
        """Whether another item has the same app."""
        return self.module in (None, other.module) and self._group(other) == self.group

    def key(self, item: PlannedItem, case: Case, case_hash: str) -> SampleKey:
        """What the sample is called in the experiment log."""
        return SampleKey(
            app=item.marks.app,
            scope=self.scope,
            case_id=case.id,
            case_hash=case_hash,
            variant=item.cell.variant,
            run=item.cell.run,
        )

    def _group(self, item: PlannedItem) -> tuple[str, str | None, tuple[tuple[str, Any], ...]]:
        mine = (
            (name, number)
            for name, number in item.parameters
            if self._depends is None or name in self._depends
        )
        return item.marks.app, item.home, tuple(mine)


def folder_of(item: PlannedItem) -> str:
    """Of the conftest.py that defines the item's app, or its class; empty for the root's and plugins'."""
    return "" if item.home in (None, ".") else item.home
