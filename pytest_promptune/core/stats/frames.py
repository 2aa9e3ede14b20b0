"""Comparing everything in a pandas DataFrame; the only module of the statistics that knows pandas."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.judging import judge
from pytest_promptune.core.stats.model import (
    Gate,
    Judgement,
    MetricSpec,
    Multiplicity,
    Pair,
    Scope,
    Scores,
    Statistic,
)

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("variant", "case", "run", "metric", "value")
KEY = ["variant", "case", "run", "metric"]


def compare_all(
    scores: pd.DataFrame,
    *,
    reference: str,
    metrics: Mapping[str, MetricSpec],
    gated: Collection[str] | None = None,
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
) -> Judgement:
    """Compare every variant with the reference on every metric.

    ``scores`` has one row per value with the columns variant, case, run, metric and value (NaN or None:
    missing); the order of its rows does not matter. ``gated`` names the metrics that may fail the gate, by
    default all of ``metrics``. The other options are those of ``judge``. Rows are sorted by variant, then in
    the order of ``metrics``; a variant without any row of a metric is not compared on it.

    Raises StatsError for missing columns, two values for the same variant, case, run and metric, unknown
    names, and if there is no variant besides the reference.
    """
    return judge(
        _pairs(_check(scores, reference, metrics), reference, metrics, _gated(gated, metrics)),
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


def _pairs(
    table: pd.DataFrame, reference: str, metrics: Mapping[str, MetricSpec], gated: set[str]
) -> list[Pair]:
    by_series = {
        (str(variant), str(metric)): _scores(rows)
        for (variant, metric), rows in table.groupby(["variant", "metric"], sort=True)
    }
    variants = sorted({variant for variant, _ in by_series} - {reference})
    return [
        Pair(
            metric=metric,
            reference=reference,
            candidate=variant,
            reference_scores=by_series.get((reference, metric), {}),
            candidate_scores=by_series[variant, metric],
            spec=spec,
            gated=metric in gated,
        )
        for variant in variants
        for metric, spec in metrics.items()
        if (variant, metric) in by_series
    ]


def _gated(gated: Collection[str] | None, metrics: Mapping[str, MetricSpec]) -> set[str]:
    chosen = set(metrics if gated is None else gated)
    if unknown := sorted(chosen - set(metrics)):
        raise StatsError(f"gated={unknown}: no such metric. Valid: {', '.join(metrics)}.")
    return chosen


def _check(scores: pd.DataFrame, reference: str, metrics: Mapping[str, MetricSpec]) -> pd.DataFrame:
    """The rows of the metrics asked for; refuse a table that cannot be compared."""
    if missing := [name for name in COLUMNS if name not in scores.columns]:
        raise StatsError(f"scores: no column {', '.join(missing)}. Needed: {', '.join(COLUMNS)}.")
    variants = sorted({str(name) for name in scores["variant"]})
    if reference not in variants:
        raise StatsError(f"reference={reference!r}: no such variant. Valid: {', '.join(variants)}.")
    if len(variants) == 1:
        raise StatsError(
            f"scores: {reference!r} is the only variant and would be compared with itself. "
            "Add the scores of another variant."
        )
    if unknown := sorted(set(metrics) - {str(name) for name in scores["metric"]}):
        raise StatsError(f"metrics={unknown}: no such metric in scores.")
    table = scores[scores["metric"].isin(list(metrics))]
    twice = table.duplicated(KEY)
    if twice.any():
        first = table.loc[twice, KEY].iloc[0].to_dict()
        raise StatsError(f"scores: more than one value for {first}. Keep one value per run.")
    return table


def _scores(rows: pd.DataFrame) -> Scores:
    values = rows["value"].astype(object).where(rows["value"].notna(), None)
    return {str(case): list(group) for case, group in values.groupby(rows["case"], sort=True)}
