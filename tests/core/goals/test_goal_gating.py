"""What judged goals mean for the gate, for the next step, and in words."""

from __future__ import annotations

from typing import Any

import pytest
from views import COST, LATENCY, MODULE, metric_name

from pytest_promptune.core.goals.gating import goal_items, with_goals
from pytest_promptune.core.goals.model import Rule
from pytest_promptune.core.goals.wording import sentence
from pytest_promptune.core.view import Decision, GoalRow


def row(goal: str = "Accuracy", status: str = "missed", **changes: Any) -> GoalRow:
    values: dict[str, Any] = {
        "goal": goal,
        "name": metric_name(),
        "variant": "current",
        "target": 0.9,
        "direction": "higher",
        "value": 0.75,
        "ci": (0.66, 0.84),
        "status": status,
    }
    return GoalRow(**(values | changes))


def failed(rows: list[GoalRow], rule: Rule | None = None, *, strict: bool = False) -> list[str]:
    items = goal_items(rows, rule or Rule(), strict=strict)
    assert len(items) == len(rows)
    return [item.nodeid.partition("::")[2] for item in items if item.failed]


def test_missed_fails_and_unclear_does_under_strict_alone():
    """STATISTICS 2.7."""
    rows = [row("A", "missed"), row("B", "unclear"), row("C", "attained")]
    assert failed(rows) == ["goal[A]-current"]
    assert failed(rows, strict=True) == ["goal[A]-current", "goal[B]-current"]


def test_any_number_of_goals():
    """Where two of three are enough, one may be missed; where two are missed, both are named."""
    rows = [row("A", "missed"), row("B", "unclear"), row("C", "attained")]
    assert failed(rows, Rule(needed=2)) == []
    assert failed(rows, Rule(needed=2), strict=True) == ["goal[A]-current", "goal[B]-current"]
    assert failed(rows, Rule(needed=3)) == ["goal[A]-current"]


def test_the_rule_holds_for_each_variant():
    """What one variant reaches doesn't help another."""
    rows = [row("A"), row("B"), row("A", "attained", variant="new"), row("B", variant="new")]
    assert failed(rows, Rule(needed=1)) == ["goal[A]-current", "goal[B]-current"]


def test_ids_are_unique():
    """A goal of two apps in one module has their metrics in its ids; a name can't break an id."""
    other = metric_name("helper::latency_s", kind="latency", direction="lower", unit="s")
    items = goal_items([row("L::x", name=LATENCY), row("L::x", name=other)], Rule(), strict=False)
    assert [item.nodeid for item in items] == [
        f"{MODULE}::goal[L:x]-support_bot.latency_s-current",
        f"{MODULE}::goal[L:x]-helper.latency_s-current",
    ]


def test_the_message_says_everything():
    """Which goal, of which metric, how far, and by which rule it failed."""
    (item,) = goal_items([row()], Rule(), strict=False)
    assert item.message == (
        "Goal Accuracy (test_intent, current) missed: 75.0 % [66.0, 84.0] %, target 90.0 % or higher "
        "(gap −15.0 pts, 83.3 % of it)."
    )
    (item,) = goal_items([row(status="unclear")], Rule(needed=1), strict=True)
    assert "--promptune-strict" in item.message
    assert "any one goal is enough" in item.message


@pytest.mark.parametrize(
    ("changes", "gap", "achievement", "met"),
    [
        ({"value": 0.86}, -0.04, 0.9555555555555555, False),
        ({"value": 0.9}, 0.0, 1.0, True),
        ({"name": LATENCY, "direction": "lower", "target": 2.0, "value": 2.5}, 0.5, 0.8, False),
        ({"name": COST, "direction": "lower", "target": 0.01, "value": 0.008}, -0.002, 1.25, True),
        ({"name": COST, "direction": "lower", "target": 0.01, "value": 0.0}, -0.01, None, True),
        ({"value": None, "ci": None}, None, None, None),
    ],
)
def test_gap_and_achievement(changes, gap, achievement, met):
    """Value minus target; the reached share of the target, above 1 where it is exceeded; unknown is None."""
    one = row(**changes)
    assert (one.gap, one.achievement, one.met) == (
        gap,
        pytest.approx(achievement) if achievement else None,
        met,
    )


def test_words():
    """Units of the metric, percentiles by name, and chance where the interval doesn't decide."""
    slow = row("p95", name=LATENCY, direction="lower", target=2.0, value=2.5, ci=(2.1, 2.9), percentile=95.0)
    assert sentence(slow) == (
        "p95 (p95 of support_bot::latency_s, current) missed: 2.50 s [2.10, 2.90] s, target 2.00 s or less "
        "(gap +0.50 s, 80.0 % of it)"
    )
    assert "unclear (not reached, but that may be chance)" in sentence(row(status="unclear"))
    assert "unclear (reached, but that may be chance)" in sentence(row(status="unclear", value=0.95))
    assert sentence(row(status="unclear", value=None, ci=None)).endswith(
        "unclear: nothing was measured, target 90.0 % or higher"
    )


def test_what_to_do_next():
    """All attained: stop. Else the goals that are short are named; what is found already stays."""
    go_on = Decision(action="continue", variant=None, reason="No significant regression was found.")
    adopt = Decision(action="adopt", variant="new", reason="new is better.")

    def then(decision: Decision | None, *rows: GoalRow, missed: bool = False) -> Decision | None:
        return with_goals(decision, rows, variant="current", missed=missed)

    done = then(go_on, row(status="attained"))
    assert done is not None
    assert (done.action, done.reason) == (
        "stop",
        "All goals are attained. No significant regression was found.",
    )
    short = then(go_on, row("A", "attained"), row("B", "missed"), missed=True)
    assert short is not None
    assert short.action == "continue"
    assert short.reason.endswith("Missed or not yet shown to be attained: B.")
    assert then(adopt, row()) is adopt
    assert then(go_on) is go_on
    assert then(None, row()) is None
    assert then(go_on, row(status="attained", variant="new")) is go_on
