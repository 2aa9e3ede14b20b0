"""The plots of docs/verdicts.md, from simulation: `python docs/plots/plots.py` writes the SVG files here.

Suites are the typical ones of ``tests/core/stats/simulated_suites.py`` (20 cases, pass rate 75 %, most cases
always pass or never do). Seeds are fixed, so the same numbers come out every time, in a minute or two.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests" / "core" / "stats")]

from drawing import BLUE, FAINT, GREEN, GREY, INK, ORANGE, PURPLE, Axis, Chart
from simulated_suites import (
    Change,
    binary,
    broken,
    logit_shift,
    partly_redrawn,
    pass_rates,
    shifted,
)

from pytest_promptune.stats import Comparison, compare

CASES = 20
RUNS = 5
MARGIN = 0.10


def percent(value: float) -> str:
    """``12 %``."""
    return f"{value * 100:.0f} %"


def points(value: float) -> str:
    """``+5`` of 0.05."""
    return f"{value * 100:+.0f}".replace("-", "−") if value else "0"


# -- a mean that dropped -----------------------------------------------------------------------------------


def means() -> Chart:
    """How far the mean of an unchanged app moves from one session to the next."""
    rng = np.random.default_rng(1)
    moved = []
    for _ in range(20_000):
        rates = pass_rates(rng, CASES)
        before, after = ((rng.random((CASES, RUNS)) < rates[:, None]).mean() for _ in range(2))
        moved.append(after - before)
    change = np.round(np.array(moved) * 100).astype(int)
    counts = Counter(change.tolist())
    lower, much_lower = float((change < 0).mean()), float((change <= -5).mean())
    chart = Chart(
        title="Measured twice, nothing changed: the second mean minus the first",
        description=f"A histogram around zero. {lower:.0%} of unchanged suites have a lower mean the second "
        f"time, {much_lower:.0%} one that is lower by 5 points or more.",
        x=Axis(low=-15.5, high=15.5, ticks=range(-15, 16, 5), label="points", text=lambda v: points(v / 100)),
        y=Axis(low=0, high=0.12, ticks=[0, 0.04, 0.08, 0.12], label="share of 20,000 suites", text=percent),
    )
    for value, number in sorted(counts.items()):
        colour = ORANGE if value <= -5 else BLUE if value < 0 else GREY
        if abs(value) <= 15:
            chart.bar((value - 0.42, 0), (value + 0.42, number / 20_000), colour)
    chart.label(-14.5, 0.105, f"lower: {percent(lower)}", BLUE, bold=True)
    chart.label(-14.5, 0.105, f"by 5 points or more: {percent(much_lower)}", ORANGE, shift=(0, 20), bold=True)
    chart.label(15, 0.105, "20 cases × 5 runs, mean 75 %", FAINT, anchor="end")
    return chart


# -- the four verdicts -------------------------------------------------------------------------------------


def a_comparison(verdict: str, change: Change, runs: int) -> Comparison:
    """The first of many simulated comparisons with that verdict."""
    rng = np.random.default_rng(4)
    while True:
        rates = pass_rates(rng, CASES)
        row = compare(binary(rng, rates, runs), binary(rng, change(rates), runs), margin=MARGIN)
        if row.verdict == verdict:
            return row


def verdicts() -> Chart:
    """Where the interval lies decides."""
    down, up = logit_shift(0.15), -logit_shift(0.15)
    asked: list[tuple[str, str, Change, int, str]] = [
        ("improved", "improved", lambda rates: shifted(rates, up), 5, GREEN),
        ("unchanged", "no significant change", lambda rates: rates, 10, BLUE),
        ("inconclusive", "inconclusive", lambda rates: rates, 3, PURPLE),
        ("regressed", "regressed", lambda rates: shifted(rates, down), 5, ORANGE),
    ]
    chart = Chart(
        title="Four simulated comparisons and their verdicts",
        description="Intervals of the difference. Improved lies above zero, regressed below it. No "
        "significant change holds zero and ends before the margin of minus 10 points; inconclusive holds "
        "zero and reaches beyond the margin.",
        x=Axis(
            low=-0.35,
            high=0.25,
            ticks=np.arange(-0.3, 0.25, 0.1).round(2).tolist(),
            label="points",
            text=points,
        ),
        y=Axis(low=0, high=4, ticks=[], label=""),
        left=185,
        height=310,
    )
    chart.bar((-0.35, 0), (-MARGIN, 4), "#fff1e5")
    chart.line([(0, 0), (0, 4)], INK, width=1)
    chart.line([(-MARGIN, 0), (-MARGIN, 4)], ORANGE, width=1.5, dash="5 4")
    chart.label(-MARGIN, 4, "margin", ORANGE, anchor="end", shift=(-6, -6))
    chart.label(0, 4, "no difference", shift=(-2, -6))
    for place, (verdict, name, change, runs, colour) in enumerate(asked):
        row = a_comparison(verdict, change, runs)
        height = 3.5 - place
        low, high = row.ci or (0.0, 0.0)
        chart.line([(low, height), (high, height)], colour, width=3)
        chart.dot(row.difference or 0.0, height, colour)
        chart.label(-0.35, height, name, colour, anchor="end", shift=(-10, -2), bold=True)
        chart.label(-0.35, height, f"{CASES} cases × {runs} runs", FAINT, anchor="end", shift=(-10, 15))
    return chart


# -- inconclusive ------------------------------------------------------------------------------------------


def inconclusive() -> Chart:
    """What an unchanged app is told, the more it is run."""
    builds = 500
    runs = list(range(2, 11))
    shares = {"unchanged": [], "inconclusive": []}
    for each in runs:
        rng = np.random.default_rng(2)
        found: Counter[str] = Counter()
        for build in range(builds):
            rates = pass_rates(rng, CASES)
            before, after = binary(rng, rates, each), binary(rng, rates, each)
            found[compare(before, after, margin=MARGIN, resamples=999, seed=build).verdict] += 1
        for verdict, values in shares.items():
            values.append(found[verdict] / builds)
    chart = Chart(
        title="An unchanged app: how often a drop of 10 points can be excluded",
        description="With 2 runs of 20 cases most comparisons are inconclusive, with 10 runs nearly all show "
        "no significant change; the lines cross at 3 runs.",
        x=Axis(low=2, high=10, ticks=runs, label="runs of each of 20 cases"),
        y=Axis(low=0, high=1, ticks=[0, 0.25, 0.5, 0.75, 1], label="share of 500 comparisons", text=percent),
        right=190,
    )
    for (verdict, values), colour in zip(shares.items(), (BLUE, PURPLE), strict=True):
        chart.line(list(zip(runs, values, strict=True)), colour, width=2.5)
        name = "no significant change" if verdict == "unchanged" else verdict
        chart.label(10, values[-1], name, colour, shift=(8, 4), bold=True)
    return chart


# -- scope ---------------------------------------------------------------------------------------------------


def scopes() -> Chart:
    """What the two scopes find."""
    builds = 500
    shift = logit_shift(0.10)
    changes: list[tuple[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]]] = [
        ("nothing changed", lambda _, rates: rates),
        ("2 of 20 cases broke", lambda _, rates: broken(rates)),
        ("all fell, 10 points", lambda _, rates: shifted(rates, shift)),
        ("30 % of cases are others", partly_redrawn),
    ]
    chart = Chart(
        title="What each scope calls significant",
        description="Bars for both scopes. Both are quiet when nothing changed. Suite finds two broken cases "
        "of twenty in 7 of 10 sessions, population hardly ever. Suite finds a drop of all cases more often. "
        "Where cases were replaced by others like them, so that inputs like these fare as before, suite "
        "often sees a change of these cases, population does not.",
        x=Axis(low=0, high=4, ticks=[], label=""),
        y=Axis(low=0, high=1, ticks=[0, 0.25, 0.5, 0.75, 1], label="found, of 500", text=percent),
    )
    for place, (name, change) in enumerate(changes):
        for offset, scope, colour in ((0.14, "suite", BLUE), (0.52, "population", ORANGE)):
            rng = np.random.default_rng(3)
            found = 0
            for build in range(builds):
                rates = pass_rates(rng, CASES)
                before, after = binary(rng, rates, RUNS), binary(rng, change(rng, rates), RUNS)
                row = compare(before, after, scope=scope, resamples=999, seed=build)
                found += row.p_value is not None and row.p_value <= 0.05
            share = found / builds
            left = place + offset
            chart.bar((left, 0), (left + 0.34, share), colour)
            chart.label(left + 0.17, share, percent(share), colour, anchor="middle", shift=(0, -5), bold=True)
        chart.label(place + 0.5, 0, name, anchor="middle", shift=(0, 18))
    chart.label(4, 1, "scope=suite", BLUE, anchor="end", shift=(-140, -12), bold=True)
    chart.label(4, 1, "scope=population", ORANGE, anchor="end", shift=(0, -12), bold=True)
    return chart


# -- power ---------------------------------------------------------------------------------------------------


def power() -> Chart:
    """How often a drop is found, by its size and the number of runs."""
    builds = 400
    runs = [2, 3, 4, 5, 7, 10]
    curves = [(50, 0.10, GREEN, 10), (20, 0.20, ORANGE, -6), (20, 0.10, BLUE, 8), (20, 0.05, PURPLE, 4)]
    chart = Chart(
        title="How often a real drop fails the gate",
        description="Power rises with the number of runs, of cases, and with the size of the drop. With 20 "
        "cases and 5 runs a drop of 10 points is found in two of three sessions, one of 5 points in one of "
        "five.",
        x=Axis(low=2, high=10, ticks=runs, label="runs of each case, on both sides"),
        y=Axis(low=0, high=1, ticks=[0, 0.25, 0.5, 0.75, 1], label="found, of 400 sessions", text=percent),
        right=170,
    )
    for cases, drop, colour, down in curves:
        shift = logit_shift(drop)
        values = []
        for each in runs:
            rng = np.random.default_rng(5)
            found = 0
            for build in range(builds):
                rates = pass_rates(rng, cases)
                before, after = binary(rng, rates, each), binary(rng, shifted(rates, shift), each)
                found += compare(before, after, resamples=999, seed=build).verdict == "regressed"
            values.append(found / builds)
        chart.line(list(zip(runs, values, strict=True)), colour, width=2.5)
        for each, value in zip(runs, values, strict=True):
            chart.dot(each, value, colour)
        name = f"{cases} cases, {drop * 100:.0f} points"
        chart.label(10, values[-1], name, colour, shift=(10, down), bold=True)
    return chart


PLOTS = {"means": means, "verdicts": verdicts, "inconclusive": inconclusive, "scopes": scopes, "power": power}


def main() -> None:
    """Write the plots that are named, or all."""
    for name in sys.argv[1:] or PLOTS:
        (HERE / f"{name}.svg").write_text(PLOTS[name]().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
