"""In an xdist controller: how far the samples of all workers are, shown between two of their messages.

The controller's items run elsewhere, so nobody waits here; it takes in one message after the other, and
writes in hooks while it does. So the live line is erased before each of these hooks and is back after
those that end what a worker has to say: that an item begins or has ended, or how far its samples are.
After others xdist may write something itself, of which no hook tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import pytest

from pytest_promptune.core.progress import Progress
from pytest_promptune.plugin.progress import ProgressLine

#: Seconds after which the line appears where no worker says that it waits.
_APPEARS_AFTER_S = 0.5
#: Seconds, and how many messages may come in them before the line is left out: it would only flicker.
_WINDOW_S, _MOST = 0.2, 25


class JointLine:
    """Shows the line between the messages."""

    def __init__(
        self,
        line: ProgressLine,
        progress: Callable[[], Progress],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The line is open from now on.

        Args:
            line: that is shown, or says something to a log now and then.
            progress: of all workers.
            clock: seconds since whenever.
        """
        self._line = line
        self._progress = progress
        self._clock = clock
        self._window = clock()
        self._messages = 0
        #: When the line may appear; unknown before a worker has told of its progress.
        self._appears: float | None = None
        line.open(appears_after_s=0.0)

    def _between(self) -> Generator[None, Any, Any]:
        self._line.clear()
        result = yield
        now = self._clock()
        if now - self._window >= _WINDOW_S:
            self._window, self._messages = now, 0
        self._messages += 1
        if self._messages <= _MOST:
            self._show(now)
        return result

    def _show(self, now: float) -> None:
        if self._appears is None or now < self._appears:
            return
        progress = self._progress()
        if progress.done < progress.total:  # else nobody waits any more
            self._line.waiting(lambda: progress)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None, Any, Any]:
        """Under ``-v`` the name of an item is written."""
        return (yield from self._between())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logfinish(self) -> Generator[None, Any, Any]:
        """The last message on an item."""
        return (yield from self._between())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, Any, Any]:
        """Letters are written, unless the report only tells of progress."""
        tells_progress = hasattr(report, "promptune_progress")
        waits = not hasattr(report, "promptune")
        self._line.clear()
        result = yield
        if tells_progress:
            now = self._clock()
            if waits or self._appears is None:
                self._appears = now + (0.0 if waits else _APPEARS_AFTER_S)
            self._show(now)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self) -> None:
        """An error that is told late: that of a worker which replaces another."""
        self._line.clear()

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_newgateway(self) -> None:
        """xdist shows how many workers there are."""
        self._line.clear()

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodeready(self) -> None:
        """Likewise."""
        self._line.clear()

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Likewise."""
        self._line.clear()

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self) -> None:
        """xdist says that a worker crashed."""
        self._line.clear()
