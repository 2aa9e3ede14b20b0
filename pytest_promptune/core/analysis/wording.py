"""An analysis in words, for terminal and reports. Names of cases, nodes and classes are foreign text."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_promptune.core.analysis.model import (
    AnalysisView,
    CoverageRow,
    Mistaken,
    Outlier,
    OutlierRow,
    PriorityRow,
    TroubleRow,
    leading,
)
from pytest_promptune.core.display import UNKNOWN, clean, count, money, seconds, some
from pytest_promptune.core.nodes.wording import share

#: What is shown of each part where there is little room.
MOST = 3
#: Of cases without the tag.
NO_CATEGORY = "without category"
_QUANTITIES = {"latency_s": "latency", "tokens": "tokens", "cost_usd": "cost"}
_SHARES = {"quality": "failed cases", "latency": "time", "cost": "cost"}


def trouble(row: TroubleRow) -> str:
    """``billing: 10 of 20 missed; 8 of 10 misses are taken for technical: T01, T04``."""
    text = f"{category(row)}: {row.misses:,} of {row.samples:,} missed"
    if row.mistaken:
        most = row.mistaken[0]
        instead = f" instead of {clean(most.expected)}" if most.expected != row.category else ""
        return (
            f"{text}; {most.count:,} of {misses(row)} taken for {predicted(most)}{instead}: {ids(most.cases)}"
        )
    return f"{text}: {ids(row.cases)}"


def misses(row: TroubleRow) -> str:
    """``10 misses``."""
    return f"{row.misses:,} {'miss' if row.misses == 1 else 'misses'}"


def category(row: TroubleRow) -> str:
    """Its name."""
    return NO_CATEGORY if row.category is None else clean(row.category)


def predicted(row: Mistaken) -> str:
    """The class that was given."""
    return "no class" if row.predicted is None else clean(row.predicted)


def ids(cases: Sequence[str]) -> str:
    """A few of them."""
    return some([clean(case) for case in cases])


def quantity(row: OutlierRow) -> str:
    """In a word."""
    return _QUANTITIES.get(row.quantity, clean(row.quantity))


def value(row: OutlierRow, number: float) -> str:
    """With its unit."""
    if row.quantity == "latency_s":
        return seconds(number)
    return money(number) if row.quantity == "cost_usd" else f"{number:,.6g}"


def outliers(row: OutlierRow) -> str:
    """``3 outliers of 60 in latency (current), the furthest T04 run 2: 4.1 s, most of it in classify``."""
    first = row.outliers[0]
    where = f", most of it in {clean(first.node)}" if first.node else ""
    return (
        f"{count(len(row.outliers), 'outlier')} in {row.samples:,} samples by {quantity(row)} "
        f"({clean(row.variant)}), the furthest {outlier(row, first)}{where}"
    )


def outlier(row: OutlierRow, found: Outlier) -> str:
    """``T04 run 2: 4.1 s``."""
    return f"{clean(found.case)} run {found.run}: {value(row, found.value)}"


def coverage(row: CoverageRow) -> str:
    """``cases by category: billing 12, technical 2: few cases of technical``."""
    counts = ", ".join(f"{clean(name)} {number:,}" for name, number in row.counts.items())
    advice = f": {'; '.join(map(clean, row.advice))}" if row.advice else ""
    return f"cases by {row.tag}: {counts}{advice}"


def first_node(analysis: AnalysisView) -> str:
    """Where work promises most, or nothing where that isn't one node alone."""
    row = leading(analysis.priorities)
    if row is None:
        return ""
    return f"work on {clean(row.node)} first: it has {impact(row)}"


def impact(row: PriorityRow) -> str:
    """``61 % of what counts (failed cases 100 %, time 40 %, cost 43 %)``, ``40 % of time``."""
    if row.impact is None:
        return UNKNOWN
    names = {_SHARES.get(name, name): part for name, part in row.shares.items()}
    if len(names) == 1:
        return f"{share(row.impact)} of {next(iter(names))}"
    parts = ", ".join(f"{name} {share(part)}" for name, part in names.items())
    return f"{share(row.impact)} of what counts ({parts})"


def feasibility(row: PriorityRow) -> str:
    """How many findings a parameter mends."""
    return UNKNOWN if row.feasibility is None else f"{row.feasibility:,}"


def cost(row: PriorityRow) -> str:
    """``5 runs, 0.04 USD``."""
    return UNKNOWN if row.runs is None else f"{count(row.runs, 'run')}, {money(row.cost_usd)}"
