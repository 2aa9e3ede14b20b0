"""What terminal and report have in common when they tell where time and money go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from pytest_promptune.core.display import UNKNOWN, clean, number
from pytest_promptune.core.nodes.priority import Unmet
from pytest_promptune.core.view import NodeRow, View


def by_app(view: View) -> list[tuple[str, tuple[NodeRow, ...]]]:
    """The rows of each app under its name, and under its place where several have that name."""
    groups = [(key, tuple(rows)) for key, rows in groupby(view.nodes, key=lambda row: (row.app, row.scope))]
    names = [app for (app, _), _ in groups]
    return [(_title(app, scope, several=names.count(app) > 1), rows) for (app, scope), rows in groups]


def _title(app: str, scope: str, *, several: bool) -> str:
    return f"{clean(app)} ({clean(scope)})" if several and scope else clean(app)


def variants(rows: Iterable[NodeRow]) -> list[str]:
    """Whose rows these are, each once."""
    return list(dict.fromkeys(row.variant for row in rows))


def tells_usage(rows: Sequence[NodeRow]) -> bool:
    """Whether anything but times is known."""
    known = [(row.input_tokens, row.output_tokens, row.cost_usd, row.retries or None) for row in rows]
    return any(value is not None for values in known for value in values) or any(row.errors for row in rows)


def share(value: float | None) -> str:
    """``20 %``, ``3.4 %``."""
    return UNKNOWN if value is None else f"{number(value * 100, digits=2)} %"


def whole(value: int | None) -> str:
    """``12,400``."""
    return UNKNOWN if value is None else f"{value:,}"


def errors(row: NodeRow) -> str:
    """``2 ConnectionError, 1 ValueError``, or nothing."""
    return ", ".join(f"{times:,} {clean(name)}" for name, times in row.errors.items())


def impact_rule(unmet: Unmet) -> str:
    """What the impact of the priority matrix is, and what counts in it."""
    if not unmet.has_goals:
        about = "no goals were judged in this experiment, so all three count"
    elif unmet.goals:
        about = f"the unmet goals ({', '.join(map(clean, unmet.goals))})"
    else:
        about = "all goals are met, so nothing counts"
    return (
        "Impact: the node's measured share, on average over what counts: failed cases in which it ran, of "
        f"time, of cost; {about}. It bounds a gain and promises none."
    )
