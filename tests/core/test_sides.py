"""Two variants beside each other, whichever experiments they were measured in."""

from __future__ import annotations

import pytest
from sides import result, side

from pytest_promptune.core.comparison import Rules
from pytest_promptune.core.scoring import Classification, Score
from pytest_promptune.core.sides import beside, measured_as

RULES = Rules(alpha=0.05, gate="regression", margins={})


def test_a_worse_candidate_regresses():
    """The rows carry the labels, the verdict and the gate's state of a session."""
    found = beside(side("A"), side("B", passes=5), RULES)
    row = next(row for row in found.rows if row.name.metric == "test_a")
    assert (row.reference, row.candidate) == ("A", "B")
    assert (row.difference, row.verdict, row.gate) == (-0.5, "regressed", "failed")
    assert set(row.cases.regressed) == {f"c{case}" for case in range(5, 10)}
    assert found.unjudged == ()


def test_cases_that_changed_are_set_aside():
    """A case with another content under its id is not the same case."""
    found = beside(side("A"), measured_as("B", [result("c0", 1, case_hash="other"), result("c1", 1)]), RULES)
    row = next(row for row in found.rows if row.name.metric == "test_a")
    assert row.cases.changed == ("c0",)
    assert "c2" in row.cases.only_reference
    assert row.n_cases == 1


def test_times_with_an_obstacle_have_no_verdict():
    """Their means stand side by side; where they are gated, that is told."""
    found = beside(side("A"), side("B"), RULES, gate_metrics=["latency_s"], obstacle_to_times="Another load.")
    row = next(row for row in found.rows if row.name.metric == "bot::latency_s")
    assert (row.verdict, row.p, row.reason) == ("inconclusive", None, "Another load.")
    assert found.unjudged == ("bot::latency_s",)


def test_metrics_of_one_side_are_named():
    """They are not compared, and gated ones that got lost are not silently passed."""
    scored = {"words": Score(value=3.0, kind="score", direction="lower", unit="w")}
    found = beside(side("A", scores=scored), side("B"), RULES)
    assert [name.metric for name in found.only_reference] == ["test_a::words"]
    assert found.unjudged == ("test_a::words",)
    found = beside(side("A"), side("B", scores=scored), RULES)
    assert [name.metric for name in found.only_candidate] == ["test_a::words"]
    assert found.unjudged == ()


@pytest.mark.parametrize("change", [{"unit": "letters"}, {"direction": "higher"}])
def test_different_measures_of_one_name_are_not_compared(change):
    """Another unit or direction is another measure."""
    usual = {"value": 3.0, "kind": "score", "direction": "lower", "unit": "w"}
    found = beside(
        side("A", scores={"words": Score(**usual)}),
        side("B", scores={"words": Score(**usual | change)}),
        RULES,
    )
    assert "test_a::words" not in {row.name.metric for row in found.rows}
    assert [after.metric for _, after in found.unlike] == ["test_a::words"]
    assert found.unjudged == ("test_a::words",)


def test_classes_are_compared_where_both_sides_classify():
    """Macro-F1 of labels, not gated unless named."""
    right, wrong = (Classification(predicted=p, expected="x") for p in ("x", "y"))
    good, bad = side("A", classification=right), side("B", passes=0, classification=wrong)
    rows = {row.name.metric: row for row in beside(good, bad, RULES).rows}
    assert rows["test_a::macro_f1"].aggregate
    assert rows["test_a::macro_f1"].difference == -1
    assert not rows["test_a::macro_f1"].gated
    assert "test_a::macro_f1" not in {row.name.metric for row in beside(side("A"), bad, RULES).rows}


def test_a_side_describes_itself():
    """One row for each metric, under its label."""
    rows = side("B", passes=4).rows(alpha=0.05)
    assert {row.variant for row in rows} == {"B"}
    assert next(row.mean for row in rows if row.name.metric == "test_a") == 0.4
