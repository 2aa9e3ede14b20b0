"""One metric of one variant as a row of a table."""

from dataclasses import replace

import numpy as np

from pytest_promptune.core.quantiles import quantile
from pytest_promptune.core.stats.cells import FloatArray, Table, cells, tabulate
from pytest_promptune.core.stats.goals import estimate_mean
from pytest_promptune.core.stats.model import Description, Kind, Scores, require_level, require_one_of
from pytest_promptune.core.stats.planning import table_components
from pytest_promptune.core.stats.variance import sample_sd


def describe(scores: Scores, *, kind: Kind, alpha: float = 0.05) -> Description:
    """Summarise the values of one variant; values are matched to run numbers by their position.

    Without repeated runs nothing is known about the noise between runs and ``ci`` is ``None``, except for
    binary metrics, whose interval is then that of independent runs. Raises StatsError as ``compare`` does.
    """
    require_one_of("kind", kind, Kind)
    require_level("alpha", alpha)
    everything = tabulate(scores, metric="scores", kind=kind)
    table = everything.filled()
    row = Description(
        n_cases=len(table.cases),
        n_samples=table.n_samples,
        n_missing=everything.n_missing,
        case_means={},
    )
    return _measured(row, table, kind, alpha) if table.cases else row


def _measured(row: Description, table: Table, kind: Kind, alpha: float) -> Description:
    summary = cells(table.values)
    components = table_components(table)
    run_means = _run_means(table.values)
    known = kind == "binary" or bool((summary.n > 1).any())
    estimate = estimate_mean(summary, kind=kind, scope="suite", alpha=alpha)
    row = replace(
        row,
        mean=estimate.mean,
        sd=sample_sd(summary.flat),
        between_case_sd=_root(components.between),
        within_case_sd=_root(components.within),
        sd_of_runs=sample_sd(run_means),
        min=float(run_means.min()),
        max=float(run_means.max()),
        ci=estimate.ci if known else None,
        case_means={case: float(mean) for case, mean in zip(table.cases, summary.mean, strict=True)},
    )
    if kind == "binary":
        return replace(
            row,
            pass_all_runs=float(np.mean(summary.mean == 1)),
            flaky_cases=components.flaky_cases or (),
        )
    ordered = np.sort(summary.flat).tolist()
    p50, p95, p99 = (quantile(ordered, share) for share in (0.5, 0.95, 0.99))
    return replace(row, p50=p50, p95=p95, p99=p99)


def _run_means(values: FloatArray) -> FloatArray:
    """Mean over cases of each run number that has a value."""
    present = ~np.isnan(values)
    counts = present.sum(axis=0)
    sums = np.where(present, values, 0.0).sum(axis=0)
    means: FloatArray = sums[counts > 0] / counts[counts > 0]
    return means


def _root(variance: float | None) -> float | None:
    return None if variance is None else float(np.sqrt(variance))
