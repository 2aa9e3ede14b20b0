"""What an analysis names, computed by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_promptune.core.analysis import wording
from pytest_promptune.core.analysis.analysing import analyse
from pytest_promptune.core.analysis.outliers import FEWEST, fences_of, outlier_rows
from pytest_promptune.core.analysis.ranking import Ranking, ranked
from pytest_promptune.core.analysis.trouble import trouble_rows
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.model import ModelCall, NodeRun, SampleError, SampleRecord, Usage
from pytest_promptune.core.nodes.facts import NodeFacts
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.scoring import Classification

TAGS = {
    "t.py": {"c1": {"category": "billing"}, "c2": {"category": "billing"}, "c3": {"category": "delivery"}}
}


def result(case: str = "c1", run: int = 1, outcome: Any = "passed", **more: Any) -> Result:
    given = {"nodeid": f"t.py::test_a[{case}-{run}]", "module": "t.py", "test": "test_a", "metric": "test_a"}
    place = {"app": "bot", "case_id": case, "case_hash": case, "variant": "current", "run": run}
    return Result(**{**given, **place, "outcome": outcome, **more})


def experiment(*results: Result) -> Experiment:
    found = Experiment()
    for each in results:
        found.add(each)
    return found


def took(*seconds: float, **more: Any) -> Experiment:
    """One case, a run for each time; the slower of two nodes has most of it."""
    nodes = [
        (
            NodeFacts(node="ask", calls=1, part_s=value * 0.1, cost_usd=0.01),
            NodeFacts(node="write", calls=1, part_s=value * 0.9, cost_usd=0.03),
        )
        for value in seconds
    ]
    return experiment(
        *(
            result(run=run, sample=SampleFacts(latency_s=value, nodes=nodes[run - 1], **more))
            for run, value in enumerate(seconds, 1)
        )
    )


def guess(predicted: str, expected: str) -> Classification:
    return Classification(predicted=predicted, expected=expected)


# --- outliers -------------------------------------------------------------------------------------


def test_fences_are_tukeys():
    """Of these 15 the quartiles are 4.5 and 11.5: the fences are -6 and 22, the outer ones -16.5 and 32.5."""
    (row,) = outlier_rows(took(*range(1, 12), 12, 13, 20, 40))
    lower, upper = fences_of([*range(1, 14), 20, 40]) or (0, 0)
    assert (lower, upper) == (4.5, 11.5)
    assert (row.low, row.high, row.samples) == (-6.0, 22.0, 15)
    assert [(each.case, each.run, each.value, each.node, each.far) for each in row.outliers] == [
        ("c1", 15, 40, "write", True)
    ]


def test_a_value_between_the_fences_is_no_far_one():
    """Beyond 1.5 interquartile ranges, within 3; one on the fence is none."""
    assert [(each.value, each.far) for each in outlier_rows(took(*range(1, 14), 20, 30))[0].outliers] == [
        (30, False)
    ]
    assert outlier_rows(took(*range(1, 14), 20, 22)) == ()


def test_few_samples_have_no_outliers():
    """Quartiles of so few are chance; equal ones are no scale."""
    few = [*range(1, FEWEST - 1), 1000]
    assert outlier_rows(took(*few)) == ()
    assert outlier_rows(took(*few, 5)) != ()
    assert outlier_rows(took(*([1.0] * FEWEST), 1000.0)) == ()


def test_errored_samples_are_left_out():
    """Their time is no answer's."""
    error = SampleError(type="E", message="", infrastructure=False)
    assert outlier_rows(took(*range(1, 14), 1000, error=error)) == ()


@pytest.mark.parametrize(("quantity", "value"), [("tokens", 1010.0), ("cost_usd", 9.0)])
def test_tokens_and_cost_have_outliers_too(quantity, value):
    """Each sample by its own usage."""
    used = [Usage(input_tokens=10 + run, output_tokens=10, cost_usd=0.01 * run) for run in range(1, 14)]
    used.append(Usage(input_tokens=1000, output_tokens=10, cost_usd=9.0))
    found = experiment(*(result(run=run, sample=SampleFacts(usage=each)) for run, each in enumerate(used, 1)))
    (row,) = [row for row in outlier_rows(found) if row.quantity == quantity]
    assert [(each.run, each.value, each.node) for each in row.outliers] == [(14, value, None)]


# --- failing cases --------------------------------------------------------------------------------


def test_misses_by_category():
    """Most misses first; what was taken for what, and which cases flip."""
    found = experiment(
        result("c3", 1, "missed", classification=guess("billing", "delivery")),
        result("c1", 1, "missed", classification=guess("delivery", "billing")),
        result("c1", 2, "passed", classification=guess("billing", "billing")),
        result("c2", 1, "missed", classification=guess("delivery", "billing")),
        result("c2", 2, "errored"),
        result("c2", 3, "missing"),
    )
    billing, delivery = trouble_rows(found, TAGS)
    assert (billing.category, billing.misses, billing.samples) == ("billing", 3, 4)
    assert (billing.cases, billing.flaky) == (("c1", "c2"), ("c1",))
    assert [(each.predicted, each.count, each.cases) for each in billing.mistaken] == [
        ("delivery", 2, ("c1", "c2"))
    ]
    assert wording.trouble(billing) == "billing: 3 of 4 missed; 2 of 3 misses taken for delivery: c1, c2"
    assert wording.trouble(delivery) == "delivery: 1 of 1 missed; 1 of 1 miss taken for billing: c3"


def test_nothing_is_said_without_categories():
    """Nor of categories without a miss."""
    missed = experiment(result(outcome="missed"))
    assert trouble_rows(missed, {}) == ()
    assert trouble_rows(missed, {"t.py": {"c1": {"difficulty": "easy"}}}) == ()
    assert trouble_rows(experiment(result()), TAGS) == ()


def test_coverage_is_that_of_the_suite():
    """All cases count, whether they ran or not, and those without a tag are told."""
    tags = {"t.py": {f"c{i}": {"category": "a" if i < 9 else "b"} for i in range(10)} | {"d": {}}}
    (row,) = analyse(experiment(result()), tags, Ranking()).coverage
    assert (row.tag, dict(row.counts), row.untagged) == ("category", {"a": 9, "b": 1}, 1)
    assert row.advice == ("few cases of b", "1 case without it")


# --- priorities -----------------------------------------------------------------------------------


def test_the_node_with_most_comes_first():
    """Shares of time and cost; where no case failed, those two are all that counts."""
    found = ranked(took(1.0, 2.0, usage=Usage(cost_usd=0.04)), (), variant="current", runs=2)
    assert found.first == "write"
    write, ask = found.rows
    assert write.shares == pytest.approx({"latency": 0.9, "cost": 0.75})
    assert (write.impact, ask.impact) == pytest.approx((0.825, 0.175))
    assert (write.feasibility, write.runs, write.cost_usd) == (None, 2, pytest.approx(0.08))
    assert "Feasibility: findings of prompts" in found.rule


def test_feasibility_counts_what_samples_show():
    """A decision at a high temperature, with a high limit and no form, beside one that lacks none of it."""
    way = ModelCall(model="m", provider="p", temperature=0.7, max_tokens=4000)
    text = "Decide which of the categories billing or delivery the message belongs to."
    asks = NodeRun(node="ask", calls=1, ways=(way,), prompt=(("system", text),))
    set_ = replace(way, temperature=0.0, max_tokens=20, is_structured=True)
    writes = NodeRun(node="write", calls=1, ways=(set_,), prompt=(("system", text),))
    record = SampleRecord(case_id="c1", variant="current", run=1, latency_s=1.0, nodes=(asks, writes))
    found = ranked(took(1.0, 1.0), (), variant="current", runs=1, looked_at=[("bot", record)])
    assert {row.node: row.feasibility for row in found.rows} == {"ask": 3, "write": 0}
    other = replace(record, nodes=())
    assert (
        ranked(took(1.0), (), variant="current", runs=1, looked_at=[("bot", other)]).rows[0].feasibility
        is None
    )


def test_one_node_is_no_choice():
    """Nor are samples of another variant."""
    node = (NodeFacts(node="ask", calls=1, part_s=1.0), NodeFacts(node="look_up", calls=0, part_s=1.0))
    one = experiment(result(sample=SampleFacts(latency_s=2.0, nodes=node)))
    assert ranked(one, (), variant="current", runs=1) == Ranking()
    assert ranked(took(1.0), (), variant="other", runs=1).first is None
