"""From pytest's items and reports to values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_promptune.core.errors import PromptuneError, SettingsError
from pytest_promptune.core.experiment import Outcome, result_of
from pytest_promptune.core.model import Case, SampleRecord
from pytest_promptune.core.plan import Cell, PlannedItem, metric_name, read_marks, test_name
from pytest_promptune.core.scoring import Sample
from pytest_promptune.plugin.state import CELL

_OWN_FIXTURES = frozenset({CELL, "sample", "variant", "request"})

_Skipped: Any = pytest.skip.Exception


class SampleLostError(_Skipped):  # type: ignore[misc]  # the class is public, its stub is not
    """The app gave no output: the tests of this sample are not called."""


class ItemState:
    """What is known of one promptune item while it runs."""

    __slots__ = ("case", "planned", "record", "sample")

    def __init__(self, planned: PlannedItem) -> None:
        self.planned = planned
        self.case: Case | None = None
        self.record: SampleRecord | None = None
        self.sample: Sample | None = None


def planned_item(item: pytest.Item) -> PlannedItem:
    """What the session has to know of an item.

    Args:
        item: a test that is parametrized over variants and runs.

    Raises:
        PromptuneError: when it has two cases, or marks that make no sense.
    """
    spec: Any = item.callspec  # type: ignore[attr-defined]  # every such item is parametrized
    where: Cell = spec.params[CELL]
    cases = {name: value for name, value in spec.params.items() if isinstance(value, Case)}
    if len(cases) > 1:
        raise SettingsError(two_cases(item.nodeid, cases))
    others = {k: v for k, v in spec.params.items() if k != CELL and k not in cases}
    marks = read_marks(((m.args, m.kwargs) for m in item.iter_markers("promptune")), where=item.nodeid)
    module, _, name = item.nodeid.partition("::")
    test = test_name(name.removesuffix(f"[{spec.id}]"), others, spec.indices)
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


def resolve_case(request: pytest.FixtureRequest, planned: PlannedItem) -> Case:
    """The one case among the values of the test's fixtures and parameters."""
    spec = request.node.callspec
    names = [name for name, value in spec.params.items() if isinstance(value, Case)]
    if not names:  # a plain fixture may give it; one that itself needs the sample can't
        names = [n for n in request.fixturenames if n not in _OWN_FIXTURES and n != planned.marks.app]
    found: dict[str, Case] = {}
    for name in names:
        try:
            value = request.getfixturevalue(name)
        except pytest.FixtureLookupError:
            continue
        if isinstance(value, Case):
            found[name] = value
    if len(found) > 1:
        raise PromptuneError(two_cases(request.node.nodeid, found))
    if not found:
        raise PromptuneError(
            f"{request.node.nodeid}: none of its fixtures and parameters is a Case "
            f"(looked at {', '.join(names) or 'nothing, it has none'}). Add one, for example "
            "@pytest.fixture(params=load_cases(...), ids=str), and request it in the test."
        )
    return next(iter(found.values()))


def outcome_of(report: pytest.TestReport, call: pytest.CallInfo[None], state: ItemState) -> Outcome | None:
    """What became of the item in this phase; ``None`` if nothing is decided yet."""
    if report.when == "teardown" or (report.when == "setup" and report.passed):
        return None
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, SampleLostError) and state.record is not None and state.record.error is not None:
        return "missing" if state.record.error.infrastructure else "errored"
    if error is None:
        return "passed"
    if isinstance(error, _Skipped):
        return "skipped"
    return "missed" if report.when == "call" and isinstance(error, AssertionError) else "failed"


def contribute(
    report: pytest.TestReport, state: ItemState, outcome: Outcome, call: pytest.CallInfo[None]
) -> None:
    """Hang the item's contribution on its report, and turn a missed assertion into a pass."""
    message = str(call.excinfo.value) if call.excinfo else ""
    case = state.case or state.planned.case
    if case is None:
        return
    if outcome == "missed" and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "passed", None
    result = result_of(
        state.planned, case=case, record=state.record, sample=state.sample, outcome=outcome, message=message
    )
    report.promptune = result.to_json()  # type: ignore[attr-defined]  # reports take extra attributes
