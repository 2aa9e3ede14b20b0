"""Labels of classified samples: which pairs count, and what a baseline file says of them."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_promptune.core.aggregates.labels import beside, classified
from pytest_promptune.core.baseline import Baseline, BaselineMetric, Recorded, dumps, loads, merged, same
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.results import Result
from pytest_promptune.core.scoring import LABEL_LENGTH, Classification, label_text


def result(outcome, predicted=None, *, case="c1", run=1, expected="bug", variant="current"):
    pair = None if predicted is None else Classification(predicted=predicted, expected=expected)
    return Result(
        nodeid=f"test_m.py::test_a[{case}-{variant}-run{run}]",
        module="test_m.py",
        test="test_a",
        metric="test_a",
        app="bot",
        case_id=case,
        case_hash=f"hash of {case}",
        variant=variant,
        run=run,
        outcome=outcome,
        classification=pair,
    )


def labels(*results, variant="current", **more):
    experiment = Experiment()
    for each in results:
        experiment.add(each)
    (found,) = classified(experiment, list(experiment.columns()))
    return found.labels(variant, **more)


def test_which_samples_count():
    """Misses without a label and errors predict no class; what is lost or failed is missing."""
    found = labels(
        result("passed", "bug"),
        result("missed", "tech", run=2),
        result("errored", run=3),
        result("missed", run=4),
        result("missing", run=5),
        result("failed", "bug", run=6),
        result("passed", run=7),
    )
    assert found == {
        "c1": [("bug", "bug"), ("bug", "tech"), ("bug", None), ("bug", None), None, None, None],
    }


def test_skipped_items_are_none():
    """What was skipped has no score and no pair."""
    assert labels(result("passed", "bug"), result("skipped", "tech", run=2)) == {"c1": [("bug", "bug")]}


def test_the_expected_label_of_an_errored_case():
    """It comes from any sample of the case, or from elsewhere; else the case is missing."""
    errors = [result("errored", case="c1"), result("errored", case="c2"), result("errored", case="c3")]
    others = [
        result("passed", "tech", case="c1", expected="tech", variant="odd"),
        result("passed", "x", case="c9"),
    ]
    found = labels(*errors, *others, more_expected={"c2": "billing"})
    assert found == {"c1": [("tech", None)], "c2": [("billing", None)], "c3": [None], "c9": [("bug", "x")]}


def test_tests_that_do_not_classify_have_none():
    """Assertions alone are no classification."""
    experiment = Experiment()
    experiment.add(result("missed"))
    assert classified(experiment, list(experiment.columns())) == []


def test_labels_beside_scores():
    """Cases without scores or without any label are left out, and so are metrics without cases."""
    found = beside(
        {"a": {"c1": [1]}, "b": {"c1": [1]}},
        {"a": {"c1": [("x", "x")], "c2": [("x", "x")]}, "b": {"c1": [None]}},
    )
    assert found == {"a": {"c1": [("x", "x")]}}


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("bug", "bug"),
        (1, "1"),
        (None, "None"),
        ("two\nlines\t\x1b[31m", r"two\nlines\t\x1b[31m"),
        ("\ud800", r"\ud800"),
        ("größer ✓", "größer ✓"),
    ],
)
def test_labels_as_text(label, text):
    """What can't be printed is escaped, everything else stays."""
    assert label_text(label) == text


def test_long_labels_are_cut_and_stay_apart():
    """Their beginning and a hash: two that differ at their end are two."""
    one, other = label_text("long " * 1_000 + "a"), label_text("long " * 1_000 + "b")
    assert len(one) <= LABEL_LENGTH
    assert one.startswith("long long")
    assert one != other


# --- in a baseline file ---------------------------------------------------------------------------

RECORDED = Recorded(
    at="2026-11-22T10:00:00Z", commit=None, dirty=None, runs=3, promptune="0.1.0", concurrency=16
)


def baseline(scores, of_labels):
    return Baseline(
        recorded=RECORDED,
        cases={case: f"sha256:{case}" for case in ("c1", "c2")},
        metrics={"test_a": BaselineMetric(direction="higher", unit=None, kind="binary")},
        scores={"test_a": scores},
        labels={"test_a": of_labels} if of_labels else {},
    )


LABELS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
PAIRS = st.one_of(
    st.tuples(st.just(1.0), st.sampled_from("xy").map(lambda label: (label, label))),
    st.tuples(st.just(0.0), st.tuples(st.sampled_from("xy"), st.none() | LABELS)),
    st.just((None, None)),
)


@settings(deadline=None, database=None)
@given(st.lists(PAIRS, min_size=1, max_size=5))
def test_written_and_read_again(rows):
    """Missing samples, misses without a label, and several expected labels of a case survive the file."""
    whole = baseline({"c1": [score for score, _ in rows]}, {"c1": [pair for _, pair in rows]})
    assert loads(dumps(whole), where="x").labels == whole.labels


def test_how_they_are_written():
    """One expected label, or a list where they differ; a line for each case; no key without labels."""
    text = dumps(
        baseline(
            {"c1": [1.0, 0.0, None], "c2": [1.0, 0.0]},
            {"c1": [("x", "x"), ("x", None), None], "c2": [("x", "x"), ("y", "x")]},
        )
    )
    assert json.loads(text)["labels"] == {
        "test_a": {
            "c1": {"expected": "x", "predicted": ["x", None, None]},
            "c2": {"expected": ["x", "y"], "predicted": ["x", "x"]},
        }
    }
    assert '      "c1": {"expected": "x", "predicted": ["x", null, null]},\n' in text
    assert '"labels"' not in dumps(baseline({"c1": [1.0]}, {}))


def test_recorded_over_an_older_file():
    """What ran replaces scores and labels together; a test that stopped to classify loses its labels."""
    old = baseline({"c1": [0.0], "c2": [0.0]}, {"c1": [("x", "y")], "c2": [("x", "y")]})
    new = baseline({"c1": [1.0]}, {"c1": [("x", "x")]})
    assert merged(old, new).labels == {"test_a": {"c1": [("x", "x")], "c2": [("x", "y")]}}
    assert merged(old, baseline({"c1": [1.0], "c2": [1.0]}, {})).labels == {}
    changed = replace(new, cases={"c1": "sha256:c1", "c2": "another"})
    assert merged(old, changed).labels == {"test_a": {"c1": [("x", "x")]}}


def test_other_labels_are_a_change():
    """The same scores with other wrong answers are worth a diff; an older file gets its labels."""
    one = baseline({"c1": [0.0]}, {"c1": [("x", "y")]})
    assert same(one, one)
    assert not same(one, baseline({"c1": [0.0]}, {"c1": [("x", "z")]}))
    assert not same(baseline({"c1": [0.0]}, {}), one)
