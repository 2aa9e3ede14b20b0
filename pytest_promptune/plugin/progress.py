"""Tells how far the samples have come while an item waits for its own.

On a terminal that is one live line behind what pytest has written, erased before anything else is
written; in a log a line now and then. Only pytest's thread writes, and only while it waits: in an xdist
controller that is between the messages of its workers (`joint_progress`).

The live line needs to know that nobody else writes: pytest captures the file descriptors (not under
``-s``, ``--capture=sys`` or ``tee-sys``), no live logs, no debugger, no other reporter than pytest's. Under
``-s`` an app prints from its own thread at any moment, over the live line and behind it, and only by taking
its stdout away could that be known before. The line is not for CI systems either, which may log what looks
like a terminal. Where there is no live line, there are lines now and then; more often if somebody looks.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from itertools import groupby
from operator import attrgetter
from typing import Protocol

import pytest

from pytest_promptune.core.progress import Progress, live_parts, log_line
from pytest_promptune.plugin.state import is_xdist_worker

#: Seconds of waiting before the live line appears, and between two looks at the progress.
APPEARS_AFTER_S = 0.3
REFRESH_S = 0.2
#: Waits that follow each other as closely as this are one: the live line comes back at once.
PAUSE_S = 0.5
#: Seconds between two lines of a log; under ``-q`` twice as many. Long sessions need fewer lines, but
#: some CI systems end a job that is silent for ten minutes.
LOG_EVERY_S = 30.0
#: The same on a terminal that can't have the live line.
WATCHED_EVERY_S = 10.0
LOG_AT_LEAST_EVERY_S = 300.0
LOG_SHARE = 0.1

#: Empty columns between pytest's text and the live line, and at the end of the line.
_GAP, _MARGIN = 2, 1

# The cursor stays where pytest left it, and no estimate of its column can make the text wrap.
_SAVE_CURSOR, _RESTORE_CURSOR = "\x1b7", "\x1b8"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
#: To the end of the screen, not of the line: a terminal made narrower has wrapped the text.
_ERASE = "\x1b[J"


class ProgressLine:
    """A plugin that shows the progress while an item waits.

    Args:
        config: pytest's.
        clock: gives seconds; only differences count.
    """

    def __init__(self, config: pytest.Config, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._display: _Display | None = None
        self._is_paused = False
        #: A debugger comes up in the thread of an app.
        self._lock = threading.Lock()

    def open(self, *, appears_after_s: float = APPEARS_AFTER_S) -> None:
        """Show what there is from now on; to be called where pytest doesn't capture.

        What `sys.stdout` writes to is then what pytest writes to.

        Args:
            appears_after_s: seconds of waiting before the live line appears.
        """
        self._display = _display(self._config, self._clock, appears_after_s)

    def waiting(self, progress: Callable[[], Progress]) -> None:
        """An item waits: to be called when a wait begins, then several times a second.

        Args:
            progress: gives the progress now; asked only when it will be shown.
        """
        with self._lock:
            if self._display is not None and not self._is_paused:
                self._display.waiting(progress)

    def clear(self) -> None:
        """Leave no trace on the terminal; to be called when a wait ends, however it ends."""
        if self._display is not None:
            self._display.clear()

    def close(self) -> None:
        """Clear, and show nothing any more."""
        if self._display is not None:
            self._display.clear()
            self._display.close()
            self._display = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Capture is suspended here."""
        self.open()
        try:
            return (yield)
        finally:
            self.close()

    def pytest_enter_pdb(self) -> None:
        """A breakpoint in an app, in a thread of its own: the terminal belongs to the debugger.

        pytest has begun a new line already; what the live line said stays above it.
        """
        with self._lock:
            self._is_paused = True
            self.clear()

    def pytest_leave_pdb(self) -> None:
        """Go on."""
        self._is_paused = False


class _Display(Protocol):
    def waiting(self, progress: Callable[[], Progress]) -> None: ...

    def clear(self) -> None: ...

    def close(self) -> None: ...


def _display(config: pytest.Config, clock: Callable[[], float], appears_after_s: float) -> _Display | None:
    """The live line, lines of a log, or nothing."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or is_xdist_worker(config):
        return None
    if type(reporter) is pytest.TerminalReporter and _is_ours(config):
        with contextlib.suppress(OSError, ValueError):  # no file behind it
            return _LiveLine(config, os.dup(sys.stdout.fileno()), clock, appears_after_s)
    return _LogLines(config, reporter, clock) if config.get_verbosity() >= -1 else None


def _is_ours(config: pytest.Config) -> bool:
    """A person looks at a terminal that understands us, and nobody else writes to it meanwhile."""
    return (
        _is_watched()
        and sys.platform != "win32"  # where escape sequences must be switched on first
        and os.environ.get("TERM", "dumb") != "dumb"
        and config.getoption("capture", "no") == "fd"
        and not _has_live_logs(config)
    )


def _is_watched() -> bool:
    """A person looks at a terminal; CI systems are told as pytest tells them."""
    return sys.stdout.isatty() and not (os.environ.get("CI") or os.environ.get("BUILD_NUMBER"))


def _has_live_logs(config: pytest.Config) -> bool:
    if not config.pluginmanager.has_plugin("logging-plugin"):
        return False
    return bool(config.getini("log_cli")) or config.getoption("log_cli_level") is not None


class _LiveLine:
    """Text behind the cursor, which stays where pytest's own text ends."""

    def __init__(
        self, config: pytest.Config, fd: int, clock: Callable[[], float], appears_after_s: float
    ) -> None:
        self._writer = config.get_terminal_writer()
        #: The terminal's: 1 is a file of pytest's while it captures.
        self._fd: int | None = fd
        self._encoding = sys.stdout.encoding or "ascii"
        self._clock = clock
        self._appears_after_s = appears_after_s
        self._is_shown = False
        self._began = self._looked = clock()
        #: When the last wait ended, ``None`` during one.
        self._ended: float | None = float("-inf")
        self._progress: Progress | None = None

    def waiting(self, progress: Callable[[], Progress]) -> None:
        now = self._clock()
        if self._ended is not None:
            if now - self._ended > PAUSE_S:
                self._began, self._progress = now, None
            self._ended = None
        if now - self._began < self._appears_after_s:
            return
        if self._progress is None or now - self._looked >= REFRESH_S:
            self._progress, self._looked = progress(), now
        elif self._is_shown:
            return
        self._paint(self._progress)

    def clear(self) -> None:
        if self._ended is None:
            self._ended = self._clock()
        self._erase()

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _paint(self, progress: Progress) -> None:
        column, room = self._place()
        gap = _GAP if column else 0
        parts = live_parts(progress, room - gap)
        if not parts:
            self._erase()
            return
        text = ""
        for is_alert, alike in groupby(parts, key=attrgetter("is_alert")):
            style = {"yellow": True} if is_alert else {"light": True}
            text += self._writer.markup("".join(part.text for part in alike), **style)
        self._is_shown = True  # before it is: an interrupt may come in between
        self._write(f"{_SAVE_CURSOR}{_NO_WRAP}{' ' * gap}{text}{_ERASE}{_WRAP}{_RESTORE_CURSOR}")

    def _erase(self) -> None:
        if self._is_shown:
            self._write(_ERASE)
            self._is_shown = False

    def _place(self) -> tuple[int, int]:
        """The column of the cursor, and how many are free from there on."""
        written = self._writer.width_of_current_line  # negative when control characters hide it
        width = self._columns()
        column = written % width
        if written < 0 or (written and not column):  # at the very edge, where the next letter wraps
            return column, 0
        return column, width - column - _MARGIN

    def _columns(self) -> int:
        """Asked each time: a window can be resized. Some pseudo terminals don't know."""
        if self._fd is None:
            return self._writer.fullwidth
        with contextlib.suppress(OSError):
            return os.get_terminal_size(self._fd).columns or self._writer.fullwidth
        return self._writer.fullwidth

    def _write(self, text: str) -> None:
        if self._fd is None:
            return
        try:
            os.write(self._fd, text.encode(self._encoding, "replace"))
        except OSError:  # the terminal is gone, or takes nothing now
            self.close()


class _LogLines:
    """A line of its own from time to time."""

    def __init__(
        self, config: pytest.Config, reporter: pytest.TerminalReporter, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._reporter = reporter
        self._clock = clock
        every = WATCHED_EVERY_S if _is_watched() else LOG_EVERY_S
        self._every = every if config.get_verbosity() >= 0 else 2 * every
        #: Tests and apps write where pytest does: nobody knows the column.
        self._is_shared = config.getoption("capture", "no") == "no"
        self._began: float | None = None
        self._last = 0.0

    def waiting(self, progress: Callable[[], Progress]) -> None:
        now = self._clock()
        if self._began is None:
            self._began = self._last = now
        pause = min(max(self._every, LOG_SHARE * (now - self._began)), LOG_AT_LEAST_EVERY_S)
        if now - self._last < pause:
            return
        self._last = now
        self._write(f"promptune: {log_line(progress())}")

    def _write(self, text: str) -> None:
        # The way in which pytest's own live logs get past its capture: by name, without an import.
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            is_verbose = self._config.get_verbosity(pytest.Config.VERBOSITY_TEST_CASES) > 0
            writer = self._config.get_terminal_writer()
            if self._is_shared or (writer.width_of_current_line and not is_verbose):
                writer.line()
            if is_verbose:
                self._reporter.write_line(text)  # pytest begins the item's line again
            else:
                writer.line(text)  # the letters go on below
            self._reporter.flush()

    def clear(self) -> None:
        """What is written stays."""

    def close(self) -> None:
        """Nothing to close."""
