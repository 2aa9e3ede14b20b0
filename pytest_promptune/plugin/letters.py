"""Letters and words for what is data and no failure."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_promptune.core.display import clean, cut
from pytest_promptune.core.harmless import harmless_where_broken


class Letters:
    """Says how the reports of promptune items are counted and shown."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport, config: pytest.Config
    ) -> tuple[str, str, Any] | None:
        """Category, letter and word, as pytest wants them; ``None`` where pytest's own are right."""
        if getattr(report, "promptune_subtest", False):
            return "", "", ""  # the item's own letter says it
        if getattr(report, "promptune_not_needed", False):
            return "not needed", "", ("NOT NEEDED", {"light": True})
        outcome = getattr(report, "promptune", {}).get("outcome")
        if hasattr(report, "wasxfail") or report.failed:
            return None
        if outcome == "missed":
            why = clean(getattr(report, "promptune", {})["message"]) if config.get_verbosity() > 0 else ""
            word = f"MISSED ({harmless_where_broken(cut(why, 60))})" if why else "MISSED"
            return "missed", "m", (word, {"yellow": True})
        if outcome in ("errored", "missing") and report.when == "setup":
            return outcome, "e", (outcome.upper(), {"yellow": True})
        return None
