"""Sentences about comparisons for people who do not know statistics."""

import math

from pytest_promptune.core.stats.model import Comparison, Direction, Scope
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
        return _number(value)
    return f"{100 * value / abs(row.mean_reference):.1f} %"


def _number(value: float) -> str:
    """Three significant digits or more, as people write numbers: 1,230 and 0.0000748, without an exponent."""
    if not 1e-6 <= abs(value) < 1e12:
        return f"{value:.3g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def explain(row: Comparison, rule: str) -> str:
    """One sentence for the rule that gave the verdict."""
    sentences = {
        "no_cases": _no_cases,
        "worse": _changed,
        "better": _changed,
        "tolerated": _tolerated,
        "near": _near,
        "missing": _missing,
        "small": _small,
        "equal": _equal,
        "ruled_out": _ruled_out,
        "open": _open,
    }
    return sentences[rule](row)


def explain_failure(row: Comparison) -> str:
    """For the exit text: what failed, which of the ways to fail it was, and why."""
    name = f"{row.metric} ({row.candidate} against {row.reference})"
    cases = ", ".join(row.failing_cases)
    if row.failure == "cases":
        return f"{name} got worse in {cases}."
    told = {
        "regressed": "regressed",
        "inconclusive": "is inconclusive, and strict is on",
        "not_shown": "is "
        + not_shown(row.direction, None if row.margin is None else amount(row, row.margin)),
    }
    more = f" Worse by themselves: {cases}." if cases else ""
    return f"{name} {told[row.failure or 'not_shown']}. {row.reason}{more}"


def not_shown(direction: Direction, margin: str | None) -> str:
    """What non-inferiority misses of a metric; `None` where no margin is known."""
    if margin is None:
        return "not shown to be as good"
    return f"not shown to {worsening(direction)} by less than {margin}"


def _no_cases(_row: Comparison) -> str:
    return "No case has values on both sides, so there is nothing to compare."


def _size(row: Comparison) -> str:
    """By how much, and that it is real."""
    change = row.difference or 0.0
    if row.ratio is not None and row.mean_reference:
        change = row.mean_reference * (row.ratio - 1)
    size = f"{'Up' if change > 0 else 'Down'} by {amount(row, abs(change))}"
    return f"{size}, which is more than {_noise(row)} would explain"


def _noise(row: Comparison) -> str:
    return "differences between runs" if row.scope == "suite" else "chance"


def _changed(row: Comparison) -> str:
    return f"{_size(row)}."


def _tolerated(row: Comparison) -> str:
    return f"{_size(row)}, but not clearly beyond the tolerance of {amount(row, row.tolerance or 0.0)}."


def _near(row: Comparison) -> str:
    tolerance = amount(row, row.tolerance or 0.0)
    return f"{_size(row)}, and it is open whether beyond the tolerance of {tolerance}: {_bound(row)}."


def _missing(row: Comparison) -> str:
    lost = [
        f"{missing} values of {side} are missing ({used} used)"
        for side, missing, used in (
            (row.reference, row.n_missing_reference, row.n_samples_reference),
            (row.candidate, row.n_missing_candidate, row.n_samples_candidate),
        )
        if missing
    ]
    return f"{' and '.join(lost)}, and what is left may not be typical; find out why, then measure again."


def _small(row: Comparison) -> str:
    if "constant" in row.flags:
        return _equal_so_far(row)
    if "runs=1" in row.flags:
        runs, remedy = " with one run each", "use at least 3 runs"
    elif row.scope == "population":
        runs, remedy = "", "add cases"
    else:
        runs, remedy = " and so few runs", "add cases or runs"
    shared = f", judged together with {_others(row.family_size - 1)}," if row.family_size > 1 else ""
    return f"With {_cases(row.n_cases)}{runs}{shared} even a complete reversal could be chance; {remedy}."


def _others(number: int) -> str:
    return f"{number} other" if number == 1 else f"{number} others"


def _equal(_row: Comparison) -> str:
    return "The values do not differ between the two sides in any case."


def _ruled_out(row: Comparison) -> str:
    low = bounds_of_gain(row)[0] or 0.0
    worse = f"a {worsening(row.direction)}"
    if low < 0:
        worse += f" of more than {amount(row, -low)}"
    return f"No more change than {_noise(row)} would explain; {worse} is ruled out."


def _open(row: Comparison) -> str:
    if "constant" in row.flags:
        return _equal_so_far(row)
    low = bounds_of_gain(row)[0]
    if (low is None or math.isinf(low)) and "runs=1" in row.flags:
        return "One run of one case says nothing about the next run; use at least 3."
    if low is None or math.isinf(low):
        return "One case says nothing about other inputs; add cases."
    bound = _bound(row)
    return f"{bound[0].upper()}{bound[1:]}."


def _bound(row: Comparison) -> str:
    """What is not ruled out, what would be acceptable, and what would help."""
    low, worse = bounds_of_gain(row)[0] or 0.0, worsening(row.direction)
    acceptable = "" if row.margin is None else f" (acceptable: {amount(row, row.margin)})"
    return f"a {worse} of up to {amount(row, -low)} cannot be ruled out{acceptable}; {_remedy(row)}"


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
