"""What changed between two states, and what to recommend."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import finals
import pytest
import views
from sides import side

from pytest_promptune.core.comparison import Rules
from pytest_promptune.core.goals.reading import read_goals
from pytest_promptune.core.series.changes import (
    case_changes,
    gated_places,
    goal_changes,
    metric_changes,
    node_changes,
)
from pytest_promptune.core.series.final import (
    GoalChange,
    MetricChange,
    NodeChange,
    Recommendation,
    UnjudgedGoal,
)
from pytest_promptune.core.series.recommending import Findings, recommend
from pytest_promptune.core.series.rows import change_from, comparison_from, mean_from, node_from
from pytest_promptune.core.sides import beside
from pytest_promptune.report.json_results import to_results

RULES = Rules(alpha=0.05, gate="off", margins={})
GOALS = read_goals(
    "# Goals\n\n| Metric | Target |\n|---|---|\n| Accuracy | 80 % |\n| Kindness | 5 or higher |\n",
    path="g.md",
)


def test_metrics_stand_beside_each_other():
    """Rows of both sides with their comparison; what is gated is marked."""
    start, now = side("start", passes=5), side("present", passes=10)
    found = beside(start, now, RULES)
    rows = metric_changes(start.rows(alpha=0.05), now.rows(alpha=0.05), found, gated=gated_places(now, ()))
    first = next(each for each in rows if each.name.metric == "test_a")
    assert (first.initial.mean, first.final.mean, first.comparison.difference) == (0.5, 1.0, 0.5)
    assert first.gated
    assert not next(each for each in rows if each.name.metric == "bot::latency_s").gated
    alone = metric_changes(start.rows(alpha=0.05), None, None, gated=frozenset())
    assert all(each.final is None and each.comparison is None for each in alone)


def test_goals_are_judged_on_both_sides():
    """By the session's rules; a goal that means no metric is named."""
    start, now = side("start", passes=5), side("present", passes=10)
    rows = (start.rows(alpha=0.05), now.rows(alpha=0.05))
    found, unjudged = goal_changes(GOALS, (start, now), rows, alpha=0.05, scope="suite", meanings={})
    assert [(each.initial.status, each.final.status) for each in found] == [("missed", "attained")]
    assert unjudged == (UnjudgedGoal(goal="Kindness", why="unmatched"),)


def test_no_goal_is_lost():
    """One with two targets, one whose target doesn't fit; what one side lacks is unknown there."""
    goals = read_goals(
        "# Goals\n\n| Metric | Target |\n|---|---|\n| Accuracy | 80 % |\n| error_rate | 3 s or less |\n"
        "| Kindness | 5 % or more |\n| Kindness | 6 % or more |\n",
        path="g.md",
    )
    start, now = side("start", passes=5), side("present", passes=10)
    without = replace(now, columns=tuple(c for c in now.columns if c.name.metric != "test_a"))
    rows = (start.rows(alpha=0.05), without.rows(alpha=0.05))
    found, unjudged = goal_changes(goals, (start, without), rows, alpha=0.05, scope="suite", meanings={})
    assert [(each.initial.value, each.final.value, each.final.variant) for each in found] == [
        (0.5, None, "present")
    ]
    assert [(each.goal, each.why) for each in unjudged] == [
        ("error_rate", "misfit"),
        ("Kindness", "contradicted"),
    ]


def test_cases_by_what_became_of_them():
    """Improved, kept, degraded, by the metric's direction; what is more than chance is marked."""
    rows = beside(side("start", passes=5), side("present", passes=10), RULES).rows
    row = next(row for row in rows if row.name.metric == "test_a")
    (found,) = case_changes([row])
    assert (found.count("improved"), found.count("kept"), found.count("degraded")) == (5, 5, 0)
    assert found.confirmed == 5
    means = {"a": (1.0, 2.0), "b": (2.0, 1.0), "c": (1.0, 1.0), "d": (None, 1.0)}
    words = views.comparison(views.WORDS, case_means=means)
    (found,) = case_changes([words])
    verdicts = {each.case: each.verdict for each in found.cases}
    assert verdicts == {"a": "degraded", "b": "improved", "c": "kept", "d": "unknown"}
    assert case_changes([replace(words, gated=False)]) == ()


def test_nodes_by_app_and_name():
    """One that is new or gone has one side."""
    before, after = views.node_row("a"), views.node_row("b", variant="x")
    found = node_changes([before], [replace(before, variant="x"), after])
    assert [(each.node, each.before is None, each.after is None) for each in found] == [
        ("a", False, False),
        ("b", True, False),
    ]


# -- recommendations -----------------------------------------------------------------------------------


def findings(**changes: Any) -> Findings:
    values: dict[str, Any] = {
        "metrics": (),
        "goals": (),
        "unjudged": (),
        "goals_path": "fine-tune.md",
        "goals_problems": 0,
        "nodes": (),
        "iterations": (),
        "present": finals.circumstances(),
        "tags": (),
    }
    return Findings(**(values | changes))


def metric(**changes: Any) -> MetricChange:
    row = views.metric_row(flaky_cases=())
    values: dict[str, Any] = {
        "name": row.name,
        "initial": row,
        "final": row,
        "comparison": views.comparison(),
        "gated": True,
    }
    return MetricChange(**(values | changes))


def kinds(found: tuple[Recommendation, ...]) -> list[str]:
    return [each.kind for each in found]


def test_nothing_to_recommend_is_said():
    """Rather than an empty list."""
    assert kinds(recommend(findings(metrics=(metric(),)))) == ["none"]


@pytest.mark.parametrize(("status", "expected"), [("attained", "none"), ("missed", "goal_open")])
def test_open_goals(status, expected):
    """With value, interval and gap."""
    row = finals.goal(0.8, status)
    found = recommend(findings(goals=(GoalChange(initial=row, final=row),)))
    assert kinds(found) == [expected]
    if expected == "goal_open":
        assert found[0].values["value"] == "80.0 %"
        assert found[0].values["gap"] == "−10.0 pts"


def test_goals_that_could_not_be_read_are_not_forgotten():
    """They are no goals, and nobody would miss them."""
    found = recommend(findings(goals_problems=2))
    assert found == (Recommendation(kind="goals_unread", values={"path": "fine-tune.md", "count": 2}),)


def test_a_suggested_variant_that_was_not_adopted():
    """With the numbers that speak for it; one that was is done."""
    suggested = finals.iteration(adopted=None, suggested="adopt", suggested_variant="fewshot")
    found = recommend(findings(iterations=(suggested,)))
    assert found[0].values == {
        "variant": "fewshot",
        "numbers": "test_intent 75.0 % → 86.0 %",
        "iteration": 1,
        "command": "pytest-promptune adopt fewshot",
    }
    odd = finals.iteration(adopted=None, suggested="adopt", suggested_variant="a b")
    command = recommend(findings(iterations=(odd,)))[0].values["command"]
    assert command == "pytest-promptune adopt 'a b'"
    assert kinds(recommend(findings(iterations=(suggested,), is_outdated=True))) == ["none"]
    assert kinds(recommend(findings(iterations=(finals.iteration(),)))) == ["none"]
    other = finals.iteration(adopted=None, suggested="continue")
    assert kinds(recommend(findings(iterations=(suggested, other)))) == ["none"]


def test_what_got_worse_and_what_is_open():
    """Gated metrics alone; more runs only where they could tell."""
    worse = metric(comparison=views.comparison(verdict="regressed"))
    assert kinds(recommend(findings(metrics=(worse,)))) == ["regressed"]
    assert kinds(recommend(findings(metrics=(replace(worse, gated=False),)))) == ["none"]
    open_ = metric(comparison=views.comparison(verdict="inconclusive", runs_needed=12))
    found = recommend(findings(metrics=(open_,)))
    assert (found[0].kind, found[0].values["runs"], found[0].values["now"]) == ("more_runs", 12, 5)
    never = metric(comparison=views.comparison(verdict="inconclusive", runs_needed=None))
    assert kinds(recommend(findings(metrics=(never,)))) == ["none"]


def test_flaky_cases_and_errors():
    """Counted, with the cases."""
    flaky = metric(final=views.metric_row(flaky_cases=("c1", "c2")))
    found = recommend(findings(metrics=(flaky,), present=finals.circumstances(errored=3)))
    assert kinds(found) == ["flaky", "errored"]
    assert (found[0].values["count"], found[0].values["of"]) == (2, 20)
    assert found[1].values == {"count": 3, "of": 100}


def test_errors_in_some_runs():
    """They don't pass; where a test of the app is flaky in the same cases, that says it."""
    rate = views.metric_row(views.ERROR_RATE, flaky_cases=("c1",))
    errors = metric(name=views.ERROR_RATE, initial=rate, final=rate)
    flaky = metric(final=views.metric_row(flaky_cases=("c1", "c2")))
    assert kinds(recommend(findings(metrics=(flaky, errors)))) == ["flaky"]
    other = metric(final=views.metric_row(flaky_cases=("c2",)))
    found = recommend(findings(metrics=(other, errors)))
    assert kinds(found) == ["flaky", "flaky_errors"]
    assert found[1].values == {"app": views.APP, "count": 1, "of": 20, "cases": ("c1",)}


def test_nodes_with_more_than_half_of_cost_or_time():
    """Of one node alone there is nothing to say, nor of two that have half each."""

    def node(name: str, cost: float, time: float) -> NodeChange:
        row = views.node_row(name, share_of_cost=cost, share_of_latency=time)
        return NodeChange(app=views.APP, node=name, before=None, after=row)

    found = recommend(findings(nodes=(node("a", 0.9, 0.3), node("b", 0.1, 0.7))))
    named = {each.kind: each.values["node"] for each in found}
    assert named == {"cost_share": "a", "latency_share": "b"}
    even = tuple(node(name, 0.34, 0.34) for name in "abc")
    assert kinds(recommend(findings(nodes=even))) == ["none"]
    halves = (node("a", 0.5, 0.5), node("b", 0.5, 0.5))
    assert kinds(recommend(findings(nodes=halves))) == ["none"]
    assert kinds(recommend(findings(nodes=(node("a", 1.0, 1.0),)))) == ["none"]


def test_thin_categories():
    """By the rule of the plan; cases without a category say nothing."""
    tags = [*({"category": "a"} for _ in range(10)), {"category": "b"}, {}, {"category": None}]
    found = recommend(findings(tags=tags))
    assert found[0].values == {"category": "b", "count": 1, "of": 11, "categories": 2}
    assert kinds(recommend(findings(tags=[{}]))) == ["none"]


def test_thin_difficulties():
    """Below the share that the plan recommends, by more than a case; other names of levels say nothing."""
    tags = [*({"difficulty": "Easy"} for _ in range(11)), *({"difficulty": "medium"} for _ in range(9)), {}]
    found = recommend(findings(tags=tags))
    assert kinds(found) == ["thin_difficulty"]
    assert found[0].values == {
        "difficulty": "hard",
        "count": 0,
        "of": 20,
        "low": "10 %",
        "high": "20 %",
    }
    assert kinds(recommend(findings(tags=[*tags, *2 * [{"difficulty": "hard"}]]))) == ["none"]
    assert kinds(recommend(findings(tags=[{"difficulty": "3"}, *9 * [{"difficulty": "1"}]]))) == ["none"]


# -- rows of documents -----------------------------------------------------------------------------------


def test_rows_of_documents_come_back():
    """As far as the report shows them: comparisons, means, nodes and changes of a results document."""
    view = views.three_variants()
    view = replace(view, nodes=(views.node_row(),))
    document = to_results(view)
    expected = [replace(row, case_means={}) for row in view.comparisons]
    assert [comparison_from(each) for each in document["comparisons"]] == expected
    assert [node_from(each) for each in document["nodes"]] == list(view.nodes)
    means = [mean_from(each) for each in document["metrics"]]
    assert [(m.name, m.variant, m.mean, m.ci) for m in means] == [
        (m.name, m.variant, m.mean, m.ci) for m in view.metrics
    ]
    for variant, written in zip(view.variants, document["variants"], strict=True):
        assert tuple(change_from(each) for each in written["changes"]) == variant.changes


def test_rows_of_older_documents():
    """What they lack is unknown."""
    row = to_results(views.three_variants())["comparisons"][0]
    needed = ("metric", "test", "module", "app", "kind", "direction", "reference", "candidate", "verdict")
    found = comparison_from({name: row[name] for name in needed})
    assert (found.difference, found.ci, found.p, found.n_cases, found.gated) == (None, None, None, 0, False)
    with pytest.raises(KeyError):
        comparison_from({"metric": "a"})
