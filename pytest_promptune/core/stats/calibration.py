"""How the gate would treat the user's own data: false alarms when nothing changed, and power when it did.

False alarms: the stored runs of every case are split at random into two halves, which are compared as a
session is compared with its baseline. Nothing changed between them, so whatever fails is a false alarm.

Power: sessions are simulated at the present size. The pass rate of each case is drawn from what its runs say
about it (its posterior under the beta distribution of `flips.fit_prior`), and the candidate's rates are moved
by one and the same amount on the logit scale, so that their mean gets worse by exactly the drop asked for.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.cells import Cells, FloatArray, IntArray, PairedCells, cells, tabulate
from pytest_promptune.core.stats.flips import fit_prior
from pytest_promptune.core.stats.interval import clopper_pearson, population_interval, suite_interval
from pytest_promptune.core.stats.judging import judge
from pytest_promptune.core.stats.measuring import case_differences
from pytest_promptune.core.stats.model import Interval, MetricSpec, Pair, Scope, Scores, Verdict
from pytest_promptune.core.stats.permutation import TailProbabilities, flip_signs, relabel_runs
from pytest_promptune.core.values import dataclass

#: Splits of the stored runs, and simulated sessions of each drop.
SPLITS = 200
SIMULATIONS = 400
#: Random relabellings of each comparison; `judge` raises them where the family needs more.
RESAMPLES = 1_999
#: Runs of a case below which its noise within a half would be unknown.
FEWEST_RUNS = 4
#: Comparisons that are judged in one go, and values in them: what fits in memory.
_MOST_PAIRS = 500
_MOST_VALUES = 2_000_000
#: Farthest that rates are moved on the logit scale: nothing is left of them then.
_FARTHEST = 60.0

#: Module, case and number of runs: metrics with the same of all three are split alike.
_Cell = tuple[str, str, int]
_Halves = tuple[IntArray, IntArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The stored runs of one gated metric."""

    #: Test module; metrics of one module have their samples in common.
    module: str
    metric: str
    spec: MetricSpec
    #: Values at the same position belong to the same run.
    scores: Scores

    @property
    def label(self) -> str:
        """Unique among all modules."""
        return f"{self.module}::{self.metric}"

    @property
    def splittable(self) -> Scores:
        """The cases with enough runs for two halves."""
        return {case: values for case, values in self.scores.items() if len(values) >= FEWEST_RUNS}

    @property
    def half(self) -> tuple[int, int] | None:
        """Fewest and most runs of a case in one half of a split; ``None`` where no case has enough."""
        runs = [len(values) // 2 for values in self.splittable.values()]
        return (min(runs), max(runs)) if runs else None

    @property
    def too_short(self) -> list[str]:
        """The cases with too few runs for two halves."""
        return sorted(set(self.scores) - set(self.splittable))

    @property
    def varies(self) -> bool:
        """Whether there are different values; what is all equal takes no part in the family of tests."""
        return len({value for runs in self.scores.values() for value in runs if value is not None}) > 1


def family_of(stored: Stored, everything: Sequence[Stored]) -> int:
    """Hypotheses that share the error level once ``stored`` changes: those that vary, and itself."""
    others = sum(each.varies for each in everything if each.label != stored.label)
    return others + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarms:
    """What became of splits in which nothing had changed."""

    splits: int
    #: Splits in which the gate failed.
    failed: int
    #: Of the share that fails, Clopper and Pearson's at 95 %.
    ci: Interval
    #: At most this share should fail.
    promised: float
    #: By `Stored.label`: number of splits by verdict.
    verdicts: Mapping[str, Mapping[Verdict, int]]

    @property
    def is_broken(self) -> bool:
        """Whether even the lower end of the interval is above what is promised."""
        return self.ci[0] > self.promised


def false_alarms(
    stored: Sequence[Stored],
    *,
    splits: int = SPLITS,
    seed: int = 0,
    alpha: float = 0.05,
    scope: Scope = "suite",
) -> FalseAlarms:
    """Split the runs of all metrics at random, judge each split as one family, count failed gates.

    All metrics of a module that have the same number of runs of a case are split alike, as samples are. A run
    that is left over when their number is odd takes no part in its split. Cases with fewer than four runs and
    metrics without others are left out. The splits are independent draws *given* these runs; they say nothing
    about other runs.

    Raises StatsError if no case has four runs, or for fewer than one split, and as ``judge`` does.
    """
    if splits < 1:
        raise StatsError(f"splits={splits!r}: must be at least 1; {SPLITS} are usual.")
    usable = [each for each in stored if each.splittable]
    if not usable:
        raise StatsError(f"no case has {FEWEST_RUNS} runs, two for each half.")
    failed = 0
    verdicts: dict[str, Counter[Verdict]] = {each.label: Counter() for each in usable}
    at_once = _splits_at_once(usable)
    for first in range(0, splits, at_once):
        numbers = range(first, min(first + at_once, splits))
        pairs = [pair for number in numbers for pair in _split(usable, number, seed)]
        rows = judge(
            pairs, alpha=alpha, scope=scope, resamples=RESAMPLES, seed=seed, multiplicity="variant"
        ).comparisons
        failed += len({row.candidate for row in rows if row.gate == "failed"})
        for row in rows:
            verdicts[row.metric][row.verdict] += 1
    return FalseAlarms(
        splits=splits,
        failed=failed,
        ci=clopper_pearson(failed, splits, alpha=0.05),
        promised=alpha / 2,
        verdicts=verdicts,
    )


def _splits_at_once(stored: Sequence[Stored]) -> int:
    values = sum(len(runs) for each in stored for runs in each.splittable.values())
    return max(1, min(_MOST_PAIRS // len(stored), _MOST_VALUES // values))


def _split(stored: Sequence[Stored], number: int, seed: int) -> list[Pair]:
    """One split of all metrics, under labels of its own: a family."""
    rng = np.random.default_rng([seed, number])
    found = {(each.module, case, len(runs)) for each in stored for case, runs in each.splittable.items()}
    halves: dict[_Cell, _Halves] = {cell: _halves(rng, cell[2]) for cell in sorted(found)}
    return [_pair(each, halves, number) for each in stored]


def _halves(rng: np.random.Generator, runs: int) -> _Halves:
    order = rng.permutation(runs)
    return order[: runs // 2], order[runs // 2 : runs // 2 * 2]


def _pair(stored: Stored, halves: Mapping[_Cell, _Halves], number: int) -> Pair:
    sides: list[dict[str, list[float | None]]] = [{}, {}]
    for case, runs in stored.splittable.items():
        for side, chosen in zip(sides, halves[stored.module, case, len(runs)], strict=True):
            side[case] = [runs[run] for run in chosen]
    return Pair(
        metric=stored.label,
        reference=f"first half {number}",
        candidate=f"second half {number}",
        reference_scores=sides[0],
        candidate_scores=sides[1],
        spec=stored.spec,
    )


# -- power -----------------------------------------------------------------------------------------------


def power_of(
    stored: Stored,
    drop: float,
    *,
    family: int = 1,
    simulations: int = SIMULATIONS,
    seed: int = 0,
    alpha: float = 0.05,
    scope: Scope = "suite",
) -> float | None:
    """Share of simulated sessions that find a 0/1 metric worse by ``drop`` (0.10 is ten points).

    Reference and candidate both get as many runs of each case as are stored. A session finds it when the
    one-sided p-value of ``judge`` is at most alpha / 2 / ``family``, where Holm's correction begins for so
    many gated metrics, and where the metric has a tolerance, the interval lies beyond it. ``None`` if the
    metric has no such distance left to fall, or no repeated runs.

    Raises StatsError for another kind of metric, and as ``judge`` does.
    """
    if stored.spec.kind != "binary":
        raise StatsError(f"{stored.label}: drops in points are simulated for 0/1 metrics only.")
    table = tabulate(stored.scores, metric=stored.label, kind="binary").filled()
    if not table.cases:
        return None
    summary = cells(table.values)
    mean = float(summary.mean.mean())
    left = mean if stored.spec.direction == "higher" else 1 - mean
    if left <= drop or float(summary.n.mean()) == 1:
        return None
    rng = np.random.default_rng([seed, round(drop * 1e6)])
    before, after = _rates(rng, summary, stored, drop, simulations)
    level, found = alpha / 2 / family, 0
    at_once = max(1, min(_MOST_PAIRS, _MOST_VALUES // int(summary.n.sum())))
    for first in range(0, simulations, at_once):
        pairs = [
            PairedCells(
                cases=table.cases,
                reference=_draw(rng, before[number], summary.n),
                candidate=_draw(rng, after[number], summary.n),
            )
            for number in range(first, min(first + at_once, simulations))
        ]
        tails = _tails(pairs, scope=scope, resamples=max(RESAMPLES, math.ceil(10 / level)), seed=seed)
        higher = stored.spec.direction == "higher"
        found += sum(
            (tail.at_most if higher else tail.at_least) <= level
            and _is_beyond_tolerance(pair, stored.spec, scope=scope, alpha=alpha)
            for pair, tail in zip(pairs, tails, strict=True)
        )
    return found / simulations


def _tails(
    pairs: Sequence[PairedCells], *, scope: Scope, resamples: int, seed: int
) -> list[TailProbabilities]:
    """What `judge` tests rates with; without a tolerance they regressed exactly when p is small enough."""
    if scope == "suite":
        return relabel_runs(pairs, studentized=True, resamples=resamples, seed=seed)
    return flip_signs([case_differences(pair) for pair in pairs], resamples=resamples, seed=seed)


def _is_beyond_tolerance(pair: PairedCells, spec: MetricSpec, *, scope: Scope, alpha: float) -> bool:
    """Whether the interval of rates rules out a loss that is tolerated, as `verdict.decide` asks."""
    if not spec.tolerance:
        return True
    interval = suite_interval if scope == "suite" else population_interval
    low, high = interval(pair, kind="binary", alpha=alpha)[0]
    return high < -spec.tolerance if spec.direction == "higher" else low > spec.tolerance


def _rates(
    rng: np.random.Generator, summary: Cells, stored: Stored, drop: float, simulations: int
) -> tuple[FloatArray, FloatArray]:
    """Pass rates (simulations, cases) before and after."""
    passes = summary.n * summary.mean
    prior = fit_prior(passes, summary.n)
    shape = (simulations, len(summary.n))
    before = rng.beta(prior.a + passes, prior.b + summary.n - passes, size=shape)
    if stored.spec.direction == "higher":
        return before, lowered(before, drop)
    return before, 1 - lowered(1 - before, drop)


def lowered(rates: FloatArray, drop: float) -> FloatArray:
    """Rates (suites, cases), each suite moved on the logit scale so that its mean falls by ``drop``.

    A suite that has no such distance to fall ends at 0.
    """
    rates = np.clip(rates, 1e-12, 1 - 1e-12)
    target = rates.mean(axis=1) - drop
    low, high = np.zeros(len(rates)), np.full(len(rates), _FARTHEST)
    for _ in range(50):
        middle = (low + high) / 2
        is_short = _moved(rates, middle).mean(axis=1) > target
        low, high = np.where(is_short, middle, low), np.where(is_short, high, middle)
    return _moved(rates, high)


def _moved(rates: FloatArray, shift: FloatArray) -> FloatArray:
    moved: FloatArray = rates / (rates + (1 - rates) * np.exp(shift)[:, None])
    return moved


def _draw(rng: np.random.Generator, rates: FloatArray, runs: IntArray) -> Cells:
    """One simulated session: 0/1 values of each case."""
    most = int(runs.max())
    values = (rng.random((len(rates), most)) < rates[:, None]).astype(float)
    return cells(np.where(np.arange(most) < runs[:, None], values, np.nan))
