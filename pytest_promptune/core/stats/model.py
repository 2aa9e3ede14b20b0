"""The values that go into and come out of the statistics; this module computes nothing and needs no numpy."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Literal, TypeAlias, get_args

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.values import dataclass

#: Case id -> one value per run; ``None`` or NaN is a missing value.
Scores: TypeAlias = Mapping[str, Sequence[float | None]]

Kind = Literal["binary", "score", "latency", "cost"]
Direction = Literal["higher", "lower"]
Scope = Literal["suite", "population"]
Statistic = Literal["studentized", "mean"]
Multiplicity = Literal["holm", "variant", "bh", "none"]
Gate = Literal["regression", "non-inferiority", "off"]
Verdict = Literal["improved", "regressed", "unchanged", "inconclusive"]
RowGate = Literal["passed", "failed", "off"]
Failure = Literal["regressed", "not_shown", "inconclusive", "cases"]
Interval: TypeAlias = tuple[float, float]
#: Expected and predicted label of a sample; ``None``: no class was predicted.
LabelPair: TypeAlias = tuple[str, str | None]

#: Values beyond it are refused: the squares of variances must still be numbers.
LARGEST_VALUE = 1e60


def is_number(value: object) -> bool:
    """Whether a value is a finite number; a boolean is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def require_one_of(name: str, value: object, literal: object) -> None:
    """Refuse a value that is not among the members of a ``Literal``, naming the valid ones."""
    valid = get_args(literal)
    if value not in valid:
        raise StatsError(f"{name}={value!r}: unknown. Valid: {', '.join(map(repr, valid))}.")


def require_fraction(name: str, value: float) -> None:
    """Refuse what is no number inside the open interval (0, 1)."""
    if not (is_number(value) and 0 < value < 1):
        raise StatsError(f"{name}={value!r}: must lie between 0 and 1, for example 0.05.")


def require_level(name: str, value: float) -> None:
    """Refuse what is no two-sided error level: a number inside the open interval (0, 0.5)."""
    if not (is_number(value) and 0 < value < 0.5):
        raise StatsError(f"{name}={value!r}: must be above 0 and below 0.5, for example 0.05.")


def require_at_least(lowest: float, **numbers: float | None) -> None:
    """Refuse what is no finite number of at least ``lowest``; ``None`` is no number to check."""
    for name, number in numbers.items():
        if number is not None and not (is_number(number) and number >= lowest):
            raise StatsError(f"{name}={number!r}: must be a finite number of at least {lowest:g}.")


def require_above_zero(**numbers: float) -> None:
    """Refuse what is no finite number greater than 0."""
    for name, number in numbers.items():
        if not (is_number(number) and number > 0):
            raise StatsError(f"{name}={number!r}: must be a finite number greater than 0.")


def require_count(name: str, value: object, *, lowest: int, example: str = "") -> None:
    """Refuse what is no whole number of at least ``lowest``."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < lowest:
        raise StatsError(f"{name}={value!r}: must be a whole number of at least {lowest}{example}.")


def require_target(target: float, kind: Kind) -> None:
    """Refuse a target that no mean of the metric could be compared with."""
    if not is_number(target):
        raise StatsError(f"target={target!r}: must be a finite number.")
    if kind == "binary" and not 0 <= target <= 1:
        raise StatsError(
            f"target={target!r}: the mean of a 0/1 metric lies between 0 and 1; 90 % is target=0.9."
        )


@dataclasses.dataclass(frozen=True, slots=True)
class MetricSpec:
    """What a metric is and which change of it would matter.

    ``margin`` is the largest loss that would be acceptable, ``tolerance`` the loss that is ignored even when
    it is significant. Both are positive numbers in the metric's own unit (0.10 is ten points of a 0/1 metric,
    50 is fifty tokens), except for ``latency``, where they are fractions of the reference (0.20 is 20 %).

    Defaults of ``margin``: 0.10 for binary and for scores that lie within [0, 1] on both sides, 10 % of the
    reference mean for other scores and for cost, 0.20 for latency. Defaults of ``tolerance``: 0.10 for
    latency, because machines differ from day to day; otherwise 0.
    """

    kind: Kind = "binary"
    direction: Direction = "higher"
    margin: float | None = None
    tolerance: float | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        require_one_of("kind", self.kind, Kind)
        require_one_of("direction", self.direction, Direction)
        require_at_least(0, margin=self.margin, tolerance=self.tolerance)
        if self.target is not None:
            require_target(self.target, self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One metric of one candidate beside its reference: what ``judge`` compares."""

    metric: str
    #: Labels of the two sides, for example ``baseline:main`` and ``current``; they must differ.
    reference: str
    candidate: str
    reference_scores: Scores
    candidate_scores: Scores
    spec: MetricSpec
    #: Whether the verdict may fail the build; only gated pairs share the error level.
    gated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Candidate minus reference for one metric.

    Numbers are in the metric's own unit unless said otherwise; what is unknown is ``None``. An interval that
    cannot be bounded from the data (a single case with ``scope="population"``) has infinite ends.
    """

    metric: str
    reference: str
    candidate: str
    kind: Kind
    direction: Direction
    #: What the interval and p-values speak about. ``population`` also when every case ran only once.
    scope: Scope

    #: Cases with at least one value on both sides, and cases of either side without such a partner.
    n_cases: int
    n_unpaired_cases: int
    #: Values used (of the paired cases), and values missing (in all cases of that side).
    n_samples_reference: int
    n_samples_candidate: int
    n_missing_reference: int
    n_missing_candidate: int

    #: Arithmetic means of the case means.
    mean_reference: float | None = None
    mean_candidate: float | None = None
    #: Standard deviations over all runs (ddof 1): descriptive only.
    sd_reference: float | None = None
    sd_candidate: float | None = None
    #: Means over cases of the variance between the runs of a case.
    var_within_reference: float | None = None
    var_within_candidate: float | None = None

    #: Candidate minus reference, and the same divided by the reference mean (taken as fixed).
    difference: float | None = None
    relative_change: float | None = None
    #: Latency only: ratio of geometric means and its interval (clipped like ``ci``).
    ratio: float | None = None
    ratio_ci: Interval | None = None
    #: Interval at level 1 - alpha, clipped so that it agrees with the p-values about zero, and unclipped.
    #: Latency: ``mean_reference * (ratio_ci - 1)``.
    ci: Interval | None = None
    ci_raw: Interval | None = None
    #: Welch-Satterthwaite degrees of freedom of the interval; ``None`` where it has none.
    df: float | None = None
    #: Mean over cases of P(candidate run > reference run) - P(<); unitless, not turned by the direction.
    cliffs_delta: float | None = None
    #: Mean difference over the standard deviation of the case differences, corrected (latency: of logs).
    hedges_g: float | None = None

    #: Two-sided and one-sided p-values ("better" and "worse" in the metric's direction).
    p_value: float | None = None
    p_better: float | None = None
    p_worse: float | None = None
    #: Adjusted over the family of gated hypotheses; equal to the raw ones where nothing was adjusted.
    p_better_adjusted: float | None = None
    p_worse_adjusted: float | None = None
    #: Smallest two-sided p this design can give; 1 if no relabelling changes anything.
    min_attainable_p: float | None = None
    #: Number of possible relabellings of the runs (or of the signs, with ``population``).
    n_relabellings: int | None = None
    #: Number of hypotheses that share the error level with this one.
    family_size: int = 1

    #: Largest acceptable loss; a positive number in the metric's own unit (latency: fraction * mean).
    margin: float | None = None
    #: Loss that is ignored although it is more than chance; positive, in the same unit.
    tolerance: float | None = None
    #: Smallest true change that this design finds with 80 % power.
    minimum_detectable: float | None = None
    #: Runs per case, on both sides, that find a change of ``margin`` with 80 % power.
    runs_needed: int | None = None
    #: Runs per case, on both sides, after which values that stay equal exclude a change of ``margin``; only
    #: where no value differs so far (flag ``constant``).
    runs_if_equal: int | None = None
    #: No run-to-run variance at all: the interval is the difference itself.
    deterministic: bool = False
    #: ``runs=1``, ``single_runs``, ``log_skipped``, ``deterministic``, ``constant`` (no relabelling changes
    #: anything), ``few_common_cases`` (less than half of all cases), ``exploratory`` (not gated).
    flags: tuple[str, ...] = ()

    verdict: Verdict = "inconclusive"
    #: One sentence for people.
    reason: str = ""
    gate: RowGate = "off"
    #: Why the gate failed on this row: it regressed, it is not shown to stay within the margin
    #: (non-inferiority), it is inconclusive (strict), or single cases got worse (gate_cases).
    failure: Failure | None = None
    #: With gate_cases: the cases that got worse by themselves.
    failing_cases: tuple[str, ...] = ()

    @property
    def p_adjusted(self) -> float | None:
        """Two-sided adjusted p-value."""
        if self.p_worse_adjusted is None or self.p_better_adjusted is None:
            return None
        return min(1.0, 2 * min(self.p_worse_adjusted, self.p_better_adjusted))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All comparisons of one session and what the gate makes of them."""

    comparisons: tuple[Comparison, ...]
    gate: Literal["pass", "fail"]
    #: One sentence per comparison that fails the gate; empty if it passes.
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """How one case changed between the reference and the candidate."""

    case: str
    mean_reference: float
    mean_candidate: float
    #: Candidate minus reference (latency: of the arithmetic means).
    difference: float
    #: One-sided, towards worse and better; ``None`` where runs = 1 gives no variance to test against.
    p_worse: float | None
    p_better: float | None
    #: After Benjamini-Hochberg over all cases.
    p_worse_adjusted: float | None
    p_better_adjusted: float | None
    #: ``suspect``: a binary case lost half of its runs or more, but chance is not excluded; run it again.
    change: Literal["improved", "regressed", "suspect", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalResult:
    """Whether the mean of a metric reaches its target."""

    status: Literal["attained", "missed", "unclear"]
    target: float
    direction: Direction
    scope: Scope
    n_cases: int
    mean: float | None = None
    ci: Interval | None = None
    #: Whether the mean itself reaches the target, whatever its uncertainty.
    reached: bool | None = None
    #: Binary: number of independent runs with the same information.
    n_effective: float | None = None
    #: One-sided p-value of "the mean does not reach the target".
    p_value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponents:
    """Where the spread of one variant's values comes from."""

    n_cases: int
    #: Mean variance between the runs of a case.
    within: float | None
    #: Variance between the true means of the cases (moment estimate, at least 0).
    between: float | None
    #: between / (between + within).
    icc: float | None
    #: Cases with both 0 and 1 among their runs; ``None`` if the metric is not binary.
    flaky_cases: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassEstimate:
    """pass@k or pass^k of one variant."""

    k: int
    #: Mean over the cases that have an estimate; ``None`` without any.
    mean: float | None
    #: By case id; ``None`` for a case with fewer than k runs, and how many those are.
    cases: Mapping[str, float | None]
    n_left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PassGroup:
    """Cases that passed equally often, and so have the same pass@k and pass^k."""

    runs: int
    passes: int
    cases: tuple[str, ...]
    #: By k, up to ``runs``.
    at: Mapping[int, float]
    hat: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """pass@k and pass^k of one variant, for several k."""

    #: By k: means over the cases with at least k runs.
    at: Mapping[int, float]
    hat: Mapping[int, float]
    #: By k: number of cases with fewer runs, where there are any.
    left_out: Mapping[int, int]
    #: Every case with a value, in groups with the same values; those that pass least come first.
    groups: tuple[PassGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One metric of one variant in a table of results."""

    n_cases: int
    n_samples: int
    n_missing: int
    #: Mean of the case means.
    mean: float | None = None
    #: Over all runs (ddof 1), over the true case means, and between runs of a case.
    sd: float | None = None
    between_case_sd: float | None = None
    within_case_sd: float | None = None
    #: Over run numbers: spread, smallest and largest of the mean of a run over its cases.
    sd_of_runs: float | None = None
    min: float | None = None
    max: float | None = None
    #: Interval of the mean for these cases (run-to-run noise only) at level 1 - alpha.
    ci: Interval | None = None
    #: Percentiles over all runs; ``None`` for binary metrics.
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    #: Binary: share of cases that pass in all their runs, and cases with mixed results.
    pass_all_runs: float | None = None
    flaky_cases: tuple[str, ...] = ()
    case_means: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCounts:
    """One class of a classification: how often it was expected, predicted, and both."""

    label: str
    n_expected: int
    n_predicted: int
    n_correct: int

    @property
    def precision(self) -> float | None:
        """Share of its predictions that are right; ``None`` where it was never predicted."""
        return self.n_correct / self.n_predicted if self.n_predicted else None

    @property
    def recall(self) -> float | None:
        """Share of its samples that are found; ``None`` where it was never expected."""
        return self.n_correct / self.n_expected if self.n_expected else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both, 0 where it was never predicted; ``None`` where it was never expected."""
        return 2 * self.n_correct / (self.n_expected + self.n_predicted) if self.n_expected else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusions:
    """Which class was taken for which."""

    #: Expected ones in alphabetical order, then those that were only predicted.
    labels: tuple[str, ...]
    #: A row per expected class, a column per label, and a last column for samples without a prediction.
    counts: tuple[tuple[int, ...], ...]
    #: One per label.
    classes: tuple[ClassCounts, ...]
    #: ``None`` without samples.
    macro_f1: float | None
