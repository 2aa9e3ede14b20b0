"""One function per kind of plot, from plain numbers: sessions and the final report share them.

`w` is the language; names from a project stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pytest_promptune.core.nodes.wording import share
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import Interval, Verdict
from pytest_promptune.report.plots.canvas import (
    BLUE,
    FAINT,
    GREY,
    GRID,
    INK,
    ORANGE,
    PURPLE,
    SERIES,
    WIDTH,
    Plot,
    figure,
    finish,
    label,
    panel,
    width,
    write,
)
from pytest_promptune.report.words import Words

#: Colour and shape of each verdict; its word stands beside it.
_MARKS: dict[Verdict, tuple[str, str]] = {
    "improved": (BLUE, "^"),
    "regressed": (ORANGE, "v"),
    "unchanged": (GREY, "o"),
    "inconclusive": (PURPLE, "D"),
}
#: What nodes have shares of.
Share = Literal["cost", "tokens", "time"]
_ROW, _MOST_CASES = 0.3, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One row of the forest: candidate minus reference in `unit`."""

    label: str
    unit: str
    value: float
    interval: Interval | None
    #: The loss that would be acceptable, with its sign, in the same unit.
    margin: float | None
    verdict: Verdict
    #: Value and interval, as tables show them.
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """One case: its values from 0 to 1 by column, and how much it changed."""

    case: str
    values: tuple[float | None, ...]
    change: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one node took of a variant's whole, 0..1."""

    variant: str
    node: str
    share: float

    @property
    def label(self) -> str:
        """Both names."""
        return f"{self.node} · {self.variant}"

    @property
    def text(self) -> str:
        """The share, as tables show it."""
        return share(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles of one variant, in seconds, and the mean of each case."""

    label: str
    p50: float
    p95: float | None
    p99: float | None
    means: tuple[float, ...]
    #: The percentiles in words.
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One iteration of a tuning series."""

    label: str
    value: float
    interval: Interval | None = None
    #: The value, as tables show it.
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a metric is to reach: where its line is drawn, and what stands beside it."""

    value: float
    text: str


def differences(rows: Sequence[Difference], w: Words) -> Plot | None:
    """The forest: each difference with its interval, a panel per unit."""
    panels: dict[str, list[Difference]] = {}
    for row in rows:
        panels.setdefault(row.unit, []).append(row)
    if not panels:
        return None
    on = figure(0.5 + sum(0.95 + _ROW * len(found) for found in panels.values()))
    left, top = width([row.label for row in rows], most=2.7) + 0.15, 0.75
    right = width([f"{row.text}  {_verdict(row, w)}" for row in rows], most=3.5)
    for unit, found in panels.items():
        axes = panel(on, left, top, WIDTH - left - right, _ROW * len(found))
        top += 0.95 + _ROW * len(found)
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_yticks([])
        axes.axvline(0, color=FAINT, linewidth=1)
        for y, row in enumerate(found):
            _difference(axes, y, row)
            write(
                axes,
                -0.02,
                y,
                row.label,
                inches=left - 0.15,
                ha="right",
                transform=axes.get_yaxis_transform(),
            )
            said = f"{row.text}  {_verdict(row, w)}"
            write(axes, 1.02, y, said, inches=right, fontsize=9, transform=axes.get_yaxis_transform())
        axes.set_xlabel(
            label(w.text("p_differences_axis", unit=unit) if unit else w.text("p_differences_axis_plain"), 3),
            color=FAINT,
            fontsize=9,
            parse_math=False,
        )
    told = _told([(row.label, w.joined([row.text, _verdict(row, w)])) for row in rows], w)
    about = w.text("p_differences_about", rows=told)
    return finish(on, "differences", w.text("p_differences"), about)


def _verdict(row: Difference, w: Words) -> str:
    return w.text(f"verdict_{row.verdict}")


def _told(rows: Sequence[tuple[str, str]], w: Words) -> str:
    """Names with their values, for those who don't see them."""
    return w.text("p_rows").join(w.text("p_row", name=name, value=value) for name, value in rows)


def _difference(axes: Any, y: int, row: Difference) -> None:
    colour, shape = _MARKS[row.verdict]
    low, high = row.interval or (None, None)
    ends = (row.value if low is None else low, row.value if high is None else high)
    axes.plot(ends, (y, y), color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot([row.value], [y], shape, color=colour, markersize=7)
    if row.margin is not None:
        axes.plot([row.margin] * 2, (y - 0.42, y + 0.42), "--", color=INK, linewidth=1)


def heat_map(
    metric: str, names: Sequence[str], rows: Sequence[CaseRow], w: Words, *, name: str = "cases"
) -> Plot | None:
    """Cases by columns `names`; of many cases, those that changed most."""
    if not rows:
        return None
    shown = sorted(rows, key=lambda row: -row.change)[:_MOST_CASES]
    left = width([row.case for row in shown], most=3.2) + 0.25
    cell = min((WIDTH - left - 0.3) / len(names), 1.6)
    on = figure(1.15 + 0.24 * len(shown))
    axes = panel(on, left, 0.8, cell * len(names), 0.24 * len(shown))
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines["bottom"].set_visible(False)
    for x, column in enumerate(names):
        write(axes, x, -0.85, column, inches=cell, ha="center", fontsize=9)
    for y, row in enumerate(shown):
        write(axes, -0.6, y, row.case, inches=left - 0.25, ha="right", fontsize=9)
        for x, value in enumerate(row.values):
            _cell(axes, x, y, value)
    rest = len(rows) - len(shown)
    left_out = w.text("p_cases_rest", shown=len(shown), number=len(rows)) if rest else ""
    changed = [row.case for row in shown if row.change > 0][:5]
    most = w.text("p_cases_most", cases=w.joined(changed)) if changed else w.text("p_cases_none")
    about = w.text("p_cases_about", metric=metric, names=w.joined(names), rest=left_out, most=most)
    return finish(on, name, w.text("p_cases", metric=metric, rest=left_out), about)


def _cell(axes: Any, x: int, y: int, value: float | None) -> None:
    part = 0.0 if value is None else min(max(value, 0.0), 1.0)
    dark, light = (0, 114, 178), (242, 246, 250)
    mixed = tuple((low + (high - low) * part) / 255 for low, high in zip(light, dark, strict=True))
    axes.bar(x, 0.92, 0.96, bottom=y - 0.46, color="white" if value is None else mixed)
    text = "–" if value is None else f"{value * 100:.0f} %"
    write(axes, x, y, text, ha="center", fontsize=8, color="white" if part > 0.8 else INK)


def latency(rows: Sequence[Latency], w: Words) -> Plot | None:
    """Means of cases as dots, p50, p95 and p99 as marks, in seconds, a row per variant."""
    if not rows:
        return None
    on = figure(1.35 + 0.45 * len(rows))
    left = width([row.label for row in rows], most=2.7) + 0.25
    axes = panel(on, left, 0.55, WIDTH - left - 0.4, 0.45 * len(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(axis="x", color=GRID)
    for y, row in enumerate(rows):
        write(axes, -0.02, y, row.label, inches=left - 0.2, ha="right", transform=axes.get_yaxis_transform())
        axes.plot(row.means, [y] * len(row.means), "o", color=SERIES[0], alpha=0.35, markersize=4)
        for value, mark in ((row.p50, "50"), (row.p95, "95"), (row.p99, "99")):
            if value is not None:
                axes.plot([value] * 2, (y - 0.3, y + 0.12), color=INK, linewidth=1.5)
                write(axes, value, y + 0.3, f"p{mark}", ha="center", fontsize=8)
    axes.set_xlim(left=0)
    axes.set_xlabel(w.text("p_latency_axis"), color=FAINT, fontsize=9)
    about = w.text("p_latency_about", rows=_told([(row.label, row.text) for row in rows], w))
    return finish(on, "latency", w.text("p_latency"), about)


def nodes(what: Share, parts: Sequence[Part], w: Words) -> Plot | None:
    """Bars of each variant's shares by node."""
    if not parts:
        return None
    on = figure(1.2 + _ROW * len(parts))
    left = width([part.label for part in parts], most=3.2) + 0.25
    axes = panel(on, left, 0.55, WIDTH - left - 0.8, _ROW * len(parts))
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_yticks([])
    variants = list(dict.fromkeys(part.variant for part in parts))
    for y, part in enumerate(parts):
        colour = SERIES[variants.index(part.variant) % len(SERIES)]
        axes.barh(y, part.share * 100, 0.7, color=colour)
        write(axes, -1, y, part.label, inches=left - 0.2, ha="right", fontsize=9)
        write(axes, part.share * 100 + 1, y, part.text, fontsize=9)
    axes.set_xlabel(w.text("p_nodes_axis", what=w.text(f"p_{what}")), color=FAINT, fontsize=9)
    title = w.text("p_nodes", what=w.text(f"p_{what}"))
    about = w.text("p_nodes_about", title=title, rows=_told([(part.label, part.text) for part in parts], w))
    return finish(on, "nodes", title, about)


def progress(
    metric: str,
    unit: str,
    points: Sequence[Point],
    w: Words,
    target: Goal | None = None,
    *,
    name: str = "progress",
) -> Plot | None:
    """A metric over the iterations with the line of its goal; nothing before the second iteration."""
    if len(points) < 2:
        return None
    on = figure(3.6)
    axes = panel(on, 0.8, 0.75, WIDTH - 1.2, 2.2)
    axes.grid(axis="y", color=GRID)
    axes.plot(range(len(points)), [point.value for point in points], "o-", color=BLUE, linewidth=2)
    for x, point in enumerate(points):
        low, high = point.interval or (None, None)
        ends = (point.value if low is None else low, point.value if high is None else high)
        axes.plot((x, x), ends, color=BLUE, linewidth=2)
        write(
            axes,
            x,
            -0.08,
            point.label,
            inches=6.6 / len(points),
            ha="center",
            fontsize=9,
            transform=axes.get_xaxis_transform(),
        )
    goal = w.text("p_no_goal")
    if target is not None:
        goal = w.text("p_goal", target=target.text)
        axes.axhline(target.value, color=ORANGE, linestyle="--", linewidth=1.5)
        write(
            axes,
            0.01,
            target.value,
            goal,
            ha="left",
            va="bottom",
            fontsize=9,
            color="#a34700",
            transform=axes.get_yaxis_transform(),
        )
    axes.set_xticks([])
    axes.set_ylabel(label(unit, 2), color=FAINT, fontsize=9, parse_math=False)
    told = _told([(point.label, point.text) for point in points], w)
    about = w.text("p_progress_about", metric=metric, rows=told, goal=goal)
    return finish(on, name, w.text("p_progress", metric=metric), about)
