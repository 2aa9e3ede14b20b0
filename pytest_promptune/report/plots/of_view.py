"""What a session's view has to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pytest_promptune.core import wording
from pytest_promptune.core.display import cut, effect, effect_values
from pytest_promptune.core.view import ComparisonRow, MetricRow, NodeRow, View
from pytest_promptune.report.plots import drawings
from pytest_promptune.report.plots.canvas import Plot
from pytest_promptune.report.plots.drawings import CaseRow, Difference, Latency, Part


def draw(view: View) -> tuple[Plot, ...]:
    """The plots of a session; one that has nothing to say is left out.

    Raises:
        ImportError: without the extra ``[plots]``.
    """
    found = [drawings.differences(_differences(view)), *_heat_maps(view)]
    found += [drawings.latency(_latencies(view)), _nodes(view.nodes)]
    return tuple(plot for plot in found if plot is not None)


def _differences(view: View) -> list[Difference]:
    rows = []
    for row in (row for group in wording.comparisons(view) for row in group if not row.constant):
        value, limits, unit = effect_values(row)
        if value is not None:
            rows.append(
                Difference(
                    label=f"{cut(wording.label(row.name), 20)} · {cut(row.candidate, 14)}",
                    unit=unit,
                    value=value,
                    interval=limits,
                    margin=_margin(row, value),
                    verdict=row.verdict,
                    text=effect(row),
                )
            )
    return rows


def _margin(row: ComparisonRow, value: float) -> float | None:
    """The margin on the side of losses, in the unit of what :func:`effect_values` gives."""
    if row.margin is None or not row.difference or (row.name.kind == "latency" and not row.reference_mean):
        return None
    if row.name.kind == "latency" and row.ratio is not None and row.reference_mean:
        factor = 100 / row.reference_mean
    else:
        factor = value / row.difference
    return row.margin * factor * (-1 if row.name.direction == "higher" else 1)


def _heat_maps(view: View) -> list[Plot | None]:
    groups: dict[tuple[str, str], list[MetricRow]] = {}
    for row in view.metrics:
        if (
            row.name.kind == "binary"
            and row.name.test != f"{row.name.module}::{row.name.app}"
            and row.case_means
        ):
            groups.setdefault((row.name.module, row.name.metric), []).append(row)
    return [
        drawings.heat_map(
            wording.label(rows[0].name),
            [row.variant for row in rows],
            _cases(rows),
            name=f"cases-{number}",
        )
        for number, rows in enumerate(groups.values(), 1)
    ]


def _cases(rows: Sequence[MetricRow]) -> list[CaseRow]:
    found = []
    for case in dict.fromkeys(case for row in rows for case in row.case_means):
        values = tuple(row.case_means.get(case) for row in rows)
        known = [value for value in values if value is not None]
        found.append(CaseRow(case=case, values=values, change=max(known) - min(known) if known else 0.0))
    return found


def _latencies(view: View) -> list[Latency]:
    return [
        Latency(
            label=f"{row.name.app} · {row.variant}",
            p50=row.p50,
            p95=row.p95,
            p99=row.p99,
            means=tuple(value for value in row.case_means.values() if value is not None),
        )
        for row in view.metrics
        if row.name.kind == "latency" and row.p50 is not None
    ]


def _nodes(rows: Sequence[NodeRow]) -> Plot | None:
    """Of cost where it is known, else of tokens, else of latency."""
    shares: list[tuple[Literal["cost", "tokens", "latency"], list[float | None]]] = [
        ("cost", [row.share_of_cost for row in rows]),
        ("tokens", _token_shares(rows)),
        ("latency", [row.share_of_latency for row in rows]),
    ]
    for what, values in shares:
        parts = [
            Part(variant=row.variant, node=row.node, share=share)
            for row, share in zip(rows, values, strict=True)
            if share is not None
        ]
        if any(part.share for part in parts):
            return drawings.nodes(what, parts)
    return None


def _token_shares(rows: Sequence[NodeRow]) -> list[float | None]:
    sums: dict[tuple[str, str], int] = {}
    taken = [(row.input_tokens or 0) + (row.output_tokens or 0) for row in rows]
    for row, tokens in zip(rows, taken, strict=True):
        sums[row.app, row.variant] = sums.get((row.app, row.variant), 0) + tokens
    return [
        tokens / sums[row.app, row.variant] if sums[row.app, row.variant] else None
        for row, tokens in zip(rows, taken, strict=True)
    ]
