"""From pytest's items and reports to values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_promptune.core.errors import PromptuneError, SettingsError
from pytest_promptune.core.model import Case, SampleRecord
from pytest_promptune.core.plan import Marks, Parameters, PlannedItem, labels, metric_name, read_marks
from pytest_promptune.core.properties import of_result
from pytest_promptune.core.results import Outcome, result_of
from pytest_promptune.core.scoring import Sample
from pytest_promptune.plugin.fixtures import Homes
from pytest_promptune.plugin.properties import tell
from pytest_promptune.plugin.state import CELL, callspec_of
from pytest_promptune.store.log import SampleKey

_OWN_FIXTURES = frozenset({CELL, "sample", "variant", "request"})

_Skipped: Any = pytest.skip.Exception


class SampleLostError(_Skipped):  # type: ignore[misc]  # the class is public, its stub is not
    """The app gave no output: the tests of this sample are not called."""


class ItemState:
    """What is known of one promptune item while it runs."""

    __slots__ = (
        "case",
        "is_not_needed",
        "is_reused",
        "is_running",
        "key",
        "missed_inside",
        "planned",
        "record",
        "sample",
    )

    def __init__(self, planned: PlannedItem) -> None:
        self.planned = planned
        self.case: Case | None = None
        self.key: SampleKey | None = None
        self.record: SampleRecord | None = None
        #: The sample was taken from an earlier session.
        self.is_reused = False
        self.sample: Sample | None = None
        self.is_running = False
        #: The verdict was clear before its run.
        self.is_not_needed = False
        #: What the first missed subtest said.
        self.missed_inside = ""


def planned_items(items: Sequence[pytest.Item]) -> list[PlannedItem]:
    """What the session has to know of tests that are parametrized over variants and runs.

    Raises:
        PromptuneError: when one has two cases, or marks that make no sense.
    """
    numbers = _Numbers()
    parameters = [_parameters(item, numbers) for item in items]
    modules = _Modules()
    tests: dict[tuple[str, str], list[int]] = {}
    for position, item in enumerate(items):
        tests.setdefault((modules.of(item), _bare_name(item)), []).append(position)
    names = [""] * len(items)
    for (_, bare), members in tests.items():
        for member, label in zip(members, labels([parameters[m] for m in members]), strict=True):
            names[member] = f"{bare}[{label}]" if label else bare
    marked, homes = _Marked(), Homes()
    return [
        _planned(item, modules.of(item), name, given, marked, homes)
        for item, name, given in zip(items, names, parameters, strict=True)
    ]


class _Modules:
    """The test module of an item relative to the root; a node id has no path for one outside of it."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def of(self, item: pytest.Item) -> str:
        path = item.path
        if path not in self._known:
            root = item.config.rootpath
            inside = path.relative_to(root) if path.is_relative_to(root) else path
            self._known[path] = inside.as_posix()
        return self._known[path]


class _Marked:
    """What marks say; those of a test are the same objects in all its items."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], tuple[Marks, bool]] = {}

    def read(self, item: pytest.Item) -> tuple[Marks, bool]:
        """Our own mark, and whether others may keep the test from running."""
        marks = list(item.iter_markers())  # which keep their identity: pytest's items hold them
        key = tuple(map(id, marks))
        if key not in self._known:
            mine = [(mark.args, mark.kwargs) for mark in marks if mark.name == "promptune"]
            may_not_run = any(
                mark.name in ("skip", "skipif") or (mark.name == "xfail" and not mark.kwargs.get("run", True))
                for mark in marks
            )
            self._known[key] = read_marks(mine, where=item.nodeid), may_not_run
        return self._known[key]


class _Numbers:
    """Numbers the values of each parameter, equal ones alike; pytest's own count items, not values."""

    def __init__(self) -> None:
        self._known: dict[str, list[Any]] = {}

    def of(self, name: str, value: Any) -> int:
        values = self._known.setdefault(name, [])
        for number, other in enumerate(values):
            if other is value or (type(other) is type(value) and _are_equal(other, value)):
                return number
        values.append(value)
        return len(values) - 1


def _are_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # arrays and other objects that don't compare to one truth value
        return False


def _parameters(item: pytest.Item, numbers: _Numbers) -> Parameters:
    spec = callspec_of(item)
    cases = {name: value for name, value in spec.params.items() if isinstance(value, Case)}
    if len(cases) > 1:
        raise SettingsError(two_cases(item.nodeid, cases))
    others = {k: v for k, v in spec.params.items() if k != CELL and k not in cases}
    tokens = []
    for argument, case in cases.items():
        tokens += [case.id, case.id.encode("unicode_escape").decode("ascii")]
        tokens += re.findall(rf"(?:^|-)({argument}\d+)(?=-|$)", spec.id)
    return Parameters(
        id=spec.id.removesuffix(f"-{spec.params[CELL]}"),
        case=tuple(dict.fromkeys(tokens)),
        others=others,
        numbers={name: numbers.of(name, value) for name, value in others.items()},
    )


def _bare_name(item: pytest.Item) -> str:
    spec = callspec_of(item)
    return item.nodeid.partition("::")[2].removesuffix(f"[{spec.id}]")


def _planned(
    item: pytest.Item, module: str, test: str, given: Parameters, marked: _Marked, homes: Homes
) -> PlannedItem:
    spec = callspec_of(item)
    marks, may_not_run = marked.read(item)
    case = next((value for value in spec.params.values() if isinstance(value, Case)), None)
    if case is None and not _may_give_case(item.fixturenames, marks.app):  # type: ignore[attr-defined]  # a test's
        raise SettingsError(no_case(item.nodeid, ()))
    return PlannedItem(
        nodeid=item.nodeid,
        module=module,
        test=test,
        metric=metric_name(marks, test),
        marks=marks,
        cell=spec.params[CELL],
        case=case,
        parameters=tuple(sorted(given.numbers.items())),
        lazy=case is None or may_not_run,
        home=homes.of(item, marks.app),
    )


def two_cases(nodeid: str, found: Mapping[str, Case]) -> str:
    """What is wrong with a test that has more than one case."""
    named = ", ".join(f"{name} ({case.id})" for name, case in found.items())
    return f"{nodeid}: more than one Case among its fixtures and parameters: {named}. A sample has one case."


def no_case(nodeid: str, names: Sequence[str]) -> str:
    """What is wrong with a test none of whose fixtures is a case."""
    return (
        f"{nodeid}: none of its fixtures and parameters is a Case "
        f"(looked at {', '.join(names) or 'nothing, it has none'}). Add one, for example "
        "@pytest.fixture(params=load_cases(...), ids=str), and request it in the test."
    )


def _may_give_case(fixtures: Sequence[str], app: str) -> list[str]:
    """A plain fixture may give the case; one that itself needs the sample can't."""
    return [name for name in fixtures if name not in _OWN_FIXTURES and name != app]


def resolve_case(request: pytest.FixtureRequest, planned: PlannedItem) -> Case:
    """The one case among the values of the test's fixtures and parameters."""
    spec = request.node.callspec
    names = [name for name, value in spec.params.items() if isinstance(value, Case)]
    if not names:
        names = _may_give_case(request.fixturenames, planned.marks.app)
    found: dict[str, Case] = {}
    for name in names:
        try:
            value = request.getfixturevalue(name)
        except pytest.FixtureLookupError:
            continue
        if isinstance(value, Case) and not any(value is case or value == case for case in found.values()):
            found[name] = value
    if len(found) > 1:
        raise PromptuneError(two_cases(request.node.nodeid, found))
    if not found:
        raise PromptuneError(no_case(request.node.nodeid, names))
    return next(iter(found.values()))


def outcome_of(report: pytest.TestReport, call: pytest.CallInfo[None], state: ItemState) -> Outcome | None:
    """What became of the item in this phase; ``None`` if nothing is decided yet."""
    if report.when == "teardown" or (report.when == "setup" and report.passed):
        return None
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, SampleLostError) and state.record is not None and state.record.error is not None:
        return "missing" if state.record.error.infrastructure else "errored"
    if error is None:
        return "missed" if state.missed_inside else "passed"
    if isinstance(error, _Skipped):
        return "skipped"
    return "missed" if report.when == "call" and isinstance(error, AssertionError) else "failed"


def contribute(
    item: pytest.Item,
    report: pytest.TestReport,
    state: ItemState,
    outcome: Outcome,
    call: pytest.CallInfo[None],
    redacted: Callable[[str], str],
    *,
    travels: bool,
) -> None:
    """Hang the item's contribution on its report, and turn a missed assertion into a pass.

    Its message is redacted before it is cut: half a key would not be recognised. A report that travels to
    another process carries it all as plain data. The scores are its properties, too, for junit and others.
    """
    message = redacted(str(call.excinfo.value) if call.excinfo else state.missed_inside)
    case = state.case or state.planned.case
    if case is None:
        return
    if outcome == "missed" and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "passed", None
    result = result_of(
        state.planned,
        case=case,
        record=state.record,
        sample=state.sample,
        outcome=outcome,
        message=message,
        case_hash=state.key.case_hash if state.key else None,
        scope=state.key.scope if state.key else None,
        reused=state.is_reused,
    )
    tell(item, report, of_result(result))
    contribution = result.to_json() if travels else result
    report.promptune = contribution  # type: ignore[attr-defined]  # reports take extra attributes
