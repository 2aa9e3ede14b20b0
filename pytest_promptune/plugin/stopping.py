"""SIGTERM, with which CI systems cancel a job, ends a session as Ctrl-C does: what was measured is kept.

Only where promptune items run, only while they do, and only if nobody else handles the signal. An xdist
worker is ended by its controller, which hears the signal too.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from types import FrameType

import pytest

from pytest_promptune.plugin.state import is_xdist_worker, item_key


class Terminated(KeyboardInterrupt):
    """Stops the session as Ctrl-C does; `pytest.exit` raises what ``except Exception`` would swallow."""


class Stopping:
    """Handles the signal between the first item and the last."""

    def __init__(self) -> None:
        #: Inside the loop over the items, in a process that shall hear the signal.
        self._may_handle = False
        self._is_handling = False
        self._is_told = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Handle it in here; the outputs are written afterwards, where the default is right again."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._may_handle = in_main_thread and not is_xdist_worker(session.config)
        if any(item_key in item.stash for item in session.items):
            self.begin()
        try:
            return (yield)
        finally:
            self._may_handle = False
            self._end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """What was raised in a finalizer or swallowed by somebody is raised again before the next item."""
        if self._is_told:
            self._is_told = False
            raise _terminated()

    def begin(self) -> None:
        """There are promptune items; an xdist controller learns that inside the loop."""
        if self._may_handle and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._stop)
            self._is_handling = True

    def _end(self) -> None:
        if self._is_handling:
            self._is_handling = False
            if signal.getsignal(signal.SIGTERM) == self._stop:  # else an app has set its own meanwhile
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # a handler's signature
        self._end()  # a second signal ends the process at once
        self._is_told = True
        raise _terminated()


def _terminated() -> Terminated:
    return Terminated("SIGTERM: the session was told to stop")
