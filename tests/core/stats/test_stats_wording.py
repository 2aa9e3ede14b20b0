"""Sentences about comparisons: the right word for the direction, and numbers that would help."""

import math
import re

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


# --- every verdict and reason in one sentence -----------------------------------------------------------

GOOD, BAD = suite(10, [1] * 5), suite(10, [0] * 5)
STEADY = {f"c{i:02}": [1.0, 1.01, 0.99, 1.0, 1.02] for i in range(20)}
SLOWER = {case: [1.07 * value for value in values] for case, values in STEADY.items()}
UNSTEADY = {f"c{i:02}": [0.8, 1.3, 0.9, 1.1, 1.0] for i in range(6)}
UNSTEADILY_SLOWER = {case: [1.16 * value for value in values] for case, values in UNSTEADY.items()}
TIMES = {"kind": "latency", "direction": "lower"}
CLOSE = {f"c{i:02}": [0.50, 0.52, 0.48, 0.51] for i in range(6)}

#: Which situation: the two sides, options, the verdict, and its sentence.
SENTENCES = {
    "regressed": (
        GOOD, BAD, {}, "regressed",
        "Down by 100.0 points, which is more than differences between runs would explain.",
    ),
    "improved": (
        BAD, GOOD, {}, "improved",
        "Up by 100.0 points, which is more than differences between runs would explain.",
    ),
    "errors rose": (
        BAD, GOOD, {"direction": "lower"}, "regressed",
        "Up by 100.0 points, which is more than differences between runs would explain.",
    ),
    "population": (
        BAD, GOOD, {"scope": "population"}, "improved",
        "Up by 100.0 points, which is more than chance would explain.",
    ),
    "within the tolerance": (
        STEADY, SLOWER, TIMES, "unchanged",
        "Up by 7.0 %, which is more than differences between runs would explain, but not clearly beyond the "
        "tolerance of 10.0 %.",
    ),
    "near the tolerance": (
        UNSTEADY, UNSTEADILY_SLOWER, TIMES, "inconclusive",
        "Up by 16.0 %, which is more than differences between runs would explain, and it is open whether "
        "beyond the tolerance of 10.0 %: a rise of up to 27.8 % cannot be ruled out (acceptable: 20.0 %); "
        "more runs needed, because the measured change is close to that.",
    ),
    "ruled out": (
        CLOSE, CLOSE, {"kind": "score"}, "unchanged",
        "No more change than differences between runs would explain; a drop of more than 0.01 is ruled out.",
    ),
    "ruled out in the population": (
        CLOSE, {case: [value + 0.001 * (i % 2) for value in values] for i, (case, values) in
                enumerate(CLOSE.items())}, {"kind": "score", "scope": "population"}, "unchanged",
        "No more change than chance would explain; a drop of more than 0.0000748 is ruled out.",
    ),
    "equal": (
        GOOD, GOOD, {}, "unchanged", "The values do not differ between the two sides in any case.",
    ),
    "equal so far": (
        suite(3, [1] * 3), suite(3, [1] * 3), {}, "inconclusive",
        "No case differs so far; ruling out a drop of 10.0 points takes 12 runs per case (or 12 cases).",
    ),
    "wide": (
        MIXED, MIXED, {}, "inconclusive",
        "A drop of up to 23.5 points cannot be ruled out (acceptable: 10.0 points); 99 runs per case needed.",
    ),
    "wide in the population": (
        suite(4, [1, 0]), {**suite(4, [1, 0]), "c00": [0, 0], "c01": [1, 1], "c02": [0, 0], "c03": [1, 1]},
        {"scope": "population"}, "inconclusive",
        "With 4 cases even a complete reversal could be chance; add cases.",
    ),
    "too small a design": (
        {"a": [1, 1, 1]}, {"a": [0, 0, 1]}, {}, "inconclusive",
        "With 1 case and so few runs even a complete reversal could be chance; add cases or runs.",
    ),
    "one run of few cases": (
        suite(3, [1]), suite(3, [0]), {}, "inconclusive",
        "With 3 cases with one run each even a complete reversal could be chance; use at least 3 runs.",
    ),
    "one run of many cases": (
        {f"c{i:02}": [i % 2] for i in range(12)}, {f"c{i:02}": [i // 2 % 2] for i in range(12)}, {},
        "inconclusive",
        "A drop of up to 44.5 points cannot be ruled out (acceptable: 10.0 points); with one run per case "
        "little can be seen, use at least 3.",
    ),
    "one run, all equal": (
        suite(5, [1]), suite(5, [1]), {}, "inconclusive",
        "No case differs so far, but too little was measured to rule out a drop of 10.0 points; with one run "
        "per case little can be seen, use at least 3.",
    ),
    "missing": (
        GOOD, suite(10, [1, 1, 1, None, None]), {}, "inconclusive",
        "20 values of candidate are missing (30 used), and what is left may not be typical; find out why, "
        "then measure again.",
    ),
    "missing on both sides": (
        suite(2, [1, None, 1]), suite(2, [None, None, 1]), {}, "inconclusive",
        "2 values of reference are missing (4 used) and 4 values of candidate are missing (2 used), and what "
        "is left may not be typical; find out why, then measure again.",
    ),
    "no common cases": (
        {"a": [1, 1]}, {"b": [1, 1]}, {}, "inconclusive",
        "No case has values on both sides, so there is nothing to compare.",
    ),
}  # fmt: skip

#: What a reader without statistics would have to look up.
JARGON = re.compile(
    r"signific|interval|p-value|\bp\b|confiden|hypothes|null|permut|varian|deviat|effect size|distribution"
    r"|bound|inferior|sample|population|suite|alpha|inf\b|nan\b|none\b", re.IGNORECASE,
)  # fmt: skip


@pytest.mark.parametrize(("reference", "candidate", "options", "verdict", "sentence"), SENTENCES.values(),
                         ids=SENTENCES)  # fmt: skip
def test_every_verdict_carries_one_plain_sentence(reference, candidate, options, verdict, sentence):
    """Word for word, for every verdict and everything that leads to it."""
    row = compare(reference, candidate, **options)
    assert (row.verdict, row.reason) == (verdict, sentence)
    assert not JARGON.search(row.reason)
    assert re.fullmatch(r"[A-Z0-9][^\n]*\.", row.reason)
    assert ". " not in row.reason.replace("vs. ", "")


@pytest.mark.parametrize("kind", ["binary", "score", "latency", "cost"])
@pytest.mark.parametrize("runs", [[1.0], [1.0, 0.0, 1.0]], ids=["one run", "three runs"])
def test_one_case_says_nothing_about_others(kind, runs):
    """A single case in the population, once or three times: no infinite number in the words."""
    other = [0 if kind == "binary" else value / 2 for value in runs]
    row = compare({"only": runs}, {"only": other}, kind=kind, scope="population")
    assert row.verdict == "inconclusive"
    assert not JARGON.search(row.reason)


@pytest.mark.parametrize(
    ("factor", "words"),
    [(1000, "of more than 10"), (1e6, "of more than 9,999"), (0.001, "of more than 0.00001")],
)
def test_sizes_are_written_as_people_write_numbers(factor, words):
    """No exponents for what has a few digits."""
    scaled = {case: [factor * value for value in values] for case, values in CLOSE.items()}
    assert words in compare(scaled, scaled, kind="score").reason


def test_a_shared_error_level_is_told_where_it_decides():
    """One case with five runs could be enough alone, and isn't beside five other metrics."""
    pairs = [
        Pair(metric=f"m{i}", reference="old", candidate="new", reference_scores={"a": [1, 1, 1, 1]},
             candidate_scores={"a": [0, 0, 0, 1]}, spec=MetricSpec())
        for i in range(6)
    ]  # fmt: skip
    row = judge(pairs).comparisons[0]
    assert row.reason == (
        "With 1 case and so few runs, judged together with 5 others, even a complete reversal could be "
        "chance; add cases or runs."
    )
    assert math.isclose(row.min_attainable_p, 2 / 70)
