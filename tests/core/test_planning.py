"""What a plan counts and estimates, and what it says of cases."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from pytest_promptune.core.case_checks import case_checks
from pytest_promptune.core.estimates import (
    Used,
    duration,
    estimate,
    most_known,
    spanning,
    summed,
    total,
)
from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import Cell, Marks, PlannedItem
from pytest_promptune.core.planning import (
    Check,
    Entry,
    Estimate,
    Plan,
    Range,
    expected_decisions,
    matrix,
)
from pytest_promptune.core.stats.planning import binary_run_variance, minimum_detectable

BOT = ("bot", None)


def entry(case: str | None = "a", run: int = 1, *, test: str = "test_a", **more: Any) -> Entry:
    variant = more.pop("variant", "current")
    marks = Marks(app="bot", scorers=more.pop("scorers", ()))
    item = PlannedItem(
        nodeid=f"test_m.py::{test}[{case}-{variant}-run{run}]",
        module="test_m.py",
        test=test,
        metric=test,
        marks=marks,
        cell=Cell(variant=variant, run=run),
        case=None if case is None else Case(id=case, input=case),
    )
    return Entry(item=item, place=more.pop("place", BOT), sample=(case, variant, run), **more)


# --- the matrix -----------------------------------------------------------------------------------


def test_tests_share_samples():
    """Two tests of two cases and two runs are four samples; scorers are called once for each."""
    entries = [
        entry(case, run, test=test, scorers=scorers)
        for case in "ab"
        for run in (1, 2)
        for test, scorers in (("test_a", ("judge",)), ("test_b", ("judge", "critic")))
    ]
    (row,) = matrix(entries)
    assert (row.cases, row.variants, row.runs) == (("a", "b"), ("current",), (2, 2))
    assert (row.samples, row.tests, row.scorer_calls) == (4, 8, 8)
    assert row.calls == {"current": 4}


def test_runs_may_differ():
    """A case with fewer runs than another is told by the range."""
    (row,) = matrix([entry("a", 1), entry("a", 2), entry("b", 1)])
    assert row.runs == (1, 2)


def test_reused_and_replayed_samples_are_no_calls():
    """The app isn't called for what is stored, nor at all when outputs are scored again."""
    (row,) = matrix([entry("a", reused=True), entry("b"), entry("c", replays=True)])
    assert (row.samples, row.reused, row.calls) == (3, 1, {"current": 1})


def test_apps_are_rows():
    """In the order of their first items."""
    rows = matrix(
        [entry("a", place=("bot", "test_m.py")), entry("a"), entry("b", place=("bot", "test_m.py"))]
    )
    assert [row.place for row in rows] == [("bot", "test_m.py"), BOT]


def test_unknown_cases_are_said():
    """A case that only a fixture knows has no id yet."""
    (row,) = matrix([entry(None)])
    assert row.has_unknown_cases
    assert row.cases == ()
    assert row.samples == 1


def test_decisions_are_counted_for_each_comparison():
    """Without a baseline: the assertion metric, the error rate, and perhaps a score for each, by variant."""
    items = [entry("a").item, entry("b").item]
    assert expected_decisions(items, {"test_m.py": None}, 1) == 0
    assert expected_decisions(items, {"test_m.py": None}, 3) == 8


def test_a_failed_line_fails_the_plan():
    """A warning doesn't."""
    plan = Plan(mode="check", against="main", matrix=(), concurrency=16)
    assert not plan.failed
    checks = [Check(status=status, what="x", text="y") for status in ("ok", "warning", "failed")]
    assert not Plan(mode="check", against="main", matrix=(), concurrency=1, checks=tuple(checks[:2])).failed
    assert Plan(mode="check", against="main", matrix=(), concurrency=1, checks=tuple(checks)).failed


# --- estimates ------------------------------------------------------------------------------------


def test_total_holds_what_it_says():
    """About 95 % of sums lie within, for few and many stored samples, of skewed values too."""
    rng = random.Random(1)
    for k, number in ((10, 50), (40, 200), (40, 5)):
        hits = 0
        for _ in range(400):
            found = total(number, [rng.expovariate(1.0) for _ in range(k)])
            assert found is not None
            hits += found.low <= math.fsum(rng.expovariate(1.0) for _ in range(number)) <= found.high
        assert hits / 400 >= 0.85, (k, number)


def test_total_of_equal_values_is_a_number():
    """Nothing differs, so nothing is uncertain."""
    assert total(30, [10, 10, 10]) == Range(low=300, high=300)


def test_total_of_little():
    """Nothing stored is unknown; one sample says nothing of the spread; no sample costs nothing."""
    assert total(3, []) is None
    assert total(3, [2.0]) == Range(low=3.0, high=12.0)
    assert total(0, []) == Range(low=0.0, high=0.0)


def test_total_is_not_below_zero():
    """Costs and times are not negative."""
    found = total(100, [0.0, 0.0, 10.0])
    assert found is not None
    assert found.low == 0.0


def test_variants_are_estimated_from_their_own_samples():
    """A variant that was not measured is taken to be like all others, and named."""
    stored = [Used(variant="current", input_tokens=10)] * 2 + [Used(variant="long", input_tokens=30)] * 2
    found = estimate(BOT, {"current": 5, "long": 5}, stored, "e1")
    assert found.input_tokens == Range(low=200, high=200)
    assert found.unmeasured == ()
    assert found.cost_usd is None
    assert estimate(BOT, {"new": 5}, stored, "e1").unmeasured == ("new",)


def test_unknown_parts_make_an_unknown_sum():
    """Unknown is never taken for 0, except where a lower end is asked for."""
    assert summed([Range(low=1, high=2), None]) is None
    assert summed([Range(low=1, high=2), Range(low=1, high=3)]) == Range(low=2, high=5)
    known = Estimate(place=BOT, cost_usd=Range(low=1, high=2), scorer_cost_usd=Range(low=0.5, high=1))
    assert most_known([known, Estimate(place=BOT)]) == 1.5


def test_duration():
    """Shared out over those in flight, the longest on top, not below what the rate allows."""
    busy = Estimate(place=BOT, busy_s=Range(low=80, high=120), longest_s=5.0)
    assert duration([busy], samples=100, concurrency=10, rate=None) == Range(low=8, high=17)
    assert duration([busy], samples=4, concurrency=10, rate=None) == Range(low=20, high=35)
    assert duration([busy], samples=100, concurrency=10, rate=1.0) == Range(low=99, high=104)
    assert duration([Estimate(place=BOT)], samples=1, concurrency=1, rate=None) is None


def test_variance_of_a_rate_that_was_always_right_is_not_zero():
    """Six passes don't show that a miss is impossible: the smallest change stays above 0."""
    variance = binary_run_variance({"a": [1, 1, 1], "b": [1, 1, 1]})
    assert variance == pytest.approx(7 / 64)  # one miss in eight runs
    assert variance is not None
    assert minimum_detectable(variance, variance, cases=2, runs0=3, runs1=3) > 0.1
    assert binary_run_variance({}) is None
    assert binary_run_variance({"a": [None]}) is None


# --- cases ----------------------------------------------------------------------------------------


def cases(*difficulties: str | None, **tags: str) -> list[Case]:
    return [
        Case(id=f"c{n}", input=n, expected=1, tags={**tags, **({"difficulty": d} if d else {})})
        for n, d in enumerate(difficulties)
    ]


def found(given: list[Case]) -> list[tuple[str, str]]:
    return [(check.status, f"{check.what}: {check.text}") for check in case_checks(given)]


def test_good_cases():
    """Without tags nothing is said about balance."""
    assert found(cases(None, None)) == [("ok", "cases: 2 cases, each with an id of its own")]


def test_recommended_mix():
    """Four easy, four medium and two hard ones are as recommended; all hard ones are not."""
    assert found(cases(*["easy"] * 4, *["medium"] * 4, *["hard"] * 2))[1][0] == "ok"
    status, text = found(cases(*["hard"] * 10))[1]
    assert status == "warning"
    assert "easy should be 40–50 %" in text
    assert "hard should be 10–20 %" in text


def test_few_cases_need_not_meet_the_mix_exactly():
    """What one case more or less would mend is fine; levels of other names are not judged."""
    assert found(cases("easy", "medium", "hard"))[1][0] == "ok"
    assert found(cases(*["simple"] * 9, "tricky"))[1][0] == "ok"


def test_thin_categories():
    """A category with less than half an even share is named, and so are cases without the tag."""
    given = [Case(id=f"c{n}", input=n, tags={"category": "a" if n < 9 else "b"}) for n in range(10)]
    status, text = found([*given, Case(id="x", input="x")])[1]
    assert status == "warning"
    assert "few cases of b" in text
    assert "1 case without it" in text


def test_duplicates_and_lacking_expectations():
    """Both are named by id; a suite that expects nothing at all is left alone."""
    texts = found([Case(id="a", input={"q": 1}, expected=1), Case(id="b", input={"q": 1})])
    assert [status for status, _ in texts] == ["warning", "warning"]
    assert "a = b" in texts[0][1]
    assert "1 of 2 cases: b" in texts[1][1]
    assert found([Case(id="a", input=1), Case(id="b", input=2)])[0][0] == "ok"


def test_an_input_without_json_form_fails():
    """It could not be told from another one, nor stored."""
    assert found([Case(id="a", input=object())])[0][0] == "failed"


def test_no_known_case_is_a_warning():
    """Where only fixtures know them."""
    assert found([])[0][0] == "warning"


# --- looks ----------------------------------------------------------------------------------------


def test_the_matrix_tells_what_is_measured_up_to_the_first_look():
    """The whole, and the least that there will be."""
    entries = [entry(case, run) for run in (1, 2, 3) for case in ("a", "b")]
    (fixed,) = matrix(entries)
    assert fixed.at_least is None
    looking = [replace(e, item=replace(e.item, look=int(e.item.cell.run > 1))) for e in entries]
    (row,) = matrix(looking)
    assert (row.samples, row.tests, row.runs, row.calls) == (6, 6, (3, 3), {"current": 6})
    assert row.at_least is not None
    least = row.at_least
    assert (least.samples, least.tests, least.runs, least.calls) == (2, 2, (1, 1), {"current": 2})


def test_an_estimate_spans_from_the_first_look_to_all_runs():
    """Lower ends of the one, upper ends of the other; unknown stays unknown."""
    used = [Used(variant="current", model_calls=1, seconds=float(s), cost_usd=None) for s in (1, 2, 3)]
    least = estimate(BOT, {"current": 3}, used, "e1")
    most = estimate(BOT, {"current": 10}, used, "e1")
    found = spanning(least, most)
    assert found.busy_s == Range(low=least.busy_s.low, high=most.busy_s.high)
    assert found.model_calls == Range(low=3, high=10)
    assert found.cost_usd is None


def test_a_session_that_may_end_early_takes_less_time_at_least():
    """A rate limits both ends: that of the first look and that of all runs."""
    known = Estimate(place=BOT, experiment="e1", busy_s=Range(low=1.0, high=2.0), longest_s=0.0)
    found = duration([known], samples=101, at_least=11, concurrency=10, rate=1.0)
    assert found == Range(low=10.0, high=100.0)
