"""Items of runs that may not be needed: they wait for a look, and where it is clear they are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_promptune.core.sharing import Standing
from pytest_promptune.plugin.state import item_key

if TYPE_CHECKING:
    from pytest_promptune.session import Session


class LookHooks:
    """Registered in sessions that look before all runs are there."""

    def __init__(self, session: Callable[[], Session], *, waits: bool) -> None:
        """Nothing is told yet.

        Args:
            session: of this process.
            waits: another process looks, and tells by setting `told`.
        """
        self._session = session
        self._waits = waits
        #: How far the looks are, as the controller says; it may be set in any thread.
        self.told: Standing | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before any fixture of an item is set up: is its run needed?"""
        state = item.stash.get(item_key, None)
        if state is None:
            return
        session = self._session()
        if self.told is not None:
            session.follow(self.told)
        looking = session.looking
        while looking.is_due(state.planned):
            if self._waits:  # it was given as the one after the last, and the session ends
                pytest.skip("not run: the session ends before the look that would need it")
            session.look()
        reason = looking.why_not_needed(state.planned)
        if reason:
            state.is_not_needed = True
            pytest.skip(reason)

    def mark(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Make the report of such an item one that isn't counted among the skipped ones."""
        if report.when != "setup":
            return
        line = item.location[1]
        reason = f"Skipped: {self._session().looking.why_not_needed(item.stash[item_key].planned)}"
        report.longrepr = (str(item.path), 1 + (line or 0), reason)
        report.promptune_not_needed = True  # type: ignore[attr-defined]  # reports take extra attributes
