"""The gate's decisions as results of the session, so that everything that reads results sees them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pytest

from pytest_promptune.core.display import clean
from pytest_promptune.core.harmless import harmless_where_broken
from pytest_promptune.core.properties import of_comparison
from pytest_promptune.core.view import ComparisonRow, GateItem


class _Crash(NamedTuple):
    """What pytest's short summary and junit show of a failure."""

    message: str

    def __str__(self) -> str:
        return self.message


class GateRepr:
    """How a failed gate is shown: the sentence, no traceback, and nothing of a model that acts."""

    def __init__(self, message: str, details: Sequence[str]) -> None:
        self.reprcrash = _Crash(harmless_where_broken(clean(message)))
        self._details = [harmless_where_broken(clean(detail)) for detail in details]

    def __str__(self) -> str:
        return "\n".join([self.reprcrash.message, *(f"  {detail}" for detail in self._details)])

    def toterminal(self, writer: Any) -> None:
        """Write it as pytest writes failures."""
        writer.line(self.reprcrash.message, red=True)
        for detail in self._details:
            writer.line(f"  {detail}")


def report_decision(session: pytest.Session, decision: GateItem, row: ComparisonRow | None) -> None:
    """A decision of the gate, as the result of an item of its own; its properties are of the comparison."""
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
            longrepr=GateRepr(decision.message, decision.details) if failed else None,  # type: ignore[arg-type]  # what can be shown will do
            when=when,
            duration=0.0,
            user_properties=of_comparison(row) if row is not None else (),
        )
        session.ihook.pytest_runtest_logreport(report=report)
    session.ihook.pytest_runtest_logfinish(nodeid=decision.nodeid, location=location)


def remember_for_last_failed(
    config: pytest.Config, rerun: Sequence[str], *, decisions: Iterable[GateItem]
) -> None:
    """Tell ``--lf`` the items behind failed decisions: a decision itself is none that could be run again.

    Args:
        config: pytest's.
        rerun: node ids of these items.
        decisions: all that were reported in this session.
    """
    cache = getattr(config, "cache", None)  # absent under -p no:cacheprovider
    known = cache.get("cache/lastfailed", {}) if cache is not None else {}
    reported = {decision.nodeid for decision in decisions}
    chosen = {nodeid: True for nodeid in known if nodeid not in reported}
    chosen.update(dict.fromkeys(rerun, True))
    if cache is not None and chosen != known:
        cache.set("cache/lastfailed", chosen)
