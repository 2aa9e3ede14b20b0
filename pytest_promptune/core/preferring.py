"""Which of several better variants to adopt, where their gains alone don't tell."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from pytest_promptune.core.display import clean
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ComparisonRow, Interval

#: What an app needs, and what having more of it is called; without prices tokens tell.
_NEEDS = (
    ("cost_usd", "costs more"),
    ("input_tokens", "takes more tokens"),
    ("output_tokens", "takes more tokens"),
    ("latency_s", "takes longer"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferred:
    """The variant to adopt, and what it is preferred to."""

    row: ComparisonRow
    #: Why not others whose gain the numbers don't tell from it, a sentence, or nothing.
    reason: str = ""


def preferred(
    better: Sequence[ComparisonRow], rows: Sequence[ComparisonRow], *, several: Collection[str]
) -> Preferred:
    """The largest gain; of gains that the numbers don't tell apart one change, then less cost, less latency.

    Two differences are told apart where one lies outside of the other's interval. Of what is equal in all of
    this the larger effect counts, then the order of the variants.

    Args:
        better: improvements of variants that may be adopted, at least one, in the order of the variants.
        rows: all comparisons of variants with `current`.
        several: variants that are more than one change.
    """
    best = max(better, key=_effect)
    equal = {
        row.candidate: row for row in better if _place(row) == _place(best) and not _told_apart(row, best)
    }
    left = dict(equal)
    why: dict[str, str] = {}
    single = {name: row for name, row in left.items() if name not in several}
    if single:
        why |= dict.fromkeys(left.keys() - single.keys(), "is more than one change")
        left = single
    for need, what in _NEEDS:
        least = set(_least([row for row in rows if row.candidate in left and _is_of(row, best, need)], left))
        why |= dict.fromkeys(left.keys() - least, what)
        left = {name: row for name, row in left.items() if name in least}
    chosen = max(left.values(), key=_effect)
    told = [f"{clean(name)} is as good, but {why[name]}" for name in equal if name in why]
    return Preferred(row=chosen, reason=f"{'; '.join(told)}." if told else "")


def _least(rows: Sequence[ComparisonRow], names: Collection[str]) -> Iterator[str]:
    """The variants that need least, and those that aren't told apart from it; all where one is unknown."""
    known = [row for row in rows if row.candidate_mean is not None]
    if {row.candidate for row in known} != set(names):
        yield from names
        return
    least = min(known, key=lambda row: row.candidate_mean or 0.0)
    yield from (row.candidate for row in known if not _told_apart(row, least))


def _effect(row: ComparisonRow) -> float:
    return abs(row.cliffs_delta or 0.0)


def _place(row: ComparisonRow) -> tuple[str, str]:
    return row.name.module, row.name.metric


def _is_of(row: ComparisonRow, best: ComparisonRow, need: str) -> bool:
    """Whether it is what the app of the improvement needs."""
    return row.name.module == best.name.module and row.name.metric == f"{best.name.app}::{need}"


def _told_apart(one: ComparisonRow, other: ComparisonRow) -> bool:
    """Two variants' differences from the same reference; one lies outside of its own interval at times."""
    return one is not other and any(not _agrees(*sides) for sides in ((one, other), (other, one)))


def _agrees(one: ComparisonRow, other: ComparisonRow) -> bool:
    """Whether one's difference lies within the other's interval; without interval, whether both are equal."""
    by_ratio = one.ratio is not None and other.ratio is not None
    value, interval = (one.ratio, other.ratio_ci) if by_ratio else (one.difference, other.ci)
    if value is None or interval is None:
        return one.candidate_mean == other.candidate_mean
    return _in(value, interval)


def _in(value: float, interval: Interval) -> bool:
    low, high = interval
    return (-math.inf if low is None else low) <= value <= (math.inf if high is None else high)
