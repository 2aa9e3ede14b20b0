"""Comparing all pairs of a session as one family of questions, and deciding what the gate makes of them."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.aggregates import Aggregated
from pytest_promptune.core.stats.flips import paired_changes
from pytest_promptune.core.stats.measuring import (
    Prepared,
    case_differences,
    count,
    measure,
    prepare,
    runs_for_margin,
    runs_if_equal,
    smallest_detectable,
    tolerance,
)
from pytest_promptune.core.stats.model import (
    Comparison,
    Direction,
    Gate,
    Judgement,
    Kind,
    MetricSpec,
    Multiplicity,
    Pair,
    Scope,
    Scores,
    Statistic,
    is_number,
    require_count,
    require_level,
    require_one_of,
)
from pytest_promptune.core.stats.multiplicity import benjamini_hochberg, holm
from pytest_promptune.core.stats.permutation import TailProbabilities, flip_signs, relabel_runs
from pytest_promptune.core.stats.verdict import Evidence, decide, failure
from pytest_promptune.core.stats.wording import explain, explain_failure
from pytest_promptune.core.values import dataclass

#: Largest difference between the shares of missing samples of the two sides.
MISSING_GAP = 0.10
#: False discovery rate among the cases that fail the gate, with ``gate_cases``.
CASE_FDR = 0.10
#: Two-sided level up to which small p-values are resolved for all pairs alike, and beyond it for those alone
#: that come near the level.
USUAL_ALPHA = 0.05
#: Up to so many relabellings p-values are resolved to a twentieth of the level, and beyond it to a fifth.
MANY = 100_000
#: Values that are relabelled at most to resolve the smallest p-values: some ten seconds of work.
MOST_WORK = 1_000_000_000
#: Hypotheses that share an error level; their indices.
Family: TypeAlias = list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    alpha: float
    scope: Scope
    statistic: Statistic
    resamples: int
    seed: int
    max_missing: float
    multiplicity: Multiplicity
    gate: Gate
    strict: bool
    gate_cases: bool

    def check(self) -> None:
        require_level("alpha", self.alpha)
        require_one_of("scope", self.scope, Scope)
        require_one_of("statistic", self.statistic, Statistic)
        require_one_of("multiplicity", self.multiplicity, Multiplicity)
        require_one_of("gate", self.gate, Gate)
        require_count("resamples", self.resamples, lowest=1, example="; 9999 is usual")
        require_count("seed", self.seed, lowest=0)
        if not (is_number(self.max_missing) and 0 <= self.max_missing <= 1):
            raise StatsError(f"max_missing={self.max_missing!r}: must lie between 0 and 1.")


def compare(
    reference: Scores,
    candidate: Scores,
    *,
    kind: Kind = "binary",
    direction: Direction = "higher",
    scope: Scope = "suite",
    alpha: float = 0.05,
    margin: float | None = None,
    tolerance: float | None = None,
    statistic: Statistic = "studentized",
    resamples: int = 9_999,
    seed: int = 0,
    max_missing: float = 0.2,
) -> Comparison:
    """Compare the scores of a candidate with those of a reference: a family of one.

    ``margin`` and ``tolerance`` are described at ``MetricSpec``. The row is labelled ``reference`` and
    ``candidate``, its metric is called after ``kind``, and its gate is off.
    Raises StatsError for infinite values and for options that do not exist.
    """
    asked = Pair(
        metric=kind,
        reference="reference",
        candidate="candidate",
        reference_scores=reference,
        candidate_scores=candidate,
        spec=MetricSpec(kind, direction, margin=margin, tolerance=tolerance),
    )
    judgement = judge(
        [asked],
        alpha=alpha,
        scope=scope,
        statistic=statistic,
        resamples=resamples,
        seed=seed,
        max_missing=max_missing,
        gate="off",
    )
    return judgement.comparisons[0]


def judge(
    pairs: Sequence[Pair],
    *,
    alpha: float = 0.05,
    scope: Scope = "suite",
    statistic: Statistic = "studentized",
    resamples: int = 9_999,
    seed: int = 0,
    max_missing: float = 0.2,
    multiplicity: Multiplicity = "holm",
    gate: Gate = "regression",
    strict: bool = False,
    gate_cases: bool = False,
    aggregates: Sequence[Aggregated] = (),
) -> Judgement:
    """Compare all pairs; the error level is shared by the gated ones, whatever their reference.

    ``alpha`` is two-sided: intervals at 1 - alpha, and the gate fails an unchanged app with a probability of
    at most alpha / 2 over all gated pairs (``multiplicity="holm"``). ``resamples`` is raised to 20 per
    hypothesis and alpha (5 where that is very many), so that small adjusted p-values can be resolved. Rows
    come in the order of ``pairs``; the same inputs and seed give the same rows. An ungated pair is tested on
    its own.

    ``aggregates`` were measured before (see ``measure_aggregate``); gated ones share the error level too, and
    their rows come last.

    ``gate="regression"`` fails on a gated regression; ``"non-inferiority"`` unless every gated pair is shown
    to lose less than its margin; ``strict`` fails on inconclusive too; ``"off"`` never fails. With
    ``gate_cases`` a single case that got worse (see ``case_changes``) fails it too, beyond the error level
    above.

    Raises StatsError for infinite values, for unknown options, and for a candidate that is its reference.
    """
    options = _Options(
        alpha=alpha,
        scope=scope,
        statistic=statistic,
        resamples=resamples,
        seed=seed,
        max_missing=max_missing,
        multiplicity=multiplicity,
        gate=gate,
        strict=strict,
        gate_cases=gate_cases,
    )
    options.check()
    asked: list[Pair | Aggregated] = [*pairs, *aggregates]
    _refuse_self_comparison(asked)
    prepared = [prepare(pair, scope=scope) for pair in pairs]
    rows = _measured(prepared, options, aggregates)
    rows = _adjusted([*rows, *(each.row for each in aggregates)], asked, multiplicity)
    judged = [_judged(row, item, options) for row, item in zip(rows[: len(prepared)], prepared, strict=True)]
    judged += [
        _judged_aggregate(replace(each, row=row), options)
        for row, each in zip(rows[len(prepared) :], aggregates, strict=True)
    ]
    return _gated(judged, prepared, options)


def _refuse_self_comparison(pairs: Sequence[Pair | Aggregated]) -> None:
    for asked in pairs:
        if asked.candidate == asked.reference:
            raise StatsError(
                f"{asked.metric}: {asked.candidate!r} would be compared with itself. "
                "Name a candidate other than the reference."
            )


def _gated(judged: list[Comparison], prepared: list[Prepared], options: _Options) -> Judgement:
    """Sum the rows up, single cases included if asked for."""
    if options.gate_cases:
        judged = [
            _with_worse_cases(row, item) if row.gate != "off" else row
            for row, item in zip(judged, prepared, strict=False)
        ] + judged[len(prepared) :]
    reasons = [explain_failure(row) for row in judged if row.gate == "failed"]
    return Judgement(comparisons=tuple(judged), gate="fail" if reasons else "pass", reasons=tuple(reasons))


def _with_worse_cases(row: Comparison, prepared: Prepared) -> Comparison:
    """The row, failed if cases of the pair got worse by themselves."""
    if prepared.raw is None:
        return row
    spec = prepared.pair.spec
    changes = paired_changes(prepared.raw, kind=spec.kind, direction=spec.direction, fdr=CASE_FDR)
    worse = tuple(change.case for change in changes if change.change == "regressed")
    if not worse:
        return row
    return replace(row, gate="failed", failure=row.failure or "cases", failing_cases=worse)


def _measured(prepared: list[Prepared], options: _Options, more: Sequence[Aggregated]) -> list[Comparison]:
    """One row per pair, each by itself; `more` share the error level with them."""
    return [
        count(item) if tail is None else measure(item, tail, alpha=options.alpha)
        for item, tail in zip(prepared, _test(prepared, options, more), strict=True)
    ]


def _test(
    prepared: list[Prepared], options: _Options, others: Sequence[Aggregated]
) -> list[TailProbabilities | None]:
    """Tail probabilities of every pair with common cases; `others` share the error level with them.

    An early look asks for p-values of a few millionths. Only pairs that came near its level are drawn again,
    as often as it takes: a p-value of the second draw holds by itself, and one above the level stays there.
    Where that would take too long for any to become significant, they wait for the next look.
    """
    hypotheses = _most_hypotheses([*_comparable(prepared), *others], options.multiplicity)
    needed = math.ceil(max(min(20 * hypotheses / options.alpha, MANY), 5 * hypotheses / options.alpha))
    usual = math.ceil(20 * hypotheses / max(options.alpha, USUAL_ALPHA))
    resamples = max(options.resamples, usual)
    tails = _drawn(prepared, options, resamples)
    near = max(4 * options.alpha / 2, 5 / resamples)
    close = [
        index
        for index, tail in enumerate(tails)
        if tail is not None and not tail.constant and min(tail.at_least, tail.at_most) <= near
    ]
    more = min(needed, MOST_WORK // max(1, sum(_work(prepared[index]) for index in close)))
    if more > resamples and more >= 2 * hypotheses / options.alpha:
        again = _drawn([prepared[index] for index in close], options, more)
        for index, tail in zip(close, again, strict=True):
            tails[index] = tail
    return tails


def _work(item: Prepared) -> int:
    """Values that one relabelling of a pair moves; signs are kept in memory, which costs as much."""
    cells = item.scaled
    if cells is None or item.scope == "population":
        return 150
    return int(cells.reference.n.sum() + cells.candidate.n.sum())


def _drawn(prepared: list[Prepared], options: _Options, resamples: int) -> list[TailProbabilities | None]:
    """Tail probabilities over so many relabellings, all pairs of a scope in one go."""
    tails: list[TailProbabilities | None] = [None] * len(prepared)
    suite = [(index, item.scaled) for index, item in enumerate(prepared) if item.scope == "suite"]
    cases = [(index, item.scaled) for index, item in enumerate(prepared) if item.scope == "population"]
    runs = [(index, scaled) for index, scaled in suite if scaled is not None]
    flips = [(index, case_differences(scaled)) for index, scaled in cases if scaled is not None]
    studentized = options.statistic == "studentized"
    shuffled = relabel_runs(
        [scaled for _, scaled in runs], studentized=studentized, resamples=resamples, seed=options.seed
    )
    flipped = flip_signs([each for _, each in flips], resamples=resamples, seed=options.seed)
    for (index, _), tail in zip(runs, shuffled, strict=True):
        tails[index] = tail
    for (index, _), tail in zip(flips, flipped, strict=True):
        tails[index] = tail
    return tails


def _comparable(prepared: list[Prepared]) -> list[Pair]:
    return [item.pair for item in prepared if item.raw is not None]


def _most_hypotheses(pairs: Sequence[Pair | Aggregated], multiplicity: Multiplicity) -> int:
    """Size of the largest family of gated pairs."""
    gated = [each for each in pairs if each.gated]
    if multiplicity != "variant":
        return len(gated)
    return max(Counter((each.reference, each.candidate) for each in gated).values(), default=0)


def _adjusted(
    rows: list[Comparison], pairs: Sequence[Pair | Aggregated], multiplicity: Multiplicity
) -> list[Comparison]:
    """Adjust p-values within their families, towards worse and towards better separately."""
    adjusted = [replace(row, p_worse_adjusted=row.p_worse, p_better_adjusted=row.p_better) for row in rows]
    correct = benjamini_hochberg if multiplicity == "bh" else holm
    for family in _families(rows, pairs, multiplicity):
        worse = correct([rows[index].p_worse for index in family])
        better = correct([rows[index].p_better for index in family])
        for position, index in enumerate(family):
            adjusted[index] = replace(
                rows[index],
                p_worse_adjusted=worse[position],
                p_better_adjusted=better[position],
                family_size=len(family),
            )
    return adjusted


def _families(
    rows: list[Comparison], pairs: Sequence[Pair | Aggregated], multiplicity: Multiplicity
) -> list[Family]:
    """Gated hypotheses that share an error level.

    One that no relabelling can reject takes no part: its p-value is 1 whatever happens (Tarone 1990).
    """
    testable = [
        index
        for index, (row, asked) in enumerate(zip(rows, pairs, strict=True))
        if asked.gated and row.p_value is not None and "constant" not in row.flags
    ]
    if multiplicity == "none":
        return []
    if multiplicity != "variant":
        return [testable] if testable else []
    families: dict[tuple[str, str], Family] = defaultdict(list)
    for index in testable:
        families[pairs[index].reference, pairs[index].candidate].append(index)
    return list(families.values())


def _judged(row: Comparison, prepared: Prepared, options: _Options) -> Comparison:
    """Add what depends on the family: detectable change, verdict, reason and gate."""
    family, alpha = row.family_size, options.alpha
    missing = _too_much_missing(prepared.reference.missing_share, prepared.candidate.missing_share, options)
    measured = prepared.raw is not None
    row = replace(
        row,
        tolerance=tolerance(prepared) if measured else None,
        minimum_detectable=smallest_detectable(prepared, alpha=alpha, family=family),
        runs_needed=runs_for_margin(prepared, alpha=alpha, family=family) if measured else None,
        runs_if_equal=runs_if_equal(prepared, alpha=alpha) if "constant" in row.flags else None,
    )
    return _decided(row, options, missing=missing, gated=prepared.pair.gated)


def _judged_aggregate(item: Aggregated, options: _Options) -> Comparison:
    """The same for an aggregate."""
    missing = _too_much_missing(*item.missing_shares, options)
    row = item.planned(alpha=options.alpha)
    return _decided(row, options, missing=missing, gated=item.gated)


def _too_much_missing(reference: float, candidate: float, options: _Options) -> bool:
    return max(reference, candidate) > options.max_missing or abs(reference - candidate) > MISSING_GAP


def _decided(row: Comparison, options: _Options, *, missing: bool, gated: bool) -> Comparison:
    """Add verdict, reason and gate."""
    row = replace(row, flags=(*row.flags, "missing_data") if missing else row.flags)
    evidence = Evidence(
        level=options.alpha / 2,
        tolerance=row.tolerance or 0.0,
        design_p=2 / row.n_relabellings if row.n_relabellings else 1.0,
        too_much_missing=missing,
    )
    verdict, rule = decide(row, evidence)
    row = replace(row, verdict=verdict)
    row = replace(row, reason=explain(row, rule))
    if not gated or options.gate == "off":
        return row
    why = failure(row, options.gate, strict=options.strict)
    return replace(row, gate="failed" if why else "passed", failure=why)
