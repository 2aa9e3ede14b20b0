"""What judged goals mean for the gate, for the next step, and in words."""

from __future__ import annotations

from typing import Any

import pytest
from views import COST, LATENCY, MODULE, metric_name

from pytest_promptune.core.goals.gating import goal_items, with_goals
from pytest_promptune.core.goals.model import Goal, Goals, ReadLine, Rule, Target
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


UNCLEAR = ReadLine(line=3, text="Speed: 20% faster", meaning="unclear", told="it is relative to what was")
GO_ON = Decision(action="continue", variant=None, reason="No significant regression was found.")


def aims(*names: str, **changes: Any) -> Goals:
    target = Target(value=0.9, unit="%", direction="higher")
    goals = tuple(Goal(name=name, target=target) for name in names)
    return Goals(path="fine-tune.md", goals=goals, **changes)


def next_step(goals: Goals | None, *rows: GoalRow) -> tuple[str, str]:
    """The action, and what its reason says of goals."""
    decision = with_goals(GO_ON, goals, rows, variant="current")
    return decision.action, decision.reason.replace(GO_ON.reason, "").strip()


def test_missed_fails_and_unclear_does_under_strict_alone():
    """STATISTICS 2.7."""
    rows = [row("A", "missed"), row("B", "unclear"), row("C", "attained")]
    assert failed(rows) == ["goal[A-current]"]
    assert failed(rows, strict=True) == ["goal[A-current]", "goal[B-current]"]


def test_any_number_of_goals():
    """Where two of three are enough, one may be missed; where two are missed, both are named."""
    rows = [row("A", "missed"), row("B", "unclear"), row("C", "attained")]
    assert failed(rows, Rule(needed=2)) == []
    assert failed(rows, Rule(needed=2), strict=True) == ["goal[A-current]", "goal[B-current]"]
    assert failed(rows, Rule(needed=3)) == ["goal[A-current]"]


def test_the_rule_holds_for_each_variant():
    """What one variant reaches doesn't help another."""
    rows = [row("A"), row("B"), row("A", "attained", variant="new"), row("B", variant="new")]
    assert failed(rows, Rule(needed=1)) == ["goal[A-current]", "goal[B-current]"]


def test_ids_are_unique():
    """A goal of two apps in one module has their metrics in its ids; a name can't break an id."""
    other = metric_name("helper::latency_s", kind="latency", direction="lower", unit="s")
    items = goal_items([row("L::x", name=LATENCY), row("L::x", name=other)], Rule(), strict=False)
    assert [item.nodeid for item in items] == [
        f"{MODULE}::goal[L:x-support_bot.latency_s-current]",
        f"{MODULE}::goal[L:x-helper.latency_s-current]",
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
        "(gap +0.50 s, 125.0 % of the limit)"
    )
    assert "unclear (not reached, but that may be chance)" in sentence(row(status="unclear"))
    assert "unclear (reached, but that may be chance)" in sentence(row(status="unclear", value=0.95))
    assert sentence(row(status="unclear", value=None, ci=None)).endswith(
        "unclear: nothing was measured, target 90.0 % or higher"
    )


def test_how_much_of_a_limit_is_used():
    """A limit isn't achieved by a multiple; of none at all there is no share."""
    fast = row("Time", name=LATENCY, direction="lower", target=20.0, value=0.262, ci=(0.2, 0.3))
    assert sentence(fast).endswith("target 20.0 s or less (gap −20 s, 1.3 % of the limit)")
    none = row("Time", name=LATENCY, direction="lower", target=0.0, value=0.262, ci=(0.2, 0.3))
    assert " % of" not in sentence(none)


def test_what_to_do_next():
    """All attained: stop. Else the goals that are short are named; what is found already stays."""
    go_on = Decision(action="continue", variant=None, reason="No significant regression was found.")
    adopt = Decision(action="adopt", variant="new", reason="new is better.")

    def then(decision: Decision, *rows: GoalRow) -> Decision:
        names = dict.fromkeys(one.goal for one in rows if one.variant == "current")
        return with_goals(decision, aims(*names), rows, variant="current")

    done = then(go_on, row(status="attained"))
    assert (done.action, done.reason) == (
        "stop",
        "All goals are attained. No significant regression was found.",
    )
    short = then(go_on, row("A", "attained"), row("B", "missed"))
    assert short.action == "continue"
    assert short.reason.endswith("Missed or not yet shown to be attained: B.")
    assert then(adopt, row()) is adopt
    assert then(go_on) is go_on
    assert then(go_on, row(status="attained", variant="new")) is go_on


def test_a_goal_that_is_not_judged_is_not_attained():
    """One that means no metric, has two targets, or whose line isn't understood."""
    done = row("A", "attained")
    assert next_step(aims("A"), done) == ("stop", "All goals are attained.")
    assert next_step(aims("A", "Charm"), done) == ("continue", "Not yet shown to be attained: Charm.")
    assert next_step(aims("A", contradicted=("F1",)), done) == (
        "continue",
        "Not yet shown to be attained: F1.",
    )
    assert next_step(aims("A", lines=(UNCLEAR,)), done) == (
        "continue",
        "Not all of fine-tune.md is understood.",
    )
    assert next_step(aims("Charm")) == ("continue", "Not yet shown to be attained: Charm.")
    assert next_step(None, done) == ("continue", "")


def test_the_next_step_follows_the_passing_rule():
    """As many attained goals as it asks for are enough, whatever the others do."""
    rows = [row("A", "attained"), row("B", "missed"), row("C", "unclear")]
    any_one = aims("A", "B", "C", rule=Rule(needed=1))
    assert next_step(any_one, *rows) == ("stop", "Enough goals are attained: any one goal is enough.")
    assert next_step(aims("A", "B", "C", rule=Rule(needed=2)), *rows) == (
        "continue",
        "Missed or not yet shown to be attained: B, C.",
    )


def test_a_goal_of_two_metrics_counts_once_for_the_gate():
    """Both of its metrics reach it, and yet it is one goal of the two that are needed."""
    both = [row("A", "attained"), row("A", "attained", name=metric_name("test_other"))]
    assert failed([*both, row("B", "missed")], Rule(needed=2)) == ["goal[B-current]"]
    half = [row("A", "attained"), row("A", "missed", name=metric_name("test_other"))]
    assert len(failed([*half, row("B", "missed")], Rule(needed=1))) == 2
    assert failed([*half, row("B", "attained")], Rule(needed=1)) == []


def test_a_goal_of_two_metrics_is_attained_by_both():
    """It counts once, and only if each of its metrics reaches it."""
    other = metric_name("test_other")
    rows = [row("A", "attained"), row("A", "unclear", name=other), row("B", "attained")]
    assert next_step(aims("A", "B", rule=Rule(needed=2)), *rows) == (
        "continue",
        "Not yet shown to be attained: A.",
    )


def test_a_missed_goal_is_called_missed_whether_or_not_it_is_gated():
    """The verdict says so; the gate may be off, or the session a part of the suite."""
    _, reason = next_step(aims("A"), row("A", "missed"))
    assert reason == "Missed or not yet shown to be attained: A."
