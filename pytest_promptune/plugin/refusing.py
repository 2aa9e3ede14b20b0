"""A user's mistake ends the session with a message and exit code 4, wherever it is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import pytest

from pytest_promptune.core.errors import PromptuneError

_P = ParamSpec("_P")
_T = TypeVar("_T")


def or_usage_error(function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call; where the user's input is at fault, end the session."""
    try:
        return function(*args, **kwargs)
    except PromptuneError as error:
        raise pytest.UsageError(str(error)) from None


def mark_refused(report: Any, error: PromptuneError, nodeid: str) -> None:
    """Hang the message on a report: an xdist worker can't end the session, the controller does it."""
    message = str(error) if nodeid in str(error) else f"{nodeid}: {error}"
    report.longrepr = report.promptune_refused = message


class Refusing:
    """Ends the session when a report carries such a message; not in an xdist worker, which only sends it."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A mistake found while a worker collected."""
        end_if_refused(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One that an item's fixtures showed, or that a worker could not tell before its first item."""
        end_if_refused(report)


def end_if_refused(report: Any) -> None:
    """End the session if a report carries such a message."""
    message = getattr(report, "promptune_refused", None)
    if message is not None:
        raise pytest.UsageError(message)
