"""What an xdist controller does; all that suites without promptune tests load under ``-n``.

It loads next to nothing: only the workers collect, and tell whether there is anything to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from pytest_promptune.core.sharing import Standing
from pytest_promptune.plugin.refusing import or_usage_error
from pytest_promptune.plugin.scheduling import Node, SampleScheduling
from pytest_promptune.plugin.state import hooks_key
from pytest_promptune.plugin.stopping import Stopping
from pytest_promptune.plugin.workers import tell_standing

if TYPE_CHECKING:
    from pytest_promptune.plugin.hooks import PromptuneHooks

#: A slot whose workers crash again gives no further samples ahead: the next crash names its culprit.
_CRASHES_TRUSTED = 1


class Controller:
    """What the controller does until it learns that there are promptune tests, and for them at the end."""

    def __init__(self, config: pytest.Config, begin: Callable[[], object], stopping: Stopping) -> None:
        """Nothing is known of the tests yet.

        Args:
            config: of the controller.
            begin: called when the workers have promptune tests.
            stopping: handles signals from then on.
        """
        self._config = config
        self._begin = begin
        self._stopping = stopping
        self._slots: Sequence[int | None] | None = None
        self._slot_of: dict[str, int] = {}
        #: Slots whose worker has crashed, with no replacement yet.
        self._vacant: list[int] = []
        self._crashes: dict[int, int] = {}
        self._scheduling: SampleScheduling | None = None
        self._began = time.time()
        #: Number of the look before which each collected item runs, ``None`` without looks.
        self._looks: Sequence[int] | None = None
        self._standing = Standing()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give each worker a slot; a replacement goes on where its predecessor ended."""
        slot = self._vacant.pop(0) if self._vacant else len(self._slot_of)
        self._slot_of[node.gateway.id] = slot
        node.workerinput["promptune"] = {
            "slot": slot,
            "dist": self._config.getoption("dist"),
            "begin": self._scheduling.first_left(slot) if self._scheduling else 0,
            "ahead": self._crashes.get(slot, 0) <= _CRASHES_TRUSTED,
            "continues": hooks.continues if (hooks := self._hooks) else None,
            "began": self._began,
            "standing": asdict(self._standing),
        }

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker has ended; if it crashed, xdist starts another one next."""
        slot = self._slot_of.get(node.gateway.id)
        if self._hooks is not None:
            self._hooks.worker_ended(node.gateway.id)
        if error and slot is not None:
            self._crashes[slot] = self._crashes.get(slot, 0) + 1
            self._vacant.append(slot)

    @pytest.hookimpl(optionalhook=True, wrapper=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> Generator[None, Any, Any]:
        """Follow the workers' slots where there are any."""
        default = yield
        self._scheduling = SampleScheduling(
            config,
            default=default,
            slots=lambda: self._slots,
            slot_of=self._slot_of_node,
            looks=lambda: self._looks,
            look=self._look,
        )
        return self._scheduling

    def _look(self) -> int:
        """All items before a look have ended: judge, and tell the workers whether the others are needed."""
        if self._hooks is None or self._scheduling is None:
            raise RuntimeError("there are no items to look at")
        self._standing = or_usage_error(self._hooks.session.look)
        for node in self._scheduling.nodes:
            tell_standing(node, self._standing)
        if self._standing.not_needed:
            return max(self._looks or (0,))  # they are handed out, to be reported as not needed
        return self._standing.open

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        """A replacement may have missed a look while it collected."""
        if self._standing != Standing():
            tell_standing(node, self._standing)

    def _slot_of_node(self, node: Node) -> int:
        return self._slot_of[node.gateway.id]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take the slots off the report that carries them."""
        found = getattr(report, "promptune_slots", None)
        if found is None:
            return
        if self._config.getoption("dist") == "each":
            raise pytest.UsageError(
                "--dist=each runs every test on every worker: each sample would be measured several times "
                "under one name. Use --dist=load (the default of -n)."
            )
        self._slots = found
        self._looks = getattr(report, "promptune_looks", None)
        self._begin()
        self._stopping.begin()
        report.outcome, report.longrepr = "passed", None  # nothing that the terminal should count

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """The workers collect in here, too late for hooks that wrap it: these are called from here."""
        try:
            result = yield
        finally:
            if self._hooks is not None:
                self._hooks.workers_ended()
        if self._hooks is not None:
            self._hooks.judge(session)
        return result

    @property
    def _hooks(self) -> PromptuneHooks | None:
        return self._config.stash.get(hooks_key, None)
