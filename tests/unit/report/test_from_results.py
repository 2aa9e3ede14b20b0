"""A results document is a view again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import views

from pytest_promptune import terminal
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.stats.classes import confusions
from pytest_promptune.core.view import ClassesRow, GoalRow, View
from pytest_promptune.report.json_results import from_results, to_results
from pytest_promptune.stats import passing

PASSES = passing({"a": [1, 1, 0], "b": [0, 1, 1], "d": [1, None, None]})
CLASSES = ClassesRow(
    name=views.metric_name(),
    variant="current",
    n_samples=4,
    n_missing=1,
    found=confusions([("a", "a"), ("a", "b"), ("b", "x"), ("b", None)]),
)
GOAL = GoalRow(
    goal="Accuracy",
    name=views.metric_name("test_other", unit="points", kind="score"),
    variant="current",
    target=0.9,
    direction="higher",
    percentile=95.0,
    value=0.86,
    ci=(0.8, None),
    status="unclear",
)
VIEWS = {
    "check": views.view(),
    "failed check": views.failed_check(),
    "compare": views.three_variants(),
    "baseline": views.recorded(),
    "interrupted": views.view(interrupted=True, metrics=(), comparisons=(), warnings=("Ended early.",)),
    "looks": views.view(experiment=views.experiment(look=views.look(), commit=None, dirty=None)),
    "nodes": views.view(nodes=(views.node_row(), views.node_row("reply", cost_usd=None, scope="m"))),
    "passes": views.view(metrics=(views.metric_row(passing=PASSES, flaky_cases=("a", "b")),)),
    "classes": views.view(classes=(CLASSES,)),
    "goals": views.view(goals=(GOAL,), passing_rule="all goals must be reached"),
    "analysis": views.view(analysis=views.analysis()),
    "failure": views.view(
        comparisons=(views.regression(failure="cases", failing_cases=("TC002",), ci=(None, 0.1), alpha=0.01),)
    ),
}


def stored(view: View, *, case_means: bool = True):
    """The document as it comes out of a file or the log."""
    return json.loads(json.dumps(to_results(view, case_means=case_means), allow_nan=False))


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_the_log_gives_every_view_back(view):
    """Equal in every value; what was written then is no news now."""
    assert from_results(stored(replace(view, written=("report.md",)))) == view


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_the_results_file_gives_back_all_but_the_means_of_cases(view):
    """The terminal says the same of it."""
    found = from_results(stored(view, case_means=False))
    assert all(not row.case_means for row in (*found.metrics, *found.comparisons))
    assert to_results(found) == to_results(view)
    for verbosity in (-1, 0, 1):
        shown = terminal.summary(found, verbosity=verbosity, width=100)
        assert shown == terminal.summary(view, verbosity=verbosity, width=100)


def test_documents_of_earlier_versions_open():
    """What they don't know is unknown, and what we don't know is left alone."""
    document = stored(views.failed_check())
    for key in ("case_means", "variants", "classes", "nodes", "passing_rule", "gate", "warnings"):
        del document[key]
    for row in document["comparisons"]:
        for key in ("gate", "verdict", "failure", "module", "app", "runs_needed", "aggregate"):
            del row[key]
    del document["experiment"]["models"], document["experiment"]["look"]
    document["tomorrow"] = {"x": 1}
    found = from_results(document)
    assert (found.variants, found.nodes, found.gate) == ((), (), ())
    row = found.comparisons[0]
    assert (row.verdict, row.gate, row.runs_needed) == ("inconclusive", "off", None)
    assert row.name.module == views.MODULE
    assert terminal.summary(found, verbosity=1, width=80)


def test_goals_of_earlier_versions_know_their_metric_by_its_own_row():
    """They had no kind."""
    document = stored(views.view(goals=(replace(GOAL, name=views.metric_name()),)))
    for key in ("module", "app", "kind"):
        del document["goals"][0][key]
    assert from_results(document).goals[0].name == views.metric_name()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2"),
        ({"format": None}, "format None"),
        ({"mode": "guess"}, "mode"),
        ({"metrics": 3}, "'metrics' is no list"),
        ({"metrics": [{"metric": 3}]}, "a metric.metric is 3"),
        ({"experiment": {"runs": "five"}}, "experiment.runs is 'five'"),
        ({"experiment": []}, "experiment is no object"),
        ({"gate": [None]}, "gate"),
        ({"goals": [{}]}, "damaged"),
        ({"classes": [{"classes": [{"label": "a"}]}]}, "damaged"),
        ({"case_means": [1]}, "damaged"),
    ],
)
def test_damage_is_told(change, words):
    """Where it is, what it is, what to do; never a traceback."""
    with pytest.raises(StoreError, match="the log") as error:
        from_results(stored(views.view()) | change, where="the log")
    assert words in str(error.value)
    assert "easure again" in str(error.value)


def test_the_means_of_cases_are_in_the_log_alone():
    """--promptune-json is no larger for it."""
    assert "case_means" not in to_results(views.view())
