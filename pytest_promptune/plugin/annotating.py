"""Annotations of a GitHub job, printed behind the summary; registered in such a job only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_promptune.outputs import annotation_lines

if TYPE_CHECKING:
    from pytest_promptune.core.view import View


class Annotating:
    """Remembers in which line tests begin, and prints what the runner turns into annotations."""

    def __init__(self, config: pytest.Config, view: Callable[[], View | None]) -> None:
        """Nothing is known of the tests yet; `view` gives what was found, at the end."""
        self._config = config
        self._view = view
        self._lines: dict[str, int] = {}

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of tests that ran here or in an xdist worker; pytest counts lines from 0."""
        line = report.location[1]
        if line is not None and report.when == "setup":
            path, _, test = report.nodeid.partition("::")
            self._lines.setdefault(f"{path}::{test.partition('[')[0]}", line + 1)

    @pytest.hookimpl(trylast=True)  # behind the summary
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line each, from its first column: the runner looks for them there."""
        view = self._view()
        if view is None:
            return
        for line in annotation_lines(view, root=self._config.rootpath, lines=self._lines):
            terminalreporter.write_line(line)
