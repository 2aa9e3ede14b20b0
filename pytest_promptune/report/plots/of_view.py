"""What a session's view has to draw."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_promptune.core import wording
from pytest_promptune.core.display import cut
from pytest_promptune.core.view import MetricRow, View
from pytest_promptune.report.plots import drawings, preparing
from pytest_promptune.report.plots.canvas import Plot
from pytest_promptune.report.plots.drawings import CaseRow
from pytest_promptune.report.words import Words


def draw(view: View) -> tuple[Plot, ...]:
    """The plots of a session; one that has nothing to say is left out.

    Raises:
        ImportError: without the extra ``[plots]``.
    """
    w = Words("en")
    differences = (
        preparing.difference(row, f"{cut(wording.label(row.name), 20)} · {cut(row.candidate, 14)}", w)
        for group in wording.comparisons(view)
        for row in group
        if not row.constant
    )
    latencies = (
        preparing.latency(row, f"{row.name.app} · {row.variant}", w)
        for row in view.metrics
        if row.name.kind == "latency"
    )
    found = [
        drawings.differences([row for row in differences if row is not None], w),
        *_heat_maps(view, w),
        drawings.latency([row for row in latencies if row is not None], w),
        preparing.nodes([(row.variant, row) for row in view.nodes], w),
    ]
    return tuple(plot for plot in found if plot is not None)


def _heat_maps(view: View, w: Words) -> list[Plot | None]:
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
            w,
            name=f"cases-{number}",
        )
        for number, rows in enumerate(groups.values(), 1)
    ]


def _cases(rows: Sequence[MetricRow]) -> list[CaseRow]:
    cases = dict.fromkeys(case for row in rows for case in row.case_means)
    return [preparing.case(case, tuple(row.case_means.get(case) for row in rows)) for case in cases]
