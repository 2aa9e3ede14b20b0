"""Which node comes first: measured shares of what unmet goals are about, and fixes that are mechanical."""

from __future__ import annotations

from typing import Any

from pytest_promptune.core.model import NodeRun, SampleRecord, Usage
from pytest_promptune.core.nodes.model import Finding, Node
from pytest_promptune.core.nodes.priority import Effort, Priority, Unmet, priorities, unmet_goals
from pytest_promptune.core.nodes.traces import TraceBuilder
from pytest_promptune.core.results import Result
from pytest_promptune.core.scoring import Score


def result(case: str, outcome: Any = "passed", *, test: str = "test_a", **scores: float) -> Result:
    return Result(
        nodeid=f"t.py::{test}[{case}]",
        module="t.py",
        test=test,
        metric=test,
        app="bot",
        case_id=case,
        case_hash=case,
        variant="current",
        run=1,
        outcome=outcome,
        scores={
            name: Score(value=value, kind="score", direction="lower", unit=None)
            for name, value in scores.items()
        },
    )


def goal(metric: str, *, met: bool, **more: Any) -> dict[str, Any]:
    test = f"t.py::{metric.partition('::')[0]}"
    given = {"name": f"goal of {metric}", "variant": "current", "target": 0.9, "direction": "higher"}
    return {**given, "metric": metric, "test": test, "met": met, **more}


RESULTS = [
    result("c1", "missed", words=50.0),
    result("c2", words=10.0),
    result("c3", "missed", test="test_b"),
    result("c4", "errored", test="test_b"),
]


def unmet(*goals: dict[str, Any]) -> Unmet:
    return unmet_goals(goals, RESULTS, variant="current")


def failing(*goals: dict[str, Any]) -> set[str]:
    return {case for _, case in unmet(*goals).failing}


def test_without_goals_everything_counts():
    """All three measures, and every failed case."""
    assert unmet().measures == ("quality", "latency", "cost")
    assert failing() == {"c1", "c3", "c4"}
    other = goal("test_a", met=False, variant="fewshot")
    assert not unmet(other).has_goals


def test_what_unmet_goals_are_about():
    """Only those that are not met; tokens are cost, and what isn't time or cost is quality."""
    found = unmet(
        goal("bot::latency_s", met=False), goal("bot::input_tokens", met=False), goal("test_a", met=True)
    )
    assert found.measures == ("latency", "cost")
    assert found.goals == ("goal of bot::latency_s", "goal of bot::input_tokens")
    assert unmet(goal("test_a", met=True)).measures == ()


def test_which_cases_fail_a_goal():
    """Those of its own test, of errors alone, or beyond the target of a score."""
    assert failing(goal("test_a", met=False)) == {"c1"}
    assert failing(goal("test_b", met=False)) == {"c3", "c4"}
    assert failing(goal("bot::error_rate", met=False, direction="lower", target=0.0)) == {"c4"}
    words = goal("test_a::words", met=False, direction="lower", target=20.0)
    assert failing(words) == {"c1"}
    assert failing(words | {"direction": "higher"}) == {"c2"}


def rows(unmet_: Unmet, efforts: dict[str, Effort] | None = None) -> dict[str, Priority]:
    """`ask` ran in both cases and `think` in one; a third node never ran."""
    ask = NodeRun(node="ask", calls=1, usage=Usage(cost_usd=1.0), part_s=1.0, latency_s=1.0)
    think = NodeRun(node="think", calls=1, usage=Usage(cost_usd=3.0), part_s=1.0, latency_s=1.0)
    builder = TraceBuilder()
    for case, nodes in (("c1", (ask, think)), ("c2", (ask,))):
        builder.add("bot", SampleRecord(case_id=case, variant="current", run=1, nodes=nodes, latency_s=2.0))
    traced = builder.trace("x", "current", labels={}).nodes
    fixes = [Finding(rule=rule, message="", evidence="", fix="") for rule in ("P101", "P201", "P202")]
    nodes = [
        Node(
            node=name,
            file=None,
            line=None,
            calls=(),
            findings=tuple(fixes) if name == "think" else (),
            traced=tuple(each for each in traced if each.node == name),
        )
        for name in ("never", "ask", "think")
    ]
    return {row.node: row for row in priorities(nodes, unmet_, efforts or {})}


def test_impact_and_order():
    """The mean share of what counts; unknown is last; mechanical fixes alone are counted."""
    found = rows(Unmet(failing=frozenset({("bot", "c1"), ("bot", "c2")})))
    assert list(found) == ["ask", "think", "never"]
    assert found["ask"].shares == {"quality": 1.0, "latency": 0.5, "cost": 0.4}
    assert found["think"].shares == {"quality": 0.5, "latency": 0.25, "cost": 0.6}
    assert found["ask"].impact == (1.0 + 0.5 + 0.4) / 3
    assert (found["never"].impact, found["never"].impact_stars) == (None, 0)
    assert (found["think"].feasibility, found["ask"].feasibility) == (2, 0)
    assert list(rows(Unmet(measures=("cost",), has_goals=True))) == ["think", "ask", "never"]


def test_stars_are_a_display():
    """Of the numbers, at 20 % and 50 %; at most three."""
    starred = {
        impact: Priority(node="n", impact=impact, shares={}, feasibility=7, effort=Effort())
        for impact in (None, 0.0, 0.01, 0.2, 0.49, 0.5, 1.0)
    }
    assert [row.impact_stars for row in starred.values()] == [0, 0, 1, 2, 2, 3, 3]
    assert starred[None].feasibility_stars == 3


def test_nothing_is_left_to_gain():
    """With all goals met no node has an impact."""
    assert {row.impact for row in rows(Unmet(measures=(), has_goals=True)).values()} == {None}


def test_effort():
    """Runs times the cost of a run, or unknown."""
    assert Effort(runs=4, run_usd=0.5).usd == 2.0
    assert Effort(runs=4).usd is None
    assert rows(Unmet(), {"bot": Effort(runs=4)})["ask"].effort.runs == 4
    assert rows(Unmet(), {"bot": Effort(runs=4)})["never"].effort.runs is None
