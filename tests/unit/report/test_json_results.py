"""The results file: fixed names, and null for what is unknown."""

import json
import math

import views

from pytest_promptune.report.json_results import to_results

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
