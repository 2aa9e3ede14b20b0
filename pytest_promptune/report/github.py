"""The step summary of GitHub Actions: the result and what to look at; the report has the rest."""

from __future__ import annotations

from pytest_promptune.core.view import View
from pytest_promptune.report.markdown import values
from pytest_promptune.report.templating import render


def step_summary(view: View) -> str:
    """Markdown for ``$GITHUB_STEP_SUMMARY``."""
    return render("step_summary.md.j2", values(view))
