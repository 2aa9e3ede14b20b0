"""A goals file and its goals for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_promptune.core.display import clean
from pytest_promptune.core.goals.matching import misfit_of_measure
from pytest_promptune.core.goals.model import Goal, Goals, ReadLine
from pytest_promptune.core.goals.quantities import shown
from pytest_promptune.core.goals.wording import shown_rule
from pytest_promptune.core.goals.words import ACCURACY, normal
from pytest_promptune.core.lines import BOLD, DIM, INDENT, WARN, Line, line, paragraph, rule

_UNDERSTOOD = ("goal", "cases", "rule", "other")


def file_lines(goals: Goals, *, width: int, mapping: Mapping[str, str]) -> list[Line]:
    """What was understood of a goals file, line by line, and what was not.

    Args:
        goals: of the file.
        width: of the terminal, in columns.
        mapping: names of metrics by names of goals, as the project's ini file gives them.
    """
    width = max(width, 20)
    mapped = _by_normal_name(mapping)
    lines = [rule(f"goals: {goals.path}", width)]
    lines += _section("Goals", [_goal(goal, mapped) for goal in goals.goals], width)
    if goals.goals:
        where = f"line {goals.rule.line}" if goals.rule.line else "the file doesn't say otherwise"
        lines += paragraph(f"Passing rule: {shown_rule(goals.rule)} ({where})", width, indent=INDENT)
    if goals.cases:
        lines += paragraph(f"Test cases: {goals.cases}", width, indent=INDENT)
    understood = [_told(one) for one in goals.lines if one.meaning in _UNDERSTOOD]
    unclear = [_told(one) for one in goals.lines if one.meaning == "unclear"]
    ignored = [_told(one) for one in goals.lines if one.meaning == "ignored"]
    lines += _section("Understood", understood, width)
    lines += _section("Not understood", unclear, width)
    lines += _section("Without goals", ignored, width)
    if problems := [*goals.faults, *misfits(goals, mapping)]:
        lines += [Line(), line("Problems", BOLD)]
        lines += [each for text in problems for each in paragraph(text, width, WARN, INDENT)]
    if unlikely := doubts(goals, mapping):
        lines += [Line(), line("Not judged, unless a test has a score of that name", BOLD)]
        lines += [each for text in unlikely for each in paragraph(text, width, WARN, INDENT)]
    return lines


def misfits(goals: Goals, mapping: Mapping[str, str]) -> list[str]:
    """Goals that are said to mean a metric of the app and can't be targets of it: ¥3 for a cost in USD."""
    mapped = _by_normal_name(mapping)
    return _misfits({goal: mapped[normal(goal.name)] for goal in goals.goals if normal(goal.name) in mapped})


def doubts(goals: Goals, mapping: Mapping[str, str]) -> list[str]:
    """Goals whose words mean such a metric; a score that is called like the goal would go before."""
    mapped = _by_normal_name(mapping)
    return _misfits({goal: None for goal in goals.goals if normal(goal.name) not in mapped})


def _misfits(metrics: Mapping[Goal, str | None]) -> list[str]:
    texts = ((goal, misfit_of_measure(goal, metric)) for goal, metric in metrics.items())
    return [f"Goal {goal.name} (line {goal.lines[0]}): {text}" for goal, text in texts if text]


def _section(title: str, texts: list[str], width: int) -> list[Line]:
    if not texts:
        return []
    markup = {"Not understood": WARN, "Without goals": DIM}.get(title)
    lines = [each for text in texts for each in paragraph(text, width, markup, INDENT)]
    return [Line(), line(title, BOLD), *lines]


def _told(one: ReadLine) -> str:
    return f"{one.line}: {one.text} -> {one.told}"


def _by_normal_name(mapping: Mapping[str, str]) -> dict[str, str]:
    return {normal(name): metric for name, metric in mapping.items()}


def _goal(goal: Goal, mapped: Mapping[str, str]) -> str:
    lines = f"line{'s' * (len(goal.lines) > 1)} {', '.join(map(str, goal.lines))}"
    return f"{goal.name}: {aim(goal)}; measured by {_measure(goal, mapped)} ({lines})"


def aim(goal: Goal) -> str:
    """What is to be reached, with the percentile if it isn't the mean."""
    percentile = "" if goal.percentile is None else f"p{goal.percentile:g} "
    return percentile + shown(goal.target)


def _measure(goal: Goal, mapped: Mapping[str, str]) -> str:
    if normal(goal.name) in mapped:
        return clean(mapped[normal(goal.name)])
    if goal.measure == ACCURACY:
        return "the assertion metric of a test"
    return goal.measure or "a metric of this name"


def to_json(goals: Goals, *, mapping: Mapping[str, str]) -> dict[str, Any]:
    """The same as plain data."""
    mapped = _by_normal_name(mapping)
    return {
        "path": goals.path,
        "goals": [
            {
                "name": goal.name,
                "metric": mapped.get(normal(goal.name), None if goal.measure == ACCURACY else goal.measure),
                "measure": goal.measure,
                "target": goal.target.value,
                "direction": goal.target.direction,
                "unit": goal.target.unit,
                "percentile": goal.percentile,
                "lines": list(goal.lines),
            }
            for goal in goals.goals
        ],
        "rule": "all" if goals.rule.needed is None else "any",
        "needed": len(goals.goals) if goals.rule.needed is None else goals.rule.needed,
        "cases": goals.cases,
        "understood": [_line(one) for one in goals.lines if one.meaning in _UNDERSTOOD],
        "not_understood": [_line(one) for one in goals.lines if one.meaning == "unclear"],
        "ignored": [_line(one) for one in goals.lines if one.meaning == "ignored"],
        "problems": [clean(text) for text in (*goals.problems, *misfits(goals, mapping))],
        "doubts": [clean(text) for text in doubts(goals, mapping)],
    }


def _line(one: ReadLine) -> dict[str, Any]:
    return {"line": one.line, "text": one.text, "meaning": one.meaning, "told": one.told}
