"""Sentences about comparisons for people who do not know statistics."""

from pytest_promptune.core.stats.model import Comparison, Gate
from pytest_promptune.core.stats.verdict import bounds_of_gain

ONE_RUN_HINT = (
    "Use at least 3 runs: a 10-point drop over 20 cases is found in 3 % of all tries with 1 run per case, "
    "in 42 % with 3, in 66 % with 5."
)


def scope_line(row: Comparison) -> str:
    """What the comparison speaks about and what it does not."""
    if row.scope == "suite":
        return (
            f"Scope: these {row.n_cases} cases, run-to-run noise only. It says nothing about inputs outside "
            'the suite; for that use scope="population".'
        )
    return (
        f"Scope: new inputs like these {row.n_cases} cases; case-to-case variation included, so intervals "
        "are wider."
    )


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
        return f"{name} is not shown to lose less than {amount(row, row.margin)}. {row.reason}"
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
    shared = f" shared by {row.family_size} comparisons" if row.family_size > 1 else ""
    return (
        f"With {_counted(row.n_cases, 'case')} and so few runs{shared} even a complete reversal could be "
        "chance; add cases or runs."
    )


def _equal(_row: Comparison) -> str:
    return "The values do not differ between the two sides in any case."


def _ruled_out(row: Comparison) -> str:
    low = bounds_of_gain(row)[0] or 0.0
    loss = f"a loss of more than {amount(row, -low)}" if low < 0 else "a loss"
    return f"No significant change; {loss} is ruled out."


def _open(row: Comparison) -> str:
    low = bounds_of_gain(row)[0]
    if low is None or low == float("-inf"):
        return "The loss cannot be bounded with one case; add cases."
    acceptable = "" if row.margin is None else f" (acceptable: {amount(row, row.margin)})"
    return f"A loss of up to {amount(row, -low)} cannot be ruled out{acceptable}; {_remedy(row)}."


def _remedy(row: Comparison) -> str:
    if "runs=1" in row.flags:
        return "with one run per case little can be seen, use at least 3"
    if row.scope == "population":
        return "add cases"
    measured = max(row.n_samples_reference, row.n_samples_candidate) / row.n_cases
    if row.runs_needed is not None and row.runs_needed > measured:
        return f"{_counted(row.runs_needed, 'run')} per case needed"
    return "more runs needed, because the measured change is close to that"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
