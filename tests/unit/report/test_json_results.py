"""The results file: fixed names, and null for what is unknown."""

import json
import math

import pytest
import views

from pytest_promptune.report.json_results import to_results
from pytest_promptune.stats import passing

METRIC = (
    "metric test variant kind direction unit n_cases n_samples mean sd between_case_sd within_case_sd "
    "sd_of_runs min max ci p50 p95 p99 pass_all_runs flaky_cases"
)
COMPARISON = (
    "metric test reference candidate n_cases difference relative ci p p_adjusted p_worse_adjusted "
    "cliffs_delta hedges_g margin minimum_detectable scope verdict reason gate cases"
)
EXPERIMENT = "id started finished commit dirty runs cases variants samples errored reused conditions"


def results(view):
    """As a reader of the file gets it."""
    return json.loads(json.dumps(to_results(view), allow_nan=False))


def test_nodes():
    """The names of format 1; unknown is null."""
    (row,) = results(views.view(nodes=(views.node_row(cost_usd=None, share_of_cost=None),)))["nodes"]
    names = "node variant calls latency_s input_tokens output_tokens cost_usd share_of_latency share_of_cost"
    assert set(names.split()) <= set(row)
    assert row["latency_s"] == {"mean": 0.412, "p50": 0.39, "p95": 0.71, "p99": 1.3}
    assert (row["cost_usd"], row["share_of_cost"]) == (None, None)
    assert (row["retries"], row["errors"]) == (3, {"RateLimitError": 2, "ValueError": 1})
    assert results(views.view())["nodes"] == []


def test_the_names_of_format_1_are_there():
    """Programs rely on them."""
    found = results(views.failed_check())
    assert found["format"] == 1
    assert (found["mode"], found["exit_code"]) == ("check", 1)
    assert set(EXPERIMENT.split()) <= set(found["experiment"])
    assert set(METRIC.split()) <= set(found["metrics"][0])
    assert set(COMPARISON.split()) <= set(found["comparisons"][0])
    assert set(found["comparisons"][0]["cases"]) == {
        "improved",
        "regressed",
        "suspect",
        "changed",
        "only_reference",
        "only_candidate",
    }
    assert found["goals"] == []
    assert found["nodes"] == []
    assert set(found["usage"]) == {"input_tokens", "output_tokens", "cost_usd", "scorer_cost_usd"}
    assert {"action", "variant", "reason"} <= set(found["decision"])


def test_values_are_those_of_the_view():
    """Names are flat, intervals are pairs, verdicts keep their names."""
    row = results(views.failed_check())["comparisons"][0]
    assert row["metric"] == "test_intent"
    assert row["test"] == "tests/prompts/test_support.py::test_intent"
    assert row["ci"] == [-0.195, -0.029]
    assert row["cases"]["regressed"] == ["TC002", "TC009"]
    assert results(views.view())["comparisons"][0]["verdict"] == "unchanged"


def test_passes_by_k_and_by_case():
    """pass@k and pass^k of the suite, and of the cases in groups that passed equally often."""
    scores = {"a": [1, 1, 0], "b": [0, 1, 1], "c": [0, 0, 0], "d": [1, None, None]}
    row = results(views.view(metrics=(views.metric_row(passing=passing(scores)),)))["metrics"][0]
    assert row["pass_at"] == {"1": pytest.approx(7 / 12), "2": 2 / 3, "3": 2 / 3}
    assert row["pass_hat"]["3"] == 0
    assert row["pass_left_out"] == {"2": 1, "3": 1}
    assert row["pass_cases"][1] == {
        "runs": 3,
        "passes": 2,
        "cases": ["a", "b"],
        "pass_at": {"1": 2 / 3, "2": 1, "3": 1},
        "pass_hat": {"1": 2 / 3, "2": 1 / 3, "3": 0},
    }
    assert sum(len(group["cases"]) for group in row["pass_cases"]) == 4


def test_what_has_no_passes_has_no_values_of_them():
    """Of times, scores and error rates they are unknown, not 0 and not an empty table."""
    row = results(views.view(metrics=(views.metric_row(views.LATENCY),)))["metrics"][0]
    assert [row[f"pass_{name}"] for name in ("at", "hat", "left_out", "cases", "all_runs")] == [None] * 5


def test_a_failure_says_which_rule():
    """Beside the gate's state: which of the ways to fail it was, and the cases behind it."""
    row = results(
        views.view(comparisons=(views.comparison(gate="failed", failure="cases", failing_cases=("c1",)),))
    )["comparisons"][0]
    assert (row["failure"], row["failing_cases"], row["tolerance"]) == ("cases", ["c1"], None)


def test_warnings_and_notes_are_apart():
    """Programs can pass on what a reader must know."""
    found = results(views.view(warnings=("Partial session.",), notes=("By the way.",)))
    assert (found["warnings"], found["notes"]) == (["Partial session."], ["By the way."])


def test_unknown_is_null():
    """Never 0, never NaN, never infinite."""
    view = views.view(
        metrics=(views.metric_row(mean=math.nan, sd=None, ci=None),),
        comparisons=(
            views.comparison(p=None, ci=(-math.inf, math.inf), ratio_ci=None, hedges_g=math.inf),
            views.comparison(ci=(None, 0.5)),
        ),
    )
    found = results(view)
    assert (found["metrics"][0]["mean"], found["metrics"][0]["ci"]) == (None, None)
    first, second = found["comparisons"]
    assert (first["p"], first["ci"], first["hedges_g"]) == (None, None, None)
    assert second["ci"] == [None, 0.5]
    assert found["decision"] is None
    assert found["usage"]["scorer_cost_usd"] is None


def test_the_look_that_counts():
    """What was judged by a look says so; a fixed number of runs has none."""
    assert results(views.view())["experiment"]["look"] is None
    found = results(views.view(experiment=views.experiment(look=views.look())))["experiment"]
    assert found["alpha"] == 0.05
    assert found["look"] == {
        "number": 1,
        "of": 3,
        "runs": 3,
        "most": 10,
        "planned": [3, 6, 10],
        "alpha": 0.0000854516,
        "not_needed": 140,
    }
