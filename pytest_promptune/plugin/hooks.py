"""The hooks of sessions with promptune tests; loaded and registered with the first of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from pytest_promptune.core.display import clean, cut, visible
from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.core.harmless import harmless, harmless_where_broken
from pytest_promptune.core.jobs import NotStartedError
from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import PlannedItem, ordered
from pytest_promptune.core.results import Result
from pytest_promptune.core.scoring import Sample
from pytest_promptune.core.sharing import Standing
from pytest_promptune.looking import look_numbers
from pytest_promptune.plugin.decisions import remember_for_last_failed, report_decision
from pytest_promptune.plugin.distribution import Messenger, take_in, tell_share
from pytest_promptune.plugin.fixtures import KnownFixtures, no_app, refuse_missing, too_narrow
from pytest_promptune.plugin.items import (
    ItemState,
    SampleLostError,
    contribute,
    outcome_of,
    planned_items,
    resolve_case,
)
from pytest_promptune.plugin.joint_progress import JointLine
from pytest_promptune.plugin.letters import Letters
from pytest_promptune.plugin.looks import LookHooks
from pytest_promptune.plugin.ordering import put_in_order, put_in_order_of_looks
from pytest_promptune.plugin.progress import ProgressLine
from pytest_promptune.plugin.properties import ForgetProperties
from pytest_promptune.plugin.refusing import mark_refused, or_usage_error
from pytest_promptune.plugin.scorers import ScorerFixtures
from pytest_promptune.plugin.staging import deselect_beyond
from pytest_promptune.plugin.state import (
    CELL,
    LAST_WORD,
    is_planning,
    is_xdist_controller,
    is_xdist_worker,
    item_key,
    selection_of,
    settings_key,
)
from pytest_promptune.session import Session
from pytest_promptune.store.log import LoggedSample
from pytest_promptune.store.writing import WritingProcess
from pytest_promptune.terminal import summary

if TYPE_CHECKING:
    from pytest_promptune.core.view import GateItem, View

#: Columns of an error that a report shows.
_SHOWN = 2000
#: What most reports carry to the end.
_PASSED = {"outcome": "passed", "message": ""}


class PromptuneHooks:
    """Holds the session and passes on what pytest tells."""

    def __init__(self, config: pytest.Config, process: WritingProcess | None) -> None:
        self._config = config
        self._process = process
        self._line = ProgressLine(config)
        config.pluginmanager.register(self._line, "promptune-progress")
        if is_xdist_controller(config):
            joint = JointLine(self._line, lambda: self.session.samples.progress)
            config.pluginmanager.register(joint, "promptune-joint-progress")
        self._session: Session | None = None
        #: What was found, from the session's end on.
        self.view: View | None = None
        self._fixtures = KnownFixtures()
        #: What fixtures gave that no parameter can change, by the class or module that asks and the name.
        self._apps: dict[tuple[object, str], object] = {}
        self._scorers = ScorerFixtures()
        config.pluginmanager.register(self._fixtures, "promptune-fixtures")
        config.pluginmanager.register(Letters(), "promptune-letters")
        config.pluginmanager.register(ForgetProperties(), "promptune-properties")
        self._collected: list[PlannedItem] = []
        #: What an xdist worker found wrong before any item ran; its first item tells the controller.
        self._refusal: PromptuneError | None = None
        self._messenger = Messenger(lambda: self.session)
        self._looks = LookHooks(lambda: self.session, waits=is_xdist_worker(config))
        #: That asks for its sample.
        self._asking: pytest.Item | None = None
        self._is_judged = False
        #: What was decided at the end, as it was reported.
        self._decisions: Sequence[GateItem] = ()
        #: Why items shall wait no longer.
        self._stopped: str | None = None

    def stop(self, reason: str) -> None:
        """The item that waits for its sample, and all after it, are not run; callable from any thread."""
        self._stopped = reason

    def follow(self, standing: Standing) -> None:
        """In a worker: the controller has looked; callable from any thread."""
        self._looks.told = standing

    @property
    def session(self) -> Session:
        """The session, begun with the first promptune test (or its first result from a worker)."""
        if self._session is None:
            config = self._config
            self._session = Session(
                config.stash[settings_key],
                root=config.rootpath,
                careful=bool(config.getoption("maxfail")),
                while_waiting=self._while_waiting,
                selection=selection_of(config),
                more_variants=lambda: chain(*config.hook.pytest_promptune_variants(config=config)),
                aggregates=lambda: config.hook.pytest_promptune_aggregates(config=config),
                process=self._process,
            )
        return self._session

    @property
    def continues(self) -> str | None:
        """Id of the experiment that the session goes on with or replays, as far as that is known."""
        return self._session.continues if self._session else None

    def _while_waiting(self) -> None:
        """Several times a second: an xdist worker sends what has finished, any other process shows it."""
        if self._stopped is not None:
            raise NotStartedError(self._stopped)
        if not is_xdist_worker(self._config):
            self._line.waiting(lambda: self.session.samples.progress)
        elif self._asking is not None:
            self._messenger.meanwhile(self._asking)

    def take_in(self, report: object) -> None:
        """In an xdist controller: whatever a worker's messenger sent, on a report or otherwise."""
        take_in(report, or_usage_error(lambda: self.session))

    def worker_ended(self, name: str) -> None:
        """In an xdist controller: a worker is gone, orderly or not."""
        if self._session is not None:
            self._session.samples.know_end(name)

    def workers_ended(self) -> None:
        """In an xdist controller: nothing is left to take in, or it won't be."""
        self._line.close()

    # Collection

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        """Plan and order all collected items, before pytest sorts and deselects."""
        mine = [item for item in items if CELL in getattr(item, "fixturenames", ())]
        try:
            plans = planned_items(mine)
            names = [variant.name for variant in self.session.variants]
        except PromptuneError as error:
            self._refuse(error)
            return (yield)
        for item, plan in zip(mine, plans, strict=True):
            item.stash[item_key] = ItemState(plan)
        put_in_order(items, partial(ordered, variants=names))
        result = yield  # pytest deselects, and keeps items together that share a fixture's parameter
        deselect_beyond(self._config.stash[settings_key].stage, items, self._config)
        put_in_order_of_looks(items, partial(look_numbers, self.session.settings))
        for order_number, item in enumerate(items):
            if item_key in item.stash:
                state = item.stash[item_key]
                state.planned = replace(state.planned, order=order_number)
        self._collected = [item.stash[item_key].planned for item in mine]
        return result

    @pytest.hookimpl(tryfirst=True)  # before an xdist worker reports its collection
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Check all that can be checked before the first call of an app."""
        selected = [item.stash[item_key].planned for item in session.items if item_key in item.stash]
        if not selected or self._config.option.collectonly or is_planning(self._config):
            return
        self._scorers.expect(selected)
        if any(item.marks.scorers for item in selected):
            self._config.pluginmanager.register(self._scorers, "promptune-scorers")
        try:
            config = self._config
            whole = not config.getoption("lf", False) and not any("::" in arg for arg in config.args)
            typed = config.args_source == config.ArgsSource.ARGS
            looks = self.session.looking.plan(self.session.settings, selected)
            if looks and not (config.option.setuponly or config.option.setupplan):
                config.pluginmanager.register(self._looks, "promptune-looks")
            share = tell_share(config, session.items, looks=looks) if is_xdist_worker(config) else None
            self.session.begin(selected, self._collected, whole=whole, everything=not typed, share=share)
        except PromptuneError as error:
            self._refuse(error)

    def _check_apps(self, items: Sequence[pytest.Item]) -> None:
        """Before the first call of any app: does every module have the apps and scorers it names?"""
        try:
            refuse_missing((item, item.stash[item_key].planned) for item in items if item_key in item.stash)
        except PromptuneError as error:
            self._refuse(error)

    def _refuse(self, error: PromptuneError) -> None:
        """End the session, or, in a worker, let the first item tell the controller to."""
        if not is_xdist_worker(self._config):
            raise pytest.UsageError(str(error)) from None
        self._refusal = self._refusal or error

    # Items

    def sample(self, request: pytest.FixtureRequest) -> Sample:
        """What the fixture `sample` gives."""
        if self._refusal is not None:
            raise self._refusal
        self._asking = request.node
        state: ItemState = request.node.stash[item_key]
        planned = state.planned
        state.case = resolve_case(request, planned)
        variant = self.session.variant(planned.cell.variant)
        try:
            found = self._found(request, planned, state.case)
        except NotStartedError as error:
            pytest.skip(f"not run: {error}")
        state.key, state.record = found.key, found.record
        state.is_reused = self.session.samples.is_reused(found.key)
        if state.record.error is not None:
            said = self.session.redacted(str(state.record.error))  # pytest shows it, junit writes it
            raise SampleLostError(
                f"the app gave no output: {harmless_where_broken(cut(clean(said), _SHOWN))}"
            )
        state.sample = Sample(case=state.case, variant=variant, record=state.record)
        return state.sample

    def _found(self, request: pytest.FixtureRequest, planned: PlannedItem, case: Case) -> LoggedSample:
        if self.session.samples.are_replayed:
            planned = self._scorers.given(request, planned)
            return self.session.samples.replayed(planned, case)
        name = planned.marks.app
        app = self._app(request, name)
        planned = self._scorers.given(request, planned)
        if self._config.getoption("setuponly"):
            pytest.skip("--setup-only: the app is not called")
        everywhere, depends = self._fixtures.is_everywhere(name), self._fixtures.needed_by(name)
        try:
            return self.session.samples.of(planned, case, app, everywhere=everywhere, depends=depends)
        except NotStartedError:
            state: ItemState = request.node.stash[item_key]
            state.key = self.session.samples.key(planned, case, everywhere=everywhere, depends=depends)
            raise
        finally:
            self._line.clear()

    def _app(self, request: pytest.FixtureRequest, name: str) -> object:
        place = (request.node.parent, name)
        if place in self._apps:
            return self._apps[place]
        try:
            app = request.getfixturevalue(name)
        except pytest.FixtureLookupError as error:
            if error.argname != name:
                raise
            raise PromptuneError(no_app(request.node.nodeid, name)) from None
        scope = self._fixtures.scope_of(name)
        if scope in ("function", "class"):
            raise PromptuneError(too_narrow("app", name, scope))
        needed = self._fixtures.needed_by(name)
        if scope == "session" and needed is not None and needed.isdisjoint(request.node.callspec.params):
            self._apps[place] = app  # to the session's end, whatever the other items are parametrized with
        return app

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """An assertion that fails is data; the report carries what the item contributes."""
        report = yield
        state = item.stash.get(item_key, None)
        if state is None:
            return report
        error = call.excinfo.value if call.excinfo else None
        if state.is_running:  # a subtest's report; the item's own comes when its call has ended
            if isinstance(error, AssertionError):
                state.missed_inside = state.missed_inside or str(error) or "a subtest missed"
                report.outcome, report.longrepr = "passed", None
                report.promptune_subtest = True  # type: ignore[attr-defined]  # reports take extra attributes
            return report
        if state.is_not_needed:
            self._looks.mark(item, report)
            return report
        if isinstance(error, PromptuneError) and call.when == "setup":
            mark_refused(report, error, item.nodeid)
            return report
        outcome = outcome_of(report, call, state)
        if call.when == "teardown":
            state.record = state.sample = None  # pytest keeps the item; its output must not stay with it
        if outcome is not None:
            travels = is_xdist_worker(self._config)
            contribute(item, report, state, outcome, call, self.session.redacted, travels=travels)
            if travels:
                self._messenger.tell(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Tell the reports of subtests from that of the item."""
        state = item.stash.get(item_key, None)
        if state is None:
            return (yield)
        state.is_running = True
        try:
            return (yield)
        finally:
            state.is_running = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what an item contributes, from here or from an xdist worker."""
        if is_xdist_worker(self._config):
            return
        if getattr(report, "promptune_not_needed", False):
            self.session.looking.not_needed += 1
        contribution = getattr(report, "promptune", None)
        if contribution is not None or hasattr(report, "promptune_sample"):
            self.take_in(report)
        if contribution is not None:
            result = contribution if isinstance(contribution, Result) else Result.from_json(contribution)
            self.session.record(result)
            passed = result.outcome == "passed"
            kept = _PASSED if passed else {"outcome": result.outcome, "message": result.message}
            report.promptune = kept  # type: ignore[attr-defined]  # pytest keeps all reports to the end

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Move on when the item is over, whatever came of it."""
        result = yield
        state = item.stash.get(item_key, None)
        if state is not None:
            self.session.samples.item_ended(state.planned.nodeid)
        return result

    # The end

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Compare and gate when all items have run; ``-x`` and Ctrl-C don't get here."""
        option = self._config.option
        if not (option.collectonly or option.setuponly or option.setupplan or is_planning(self._config)):
            self._check_apps(session.items)
        not_here = is_xdist_worker(self._config) or option.collectonly or is_planning(self._config)
        expected = 0 if self._session is None or not_here else self._session.expected_decisions()
        session.testscollected += expected  # so that the progress doesn't reach 100 % before the gate
        result = yield
        if not not_here:
            self.judge(session, expected=expected)
        return result

    def judge(self, session: pytest.Session, *, expected: int = 0) -> None:
        """Compare and gate, once; `expected` decisions were counted as tests before."""
        if self._session is None or self._is_judged:
            return
        self._is_judged = True
        self._decisions = or_usage_error(self.session.conclude)
        session.testscollected += len(self._decisions) - expected
        if self._decisions:
            self._begin_line()
        decided = self.session.decided
        for decision in self._decisions:
            report_decision(session, decision, decided.get(decision.nodeid))

    def _begin_line(self) -> None:
        """Start a line for the gate's decisions: that of the last test is full."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        writer = self._config.get_terminal_writer()
        if writer.width_of_current_line:
            writer.line()
            if self._config.get_verbosity() == 0:
                reporter.write("gate ")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Stop the engine, write the outputs, and tell ``--lf`` which items are behind a failed gate."""
        if self._session is None:
            return
        is_refused = exitstatus == pytest.ExitCode.USAGE_ERROR
        self._session.close(is_stopped=self._stopped is not None or is_refused)
        if is_xdist_worker(self._config):
            word = self._messenger.last_word(is_stopped=self._stopped is not None)
            self._config.workeroutput[LAST_WORD] = word  # type: ignore[attr-defined]  # a worker's
            return
        remember_for_last_failed(self._config, self.session.rerun, decisions=self._decisions)
        self.view = self.session.finish(int(exitstatus))
        error = self.session.output_error
        if error is not None and error.is_file_missing and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was found."""
        if is_xdist_worker(self._config):
            return
        if self.view is None:
            return
        width = self._config.get_terminal_writer().fullwidth
        for line in summary(self.view, verbosity=self._config.get_verbosity(), width=width):
            for segment in line.segments:
                terminalreporter.write(segment.text, **segment.markup)
            terminalreporter.line("")
        for problem in str(self.session.output_error or "").splitlines():
            terminalreporter.write_line(harmless(f"promptune: {visible(problem)}"), red=True)

    def pytest_unconfigure(self) -> None:
        """End what still runs, whatever stopped the session."""
        if self._session is not None:
            self._session.close()
