"""Sentences about comparisons: the right word for the direction, and numbers that would help."""

import pytest

from pytest_promptune.core.stats.wording import scope_line
from pytest_promptune.stats import MetricSpec, Pair, compare, judge


def suite(n_cases, values):
    return {f"c{index:02}": list(values) for index in range(n_cases)}


MIXED = suite(6, [1, 0, 1, 0, 1])
STABLE = {**suite(40, [1] * 5), "c00": [1, 1, 1, 1, 0]}


@pytest.mark.parametrize(
    ("direction", "word", "other"), [("higher", "drop", "rise"), ("lower", "rise", "drop")]
)
@pytest.mark.parametrize("scores", [MIXED, STABLE, suite(3, [1] * 3)], ids=["open", "ruled out", "equal"])
def test_errors_and_times_rise_where_scores_drop(scores, direction, word, other):
    """Of an error rate a loss would be good news: nobody is told of a drop or a loss of it."""
    row = compare(scores, scores, direction=direction)
    assert word in row.reason.lower()
    assert other not in row.reason.lower()
    assert "loss" not in row.reason.lower()


def test_what_fails_to_be_shown_is_worded_by_the_direction():
    """--promptune-gate=non-inferiority, of a metric where lower is better."""
    spec = MetricSpec("binary", "lower")
    pair = Pair(
        metric="errors", reference="old", candidate="new",
        reference_scores=MIXED, candidate_scores=MIXED, spec=spec,
    )  # fmt: skip
    (reason,) = judge([pair], gate="non-inferiority").reasons
    assert "is not shown to rise by less than 10.0 points" in reason


def test_one_case_of_the_population_bounds_nothing():
    """The sentence keeps to the direction there too."""
    row = compare(suite(1, [1, 0, 1]), suite(1, [1, 1, 0]), direction="lower", scope="population")
    assert "drop" not in row.reason


@pytest.mark.parametrize(
    ("n_cases", "runs", "enough"),
    [(3, 3, "12 runs per case (or 12 cases)"), (1, 3, "35 runs per case (or 12 cases)")],
)
def test_a_small_suite_without_any_difference_says_what_would_help(n_cases, runs, enough):
    """Short, with the numbers of runs or of cases."""
    row = compare(suite(n_cases, [1] * runs), suite(n_cases, [1] * runs))
    assert row.verdict == "inconclusive"
    assert row.reason == f"No case differs so far; ruling out a drop of 10.0 points takes {enough}."


@pytest.mark.parametrize("kind", ["binary", "score"])
@pytest.mark.parametrize("n_cases", [1, 2, 3, 7])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_runs_it_asks_for_are_enough_and_no_more(kind, n_cases, alpha):
    """With that many equal runs the verdict is `unchanged`, with one run less it isn't."""
    options = {"kind": kind, "alpha": alpha}
    few = suite(n_cases, [1, 1])
    needed = compare(few, few, **options).runs_if_equal
    enough, one_less = suite(n_cases, [1] * needed), suite(n_cases, [1] * (needed - 1))
    assert compare(enough, enough, **options).verdict == "unchanged"
    assert needed == 2 or compare(one_less, one_less, **options).verdict == "inconclusive"


def test_equal_single_runs_ask_for_more_runs():
    """One run per case has no number to give."""
    row = compare(suite(5, [1]), suite(5, [1]))
    assert row.runs_if_equal is None
    assert "use at least 3" in row.reason


def test_only_equal_values_have_that_number():
    """Where something differs, `runs_needed` counts."""
    assert compare(MIXED, STABLE).runs_if_equal is None


def test_the_scope_line_says_what_is_not_claimed():
    """Each scope is told in its own words, with the number of cases where there is one."""
    assert scope_line("suite", 10).startswith("Scope: these 10 cases, run-to-run noise only.")
    assert scope_line("suite", 1).startswith("Scope: this 1 case,")
    assert scope_line("population", None).startswith("Scope: new inputs like these cases;")
