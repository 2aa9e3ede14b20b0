"""``--promptune-plan``: in place of running the items, shows what running them would mean.

Fixtures of apps and scorers are set up, for probes in place of the tests; no app is called.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import field
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.values import dataclass
from pytest_promptune.plugin.fixtures import KnownFixtures, no_app, no_scorer, too_narrow
from pytest_promptune.plugin.refusing import or_usage_error
from pytest_promptune.plugin.state import callspec_of, hooks_key, item_key, settings_key

if TYPE_CHECKING:
    from pytest_promptune.core.planning import Plan
    from pytest_promptune.planning import Given, Planner

_Outcomes: Any = (Exception, pytest.skip.Exception, pytest.fail.Exception, SystemExit)
_Skipped: Any = pytest.skip.Exception
_Failed: Any = pytest.fail.Exception


class _AskedError(Exception):
    """A probe has asked already, while it was set up."""


@dataclass(slots=True, kw_only=True)
class _Group:
    """Items of one class or module with the same parameters: what they name means the same fixtures."""

    first: pytest.Item
    items: list[PlannedItem] = field(default_factory=list)


class PlanHooks:
    """Registered for a plan alone."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._fixtures = KnownFixtures()
        self._collected: list[pytest.Item] = []
        self._plan: Plan | None = None
        self._has_looked = False
        #: What the probe that is set up now would do.
        self._ask_now: Callable[[pytest.FixtureRequest], None] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> None:
        """Remember what is set up; where a probe's fixture wants a sample, ask instead, and go no further."""
        if fixturedef.argname == "sample" and self._ask_now is not None:
            self._ask_now(request)
            raise _AskedError
        self._fixtures.pytest_fixture_setup(fixturedef)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        """Remember what there is before pytest deselects."""
        everything = list(items)
        result = yield
        self._collected = [item for item in everything if item_key in item.stash]
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Plan in place of running; where collecting failed, pytest says so itself."""
        if session.testsfailed and not self._config.option.continue_on_collection_errors:
            return None
        self._has_looked = True
        mine = [item for item in session.items if item_key in item.stash]
        if mine:
            self._plan = or_usage_error(self._planned, mine)
            session.testsfailed += self._plan.failed  # the exit code is that of a failed test
        return True

    def _planned(self, items: Sequence[pytest.Item]) -> Plan:
        from pytest_promptune.planning import Planner

        session = self._config.stash[hooks_key].session
        staying = [item for item in items if not _may_be_skipped(item)]
        planner = Planner(
            self._config.stash[settings_key],
            root=self._config.rootpath,
            variants=session.variants,
            goals=session.goals,
            aggregates=session.aggregates.given().aggregates,
            selected=[_planned(item) for item in staying],
            collected=[_planned(item) for item in self._collected],
        )
        try:
            planner.begin()
            self._probe(planner, staying)
            return planner.plan(set_aside=len(items) - len(staying))
        finally:
            planner.close()

    def _probe(self, planner: Planner, items: Sequence[pytest.Item]) -> None:
        """Ask for the apps and scorers that the items name, each once for a class or module."""
        groups: dict[object, _Group] = {}
        for item in items:
            planned = _planned(item)
            key = (item.parent, planned.parameters, planned.marks.app, planned.marks.scorers)
            groups.setdefault(key, _Group(first=item)).items.append(planned)
        asks = [partial(self._ask, planner, group) for group in groups.values()]
        probes = [_probe_for(group.first, ask) for group, ask in zip(groups.values(), asks, strict=True)]
        for number, (probe, group, ask) in enumerate(zip(probes, groups.values(), asks, strict=True)):
            following = probes[number + 1] if number + 1 < len(probes) else None
            self._ask_now = ask
            try:
                probe.ihook.pytest_runtest_setup(item=probe)
                probe.ihook.pytest_runtest_call(item=probe)  # inside of which pytest captures
            except _AskedError:
                pass
            except _Outcomes as error:
                self._cannot_ask(planner, group, error)
            finally:
                self._ask_now = None
                self._tear_down(planner, group, probe, following)

    def _cannot_ask(self, planner: Planner, group: _Group, error: BaseException) -> None:
        """What the app's tests share with it doesn't set up: fixtures of their module, for example."""
        planned = group.items[0]
        planner.app(self._without(planned.marks.app, planned, error), group.items)

    def _tear_down(
        self, planner: Planner, group: _Group, probe: pytest.Item, following: pytest.Item | None
    ) -> None:
        try:
            probe.ihook.pytest_runtest_teardown(item=probe, nextitem=following)
        except _Outcomes as error:
            planner.teardown_failed(group.items[0].marks.app, error)

    def _ask(self, planner: Planner, group: _Group, request: pytest.FixtureRequest) -> None:
        planned = group.items[0]
        app = planned.marks.app
        if planner.replays:
            planner.app(self._given(app, planned, None), group.items)
        else:
            planner.app(self._asked(request, app, planned, kind="app"), group.items)
        for name in planned.marks.scorers:
            planner.scorer(self._asked(request, name, planned, kind="scorer"))

    def _asked(self, request: pytest.FixtureRequest, name: str, planned: PlannedItem, *, kind: str) -> Given:
        try:
            value = request.getfixturevalue(name)
        except pytest.FixtureLookupError as error:
            text = f"its fixture asks for {error.argname!r}, which doesn't exist. Write that fixture."
            if error.argname == name:
                text = (no_app if kind == "app" else no_scorer)(planned.nodeid, name)
            return self._given(name, planned, None, problem=text)
        except _Outcomes as error:
            return self._without(name, planned, error)
        scope = self._fixtures.scope_of(name)
        if scope in ("function", "class"):
            return self._given(name, planned, None, problem=too_narrow(kind, name, scope))
        return self._given(name, planned, value)

    def _without(self, name: str, planned: PlannedItem, error: BaseException) -> Given:
        from pytest_promptune.planning.planner import LOOK, first_line

        if isinstance(error, _Skipped):
            return self._given(name, planned, None, skips=str(error) or "no reason given")
        verb = "fails" if isinstance(error, _Failed) else "raises"
        return self._given(name, planned, None, problem=f"its fixture {verb} {first_line(error)}. {LOOK}")

    def _given(self, name: str, planned: PlannedItem, value: object, **more: Any) -> Given:
        from pytest_promptune.planning import Given

        is_known = self._fixtures.scope_of(name) is not None
        return Given(
            name=name,
            item=planned,
            value=value,
            everywhere=self._fixtures.is_everywhere(name),
            depends=self._fixtures.needed_by(name) if is_known else None,
            **more,
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say it."""
        if not self._has_looked:
            return
        if self._plan is None:
            terminalreporter.write_line("promptune: nothing to plan, no promptune test is selected")
            return
        from pytest_promptune.terminal_plan import plan_lines

        width = self._config.get_terminal_writer().fullwidth
        for line in plan_lines(self._plan, verbosity=self._config.get_verbosity(), width=width):
            for segment in line.segments:
                terminalreporter.write(segment.text, **segment.markup)
            terminalreporter.line("")


def _planned(item: pytest.Item) -> PlannedItem:
    return item.stash[item_key].planned


def _probe_for(item: pytest.Item, ask: Callable[[pytest.FixtureRequest], None]) -> pytest.Function:
    """A test where `item` is, with its parameters, that does nothing but ask."""

    def probe(request: pytest.FixtureRequest) -> None:
        ask(request)

    def method(_: object, request: pytest.FixtureRequest) -> None:
        ask(request)

    of_class = item.instance if isinstance(item, pytest.Function) else None
    return pytest.Function.from_parent(
        item.parent,
        name="promptune_probe",
        callobj=probe if of_class is None else MethodType(method, of_class),
        callspec=callspec_of(item),
    )


def _may_be_skipped(item: pytest.Item) -> bool:
    """Whether marks keep the item from running; conditions that are texts only pytest can tell."""
    return any(
        mark.name == "skip"
        or (mark.name == "skipif" and _may_hold(mark))
        or (mark.name == "xfail" and not mark.kwargs.get("run", True) and _may_hold(mark))
        for mark in item.iter_markers()
    )


def _may_hold(mark: pytest.Mark) -> bool:
    conditions = (*mark.args, *([mark.kwargs["condition"]] if "condition" in mark.kwargs else []))
    return not conditions or any(bool(condition) for condition in conditions)
