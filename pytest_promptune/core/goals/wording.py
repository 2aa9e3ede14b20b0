"""Judged goals in words, for terminal and reports."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_promptune.core.display import UNKNOWN, change, clean, interval, mean
from pytest_promptune.core.goals.model import Rule
from pytest_promptune.core.view import GoalRow

_ORDER = ("attained", "unclear", "missed")


def shown_rule(rule: Rule) -> str:
    """A rule for people."""
    if rule.needed is None:
        return "all goals must be reached"
    return "any one goal is enough" if rule.needed == 1 else f"any {rule.needed} of the goals are enough"


def sentence(row: GoalRow) -> str:
    """``Accuracy (test_intent, current) missed: 75.0 % [66.0, 84.0] %, target 90.0 % or higher (…)``."""
    measured = (
        f"{mean(row.name, row.value)} {interval(row.name, row.ci)}" if row.ci else mean(row.name, row.value)
    )
    head = f"{clean(row.goal)} ({metric(row)}, {clean(row.variant)}) {status(row)}"
    if row.value is None:
        return f"{head}: nothing was measured, target {target(row)}"
    away = ", ".join(filter(None, (f"gap {gap(row)}", share(row))))
    return f"{head}: {measured}, target {target(row)} ({away})"


def heading(row: GoalRow) -> str:
    """``Accuracy (test_intent), target 90.0 % or higher``, of all variants."""
    return f"{clean(row.goal)} ({metric(row)}), target {target(row)}"


def reached(row: GoalRow) -> str:
    """``fewshot 93.0 %``."""
    return f"{clean(row.variant)} {UNKNOWN if row.value is None else mean(row.name, row.value)}"


def by_goal(rows: Iterable[GoalRow]) -> list[list[GoalRow]]:
    """The rows of each goal and metric, in the order in which they come."""
    found: dict[tuple[str, str, str, float | None], list[GoalRow]] = {}
    for row in rows:
        found.setdefault((row.goal, row.name.module, row.name.metric, row.percentile), []).append(row)
    return list(found.values())


def by_status(rows: Iterable[GoalRow]) -> list[tuple[str, list[GoalRow]]]:
    """The rows of one goal by what is said of them, what is attained first."""
    found: dict[str, list[GoalRow]] = {}
    for row in sorted(rows, key=lambda row: _ORDER.index(row.status)):
        found.setdefault(status(row), []).append(row)
    return list(found.items())


def metric(row: GoalRow) -> str:
    """The metric, with the percentile if it isn't the mean."""
    return (
        f"p{row.percentile:g} of {clean(row.name.metric)}"
        if row.percentile is not None
        else clean(row.name.metric)
    )


def target(row: GoalRow) -> str:
    """``90.0 % or higher``."""
    return f"{mean(row.name, row.target)} {'or higher' if row.direction == 'higher' else 'or less'}"


def gap(row: GoalRow) -> str:
    """Value minus target."""
    return change(row.name, row.target, row.value)


def achievement(row: GoalRow) -> str:
    """The share of the target that is reached."""
    return UNKNOWN if row.achievement is None else f"{row.achievement * 100:.1f} %"


def share(row: GoalRow) -> str:
    """How far the value is: ``83.3 % of it``, ``125.0 % of the limit``; nothing of a target of zero."""
    if row.value is None or not row.target:
        return ""
    return f"{row.value / row.target * 100:.1f} % of {'it' if row.direction == 'higher' else 'the limit'}"


def status(row: GoalRow) -> str:
    """``unclear (reached, but that may be chance)``."""
    if row.status != "unclear" or row.met is None:
        return row.status
    return f"unclear ({'reached' if row.met else 'not reached'}, but that may be chance)"
