"""``pytest-promptune plan-runs``: how many runs or cases the wanted sensitivity needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.margins import Percent
from pytest_promptune.core.matching import is_named
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import MetricName
from pytest_promptune.sizing.arguments import DIFFERENCE
from pytest_promptune.sizing.calibrating import as_stored
from pytest_promptune.sizing.sources import Pool

if TYPE_CHECKING:
    from pytest_promptune.core.stats.sizing import Size, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """What the comparisons to come are to find."""

    #: Metric (empty for all) and change, in the order in which they were typed.
    differences: Sequence[tuple[str, float]]
    power: float
    alpha: float
    #: Candidates that share the error level.
    variants: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One metric and what it needs; nothing where it has no value."""

    name: MetricName
    size: Size | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPlan:
    """The whole answer."""

    source: str
    goals: Goals
    #: Gated hypotheses that share the error level.
    family: int
    needs: Sequence[Need]


def plan_runs(pool: Pool, goals: Goals) -> RunsPlan:
    """Ask the statistics.

    Raises:
        SettingsError: for a difference of a metric that isn't here.
    """
    from pytest_promptune.core.stats.calibration import family_of
    from pytest_promptune.core.stats.sizing import Design, size_of

    pool.refuse_unknown("--difference", [metric for metric, _ in goals.differences if metric])
    stored = as_stored(pool)
    families = [family_of(each, stored) * goals.variants for each in stored]
    return RunsPlan(
        source=pool.source,
        goals=goals,
        family=max(families),
        needs=[
            Need(
                name=metric.name,
                size=size_of(
                    each,
                    _wanted(metric.name, goals),
                    Design(alpha=goals.alpha, power=goals.power, family=family),
                    others=list(metric.others.values()),
                ),
            )
            for metric, each, family in zip(pool.metrics, stored, families, strict=True)
        ],
    )


def _wanted(name: MetricName, goals: Goals) -> Wanted:
    """The change of a metric: that of its own name, else the last one for all."""
    from pytest_promptune.core.stats.sizing import Wanted

    own = [value for metric, value in goals.differences if metric and is_named(name, [metric])]
    if own:
        return Wanted(amount=own[-1], counts="mean" if isinstance(own[-1], Percent) else "unit")
    general = [value for metric, value in goals.differences if not metric]
    return Wanted(amount=general[-1] if general else DIFFERENCE)


def to_json(plan: RunsPlan) -> dict[str, Any]:
    """Plain data, for ``--json``."""
    from pytest_promptune.sizing.telling import sentence

    return {
        "format": 1,
        "source": plan.source,
        "alpha": plan.goals.alpha,
        "power": plan.goals.power,
        "family": plan.family,
        "metrics": [
            {
                "metric": need.name.metric,
                "module": need.name.module,
                "kind": need.name.kind,
                "direction": need.name.direction,
                **_size_to_json(need.size),
                "sentence": sentence(need),
            }
            for need in plan.needs
        ],
    }


def _size_to_json(size: Size | None) -> dict[str, Any]:
    components = size.components if size else None
    return {
        "cases": size.cases if size else 0,
        "runs": size.runs if size else None,
        "mean": size.mean if size else None,
        "within": components.within if components else None,
        "between": components.between if components else None,
        "icc": components.icc if components else None,
        "difference": size.difference if size else None,
        "minimum_detectable": size.minimum if size else None,
        "enough": size.is_enough if size else None,
        "runs_both": size.runs_both if size else None,
        "runs_candidate": size.runs_candidate if size else None,
        "impossible": size.is_impossible if size else None,
        "cases_population": size.cases_like_these if size else None,
        "change_variance": size.change_variance if size else None,
    }
