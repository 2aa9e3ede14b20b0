"""Aggregate metrics that users give in a hook, on their way through a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pytest_promptune.core.aggregates.given import HOOK, Aggregate, Given, aggregates_of
from pytest_promptune.core.codec import unboxed
from pytest_promptune.core.plan import PlannedItem

#: Only a worker of xdist collects, and with that loads what stands in folders of tests.
_ELSEWHERE = (
    f"The workers found {HOOK} in a conftest.py that the controller doesn't load: move it to the conftest.py "
    "of the root, or to a plugin."
)


class UserAggregates:
    """What the hook gave, and the tags of the cases, which its functions see."""

    def __init__(self, ask: Callable[[], Iterable[object]]) -> None:
        self._ask = ask
        self._found: tuple[Aggregate, ...] | None = None
        self._tags: dict[str, dict[str, dict[str, Any]]] = {}
        #: Names that workers found.
        self._elsewhere: list[str] = []

    def _aggregates(self) -> tuple[Aggregate, ...]:
        if self._found is None:
            self._found = aggregates_of(self._ask())
        return self._found

    @property
    def names(self) -> list[str]:
        """What they are called, whichever process found them."""
        return list(dict.fromkeys([*(each.name for each in self._aggregates()), *self._elsewhere]))

    def take(self, items: Sequence[PlannedItem]) -> None:
        """Ask the hook, and keep the tags of the cases where something is to be computed.

        Raises:
            SettingsError: when it gave something else than aggregates.
        """
        for item in items if self._aggregates() else ():
            known = self._tags.setdefault(item.module, {})
            if item.case is not None and item.case.id not in known:
                known[item.case.id] = {str(tag): _plain(value) for tag, value in item.case.tags.items()}

    def knowledge(self) -> dict[str, Any]:
        """What only a process that collected knows, as plain data."""
        return {"names": self.names, "tags": self._tags}

    def know(self, knowledge: Mapping[str, Any]) -> None:
        """Take over the `knowledge` of such a process."""
        self._elsewhere += knowledge["names"]
        self._tags.update(knowledge["tags"])

    def given(self) -> Given:
        """All there are, for the end of the session."""
        found = self._aggregates()
        here = {each.name for each in found}
        absent = [name for name in dict.fromkeys(self._elsewhere) if name not in here]
        return Given(aggregates=found, tags=self._tags, absent=absent, why_absent=_ELSEWHERE)


def _plain(value: object) -> object:
    """Numbers, texts and truth values as they are, all else as text: it travels between processes."""
    value = unboxed(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
