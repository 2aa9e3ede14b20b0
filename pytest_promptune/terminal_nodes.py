"""Where time and money went, for the terminal: two narrow tables an app."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_promptune.core.display import clean, money, seconds
from pytest_promptune.core.lines import BOLD, INDENT, WARN, Line, paragraph, table_lines
from pytest_promptune.core.nodes import wording
from pytest_promptune.core.view import NodeRow, View

_TIMES = ("seconds a sample", "calls", "mean", "p50", "p95", "p99", "of time")
_USAGE = ("in all samples", "tokens in", "out", "cost", "of cost", "retries", "errors")


def nodes(view: View, width: int) -> list[Line]:
    """Nothing for apps without nodes; each line has at most `width` columns."""
    lines: list[Line] = []
    for app, rows in wording.by_app(view):
        names = wording.variants(rows)
        title = f"Nodes of {app}" + (f": {clean(names[0])}" if len(names) == 1 else "")
        lines += [Line(), *paragraph(title, width, BOLD)]
        lines += table_lines(_TIMES, [[_name(row, names), *_times(row)] for row in rows], width)
        if wording.tells_usage(rows):
            lines += table_lines(_USAGE, [[_name(row, names), *_usage(row)] for row in rows], width)
        for row in rows:
            if row.errors:
                told = f"errors in {_name(row, names)}: {wording.errors(row)}"
                lines += paragraph(told, width, WARN, INDENT)
    return lines


def _name(row: NodeRow, variants: Sequence[str]) -> str:
    return f"{clean(row.node)} ({clean(row.variant)})" if len(variants) > 1 else clean(row.node)


def _times(row: NodeRow) -> list[str]:
    found = row.latency_s
    times = [seconds(value) for value in (found.mean, found.p50, found.p95, found.p99)]
    return [f"{row.calls:,}", *times, wording.share(row.share_of_latency)]


def _usage(row: NodeRow) -> list[str]:
    tokens = [wording.whole(row.input_tokens), wording.whole(row.output_tokens)]
    failed = sum(row.errors.values())
    return [*tokens, money(row.cost_usd), wording.share(row.share_of_cost), f"{row.retries:,}", f"{failed:,}"]
