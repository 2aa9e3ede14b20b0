"""What a plan says of the goals."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_promptune.core.aggregates.given import Aggregate
from pytest_promptune.core.baseline import Baseline, BaselineMetric, Recorded
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.goals.reading import read_goals
from pytest_promptune.core.plan import Cell, Marks, PlannedItem
from pytest_promptune.core.results import Classification, Outcome, Result
from pytest_promptune.core.scoring import Score
from pytest_promptune.planning.goals import Suite, goal_checks

RECORDED = Recorded(at="2026-11-22T10:00:00Z", commit=None, dirty=None, runs=3, promptune="0.1.0")
BINARY = BaselineMetric(direction="higher", unit=None, kind="binary")
UNKNOWN = "What the tests score is known once they have run."
TONE = {"Tone": "test_reply::tone"}


def item(test: str, *, module: str = "test_bot.py", **marks: Any) -> PlannedItem:
    return PlannedItem(
        nodeid=f"{module}::{test}[c0-current-run1]",
        module=module,
        test=test,
        metric=test,
        marks=Marks(app="bot", **marks),
        cell=Cell(variant="current", run=1),
        case=None,
    )


def baseline(*metrics: str) -> Baseline:
    return Baseline(recorded=RECORDED, cases={}, metrics=dict.fromkeys(metrics, BINARY), scores={})


def told(
    line: str,
    *items: PlannedItem,
    recorded: Baseline | None = None,
    mapping: dict[str, str] | None = None,
    aggregates: tuple[Aggregate, ...] = (),
    stored: tuple[Experiment, ...] = (),
    source: str = "",
) -> tuple[str, str]:
    """Status and text of the only line of the checklist."""
    suite = Suite(
        items or [item("test_reply")],
        {"test_bot.py": recorded},
        aggregates,
        stored=stored,
        source=lambda: source,
    )
    (check,) = goal_checks(read_goals(line, path="fine-tune.md"), suite, mapping or {})
    return check.status, check.text


def test_a_score_may_come_until_its_test_is_recorded():
    """By its name, or by what the ini file says: a warning before, failed afterwards."""
    status, text = told("Charm: 0.9 or higher")
    assert (status, text.endswith(UNKNOWN)) == ("warning", True)
    status, text = told("Charm: 0.9 or higher", recorded=baseline("test_reply"))
    assert (status, "no metric is meant by this name" in text, UNKNOWN in text) == ("failed", True, False)
    mapped = "Goal Tone means test_reply::tone: what it scores is known once its tests have run."
    assert told("Tone: 0.9 or higher", mapping=TONE) == ("warning", mapped)
    status, text = told("Tone: 0.9 or higher", mapping=TONE, recorded=baseline("test_reply"))
    assert (status, "which no test measures" in text) == ("failed", True)
    assert told("Tone: 0.9 or higher", item("test_other"), mapping=TONE)[0] == "failed"


def test_a_new_test_beside_a_baseline_is_unknown_too():
    """The baseline has nothing of what it scores."""
    items = [item("test_reply"), item("test_new")]
    assert told("Charm: 0.9 or higher", *items, recorded=baseline("test_reply"))[0] == "warning"
    assert told("Tone: 0.9 or higher", *items, recorded=baseline("test_new"), mapping=TONE)[0] == "warning"
    assert told("Tone: 0.9 or higher", *items, recorded=baseline("test_reply"), mapping=TONE)[0] == "failed"


def test_a_scorer_may_bring_the_metric_of_its_name():
    """Even to tests that are recorded: it may be new."""
    judged = item("test_reply", scorers=("helpfulness",))
    status, text = told("Helpfulness: 4.2 or higher", judged, recorded=baseline("test_reply"))
    assert (status, text.endswith(UNKNOWN)) == ("warning", True)
    of_app = {"Use": "bot::helpfulness"}
    assert told("Use: 4.2 or higher", judged, recorded=baseline("test_reply"), mapping=of_app)[0] == "warning"
    assert told("Charm: 4.2 or higher", judged, recorded=baseline("test_reply"))[0] == "failed"


def test_which_test_classifies_is_known_once_it_ran():
    """Until then accuracy may be any test's, and F1 may come."""
    items = [item("test_reply"), item("test_intent")]
    everything = baseline("test_reply", "test_intent")
    for line in ("Accuracy: 90% or higher", "F1: 0.9 or higher"):
        status, text = told(line, *items)
        assert (status, text.endswith("Which test classifies is known once its tests have run.")) == (
            "warning",
            True,
        )
        assert told(line, *items, recorded=everything)[0] == "failed"


@pytest.mark.parametrize("recorded", [None, baseline("test_reply")])
def test_aggregates_of_the_user_are_known(recorded):
    """By name, with their direction and unit."""
    charm = Aggregate("charm", len, unit="points")
    assert told("Charm: 9 or higher", recorded=recorded, aggregates=(charm,)) == (
        "ok",
        "Charm 9 or higher (bot::charm)",
    )
    status, text = told("Charm: 9 or less", recorded=recorded, aggregates=(charm,))
    assert (status, "higher values are better" in text) == ("failed", True)
    status, text = told("Charm: 9 s or higher", recorded=recorded, aggregates=(charm,))
    assert (status, "measured in points" in text) == ("failed", True)


def test_a_goal_that_cannot_be_the_metric_fails_before_anything_ran():
    """No run changes that a share is no time."""
    status, text = told("test_reply: 2 s or higher")
    assert (status, "no share of samples" in text) == ("failed", True)


# --- what was stored ----------------------------------------------------------------------------------


def scored(
    test: str = "test_reply", *, outcome: Outcome = "passed", classifies: bool = False, **scores: Score
) -> Experiment:
    """The table of an experiment with one sample."""
    table = Experiment()
    table.add(
        Result(
            nodeid=f"test_bot.py::{test}[c0-current-run1]",
            module="test_bot.py",
            test=test,
            metric=test,
            app="bot",
            case_id="c0",
            case_hash="h",
            variant="current",
            run=1,
            outcome=outcome,
            scores=scores,
            classification=Classification(predicted="a", expected="a") if classifies else None,
        )
    )
    return table


def test_stored_scores_are_known():
    """Also without a baseline: a goal that means none of them fails."""
    stored = (scored(charm=Score(value=0.8, kind="score", direction="higher", unit=None)),)
    assert told("Charm: 0.9 or higher", stored=stored)[0] == "ok"
    assert told("Tone: 0.9 or higher", stored=stored)[0] == "failed"
    assert told("Tone: 0.9 or higher", mapping=TONE, stored=stored)[0] == "failed"
    assert told("Charm: 0.9 or less", stored=stored)[0] == "failed"


def test_a_test_that_never_came_to_its_end_may_score_more():
    """What stands behind its assertion isn't known."""
    assert told("Tone: 0.9 or higher", stored=(scored(outcome="missed"),))[0] == "warning"
    assert told("Tone: 0.9 or higher", item("test_other"), stored=(scored(),))[0] == "warning"


def test_stored_tests_that_classify():
    """Then accuracy is theirs."""
    items = [item("test_reply"), item("test_intent")]
    stored = (scored("test_intent", classifies=True), scored("test_reply"))
    assert told("Accuracy: 90% or higher", *items, stored=stored) == (
        "ok",
        "Accuracy 90 % or higher (test_intent)",
    )
    assert told("Accuracy: 90% or higher", *items, stored=(scored("test_intent"), scored()))[0] == "failed"


@pytest.mark.parametrize(
    ("metric", "meant"),
    [("test_repl", "test_reply"), ("latency", "latency_s"), ("bot::latency", None), ("test_rep::x", None)],
)
def test_a_slip_in_the_mapping_fails_at_once(metric, meant):
    """No test has such a text, so none scores it; an app's metrics are known."""
    status, text = told("Speed: 2 s or less", mapping={"Speed": metric})
    assert status == "failed"
    assert f"promptune_goal_metrics says {metric}, which no test measures" in text
    assert text.endswith(f" Did you mean {meant!r}?") == (meant is not None)


def test_a_name_that_a_test_has_may_come():
    """However much it looks like another."""
    source = 'sample.score("latency", 1.0)'
    assert told("Speed: 2 s or less", mapping={"Speed": "latency"}, source=source)[0] == "warning"
    assert told("Speed: 2 s or less", mapping={"Speed": "briskness"})[0] == "warning"


def test_goals_in_the_mapping_that_the_file_does_not_have():
    """They change nothing, and are probably misspelt."""
    suite = Suite([item("test_reply")], {}, ())
    mapping = {"Acuracy": "test_reply", "Tone": "test_reply"}
    checks = goal_checks(read_goals("Accuracy: 90% or higher", path="fine-tune.md"), suite, mapping)
    assert [(check.status, check.text) for check in checks[1:]] == [
        (
            "warning",
            "promptune_goal_metrics names the goal Acuracy, which the file doesn't have: did you mean "
            "Accuracy?",
        ),
        (
            "warning",
            "promptune_goal_metrics names the goal Tone, which the file doesn't have: it has Accuracy.",
        ),
    ]
