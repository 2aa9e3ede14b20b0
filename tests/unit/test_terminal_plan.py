"""A plan as lines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_promptune.core.display import columns
from pytest_promptune.core.planning import (
    Check,
    Estimate,
    MatrixRow,
    Plan,
    Range,
    Sensitivity,
    VariantPlan,
)
from pytest_promptune.terminal_plan import money_range, plain_range, plan_lines, time_range

ROW = MatrixRow(
    place=("support_bot", "tests/prompts/test_support.py"),
    cases=tuple(f"TC{n:03d}" for n in range(20)),
    variants=("current", "polite"),
    runs=(3, 5),
    samples=180,
    reused=4,
    calls={"current": 88, "polite": 88},
    tests=360,
    scorer_calls=180,
)


def plan(**changes: Any) -> Plan:
    """One of everything."""
    values: dict[str, Any] = {
        "mode": "compare",
        "against": "main",
        "matrix": (ROW,),
        "set_aside": 3,
        "estimates": (
            Estimate(
                place=ROW.place,
                experiment="20261122T100000-aaaaaa",
                stored=12,
                unmeasured=("polite",),
                input_tokens=Range(low=24_123, high=26_456),
                cost_usd=Range(low=0.0123, high=0.0341),
                scorer_cost_usd=Range(low=0.1, high=0.2),
            ),
        ),
        "concurrency": 16,
        "rate": 5.0,
        "seconds": Range(low=100.0, high=170.0),
        "sensitivities": (
            Sensitivity(
                module="m.py",
                metric="test_intent",
                minimum=0.1098,
                cases=20,
                runs=(5.0, 3.0),
                against="baseline main",
            ),
        ),
        "variants": (VariantPlan(name="polite", description="", changes=("template classify.j2",)),),
        "checks": (
            Check(status="ok", what="cases", text="20 cases, each with an id of its own"),
            Check(
                status="failed", what="app support_bot", text="its fixture raises ValueError: no\x1b[31m key."
            ),
        ),
        "notes": ("Something is missing.",),
    }
    return Plan(**values | changes)


def text(shown: Plan, verbosity: int = 0, width: int = 80) -> str:
    return "\n".join(each.text for each in plan_lines(shown, verbosity=verbosity, width=width))


@pytest.mark.parametrize("width", [20, 40, 80, 120])
@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_fits(width, verbosity):
    """No line is wider than the terminal, however narrow."""
    lines = text(plan(), verbosity, width).splitlines()
    assert max(map(columns, lines)) <= width


def test_says_everything():
    """Matrix, ranges with their origin, the smallest change, variants, and the verdict."""
    shown = " ".join(text(plan()).split())
    assert "20 2 3–5 180 360 180" in shown
    assert "unknown 24,000–26,000 unknown $0.012–0.034" in shown
    assert "from 12 samples of experiment 20261122T100000-aaaaaa; polite not measured there" in shown
    assert "scorers cost $0.10–0.20 beside that" in shown
    assert "time: 1.7–2.8 min (16 in flight, at most 5.00 begun per second)" in shown
    assert "test_intent: 11 points against baseline main (20 cases, 3 runs against 5)" in shown
    assert "polite: template classify.j2" in shown
    assert "4 samples taken from the store" in shown
    assert "3 tests not counted" in shown
    assert "failed app support_bot: its fixture raises ValueError: no key." in shown
    assert "Not ready: 1 check failed, 0 warnings." in shown


def test_quiet_is_short():
    """The totals and what is not in order."""
    assert text(plan(), -1).splitlines() == [
        "promptune plan: 180 samples, 360 tests, 180 scorer calls, 4 samples taken from",
        "  the store",
        "  failed   app support_bot: its fixture raises ValueError: no key.",
    ]
    assert len(text(plan(checks=()), -1).splitlines()) == 2


def test_verbose_names_the_cases():
    """And nothing else does."""
    assert "TC019" in text(plan(), 1)
    assert "TC019" not in text(plan())


def test_without_stored_samples_there_is_no_table_of_unknowns():
    """The note says why."""
    assert "Estimates" not in text(plan(estimates=(Estimate(place=ROW.place),)))


def test_several_apps_have_a_sum():
    """What isn't known of one isn't known of all."""
    other = MatrixRow(
        place=("other", None),
        cases=(),
        has_unknown_cases=True,
        variants=("current",),
        runs=(1, 1),
        samples=1,
        tests=1,
        scorer_calls=0,
    )
    shown = text(
        plan(matrix=(ROW, other), estimates=(*plan().estimates, Estimate(place=other.place))), width=120
    )
    assert [line.split() for line in shown.splitlines() if line.strip().startswith("all ")] == [
        ["all", "181", "361", "180"],
        ["all", "unknown", "unknown", "unknown", "unknown"],
    ]
    assert "no stored samples" in shown
    assert "some cases are known only to fixtures" in shown


def test_ready():
    """With warnings or without."""
    assert text(plan(checks=())).endswith("Ready.")
    warning = Check(status="warning", what="x", text="y")
    assert text(plan(checks=(warning,))).endswith("Ready, with 1 warning.")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "unknown"),
        (Range(low=0.0123, high=0.0456), "12–46 ms"),
        (Range(low=3.21, high=61.7), "3.2–62 s"),
        (Range(low=40.0, high=200.0), "0.67–3.3 min"),
        (Range(low=5000.0, high=9000.0), "1.4–2.5 h"),
    ],
)
def test_times(seconds, shown):
    """In the unit of the upper end."""
    assert time_range(seconds) == shown


def test_numbers_have_two_digits():
    """No false precision; equal ends are one number; unknown is said."""
    assert plain_range(Range(low=183.0, high=1_234_567.0)) == "180–1,200,000"
    assert plain_range(Range(low=301.0, high=299.0)) == "300"
    assert plain_range(Range(low=0.0, high=0.0)) == "0"
    assert plain_range(Range(low=3.0, high=6.4)) == "3–6"
    assert plain_range(None) == money_range(None) == "unknown"


def test_a_session_that_may_end_early_has_ranges():
    """From what the first look takes to what all runs take, in the rows, the sum and the quiet line."""
    least = replace(ROW, runs=(1, 1), samples=40, tests=80, scorer_calls=40)
    row = replace(ROW, at_least=least)
    other = replace(ROW, place=("plain_bot", None), samples=10, tests=10, scorer_calls=0)
    found = " ".join(text(plan(matrix=(row, other)), width=120).split())
    assert "1–5 40–180 80–360 40–180" in found
    assert "all 50–190 90–370 40–180" in found
    quiet = text(plan(matrix=(row,)), verbosity=-1, width=120)
    assert "40–180 samples, 80–360 tests, 40–180 scorer calls" in quiet
