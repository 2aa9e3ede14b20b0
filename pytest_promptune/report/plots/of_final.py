"""What a final report has to draw."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_promptune.core import wording
from pytest_promptune.core.display import mean, scale, scaled
from pytest_promptune.core.series.final import FinalReport, Progress, ProgressPoint
from pytest_promptune.report.plots import drawings, preparing
from pytest_promptune.report.plots.canvas import Plot
from pytest_promptune.report.plots.drawings import Goal, Latency, Point
from pytest_promptune.report.words import Words


def draw_final(report: FinalReport, *, language: str = "en") -> tuple[Plot, ...]:
    """The plots of a final report; one that has nothing to say is left out.

    Args:
        report: what it says.
        language: one of `words.LANGUAGES`.

    Raises:
        ImportError: without the extra ``[plots]``.
    """
    w = Words(language)
    found = [
        *(_progress(each, w, number) for number, each in enumerate(_moving(report), 1)),
        _differences(report, w),
        *_heat_maps(report, w),
        drawings.latency(list(_latencies(report, w)), w),
        _nodes(report, w),
    ]
    return tuple(plot for plot in found if plot is not None)


def _moving(report: FinalReport) -> Iterator[Progress]:
    """What has a goal, and what isn't the same throughout."""
    for each in report.progress:
        if each.target is not None or len({point.mean for point in each.points} - {None}) > 1:
            yield each


def _progress(each: Progress, w: Words, number: int) -> Plot | None:
    factor, unit = scale(each.name, [*(point.mean for point in each.points), each.target])
    points = [
        Point(
            label=_label(point, w),
            value=point.mean * factor,
            interval=scaled(point.ci, factor),
            text=w.units(mean(each.name, point.mean)),
        )
        for point in each.points
        if point.mean is not None
    ]
    goal = None
    if each.target is not None:
        key = "at_least" if each.name.direction == "higher" else "at_most"
        goal = Goal(value=each.target * factor, text=w.text(key, value=w.units(mean(each.name, each.target))))
    shown = w.units(f" {unit}").strip()
    return drawings.progress(wording.label(each.name), shown, points, w, goal, name=f"progress-{number}")


def _label(point: ProgressPoint, w: Words) -> str:
    """``0: start``, ``1: VARIANT``, ``2`` where nothing was adopted, and the final state after them."""
    if point.iteration is None:
        return w.text("c_final")
    told = point.adopted if point.iteration else w.text("p_start")
    return f"{point.iteration}: {told}" if told is not None else f"{point.iteration}"


def _differences(report: FinalReport, w: Words) -> Plot | None:
    rows = (
        preparing.difference(each.comparison, wording.label(each.name), w)
        for each in report.metrics
        if each.comparison is not None and not each.comparison.constant
    )
    return drawings.differences([row for row in rows if row is not None], w)


def _heat_maps(report: FinalReport, w: Words) -> Iterator[Plot | None]:
    sides = [w.text("c_initial"), w.text("c_final")]
    shares = (
        each
        for each in report.cases
        if each.name.kind == "binary" and any(case.before != case.after for case in each.cases)
    )
    for number, each in enumerate(shares, 1):
        rows = [preparing.case(case.case, (case.before, case.after)) for case in each.cases]
        yield drawings.heat_map(wording.label(each.name), sides, rows, w, name=f"cases-{number}")


def _latencies(report: FinalReport, w: Words) -> Iterator[Latency]:
    for each in report.metrics:
        if each.name.kind == "latency":
            for key, row in (("c_initial", each.initial), ("c_final", each.final)):
                label = f"{each.name.app} · {w.text(key)}"
                if row is not None and (found := preparing.latency(row, label, w)) is not None:
                    yield found


def _nodes(report: FinalReport, w: Words) -> Plot | None:
    rows = []
    for each in report.nodes:
        sides = [("c_initial", each.before), *([("c_final", each.after)] if report.is_changed else [])]
        rows += [(w.text(key), row) for key, row in sides if row is not None]
    return preparing.nodes(rows, w)
