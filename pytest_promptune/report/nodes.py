"""Where time and money went, for the reports."""

from __future__ import annotations

from pytest_promptune.core.display import UNKNOWN, money, seconds
from pytest_promptune.core.nodes import wording
from pytest_promptune.core.view import NodeRow, View
from pytest_promptune.report.escape import code
from pytest_promptune.report.tables import Table

_HEADER = (
    "Node",
    "Variant",
    "Samples",
    "Calls",
    "Mean",
    "p50",
    "p95",
    "p99",
    "Share of latency",
    "Input tokens",
    "Output tokens",
    "Share of tokens",
    "Cost",
    "Share of cost",
    "Retries",
    "Errors",
)


def node_tables(view: View) -> list[Table]:
    """One table per app: each node under each variant."""
    return [
        Table(title=app, header=_HEADER, rows=tuple(_cells(row) for row in rows))
        for app, rows in wording.by_app(view)
    ]


def _cells(row: NodeRow) -> tuple[str, ...]:
    found = row.latency_s
    return (
        code(row.node),
        code(row.variant),
        f"{row.samples:,}",
        f"{row.calls:,}",
        *(seconds(value) for value in (found.mean, found.p50, found.p95, found.p99)),
        wording.share(row.share_of_latency),
        wording.whole(row.input_tokens),
        wording.whole(row.output_tokens),
        wording.share(row.share_of_tokens),
        money(row.cost_usd),
        wording.share(row.share_of_cost),
        f"{row.retries:,}",
        wording.errors(row) or UNKNOWN,
    )
