"""From pytest's items to values and back; knows pytest's objects without importing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import PlannedItem, metric_name, read_marks, test_name

if TYPE_CHECKING:
    import pytest

    from pytest_promptune.core.model import SampleRecord
    from pytest_promptune.core.plan import Cell
    from pytest_promptune.core.scoring import Sample


class ItemState:
    """What is known of one promptune item while it runs."""

    __slots__ = ("case", "planned", "record", "sample")

    def __init__(self, planned: PlannedItem) -> None:
        self.planned = planned
        self.case: Case | None = None
        self.record: SampleRecord | None = None
        self.sample: Sample | None = None


def planned_item(item: pytest.Item, *, cell: str) -> PlannedItem:
    """What the session has to know of an item.

    Args:
        item: a test that is parametrized over variants and runs.
        cell: name of the parameter that says which.

    Raises:
        PromptuneError: when it has two cases, or marks that make no sense.
    """
    spec: Any = item.callspec  # type: ignore[attr-defined]  # every such item is parametrized
    where: Cell = spec.params[cell]
    cases = {name: value for name, value in spec.params.items() if isinstance(value, Case)}
    if len(cases) > 1:
        raise SettingsError(two_cases(item.nodeid, cases))
    others = {k: v for k, v in spec.params.items() if k != cell and k not in cases}
    marks = read_marks(((m.args, m.kwargs) for m in item.iter_markers("promptune")), where=item.nodeid)
    module, _, name = item.nodeid.partition("::")
    tokens = [
        token
        for argument, case in cases.items()
        for token in (
            case.id,
            case.id.encode("unicode_escape").decode(),
            f"{argument}{spec.indices[argument]}",
        )
    ]
    test = test_name(name.removesuffix(f"[{spec.id}]"), spec.id, own=[str(where), *tokens], others=others)
    return PlannedItem(
        nodeid=item.nodeid,
        module=module,
        test=test,
        metric=metric_name(marks, test),
        marks=marks,
        cell=where,
        case=next(iter(cases.values()), None),
        parameters=tuple(sorted((k, spec.indices[k]) for k in others)),
        lazy=not cases or any(item.iter_markers("skip")) or any(item.iter_markers("skipif")),
    )


def two_cases(nodeid: str, found: Mapping[str, Case]) -> str:
    """What is wrong with a test that has more than one case."""
    named = ", ".join(f"{name} ({case.id})" for name, case in found.items())
    return f"{nodeid}: more than one Case among its fixtures and parameters: {named}. A sample has one case."


class _Crash(NamedTuple):
    """What pytest's short summary and junit show of a failure."""

    message: str


class GateRepr:
    """How a failed gate is shown: the sentence, no traceback."""

    def __init__(self, message: str) -> None:
        self.reprcrash = _Crash(message)

    def __str__(self) -> str:
        return self.reprcrash.message

    def toterminal(self, writer: Any) -> None:
        """Write it as pytest writes failures."""
        writer.line(self.reprcrash.message, red=True)
