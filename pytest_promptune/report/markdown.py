"""The Markdown report: everything the session found, for people who were not there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pytest_promptune.core import wording
from pytest_promptune.core.display import clean
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import View
from pytest_promptune.report import changes, tables
from pytest_promptune.report.analysis import analysis_tables
from pytest_promptune.report.classes import class_tables
from pytest_promptune.report.goals import goal_table
from pytest_promptune.report.nodes import node_tables
from pytest_promptune.report.templating import render


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """How a report refers to a plot."""

    #: Path relative to the report, or a data URI; nothing in it has a meaning for Markdown.
    reference: Markup
    alternative: str
    title: str = ""


def render_markdown(
    view: View, *, templates: Path | None = None, plots: Sequence[Picture] = (), plots_hint: str = ""
) -> str:
    """The report as GitHub renders it; a folder of `templates` may replace single ones by name.

    Args:
        view: what was found.
        templates: the folder.
        plots: pictures that go with it.
        plots_hint: why there are none.

    Raises:
        ReportError: when a template has an error or asks for a value that does not exist.
    """
    found = values(view) | {"plots": tuple(plots), "plots_hint": plots_hint}
    return render("report.md.j2", found, templates=templates)


def values(view: View) -> dict[str, Any]:
    """What templates can use."""
    found, others = tables.case_tables(view)
    return {
        "view": view,
        "title": f"{wording.TITLES[view.mode]}: {wording.headline(view)}",
        "decision": wording.decision(view.decision) if view.decision else "",
        "failures": [
            *((clean(item.message or item.nodeid), item.examples) for item in view.gate if item.failed),
            *((wording.regression(row), ()) for row in wording.regressed(view)),
        ],
        "baselines": tables.baselines(view),
        "conditions": tables.conditions(view),
        "metrics": tables.metric_tables(view),
        "classes": class_tables(view),
        "goals": goal_table(view),
        "nodes": node_tables(view),
        **analysis_tables(view),
        "comparisons": tables.comparison_tables(view),
        "gated_comparisons": tables.comparison_tables(view, brief=True),
        "reasons": tables.reasons(view),
        "cases_found": found,
        "cases_other": others,
        "case_lists": tables.case_lists(view),
        "short_case_lists": tables.case_lists(view, limit=10),
        "variants": changes.variants(view),
        "errors": tables.error_table(view),
        "plots": (),
        "plots_hint": "",
        "scope": wording.scope(view) if view.comparisons else "",
        "level": tables.comparison_level(view),
        "one_sided": tables.one_sided_level(view),
        "looks": wording.looks(view.experiment.look) if view.experiment.look else "",
        "scopes": sorted({row.scope for row in view.comparisons}),
        "has_aggregates": any(row.aggregate for row in view.comparisons),
        "kinds": sorted({row.name.kind for row in view.comparisons}),
    }
