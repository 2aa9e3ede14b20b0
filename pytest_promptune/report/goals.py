"""The table of goals in the reports."""

from __future__ import annotations

from pytest_promptune.core.display import interval, mean, percent
from pytest_promptune.core.goals import wording
from pytest_promptune.core.view import View
from pytest_promptune.report.escape import code, sentence
from pytest_promptune.report.tables import Table


def goal_table(view: View) -> Table:
    """What each goal wants, what was measured, and whether it is reached; no rows without goals."""
    level = f"{percent(1 - view.experiment.alpha)} interval"
    header = ("Goal", "Metric", "Variant", "Value", level, "Target", "Gap", "Achievement", "Result")
    rows = tuple(
        (
            sentence("{}", row.goal),
            code(wording.metric(row)),
            code(row.variant),
            mean(row.name, row.value),
            interval(row.name, row.ci),
            wording.target(row),
            wording.gap(row),
            wording.achievement(row),
            wording.status(row),
        )
        for row in view.goals
    )
    notes = (
        "Attained: the whole interval reaches the target; missed: none of it does. Gap is value minus "
        "target.",
        f"Passing rule: {view.passing_rule}.",
    )
    return Table(title="Goals", header=header, rows=rows, notes=notes if rows else ())
