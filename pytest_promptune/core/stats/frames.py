"""Comparing everything in a pandas DataFrame; the only module of the statistics that knows pandas."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.cells import refuse_values
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

    Raises StatsError for missing columns, values that are no numbers, two values for the same variant, case,
    run and metric, unknown names, and if there is no variant besides the reference.
    """
    reference = str(reference)
    _check_metrics(metrics)
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


def _check_metrics(metrics: Mapping[str, MetricSpec]) -> None:
    if not metrics:
        raise StatsError("metrics: none named, so nothing would be compared. Name at least one.")
    for name, spec in metrics.items():
        if not isinstance(spec, MetricSpec):
            raise StatsError(f"metrics[{name!r}]={spec!r}: not a MetricSpec, as MetricSpec('binary').")


def _check(scores: pd.DataFrame, reference: str, metrics: Mapping[str, MetricSpec]) -> pd.DataFrame:
    """The rows of the metrics asked for, their keys as text; refuse a table that cannot be compared."""
    if missing := [name for name in COLUMNS if name not in getattr(scores, "columns", ())]:
        raise StatsError(f"scores: no column {', '.join(missing)}. Needed: {', '.join(COLUMNS)}.")
    if not len(scores):
        raise StatsError("scores: the table is empty. Give one row per variant, case, run and metric.")
    unnamed = [name for name in KEY if scores[name].isna().any()]
    if unnamed:
        raise StatsError(
            f"scores: rows without {' and '.join(unnamed)}. Only the value may be missing; name the rest."
        )
    table = scores.assign(**{name: scores[name].astype(str) for name in ("variant", "case", "metric")})
    variants = sorted(set(table["variant"]))
    if reference not in variants:
        raise StatsError(f"reference={reference!r}: no such variant. Valid: {', '.join(variants)}.")
    if len(variants) == 1:
        raise StatsError(
            f"scores: {reference!r} is the only variant and would be compared with itself. "
            "Add the scores of another variant."
        )
    known = set(table["metric"])
    if unknown := sorted(set(metrics) - known):
        raise StatsError(f"metrics={unknown}: no such metric in scores. Valid: {', '.join(sorted(known))}.")
    table = table[table["metric"].isin(list(metrics))]
    twice = table.duplicated(KEY)
    if twice.any():
        first = table.loc[twice, KEY].iloc[0].to_dict()
        raise StatsError(f"scores: more than one value for {first}. Keep one value per run.")
    for metric, spec in metrics.items():
        _refuse_values(table[table["metric"] == metric], metric, spec)
    return table


def _refuse_values(rows: pd.DataFrame, metric: str, spec: MetricSpec) -> None:
    """Say of a value that means nothing in which row it stands: runs have names here, not positions."""
    names = list(zip(rows["case"], rows["run"], rows["variant"], strict=True))

    def place(index: int) -> str:
        case, run, variant = names[index]
        return f"case {case!r}, run {run}, of {variant}"

    refuse_values(_plain(rows["value"]), kind=spec.kind, metric=metric, place=place)


def _plain(values: pd.Series[Any]) -> list[Any]:
    """The values with ``None`` for every kind of missing value that pandas has."""
    return list(values.astype(object).where(values.notna(), None))


def _scores(rows: pd.DataFrame) -> Scores:
    found: dict[str, list[float | None]] = {}
    for case, value in zip(rows["case"], _plain(rows["value"]), strict=True):
        found.setdefault(case, []).append(value)
    return found
