"""What missed goals mean for the exit code and for what to do next.

``missed`` fails: none of the interval reaches the target. Under ``--promptune-strict`` a goal must be
attained: all of the interval does. Where some of the goals are enough, the others may be missed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pytest_promptune.core.display import clean
from pytest_promptune.core.goals.model import Goals, Rule
from pytest_promptune.core.goals.wording import sentence, shown_rule
from pytest_promptune.core.view import Decision, GateItem, GoalRow


def goal_items(rows: Sequence[GoalRow], rule: Rule, *, strict: bool) -> list[GateItem]:
    """One result per goal, metric and variant."""
    failing = {id(row) for row in rows if row.status == "missed" or (strict and row.status != "attained")}
    forgiven = {
        variant for variant in {row.variant for row in rows} if _is_enough(rows, variant, failing, rule)
    }
    apps = Counter((row.name.module, row.goal, row.variant) for row in rows)
    return [
        GateItem(
            nodeid=_nodeid(row, is_only=apps[row.name.module, row.goal, row.variant] == 1),
            failed=id(row) in failing and row.variant not in forgiven,
            message=_message(row, rule, strict=strict),
        )
        for row in rows
    ]


def _is_enough(rows: Sequence[GoalRow], variant: str, failing: set[int], rule: Rule) -> bool:
    """Whether as many goals as are needed don't fail; a goal fails if it does for one of its metrics."""
    if rule.needed is None:
        return False
    mine = [row for row in rows if row.variant == variant]
    failed = {row.goal for row in mine if id(row) in failing}
    return len({row.goal for row in mine} - failed) >= rule.needed


def _nodeid(row: GoalRow, *, is_only: bool) -> str:
    """``<module>::goal[<name>-<variant>]``, with the metric where a goal has several in a module."""
    metric = "" if is_only else f"{row.name.metric.replace('::', '.')}-"
    return f"{row.name.module}::goal[{clean(row.goal).replace('::', ':')}-{metric}{row.variant}]"


def _message(row: GoalRow, rule: Rule, *, strict: bool) -> str:
    why = ""
    if strict and row.status == "unclear":
        why = " Under --promptune-strict a goal must be attained beyond doubt."
    if rule.needed is not None:
        why += f" Passing rule: {shown_rule(rule)}."
    return f"Goal {sentence(row)}.{why}"


def with_goals(decision: Decision, goals: Goals | None, rows: Sequence[GoalRow], *, variant: str) -> Decision:
    """What to do next, in view of the goals: nothing more once as many are attained as the file asks for.

    That holds where more runs could tell whether a variant is better still, too: nothing needs to be.

    Args:
        decision: what the comparisons suggest.
        goals: of the goals file; one that isn't judged, or that a file states twice, is not attained.
        rows: judged goals.
        variant: the app as it stands, or what was measured in its place.
    """
    if decision.action != "continue":
        return decision
    names = [] if goals is None else [*(goal.name for goal in goals.goals), *goals.contradicted]
    if goals is None or not names:
        return decision
    of_current = [row for row in rows if row.variant == variant]
    of_goal = {name: [row.status for row in of_current if row.goal == name] for name in names}
    short = [name for name, statuses in of_goal.items() if set(statuses) != {"attained"}]
    if not short and not goals.problems:
        return _stop(decision, "All goals are attained.")
    if goals.rule.needed is not None and len(of_goal) - len(short) >= goals.rule.needed:
        return _stop(decision, f"Enough goals are attained: {shown_rule(goals.rule)}.")
    if decision.command:  # what more runs could settle comes before the next change
        return decision
    missed = any("missed" in of_goal[name] for name in short)
    return replace(decision, reason=f"{decision.reason} {_lacking(short, missed=missed, path=goals.path)}")


def _lacking(short: Sequence[str], *, missed: bool, path: str) -> str:
    if not short:
        return f"Not all of {clean(path)} is understood."
    verb = "Missed or not yet shown to be attained" if missed else "Not yet shown to be attained"
    return f"{verb}: {', '.join(map(clean, short))}."


def _stop(decision: Decision, why: str) -> Decision:
    reason = f"{why} {decision.reason}".rstrip()
    return replace(decision, action="stop", variant=None, reason=reason, command="pytest-promptune report")
