"""Sentences about comparisons for people who do not know statistics."""

import math

from pytest_promptune.core.stats.model import Comparison, Direction, Gate, Scope
from pytest_promptune.core.stats.verdict import bounds_of_gain

ONE_RUN_HINT = (
    "Use at least 3 runs: a 10-point drop over 20 cases is found in 3 % of all tries with 1 run per case, "
    "in 42 % with 3, in 66 % with 5."
)


def scope_line(scope: Scope, n_cases: int | None) -> str:
    """What comparisons speak about and what they do not; `None` cases when they differ in their number."""
    cases = "these cases" if n_cases is None else f"th{'is' if n_cases == 1 else 'ese'} {_cases(n_cases)}"
    if scope == "suite":
        return (
            f"Scope: {cases}, run-to-run noise only. It says nothing about inputs outside the suite; for "
            'that use scope="population".'
        )
    return f"Scope: new inputs like {cases}; case-to-case variation included, so intervals are wider."


def worsening(direction: Direction) -> str:
    """What getting worse is called: scores drop, errors and times rise."""
    return "drop" if direction == "higher" else "rise"


def amount(row: Comparison, value: float) -> str:
    """A size of change in the form people compare it in: points, per cent, or the metric's unit."""
    if row.kind == "binary":
        return f"{100 * value:.1f} points"
    if row.kind == "score" or not row.mean_reference:
        return f"{value:.3g}"
    return f"{100 * value / abs(row.mean_reference):.1f} %"


def explain(row: Comparison, rule: str) -> str:
    """One sentence for the rule that gave the verdict."""
    sentences = {
        "no_cases": _no_cases,
        "worse": _changed,
        "better": _changed,
        "missing": _missing,
        "small": _small,
        "equal": _equal,
        "ruled_out": _ruled_out,
        "open": _open,
    }
    return sentences[rule](row)


def explain_failure(row: Comparison, rule: Gate, *, strict: bool) -> str:
    """One sentence for the exit text: what failed, and which of the three ways to fail it was."""
    name = f"{row.metric} ({row.candidate} against {row.reference})"
    if row.verdict == "regressed":
        return f"{name} regressed. {row.reason}"
    if strict and row.verdict == "inconclusive":
        return f"{name} is inconclusive, and strict is on. {row.reason}"
    if rule == "non-inferiority" and row.margin is not None:
        worse = worsening(row.direction)
        return f"{name} is not shown to {worse} by less than {amount(row, row.margin)}. {row.reason}"
    return f"{name} is not shown to be as good. {row.reason}"


def explain_case_failure(row: Comparison, cases: list[str]) -> str:
    """One sentence for the exit text when single cases fail the gate."""
    return f"{row.metric} ({row.candidate} against {row.reference}) got worse in {', '.join(cases)}."


def _no_cases(_row: Comparison) -> str:
    return "No case has values on both sides, so there is nothing to compare."


def _changed(row: Comparison) -> str:
    change = row.difference or 0.0
    if row.ratio is not None and row.mean_reference:
        change = row.mean_reference * (row.ratio - 1)
    size = f"{'Up' if change > 0 else 'Down'} by {amount(row, abs(change))}"
    noise = "differences between runs" if row.scope == "suite" else "chance"
    return f"{size}, which is more than {noise} would explain."


def _missing(row: Comparison) -> str:
    lost = []
    for side, missing, used in (
        (row.reference, row.n_missing_reference, row.n_samples_reference),
        (row.candidate, row.n_missing_candidate, row.n_samples_candidate),
    ):
        lost.append(f"{missing} values of {side} are missing ({used} used)")
    return f"{' and '.join(lost)}; what is left may not be typical."


def _small(row: Comparison) -> str:
    if "constant" in row.flags:
        return _equal_so_far(row)
    shared = f" shared by {row.family_size} comparisons" if row.family_size > 1 else ""
    return (
        f"With {_cases(row.n_cases)} and so few runs{shared} even a complete reversal could be chance; add "
        "cases or runs."
    )


def _equal(_row: Comparison) -> str:
    return "The values do not differ between the two sides in any case."


def _ruled_out(row: Comparison) -> str:
    low = bounds_of_gain(row)[0] or 0.0
    worse = f"a {worsening(row.direction)}"
    if low < 0:
        worse += f" of more than {amount(row, -low)}"
    return f"No significant change; {worse} is ruled out."


def _open(row: Comparison) -> str:
    if "constant" in row.flags:
        return _equal_so_far(row)
    low, worse = bounds_of_gain(row)[0], worsening(row.direction)
    if low is None or low == float("-inf"):
        return f"With one case nothing bounds the {worse}; add cases."
    acceptable = "" if row.margin is None else f" (acceptable: {amount(row, row.margin)})"
    return f"A {worse} of up to {amount(row, -low)} cannot be ruled out{acceptable}; {_remedy(row)}."


def _equal_so_far(row: Comparison) -> str:
    """Nothing differs, but less was measured than it takes to say that nothing changed."""
    what = f"a {worsening(row.direction)} of {amount(row, row.margin or 0.0)}"
    if row.runs_if_equal is None:
        return f"No case differs so far, but too little was measured to rule out {what}; {_remedy(row)}."
    cases = math.ceil(row.runs_if_equal * row.n_cases / _runs(row))
    return (
        f"No case differs so far; ruling out {what} takes {_counted(row.runs_if_equal, 'run')} per case (or "
        f"{_cases(cases)})."
    )


def _remedy(row: Comparison) -> str:
    if "runs=1" in row.flags:
        return "with one run per case little can be seen, use at least 3"
    if row.scope == "population":
        return "add cases"
    if row.runs_needed is not None and row.runs_needed > _runs(row):
        return f"{_counted(row.runs_needed, 'run')} per case needed"
    return "more runs needed, because the measured change is close to that"


def _runs(row: Comparison) -> float:
    """Runs per case, on the side that has more."""
    return max(row.n_samples_reference, row.n_samples_candidate) / row.n_cases


def _cases(number: int) -> str:
    return _counted(number, "case")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
