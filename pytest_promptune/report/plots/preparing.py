"""From the rows of reports to what is drawn, in the numbers and units in which tables show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_promptune.core.display import effect, effect_values, seconds
from pytest_promptune.core.view import ComparisonRow, MetricRow, NodeRow
from pytest_promptune.report.plots import drawings
from pytest_promptune.report.plots.canvas import Plot
from pytest_promptune.report.plots.drawings import CaseRow, Difference, Latency, Part, Share
from pytest_promptune.report.words import Words


def difference(row: ComparisonRow, label: str, w: Words) -> Difference | None:
    """A row of the forest; ``None`` where there is no difference."""
    value, limits, unit = effect_values(row)
    if value is None:
        return None
    return Difference(
        label=label,
        unit=w.units(f" {unit}").strip(),
        value=value,
        interval=limits,
        margin=_margin(row, value),
        verdict=row.verdict,
        text=w.units(effect(row)),
    )


def _margin(row: ComparisonRow, value: float) -> float | None:
    """The margin on the side of losses, in the unit of what :func:`effect_values` gives."""
    if row.margin is None or not row.difference or (row.name.kind == "latency" and not row.reference_mean):
        return None
    if row.name.kind == "latency" and row.ratio is not None and row.reference_mean:
        factor = 100 / row.reference_mean
    else:
        factor = value / row.difference
    return row.margin * factor * (-1 if row.name.direction == "higher" else 1)


def case(name: str, values: tuple[float | None, ...]) -> CaseRow:
    """A row of the heat map."""
    known = [value for value in values if value is not None]
    return CaseRow(case=name, values=values, change=max(known) - min(known) if known else 0.0)


def latency(row: MetricRow, label: str, w: Words) -> Latency | None:
    """A row of latencies; ``None`` where there are none."""
    if row.p50 is None:
        return None
    percentiles = [("p50", row.p50), ("p95", row.p95), ("p99", row.p99)]
    told = [f"{name} {w.units(seconds(value))}" for name, value in percentiles if value is not None]
    return Latency(
        label=label,
        p50=row.p50,
        p95=row.p95,
        p99=row.p99,
        means=tuple(value for value in row.case_means.values() if value is not None),
        text=w.joined(told),
    )


def nodes(rows: Sequence[tuple[str, NodeRow]], w: Words) -> Plot | None:
    """Shares by node, each with its variant: of cost where it is known, else of tokens, else of time."""
    shares: list[tuple[Share, Iterable[float | None]]] = [
        ("cost", (row.share_of_cost for _, row in rows)),
        ("tokens", (row.share_of_tokens for _, row in rows)),
        ("time", (row.share_of_latency for _, row in rows)),
    ]
    for what, values in shares:
        parts = [
            Part(variant=variant, node=row.node, share=share)
            for (variant, row), share in zip(rows, values, strict=True)
            if share is not None
        ]
        if any(part.share for part in parts):
            return drawings.nodes(what, parts, w)
    return None
