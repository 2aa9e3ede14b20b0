"""The analysis in the terminal: a few lines, since the report has it all; everything with ``-v``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_promptune.core.analysis import wording
from pytest_promptune.core.analysis.model import AnalysisView, OutlierRow, PriorityRow
from pytest_promptune.core.display import clean, count
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
        lines += _matrix(found.priorities, width)
        lines += paragraph(found.priority_rule, width, DIM, INDENT)
    elif view.mode == "compare":
        lines += _first_of_matrix(found.priorities, width)
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


def _matrix(rows: Sequence[PriorityRow], width: int) -> list[Line]:
    if not rows:
        return []
    cells = [
        [clean(row.node), share(row.impact), wording.feasibility(row), wording.cost(row)] for row in rows
    ]
    return table_lines(("node", "impact", "feasibility", "cost"), cells, width)


def _first_of_matrix(rows: Sequence[PriorityRow], width: int) -> list[Line]:
    """A line for each of the first nodes; nothing where there is no choice, or no room for columns."""
    first = sorted(rows, key=lambda row: -(row.impact or 0.0))[: wording.MOST]
    lines = _matrix(first, width) if len(rows) > 1 else []
    if len(lines) != len(first) + 1:
        return []
    rest = len(rows) - len(first)
    more = f"{count(rest, 'more node')}: see the report, or -v"
    return [*lines, *(paragraph(more, width, indent=INDENT) if rest else ())]
