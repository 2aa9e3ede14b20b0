"""What the earlier iterations of a series brought, from what the experiment log says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_promptune.core.decision import brought
from pytest_promptune.core.series.building import series_of
from pytest_promptune.core.series.model import Place, Session
from pytest_promptune.core.series.rows import comparison_from


def earlier_iterations(past: Sequence[Mapping[str, Any]], now: Session) -> list[bool]:
    """Whether each iteration before the present one found an improvement beyond the margin, oldest first.

    Args:
        past: of the series, as `store.log.past` gives it.
        now: the present session; measuring an iteration again is no new one.
    """
    sessions = [
        Session(
            experiment=each["experiment"],
            mode=each["mode"],
            started=each["started"],
            variants=each["variants"],
            current=each["prompts"],
            measured=_measured(each["comparisons"]),
            cases=each["cases"],
            runs=each["runs"],
            tests=each["tests"],
        )
        for each in past
    ]
    rows = {each["experiment"]: each["comparisons"] for each in past}
    series = series_of([*sessions, now], ())
    return [
        brought(comparison_from(row) for row in rows[iteration.session.experiment])
        for iteration in series.iterations
        if now not in (iteration.session, *iteration.repeats)
    ]


def _measured(rows: Sequence[Mapping[str, Any]]) -> tuple[Place, ...]:
    """Module and name of what was compared."""
    return tuple(sorted({(str(row.get("module") or ""), str(row["metric"])) for row in rows}))
