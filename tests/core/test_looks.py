"""When a session looks at its verdict, and what makes it clear."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pytest_promptune.core.looks import Looks, is_clear, plan_looks, told
from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import Cell, Marks, PlannedItem
from pytest_promptune.core.runs import RunRange, most_runs
from pytest_promptune.core.view import ComparisonRow, GateItem, LookView, MetricName

GOLDEN = Path(__file__).parent / "stats" / "golden" / "p12_sequential_levels.json"
RANGE = RunRange(3, 10)


def items(runs: Any, *, test: str = "test_a", cases: str = "xy", variants: tuple[str, ...] = ("current",)):
    return [
        PlannedItem(
            nodeid=f"test_m.py::{test}[{case}-{variant}-run{run}]",
            module="test_m.py",
            test=test,
            metric=test,
            marks=Marks(app="bot", runs=runs),
            cell=Cell(variant=variant, run=run),
            case=Case(id=case, input=case),
        )
        for run, case, variant in product(range(1, most_runs(runs) + 1), cases, variants)
    ]


def plan(planned, alpha=0.05):
    return plan_looks(planned, lambda item: item.marks.runs, alpha=alpha)


# --- planning -------------------------------------------------------------------------------------


def test_the_levels_are_those_of_the_specification():
    """3..10 looks after 3, 6 and 10 runs, at the levels of golden vector p12."""
    expected = json.loads(GOLDEN.read_text())["expected"][0]["value"]
    found = plan(items(RANGE, variants=("current", "short")))
    assert found.looks.runs == (3, 6, 10)
    assert found.looks.levels == pytest.approx(expected, rel=1e-9)
    assert sum(found.looks.levels) == pytest.approx(0.025)
    assert found.looks.alpha(2) == pytest.approx(2 * expected[2])


def test_every_item_runs_before_the_look_of_its_run():
    """Runs 1 to 3 before the first look, 4 to 6 before the second."""
    planned = items(RANGE)
    by_run = {item.cell.run: number for item, number in zip(planned, plan(planned).numbers, strict=True)}
    assert [by_run[run] for run in range(1, 11)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_two_looks_where_there_is_no_middle():
    """4..5 looks after 4 and after 5."""
    found = plan(items(RunRange(4, 5)))
    assert found.looks.runs == (4, 5)
    assert set(found.numbers) == {0, 1}
    assert sum(found.looks.levels) == pytest.approx(0.025)


def test_fixed_numbers_of_runs_have_no_looks():
    """Everything is measured in one go."""
    assert plan(items(5) + items(3, test="test_b")) is None


def test_tests_with_different_ranges_look_together():
    """Each at the steps of its own range; a fixed number is all there at the first look."""
    planned = [*items(RANGE), *items(RunRange(2, 6), test="test_b"), *items(4, test="test_c")]
    found = plan(planned)
    last = {}
    for item, number in zip(planned, found.numbers, strict=True):
        last[item.test, number] = max(item.cell.run, last.get((item.test, number), 0))
    assert last == {
        ("test_a", 0): 3,
        ("test_a", 1): 6,
        ("test_a", 2): 10,
        ("test_b", 0): 2,
        ("test_b", 1): 4,
        ("test_b", 2): 6,
        ("test_c", 0): 4,
    }
    assert found.looks.runs == (3, 6, 10), "those of the widest range"
    assert sum(found.looks.levels) == pytest.approx(0.025)


@pytest.mark.parametrize("left_out", [2, 9], ids=["first look", "last look"])
def test_a_selection_of_single_runs_is_measured_whole(left_out):
    """What -k run3 or --lf leaves has no case with all its runs: a look would compare unequal parts."""
    planned = items(RANGE)
    assert plan(planned) is not None
    assert plan([item for item in planned if (item.case.id, item.cell.run) != ("x", left_out)]) is None


def test_plain_data_and_back():
    """Workers tell the controller."""
    looks = plan(items(RANGE)).looks
    assert Looks.from_json(json.loads(json.dumps(looks.to_json()))) == looks


# --- deciding -------------------------------------------------------------------------------------


def row(verdict: str, metric: str = "test_a", **more: Any) -> ComparisonRow:
    name = MetricName(
        metric=metric, test=f"m.py::{metric}", module="m.py", app="bot", kind="binary", direction="higher"
    )
    values: dict[str, Any] = dict.fromkeys(ComparisonRow.__dataclass_fields__)
    values |= {
        "name": name,
        "reference": "baseline:main",
        "candidate": "current",
        "n_cases": 4,
        "p": 0.5,
        "verdict": verdict,
        "gate": "failed" if verdict == "regressed" else "passed",
        "gated": True,
        **more,
    }
    return ComparisonRow(**values)


def gate(*rows: ComparisonRow) -> list[GateItem]:
    return [
        GateItem(
            nodeid=f"{r.name.test}::gate[{r.name.metric}-{r.candidate}]",
            failed=r.gate == "failed",
            message="",
        )
        for r in rows
        if r.gate != "off"
    ]


def clear(mode: str, *rows: ComparisonRow, more: tuple[GateItem, ...] = ()) -> bool:
    return is_clear(mode, rows, [*gate(*rows), *more])


def test_a_regression_settles_a_check():
    """The gate has failed, whatever else is open; a comparison of variants still wants the rest."""
    rows = row("regressed"), row("inconclusive", "test_b")
    assert clear("check", *rows)
    assert not clear("compare", *rows)
    assert clear("compare", rows[0])


def test_nothing_open_settles_both():
    """Improved or unchanged, and the gate passes."""
    rows = row("improved"), row("unchanged", "test_b")
    assert clear("check", *rows)
    assert clear("compare", *rows)


def test_what_is_open_settles_nothing():
    """More runs may tell."""
    rows = row("unchanged"), row("inconclusive", "test_b")
    assert not clear("check", *rows)
    assert not clear("compare", *rows)


def test_metrics_that_are_not_gated_keep_nobody_waiting():
    """They are reported with whatever runs there are."""
    rows = row("unchanged"), row("inconclusive", "latency", gated=False, gate="off")
    assert clear("check", *rows)
    assert clear("compare", *rows)


def test_failing_for_want_of_evidence_is_not_final():
    """Under non-inferiority, --strict or single cases a row fails whose verdict more runs may turn."""
    assert not clear("check", row("inconclusive", gate="failed"), row("unchanged", "test_b"))
    assert not clear("check", row("unchanged", gate="failed"))


def test_a_failure_that_runs_do_not_mend_settles_a_check():
    """A missing baseline that is required, an app that never answers."""
    broken = GateItem(nodeid="m.py::bot::gate[bot::output-current]", failed=True, message="no output")
    assert clear("check", row("inconclusive"), more=(broken,))
    assert clear("check", more=(broken,))
    some_lack = GateItem(
        nodeid="m.py::test_a::gate[test_a-current]", failed=True, message="no baseline for c1"
    )
    assert clear("check", row("inconclusive"), more=(some_lack,)), "the row itself passes"


def test_what_can_not_be_judged_keeps_nobody_waiting():
    """No common cases, or times of another load: more runs change nothing."""
    unjudged = row("inconclusive", "latency", p=None), row("inconclusive", "test_c", n_cases=0)
    assert clear("check", row("unchanged"), *unjudged)
    assert clear("compare", row("unchanged"), *unjudged)


def test_nothing_compared_is_not_clear():
    """Without a baseline there is no verdict."""
    assert not clear("check")
    assert not clear("compare", row("inconclusive", p=None))


# --- telling --------------------------------------------------------------------------------------


def test_what_is_told():
    """How much was saved, why, and at which level the intervals are."""
    looks = plan(items(RANGE)).looks
    assert looks.reason(0) == "not needed: the verdict was clear after 3 of 10 runs"
    saved = told(looks.view(0, not_needed=60))
    assert saved.startswith("60 items not needed: the verdict was clear after 3 of 10 runs (look 1 of 3: ")
    assert "99.991 %" in saved
    all_ = told(looks.view(2, not_needed=0))
    assert all_.startswith("All 10 runs were needed: the verdict was not clear after 3 and 6 (look 3 of 3: ")
    assert "95.762 %" in all_


def test_the_view_of_a_look():
    """Everything a reader needs to know of it."""
    looks = plan(items(RANGE)).looks
    assert looks.view(1, not_needed=8) == LookView(
        number=2, of=3, runs=6, most=10, planned=(3, 6, 10), alpha=looks.alpha(1), not_needed=8
    )
