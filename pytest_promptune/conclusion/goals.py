"""The goals of the goals file: what each means in this session, whether it is reached, and what follows."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_promptune.conclusion.evidence import Conclusion, Evidence
from pytest_promptune.core.aggregates.labels import Classified
from pytest_promptune.core.experiment import Column
from pytest_promptune.core.goals.gating import goal_items
from pytest_promptune.core.goals.judging import Measured, candidates, judge
from pytest_promptune.core.goals.matching import meant_by
from pytest_promptune.core.goals.model import Goals
from pytest_promptune.core.goals.wording import shown_rule

_PARTIAL = "Goals speak of the whole suite: in a partial session they are reported, not gated."


def judge_goals(
    goals: Goals,
    evidence: Evidence,
    columns: Sequence[Column],
    classifying: Sequence[Classified],
    found: Conclusion,
) -> None:
    """Judge every goal under every variant and gate; one that can't be judged is a warning."""
    settings = evidence.settings
    found.warnings.extend(f"{goals.path}: {problem}" for problem in goals.problems)
    aggregates = [row for row in found.metrics if row.aggregate]
    known = candidates(columns, [each.column for each in classifying], [row.name for row in aggregates])
    measured = Measured(
        columns={(column.name.module, column.name.metric): column for column in columns},
        aggregates={((row.name.module, row.name.metric), row.variant): row for row in aggregates},
        alpha=settings.alpha,  # at looks, too: goals decide of no look that it is the last
        scope=settings.scope,
    )
    for goal in goals.goals:
        meant = meant_by(goal, known, settings.goal_metrics)
        if meant.problem:
            found.warnings.append(
                f"{goals.path}: {meant.problem}{'' if meant.names else ' It is not judged.'}"
            )
        for variant in evidence.variants:
            found.goals.extend(judge(meant, variant, measured))
    found.passing_rule = shown_rule(goals.rule) if goals.goals else ""
    if settings.mode == "baseline" or settings.gate == "off" or not found.goals:
        return
    if not evidence.is_whole:
        found.notes.append(_PARTIAL)
        return
    found.goal_items.extend(goal_items(found.goals, goals.rule, strict=settings.strict))
