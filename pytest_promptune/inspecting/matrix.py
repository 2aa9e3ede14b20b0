"""The priority matrix over nodes, in words: the numbers, their stars, and the rule behind them."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_promptune.core.display import UNKNOWN, clean, count, money
from pytest_promptune.core.nodes.priority import MECHANICAL, Effort, Measure, Priority, Unmet
from pytest_promptune.core.nodes.wording import impact_rule, share
from pytest_promptune.inspecting.efforts import DIFFERENCE, POWER

HEADER = ("node", "impact", "feasibility", "cost")
_WORDS: dict[Measure, str] = {"quality": "failed cases", "latency": "time", "cost": "cost"}


def cells(rows: Sequence[Priority]) -> list[list[str]]:
    """One row a node, as `HEADER` says."""
    return [[clean(row.node), _impact(row), _feasibility(row), _cost(row.effort)] for row in rows]


def _impact(row: Priority) -> str:
    if row.impact is None:
        return UNKNOWN
    parts = ", ".join(f"{_WORDS[name]} {share(value)}" for name, value in row.shares.items())
    return _starred(share(row.impact), row.impact_stars) + (f" ({parts})" if len(row.shares) > 1 else "")


def _feasibility(row: Priority) -> str:
    return _starred(f"{row.feasibility}", row.feasibility_stars)


def _starred(text: str, stars: int) -> str:
    return f"{text} {'★' * stars}".rstrip()


def _cost(effort: Effort) -> str:
    if effort.runs is None:
        return UNKNOWN
    runs = count(effort.runs, "run")
    return f"{runs} × {money(effort.run_usd)} = {money(effort.usd)}" if effort.usd is not None else runs


def rule_of(unmet: Unmet) -> str:
    """What the columns are; printed below them."""
    return (
        f"{impact_rule(unmet)} "
        "Feasibility: findings that a parameter or another form mends "
        f"({', '.join(sorted(MECHANICAL))}). Cost: runs per case that find a change of "
        f"{DIFFERENCE:.2f} (10 % of times and costs) with a power of {POWER}, times the cost of one run over "
        "all cases; each variant costs that much. Stars: impact ★ above 0, ★★ from 20 %, ★★★ from 50 %; "
        f"feasibility one for each finding, at most 3. Order: impact, then feasibility. {UNKNOWN}: not known."
    )
