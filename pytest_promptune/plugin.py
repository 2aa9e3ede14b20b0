"""The pytest side: options, fixtures and hooks. It decides nothing and loads little.

Suites without promptune tests pay for this module alone; everything else is imported, and all hooks
that see every item are registered, when the first promptune test is collected.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pytest

from pytest_promptune import settings as options
from pytest_promptune.core.errors import PromptuneError

if TYPE_CHECKING:
    from pytest_promptune.core.experiment import Outcome
    from pytest_promptune.core.model import Case, Variant
    from pytest_promptune.core.plan import Cell, PlannedItem
    from pytest_promptune.core.scoring import Sample
    from pytest_promptune.core.view import GateItem, View
    from pytest_promptune.items import ItemState
    from pytest_promptune.session import Session

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Parametrizes every promptune test over variants and runs; its presence tells that a test is one.
CELL = "_promptune_cell"
_OWN_FIXTURES = frozenset({CELL, "sample", "variant", "request"})

settings_key = pytest.StashKey[options.Settings]()
hooks_key = pytest.StashKey["PromptuneHooks"]()
item_key = pytest.StashKey["ItemState"]()


# --- options --------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Flags and ini keys, one pair for each field of the settings."""
    group = parser.getgroup("promptune", "prompt regression testing (pytest-promptune)")
    # TOML files keep numbers as numbers; pytest takes them for text options from 9.2 on.
    scalar: Any = str | int | float if pytest.version_tuple >= (9, 2) else "string"
    ini_types: Mapping[str, Any] = {"flag": "bool", "list": "linelist", "text": scalar}
    actions = {"flag": "store_true", "list": "append", "text": "store"}
    for spec in options.SPECS:
        if spec.on_command_line:
            keywords: dict[str, Any] = {} if spec.kind == "flag" else {"metavar": spec.metavar}
            group.addoption(
                spec.flag, dest=spec.ini, action=actions[spec.kind], default=None, help=spec.help, **keywords
            )
        if spec.in_ini:
            parser.addini(spec.ini, spec.help.replace("%%", "%"), type=ini_types[spec.kind], default=None)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make the plugin's own hooks known."""
    from pytest_promptune import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, so that a slip ends the session before anything runs."""
    config.addinivalue_line(
        "markers",
        "promptune(app, runs, metric, timeout, retries, gate): how tests that request `sample` are measured "
        "(pytest-promptune)",
    )
    config.stash[settings_key] = _read_settings(config)
    if _is_xdist_controller(config):
        _hooks(config)


def _read_settings(config: pytest.Config) -> options.Settings:
    def command_line(name: str) -> Any:
        typed = config.getoption(f"promptune_{name}")
        if name in ("report", "json") and typed:  # typed paths are relative to where they were typed
            here = config.invocation_params.dir
            return [p and str(here / p) for p in typed] if isinstance(typed, list) else str(here / typed)
        return typed

    return _or_usage_error(options.read, command_line, config.getini)


def _or_usage_error(function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call; a user's mistake ends the session with a message and exit code 4."""
    try:
        return function(*args, **kwargs)
    except PromptuneError as error:
        raise pytest.UsageError(str(error)) from None


def _is_xdist_controller(config: pytest.Config) -> bool:
    return config.getoption("dist", "no") != "no" and not _is_xdist_worker(config)


def _is_xdist_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _hooks(config: pytest.Config) -> PromptuneHooks:
    """The session's state and the hooks that go with it, made when first needed."""
    if hooks_key not in config.stash:
        hooks = PromptuneHooks(config)
        config.stash[hooks_key] = hooks
        config.pluginmanager.register(hooks, "promptune-session")
    return config.stash[hooks_key]


# --- collection -----------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize promptune tests over variants and runs."""
    if CELL not in metafunc.fixturenames:
        return
    if "sample" not in metafunc.fixturenames:
        raise PromptuneError(
            f"{metafunc.definition.nodeid} requests `variant` without `sample`: only tests that request "
            "`sample` are run for each variant."
        )
    from pytest_promptune.core.plan import read_marks

    where = metafunc.definition.nodeid
    marks = read_marks(
        ((mark.args, mark.kwargs) for mark in metafunc.definition.iter_markers("promptune")), where=where
    )
    cells = _hooks(metafunc.config).session.cells(marks)
    metafunc.parametrize(CELL, cells, ids=[str(cell) for cell in cells], indirect=True)


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector,
    call: pytest.CallInfo[Any],
    report: pytest.CollectReport | pytest.TestReport,
) -> None:
    """A user's mistake found while collecting ends the session with a message."""
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, PromptuneError) and call.when == "collect":
        _mark_refused(report, error, node.nodeid)
        if not _is_xdist_worker(node.config):
            _end_if_refused(report)


def _mark_refused(report: Any, error: PromptuneError, nodeid: str) -> None:
    """Hang the message on a report: an xdist worker can't end the session, the controller does it."""
    message = str(error) if nodeid in str(error) else f"{nodeid}: {error}"
    report.longrepr = report.promptune_refused = message


def _end_if_refused(report: Any) -> None:
    message = getattr(report, "promptune_refused", None)
    if message is not None:
        raise pytest.UsageError(message)


# --- fixtures -------------------------------------------------------------------------------------


@pytest.fixture
def _promptune_cell(request: pytest.FixtureRequest) -> Cell:
    """Which variant and run this item measures."""
    cell: Cell = request.param
    return cell


@pytest.fixture
def variant(request: pytest.FixtureRequest, _promptune_cell: Cell) -> Variant:
    """The variant that is measured; `current` is the app as it stands (pytest-promptune)."""
    return _hooks(request.config).session.variant(_promptune_cell.variant)


@pytest.fixture
def sample(request: pytest.FixtureRequest, _promptune_cell: Cell) -> Sample:
    """One execution of the app: output, latency and usage; shared by its tests (pytest-promptune)."""
    return _hooks(request.config).sample(request)


_Skipped: Any = pytest.skip.Exception


class SampleLostError(_Skipped):  # type: ignore[misc]  # the class is public, its stub is not
    """The app gave no output: the tests of this sample are not called."""


# --- hooks of sessions with promptune tests -------------------------------------------------------


class PromptuneHooks:
    """Holds the session and passes on what pytest tells."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._session: Session | None = None
        self._view: View | None = None
        self._output_error: PromptuneError | None = None
        self._scopes: dict[str, str] = {}
        self._collected: list[PlannedItem] = []
        #: What an xdist worker found wrong before any item ran; its first item tells the controller.
        self._refusal: PromptuneError | None = None

    @property
    def session(self) -> Session:
        """The session, begun with the first promptune test (or its first result from a worker)."""
        if self._session is None:
            from pytest_promptune.session import Session

            config = self._config
            self._session = Session(
                config.stash[settings_key],
                root=config.rootpath,
                careful=bool(config.getoption("maxfail")),
                more_variants=lambda: chain(*config.hook.pytest_promptune_variants(config=config)),
            )
        return self._session

    # Collection

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A mistake that a worker found ends the session."""
        if not _is_xdist_worker(self._config):
            _end_if_refused(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Order the promptune items of each module by run, case, variant and test."""
        from pytest_promptune.core.plan import ordered
        from pytest_promptune.items import ItemState, planned_item

        places: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            if CELL in getattr(item, "fixturenames", ()):
                item.stash[item_key] = ItemState(planned_item(item, cell=CELL))
                places.setdefault(item.stash[item_key].planned.module, []).append(place)
        names = [variant.name for variant in self.session.variants]
        for module in places.values():
            mine = [items[place] for place in module]
            order = ordered([item.stash[item_key].planned for item in mine], variants=names)
            for place, position in zip(module, order, strict=True):
                items[place] = mine[position]
        self._collected = [i.stash[item_key].planned for i in items if item_key in i.stash]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Check all that can be checked before the first call of an app."""
        selected = [item.stash[item_key].planned for item in session.items if item_key in item.stash]
        if not selected or self._config.option.collectonly:
            return
        try:
            self.session.begin(selected, self._collected)
        except PromptuneError as error:
            self._refusal = error
            if not _is_xdist_worker(self._config):
                raise pytest.UsageError(str(error)) from None

    # Items

    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Remember the scopes of fixtures: an app must outlive its samples."""
        self._scopes[fixturedef.argname] = fixturedef.scope

    def sample(self, request: pytest.FixtureRequest) -> Sample:
        """What the fixture `sample` gives."""
        from pytest_promptune.core.scoring import Sample

        if self._refusal is not None:
            raise self._refusal
        state: ItemState = request.node.stash[item_key]
        planned = state.planned
        state.case = _resolve_case(request, planned)
        variant = self.session.variant(planned.cell.variant)
        app = self._app(request, planned.marks.app)
        if self._config.getoption("setuponly"):
            pytest.skip("--setup-only: the app is not called")
        state.record = self.session.sample(planned, state.case, app)
        if state.record.error is not None:
            raise SampleLostError(f"the app gave no output: {state.record.error}")
        state.sample = Sample(case=state.case, variant=variant, record=state.record)
        return state.sample

    def _app(self, request: pytest.FixtureRequest, name: str) -> object:
        try:
            app = request.getfixturevalue(name)
        except pytest.FixtureLookupError as error:
            if error.argname != name:
                raise
            raise PromptuneError(
                f"{request.node.nodeid}: there is no fixture {name!r}, which should give the app. Write it "
                f'with @pytest.fixture(scope="session"), or name another one with '
                '@pytest.mark.promptune(app="…").'
            ) from None
        scope = self._scopes.get(name)
        if scope in ("function", "class"):
            raise PromptuneError(
                f"the app fixture {name!r} has scope {scope!r}, but its samples are generated ahead of the "
                'tests and shared by them: use @pytest.fixture(scope="session") (or "module", "package").'
            )
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
        if isinstance(error, PromptuneError) and call.when == "setup":
            _mark_refused(report, error, item.nodeid)
            return report
        outcome = _outcome(report, call, state)
        if outcome is not None:
            _contribute(report, state, outcome, call)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, Any] | None:
        """Letters for what is data and no failure."""
        outcome = getattr(report, "promptune", {}).get("outcome")
        if hasattr(report, "wasxfail") or report.failed:
            return None
        if outcome == "missed":
            return "missed", "m", ("MISSED", {"yellow": True})
        if outcome in ("errored", "missing") and report.when == "setup":
            return outcome, "e", (outcome.upper(), {"yellow": True})
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what an item contributes, from here or from an xdist worker."""
        if _is_xdist_worker(self._config):
            return
        _end_if_refused(report)
        contribution = getattr(report, "promptune", None)
        if contribution is not None:
            from pytest_promptune.core.experiment import Result

            session = _or_usage_error(lambda: self.session)
            session.record(Result.from_json(contribution))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """The item is over."""
        if self._session is not None:
            self._session.item_ended(nodeid)

    # The end

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Compare and gate when all items have run; ``-x`` and Ctrl-C don't get here."""
        result = yield
        not_here = _is_xdist_worker(self._config) or self._config.option.collectonly
        if self._session is not None and not not_here:
            decisions = _or_usage_error(self.session.conclude)
            session.testscollected += len(decisions)
            if decisions:
                self._begin_line()
            for decision in decisions:
                _report_decision(session, decision)
        return result

    def _begin_line(self) -> None:
        """Start a line for the gate's decisions: that of the last test is full."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        writer = self._config.get_terminal_writer()
        if reporter is not None and writer.width_of_current_line:
            writer.line()
            if self._config.get_verbosity() == 0:
                reporter.write("gate ")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Stop the engine, write the outputs, and tell ``--lf`` which items are behind a failed gate."""
        if self._session is None:
            return
        self._session.close()
        if _is_xdist_worker(self._config):
            return
        self._remember_for_last_failed()
        try:
            self._view = self.session.finish(int(exitstatus))
        except PromptuneError as error:
            self._output_error = error
            if exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _remember_for_last_failed(self) -> None:
        cache = getattr(self._config, "cache", None)  # absent under -p no:cacheprovider
        known = cache.get("cache/lastfailed", {}) if cache is not None else {}
        chosen = {nodeid: True for nodeid in known if "::gate[" not in nodeid}
        chosen.update(dict.fromkeys(self.session.rerun, True))
        if cache is not None and chosen != known:
            cache.set("cache/lastfailed", chosen)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was found."""
        if _is_xdist_worker(self._config):
            return
        if self._output_error is not None:
            terminalreporter.write_line(f"promptune: {self._output_error}", red=True)
        if self._view is None:
            return
        from pytest_promptune.terminal import summary

        width = self._config.get_terminal_writer().fullwidth
        for line in summary(self._view, verbosity=self._config.get_verbosity(), width=width):
            for segment in line.segments:
                terminalreporter.write(segment.text, **segment.markup)
            terminalreporter.line("")

    def pytest_unconfigure(self) -> None:
        """End what still runs, whatever stopped the session."""
        if self._session is not None:
            self._session.close()


# --- from pytest's objects to values --------------------------------------------------------------


def _resolve_case(request: pytest.FixtureRequest, planned: PlannedItem) -> Case:
    """The one case among the values of the test's fixtures and parameters."""
    from pytest_promptune.core.model import Case
    from pytest_promptune.items import two_cases

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


def _outcome(report: pytest.TestReport, call: pytest.CallInfo[None], state: ItemState) -> Outcome | None:
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


def _contribute(
    report: pytest.TestReport, state: ItemState, outcome: Outcome, call: pytest.CallInfo[None]
) -> None:
    """Hang the item's contribution on its report, and turn a missed assertion into a pass."""
    from pytest_promptune.core.experiment import result_of

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


def _report_decision(session: pytest.Session, decision: GateItem) -> None:
    """A decision of the gate, as the result of an item of its own."""
    from pytest_promptune.items import GateRepr

    path, _, domain = decision.nodeid.partition("::")
    location = (path, None, domain)
    session.ihook.pytest_runtest_logstart(nodeid=decision.nodeid, location=location)
    for when in ("setup", "call", "teardown"):
        failed = decision.failed and when == "call"
        report = pytest.TestReport(
            nodeid=decision.nodeid,
            location=location,
            keywords={},
            outcome="failed" if failed else "passed",
            longrepr=GateRepr(decision.message) if failed else None,  # type: ignore[arg-type]
            when=when,
            duration=0.0,
        )
        session.ihook.pytest_runtest_logreport(report=report)
    session.ihook.pytest_runtest_logfinish(nodeid=decision.nodeid, location=location)
