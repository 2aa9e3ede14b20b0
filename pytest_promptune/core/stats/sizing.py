"""How large a suite has to be for the changes one wants to find, from the runs that are stored.

Both sides of the comparisons to come are taken to be as noisy as these runs are. The formulas are those of
`planning`; variances are those on the scale of the analysis (logs for latency), floored for 0/1 metrics.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from pytest_promptune.core.stats.calibration import Stored
from pytest_promptune.core.stats.measuring import (
    Prepared,
    change_of,
    prepare,
    squared_errors,
    tolerance,
)
from pytest_promptune.core.stats.model import Pair, Scores, VarianceComponents
from pytest_promptune.core.stats.planning import (
    cases_needed,
    detection_factor,
    runs_needed,
    variance_components,
)
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A change that is to be found, ``amount`` being positive."""

    amount: float
    #: ``points``: a share of one for rates and scores within [0, 1], of the mean for all others; ``unit``: in
    #: the metric's own, which is a share of the mean for latency; ``mean``: a share of the mean, of one for
    #: 0/1 metrics.
    counts: Literal["points", "unit", "mean"] = "points"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The error level and power of the comparisons to come."""

    alpha: float = 0.05
    power: float = 0.8
    #: Gated hypotheses that share the error level.
    family: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One metric: its noise, what the present size finds, and what the wanted change needs."""

    cases: int
    #: Of each case, harmonic mean.
    runs: float
    mean: float
    #: In the metric's own unit, squared.
    components: VarianceComponents
    #: The wanted change in the metric's own unit.
    difference: float
    #: Smallest change over these cases that is found now; ``None`` where no case has two runs.
    minimum: float | None = None
    #: Runs per case with as many on both sides, and of the candidate against the stored runs; a quarter more
    #: than the normal approximation says (see `runs_needed`), so that `minimum` may be below what they find.
    runs_both: int | None = None
    #: ``None`` also if the stored runs are too noisy for any number.
    runs_candidate: int | None = None
    #: Cases that find the change over cases like these, with the runs there are.
    cases_like_these: int | None = None
    #: Variance of the true changes over the cases; ``None``: taken to be 0, `cases_like_these` is a bound.
    change_variance: float | None = None

    @property
    def is_bound(self) -> bool:
        """Whether it is unknown how differently the cases change, so that it may take more of them."""
        return self.change_variance is None

    @property
    def is_impossible(self) -> bool:
        """Whether no number of runs finds the change against the stored ones."""
        return self.runs_both is not None and self.runs_candidate is None

    @property
    def is_enough(self) -> bool:
        """Whether there are as many runs as the change needs on both sides."""
        return self.runs_both is not None and self.runs_both <= self.runs + 1e-9


def size_of(stored: Stored, wanted: Wanted, design: Design, *, others: Sequence[Scores] = ()) -> Size | None:
    """What ``wanted`` needs of one metric; ``None`` where it has no value at all.

    ``others`` are scores of other variants, from which the variance of the changes over cases is told: the
    largest one, of the differences of case means less what the noise between runs contributes to it.
    Raises StatsError as ``compare`` does, and for a change that is not positive.
    """
    prepared = _beside(stored, stored.scores)
    if prepared is None or prepared.raw is None or prepared.scaled is None:
        return None
    cells = prepared.scaled.reference
    size = Size(
        cases=len(cells.n),
        runs=cells.effective_runs,
        mean=prepared.mean_reference(),
        components=variance_components(stored.scores),
        difference=_in_unit(prepared, wanted),
    )
    if cells.n.max() == 1 or not size.difference:
        return size
    return _sized(size, prepared, design, _change_variance(stored, others))


def smallest_failing(stored: Stored, design: Design) -> float | None:
    """The smallest loss over these cases that fails the gate, in the metric's own unit.

    That is `Size.minimum` where there is no tolerance. Where there is one, the interval has to lie beyond it,
    and that is the interval of one comparison, whatever the family. ``None`` where no case has two runs.
    Raises StatsError as ``compare`` does.
    """
    prepared = _beside(stored, stored.scores)
    if prepared is None or prepared.scaled is None or prepared.scaled.reference.n.max() == 1:
        return None
    error = math.sqrt(sum(squared_errors(prepared)))
    found = detection_factor(design.alpha, design.power, design.family) * error
    ignored = tolerance(prepared)
    if not ignored:
        return prepared.to_unit(found)
    beyond = prepared.to_scale(ignored) + detection_factor(design.alpha, design.power, 1) * error
    return prepared.to_unit(max(found, beyond))


def _sized(size: Size, prepared: Prepared, design: Design, change_variance: float | None) -> Size:
    variance = squared_errors(prepared)[0] * size.cases * size.runs
    difference = prepared.to_scale(size.difference)
    level = {"alpha": design.alpha, "power": design.power}
    factor = detection_factor(design.alpha, design.power, design.family)

    def runs(stored_runs: float | None) -> int | None:
        return runs_needed(
            variance,
            variance,
            cases=size.cases,
            difference=difference,
            stored_runs=stored_runs,
            family=design.family,
            **level,
        )

    return replace(
        size,
        minimum=prepared.to_unit(factor * math.sqrt(2 * variance / size.runs / size.cases)),
        runs_both=runs(None),
        runs_candidate=runs(size.runs),
        cases_like_these=cases_needed(
            change_variance or 0.0,
            variance,
            variance,
            runs0=size.runs,
            runs1=size.runs,
            difference=difference,
            family=design.family,
            **level,
        ),
        change_variance=change_variance,
    )


def _beside(stored: Stored, scores: Scores) -> Prepared | None:
    """The stored runs as the reference of ``scores``."""
    pair = Pair(
        metric=stored.label,
        reference="stored",
        candidate="another",
        reference_scores=stored.scores,
        candidate_scores=scores,
        spec=stored.spec,
    )
    prepared = prepare(pair, scope="suite")
    return None if prepared.raw is None else prepared


def _in_unit(prepared: Prepared, wanted: Wanted) -> float:
    kind = prepared.pair.spec.kind
    if wanted.counts == "points" or kind == "latency":
        return change_of(prepared, wanted.amount)
    if wanted.counts == "mean" and kind != "binary":
        return wanted.amount * abs(prepared.mean_reference())
    return wanted.amount


def _change_variance(stored: Stored, others: Sequence[Scores]) -> float | None:
    found = []
    for scores in others:
        prepared = _beside(stored, scores)
        if prepared is None or prepared.scaled is None or len(prepared.scaled.cases) < 2:
            continue
        spread = float(np.var(prepared.scaled.differences, ddof=1))
        noise = sum(squared_errors(prepared)) * len(prepared.scaled.cases)
        found.append(max(0.0, spread - noise))
    return max(found, default=None)
