"""The analysis, for the reports: tables of what fails, what stands out, what is covered, what to work on."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from pytest_promptune.core.analysis import wording
from pytest_promptune.core.analysis.model import (
    AnalysisView,
    CoverageRow,
    OutlierRow,
    PriorityRow,
    TroubleRow,
)
from pytest_promptune.core.analysis.outliers import FEWEST
from pytest_promptune.core.display import UNKNOWN
from pytest_promptune.core.nodes.wording import share
from pytest_promptune.core.view import View
from pytest_promptune.report.escape import code, codes, sentence
from pytest_promptune.report.tables import Table

#: Outliers and cases that a row names.
_MOST = 10
_TROUBLE = ("Category", "Test", "Variant", "Missed", "Taken for", "Cases", "Flaky")
_OUTLIERS = ("Quantity", "App", "Variant", "Samples", "Fences", "Outliers")
_COVERAGE = ("Tag", "Module", "Cases", "Uneven")
_PRIORITIES = ("Node", "App", "Impact", "Feasibility", "Cost")


def analysis_tables(view: View) -> dict[str, Table]:
    """By the name that templates know them by; a table without rows has nothing to say."""
    found = view.analysis or AnalysisView()
    fences = (
        "Tukey's fences: outliers are beyond 1.5 interquartile ranges from the quartiles, those with ▲ "
        f"beyond 3. They are shown, and count in every number. Variants with fewer than {FEWEST} samples, or "
        "without any spread between the quartiles, have none."
    )
    return {
        "trouble": _table("Failing cases", _TROUBLE, [_trouble(row) for row in found.trouble]),
        "outliers": _table("Outliers", _OUTLIERS, [_outliers(row) for row in found.outliers], fences),
        "coverage": _table("Coverage", _COVERAGE, [_coverage(row) for row in found.coverage]),
        "priorities": _table(
            "Priorities", _PRIORITIES, [_priority(row) for row in found.priorities], found.priority_rule
        ),
    }


def _table(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]], note: str = "") -> Table:
    return Table(title=title, header=header, rows=tuple(rows), notes=(note,) if note and rows else ())


def _trouble(row: TroubleRow) -> tuple[str, ...]:
    mistaken = [
        sentence(
            "{} instead of {}: {} of {} ({})",
            _label(each.predicted),
            code(each.expected),
            f"{each.count:,}",
            wording.misses(row),
            codes(each.cases, limit=_MOST),
        )
        for each in row.mistaken
    ]
    return (
        _label(row.category, unknown=wording.NO_CATEGORY),
        code(row.metric),
        code(row.variant),
        f"{row.misses:,} of {row.samples:,}",
        Markup("; ").join(mistaken) or UNKNOWN,
        codes(row.cases, limit=_MOST),
        codes(row.flaky, limit=_MOST) or UNKNOWN,
    )


def _label(name: str | None, unknown: str = "no class") -> str:
    return unknown if name is None else code(name)


def _outliers(row: OutlierRow) -> tuple[str, ...]:
    shown = [
        sentence(
            "{} run {}: {}{}{}",
            code(each.case),
            each.run,
            wording.value(row, each.value),
            sentence(" in {}", code(each.node)) if each.node else "",
            Markup(" ▲") if each.far else "",
        )
        for each in row.outliers[:_MOST]
    ]
    rest = len(row.outliers) - _MOST
    return (
        wording.quantity(row),
        code(row.app),
        code(row.variant),
        f"{row.samples:,}",
        f"{wording.value(row, max(row.low, 0.0))} to {wording.value(row, row.high)}",
        Markup("; ").join(shown) + (f" and {rest:,} more" if rest > 0 else ""),
    )


def _coverage(row: CoverageRow) -> tuple[str, ...]:
    total = sum(row.counts.values())
    counts = [
        sentence("{} {} ({})", code(name), f"{number:,}", share(number / total))
        for name, number in row.counts.items()
    ]
    return row.tag, code(row.module), Markup(", ").join(counts), "; ".join(row.advice) or UNKNOWN


def _priority(row: PriorityRow) -> tuple[str, ...]:
    return code(row.node), code(row.app), wording.impact(row), wording.feasibility(row), wording.cost(row)
