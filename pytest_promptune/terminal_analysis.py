"""The analysis in the terminal: a few lines, since the report has it all; everything with ``-v``."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_promptune.core.analysis import wording
from pytest_promptune.core.analysis.model import AnalysisView, OutlierRow
from pytest_promptune.core.display import clean
from pytest_promptune.core.lines import BOLD, DIM, INDENT, Line, line, paragraph, table_lines
from pytest_promptune.core.nodes.wording import share
from pytest_promptune.core.view import View


def analysis(view: View, *, verbosity: int, width: int) -> list[Line]:
    """Nothing where there is nothing to see; each line has at most `width` columns."""
    found = view.analysis
    if found is None:
        return []
    texts = list(_all(found) if verbosity > 0 else _most(found, view.experiment.variants[:1]))
    lines = [each for text in texts for each in paragraph(text, width, indent=INDENT)]
    if verbosity > 0:
        lines += _matrix(found, width)
    return [Line(), line("Analysis", BOLD), *lines] if lines else []


def _most(found: AnalysisView, variants: tuple[str, ...]) -> Iterator[str]:
    """Of the app as it stands, the worst of each."""
    rows = sorted((row for row in found.trouble if row.variant in variants), key=lambda row: -row.misses)
    for row in rows[: wording.MOST]:
        yield f"{clean(row.metric)}, {wording.trouble(row)}"
    if len(rows) > wording.MOST:
        yield f"misses in {len(rows) - wording.MOST:,} more: see the report, or -v"
    for of_variant in found.outliers:
        if of_variant.variant in variants:
            yield wording.outliers(of_variant)
    for covered in found.coverage:
        if covered.advice:
            yield wording.coverage(covered)
    if text := wording.first_node(found):
        yield text


def _all(found: AnalysisView) -> Iterator[str]:
    for row in found.trouble:
        yield f"{clean(row.metric)}, {clean(row.variant)}: {wording.trouble(row)}"
        if row.flaky:
            yield (
                f"{clean(row.metric)}, {clean(row.variant)}: flaky in {wording.category(row)}: "
                + wording.ids(row.flaky)
            )
    for of_variant in found.outliers:
        yield f"{wording.outliers(of_variant)} ({_fences(of_variant)})"
    for covered in found.coverage:
        yield wording.coverage(covered)


def _fences(row: OutlierRow) -> str:
    return f"expected {wording.value(row, max(row.low, 0.0))} to {wording.value(row, row.high)}"


def _matrix(found: AnalysisView, width: int) -> list[Line]:
    if not found.priorities:
        return []
    cells = [
        [clean(row.node), share(row.impact), wording.feasibility(row), wording.cost(row)]
        for row in found.priorities
    ]
    lines = table_lines(("node", "impact", "feasibility", "cost"), cells, width)
    return [*lines, *paragraph(found.priority_rule, width, DIM, INDENT)]
