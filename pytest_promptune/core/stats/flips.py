"""Which cases changed: one test per case, with what the whole suite teaches about its cases."""

import math
from typing import Literal

import numpy as np

from pytest_promptune.core.stats.cells import ROUNDING, FloatArray, IntArray, PairedCells, pair, tabulate
from pytest_promptune.core.stats.model import (
    CaseChange,
    Direction,
    Kind,
    Scores,
    require_fraction,
    require_one_of,
)
from pytest_promptune.core.stats.multiplicity import benjamini_hochberg
from pytest_promptune.core.stats.special import log_beta
from pytest_promptune.core.stats.tails import tails_of_t
from pytest_promptune.core.values import dataclass

#: A binary case that lost this share of its runs is worth another look even if chance is not excluded.
SUSPECT_DROP = 0.5
#: Prior degrees of freedom of the variance of a case (moderated t).
PRIOR_DF = 4


def case_changes(
    reference: Scores,
    candidate: Scores,
    *,
    kind: Kind = "binary",
    direction: Direction = "higher",
    fdr: float = 0.10,
) -> list[CaseChange]:
    """How every common case changed, in the order of their ids.

    Among the cases called improved or regressed about a share ``fdr`` is called so by chance. Binary: the
    chance that an unchanged case of this suite shows such a drop, under a beta distribution of pass rates
    fitted to the suite plus one case at 0.5 (empirical Bayes). Otherwise: t with the variance of the case
    drawn towards that of the suite (Smyth 2004), on logs for latency. Both with Benjamini-Hochberg.
    Raises StatsError as ``compare`` does.
    """
    require_one_of("kind", kind, Kind)
    require_one_of("direction", direction, Direction)
    require_fraction("fdr", fdr)
    both = pair(
        tabulate(reference, metric="reference", kind=kind), tabulate(candidate, metric="candidate", kind=kind)
    )
    return [] if both is None else paired_changes(both, kind=kind, direction=direction, fdr=fdr)


def paired_changes(both: PairedCells, *, kind: Kind, direction: Direction, fdr: float) -> list[CaseChange]:
    """The same from cleaned scores."""
    if kind == "binary":
        down, up = _binary_tails(both)
    else:
        scaled = both.logs() if kind == "latency" else None
        down, up = _moderated_tails(scaled or both)
    worse, better = (down, up) if direction == "higher" else (up, down)
    worse_adjusted, better_adjusted = benjamini_hochberg(worse), benjamini_hochberg(better)
    sign = 1 if direction == "higher" else -1
    differences = both.differences
    changes = []
    for row, case in enumerate(both.cases):
        difference = float(differences[row])
        changes.append(
            CaseChange(
                case=case,
                mean_reference=float(both.reference.mean[row]),
                mean_candidate=float(both.candidate.mean[row]),
                difference=difference,
                p_worse=worse[row],
                p_better=better[row],
                p_worse_adjusted=worse_adjusted[row],
                p_better_adjusted=better_adjusted[row],
                change=_change(
                    worse_adjusted[row], better_adjusted[row], fdr, sign * difference, binary=kind == "binary"
                ),
            )
        )
    return changes


def _change(
    worse: float | None, better: float | None, fdr: float, gain: float, *, binary: bool
) -> Literal["improved", "regressed", "suspect", "unchanged"]:
    if worse is not None and worse <= fdr:
        return "regressed"
    if better is not None and better <= fdr:
        return "improved"
    return "suspect" if binary and gain <= -SUSPECT_DROP else "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaPrior:
    """How pass rates are distributed over the cases of a suite."""

    a: float
    b: float


def _binary_tails(both: PairedCells) -> tuple[list[float | None], list[float | None]]:
    """P(such a drop or a larger one) and P(such a rise or a larger one) of an unchanged case."""
    n = both.reference.n + both.candidate.n
    passes = both.reference.n * both.reference.mean + both.candidate.n * both.candidate.mean
    prior = fit_prior(passes, n)
    down: list[float | None] = []
    up: list[float | None] = []
    tables: dict[tuple[int, int], tuple[FloatArray, FloatArray]] = {}
    for n0, n1, change in zip(both.reference.n, both.candidate.n, both.differences, strict=True):
        layout = int(n0), int(n1)
        if layout not in tables:
            tables[layout] = _change_distribution(*layout, prior)
        changes, chances = tables[layout]
        down.append(_tail(chances[changes <= change + 1e-12]) if change < -1e-12 else 1.0)
        up.append(_tail(chances[changes >= change - 1e-12]) if change > 1e-12 else 1.0)
    return down, up


def _tail(chances: FloatArray) -> float:
    return min(1.0, float(chances.sum()))


def fit_prior(passes: FloatArray, n: IntArray) -> BetaPrior:
    """Moments of the pass rates of cases: (cases,) passes among n runs each, more than one on average.

    One more case at 0.5 keeps a perfect suite from certainty.
    """
    rates = np.append(passes / n, 0.5)
    mean, spread, runs = float(rates.mean()), float(np.var(rates, ddof=1)), float(n.mean())
    overlap = (spread * runs / (mean * (1 - mean)) - 1) / (runs - 1)
    total = 1 / min(max(overlap, 0.01), 0.99) - 1
    return BetaPrior(a=mean * total, b=(1 - mean) * total)


def _change_distribution(n0: int, n1: int, prior: BetaPrior) -> tuple[FloatArray, FloatArray]:
    """All changes x1/n1 - x0/n0 of an unchanged case and their beta-binomial chances."""
    x0, x1 = (grid.ravel().astype(float) for grid in np.meshgrid(np.arange(n0 + 1), np.arange(n1 + 1)))
    passes, fails = x0 + x1, n0 + n1 - x0 - x1
    log_chance = (
        _log_binomial(n0, x0)
        + _log_binomial(n1, x1)
        + _log_beta(prior.a + passes, prior.b + fails)
        - log_beta(prior.a, prior.b)
    )
    return x1 / n1 - x0 / n0, np.exp(log_chance)


def _log_binomial(n: int, k: FloatArray) -> FloatArray:
    """Logarithm of n over k: 1 / ((n + 1) B(n - k + 1, k + 1))."""
    return -math.log(n + 1) - _log_beta(n - k + 1, k + 1)


def _log_beta(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.array([log_beta(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)])


def _moderated_tails(both: PairedCells) -> tuple[list[float | None], list[float | None]]:
    """One-sided p-values of a fall and of a rise; ``None`` if no case has two runs on a side."""
    free = both.reference.n + both.candidate.n - 2
    n_cases = len(free)
    if not free.sum():
        return [None] * n_cases, [None] * n_cases
    squares = both.reference.squares + both.candidate.squares
    pooled = float(squares.sum()) / float(free.sum())
    variance = (PRIOR_DF * pooled + squares) / (PRIOR_DF + free)
    if math.sqrt(pooled) <= ROUNDING * both.largest:
        variance = np.zeros(n_cases)
    change = both.differences
    error = np.sqrt(variance * (1 / both.reference.n + 1 / both.candidate.n))
    # Without any variance a change is certain and no change is no evidence.
    certain = np.where(np.abs(change) > ROUNDING * both.largest, np.copysign(np.inf, change), 0.0)
    t = np.divide(change, error, out=certain, where=error > 0)
    below, above = tails_of_t(t, (PRIOR_DF + free).astype(float))
    return below.tolist(), above.tolist()
