"""compare_all: from a DataFrame to a judgement; and what importing the statistics loads."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pytest_promptune.core.errors import StatsError
from pytest_promptune.stats import MetricSpec, compare, compare_all

METRICS = {"accuracy": MetricSpec("binary", "higher"), "seconds": MetricSpec("latency", "lower")}


def measured(seed=0, variants=("current", "fewshot", "short")):
    rng = np.random.default_rng(seed)
    rows = [
        {"variant": variant, "case": f"c{case}", "run": run, "metric": metric, "value": value}
        for variant in variants
        for case in range(6)
        for run in range(4)
        for metric, value in (("accuracy", float(rng.random() < 0.7)), ("seconds", float(rng.gamma(5) + 0.1)))
    ]
    return pd.DataFrame(rows)


def test_rows_are_sorted_by_variant_then_metric():
    """Every variant but the reference, every metric in the order asked for."""
    judgement = compare_all(measured(), reference="current", metrics=METRICS)
    assert [(row.candidate, row.metric) for row in judgement.comparisons] == [
        (variant, metric) for variant in ("fewshot", "short") for metric in METRICS
    ]
    assert {row.reference for row in judgement.comparisons} == {"current"}


def test_a_row_equals_the_plain_comparison():
    """The table changes nothing about the numbers."""
    table = measured(variants=("current", "fewshot"))
    row = compare_all(table, reference="current", metrics={"accuracy": METRICS["accuracy"]}).comparisons[0]
    scores = {
        variant: {
            str(case): list(group.sort_values("run")["value"])
            for case, group in rows[rows["metric"] == "accuracy"].groupby("case")
        }
        for variant, rows in table.groupby("variant")
    }
    plain = compare(scores["current"], scores["fewshot"])
    assert (row.p_value, row.ci, row.verdict) == (plain.p_value, plain.ci, plain.verdict)


def test_order_of_rows_does_not_matter():
    """A shuffled table gives the same judgement."""
    table = measured()
    shuffled = table.sample(frac=1, random_state=1)
    assert compare_all(shuffled, reference="current", metrics=METRICS) == compare_all(
        table, reference="current", metrics=METRICS
    )


def test_only_named_metrics_are_gated():
    """gated chooses; the rest is exploratory."""
    judgement = compare_all(measured(), reference="current", metrics=METRICS, gated=["accuracy"])
    assert [row.gate for row in judgement.comparisons] == ["passed", "off"] * 2


def test_missing_values_in_a_table():
    """NaN and None in the value column are missing values, in any column type."""
    table = measured(variants=("current", "fewshot"))
    table.loc[table.index[0], "value"] = np.nan
    row = compare_all(table, reference="current", metrics=METRICS).comparisons[0]
    assert row.n_missing_reference == 1
    as_objects = table.astype({"value": object})
    as_objects.loc[as_objects.index[0], "value"] = None
    assert compare_all(as_objects, reference="current", metrics=METRICS).comparisons[0] == row


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda table: table.drop(columns="run"), "no column run"),
        (lambda table: table[table["variant"] == "current"], "only variant"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "more than one value for"),
        (lambda table: table[table["metric"] == "accuracy"], "seconds"),
        (lambda table: table[table["variant"] != "current"], "Valid: fewshot, short"),
    ],
    ids=["column", "one variant", "duplicate", "metric", "reference"],
)
def test_tables_that_cannot_be_compared_are_errors(spoil, text):
    """Each error names what is wrong and what would do."""
    with pytest.raises(StatsError, match=text):
        compare_all(spoil(measured()), reference="current", metrics=METRICS)


def test_unknown_gated_metric_is_an_error():
    """A typo in gated does not silently open the gate."""
    with pytest.raises(StatsError, match="acuracy"):
        compare_all(measured(), reference="current", metrics=METRICS, gated=["acuracy"])


def test_importing_the_statistics_is_cheap():
    """Neither pandas nor scipy.stats is loaded until they are needed."""
    code = (
        "import sys, pytest_promptune.stats; "
        "print([name for name in ('pandas', 'scipy.stats', 'pytest') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
