"""The pytest side: options, fixtures and hooks. It decides nothing and loads little.

Suites without promptune tests pay for this module alone; everything else is imported, and all hooks
that see every item are registered, when the first promptune test is collected. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_promptune.plugin.importing import import_plainly

import_plainly()

from pytest_promptune import settings as options
from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.plugin.refusing import end_if_refused, mark_refused, or_usage_error
from pytest_promptune.plugin.state import (
    CELL,
    hooks_key,
    is_planning,
    is_xdist_controller,
    is_xdist_worker,
    settings_key,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_promptune.core.model import Variant
    from pytest_promptune.core.plan import Cell
    from pytest_promptune.core.scoring import Sample
    from pytest_promptune.plugin.hooks import PromptuneHooks
    from pytest_promptune.store.writing import WritingProcess


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
        "promptune(app, runs, metric, timeout, retries, gate, scorers, stage): how tests that request "
        "`sample` are measured (pytest-promptune)",
    )
    settings = config.stash[settings_key] = _read_settings(config)
    if settings.store or settings.redact:
        or_usage_error(_check_store, settings, config.rootpath)
    if is_planning(config):
        from pytest_promptune.plugin.planning import PlanHooks

        if hasattr(config.option, "dist"):  # of xdist, which starts no workers then
            config.option.dist, config.option.tx = "no", []
        config.pluginmanager.register(PlanHooks(config), "promptune-plan")
    if is_xdist_controller(config):
        from pytest_promptune.plugin.controller import Controller
        from pytest_promptune.plugin.refusing import Refusing
        from pytest_promptune.plugin.stopping import Stopping
        from pytest_promptune.plugin.workers import StopWorkers

        stopping = Stopping()
        controller = Controller(config, lambda: _hooks(config), stopping)
        config.pluginmanager.register(controller, "promptune-controller")
        config.pluginmanager.register(Refusing(), "promptune-refusing")
        config.pluginmanager.register(StopWorkers(config), "promptune-stop-workers")
        config.pluginmanager.register(stopping, "promptune-stopping")


def _read_settings(config: pytest.Config) -> options.Settings:
    def command_line(name: str) -> Any:
        typed = config.getoption(f"promptune_{name}")
        if name in ("report", "json", "goals") and typed:  # typed paths are relative to where they were typed
            here = config.invocation_params.dir
            return [p and str(here / p) for p in typed] if isinstance(typed, list) else str(here / typed)
        return typed

    def ini(key: str) -> Any:
        try:
            return config.getini(key)
        except (ValueError, pytest.UsageError) as error:
            raise pytest.UsageError(f"{key}: {str(error).removeprefix(key + ': ')}") from None

    return or_usage_error(options.read, command_line, ini)


def _check_store(settings: options.Settings, root: Path) -> None:
    """Refuse what can't be meant before workers start; loaded only where something is set."""
    from pytest_promptune.core.redaction import Redactor
    from pytest_promptune.store.log.location import locate

    if settings.store:
        locate(settings.store, root=root)
    Redactor(settings.redact)


def _hooks(config: pytest.Config) -> PromptuneHooks:
    """The session's state and the hooks that go with it, made when first needed."""
    if hooks_key not in config.stash:
        process = _writing_process(config)
        from pytest_promptune.outputs import is_on_github
        from pytest_promptune.plugin.hooks import PromptuneHooks
        from pytest_promptune.plugin.muting import Muting
        from pytest_promptune.plugin.ordering import Regrouping
        from pytest_promptune.plugin.refusing import Refusing
        from pytest_promptune.plugin.stopping import Stopping

        hooks = PromptuneHooks(config, process)
        config.stash[hooks_key] = hooks
        config.pluginmanager.register(hooks, "promptune-session")
        config.pluginmanager.register(Regrouping(), "promptune-order")
        config.pluginmanager.register(Muting(config), "promptune-muting")
        if not config.pluginmanager.has_plugin("promptune-stopping"):
            config.pluginmanager.register(Stopping(), "promptune-stopping")
        if not is_xdist_worker(config) and not config.pluginmanager.has_plugin("promptune-refusing"):
            config.pluginmanager.register(Refusing(), "promptune-refusing")
        if is_on_github() and not is_xdist_worker(config):
            from pytest_promptune.plugin.annotating import Annotating

            config.pluginmanager.register(Annotating(config, lambda: hooks.view), "promptune-annotations")
        if is_xdist_worker(config):
            from pytest_promptune.plugin.workers import FromController

            config.pluginmanager.register(FromController(hooks.stop, hooks.follow), "promptune-stop")
    return config.stash[hooks_key]


def _writing_process(config: pytest.Config) -> WritingProcess | None:
    """What will write the experiment log, if there will be one; it loads while the rest of us does."""
    option = config.option
    only_looks = option.collectonly or option.setuponly or option.setupplan or is_planning(config)
    if only_looks or config.stash[settings_key].store == "" or is_xdist_worker(config):
        return None
    from pytest_promptune.store.writing import WritingProcess

    process = WritingProcess.start()
    if process is not None:
        config.add_cleanup(process.close)
    return process


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
        mark_refused(report, error, node.nodeid)
        if not is_xdist_worker(node.config):
            end_if_refused(report)


# --- fixtures -------------------------------------------------------------------------------------


@pytest.fixture
def _promptune_cell(request: pytest.FixtureRequest) -> pytest.FixtureRequest:
    """Which variant and run the item measures, as its parameter.

    Gives the request for `sample` and `variant`: making one takes pytest longer than all we do for an item.
    """
    __tracebackhide__ = True
    if not hasattr(request, "param"):
        raise PromptuneError(
            f"{request.node.nodeid} asks for `sample` while it runs, too late to be measured several times: "
            "request it as an argument of the test or of one of its fixtures."
        )
    return request


@pytest.fixture
def variant(_promptune_cell: pytest.FixtureRequest) -> Variant:
    """The variant that is measured; `current` is the app as it stands (pytest-promptune)."""
    cell: Cell = _promptune_cell.param
    return _hooks(_promptune_cell.config).session.variant(cell.variant)


@pytest.fixture
def sample(_promptune_cell: pytest.FixtureRequest) -> Sample:
    """One execution of the app: output, latency and usage; shared by its tests (pytest-promptune)."""
    return _hooks(_promptune_cell.config).sample(_promptune_cell)
