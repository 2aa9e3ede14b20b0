"""From numbers to a verdict, and from verdicts to the gate.

"Lower bound" below means the bound towards worse, turned so that positive is better.
"""

from pytest_promptune.core.stats.model import Comparison, Failure, Gate, Verdict
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a verdict rests on, besides the numbers of the comparison."""

    #: One-sided error level.
    level: float
    #: Loss that is ignored although significant, in the metric's own unit.
    tolerance: float
    #: Smallest two-sided p the run counts allow, whatever the values.
    design_p: float
    too_much_missing: bool


def decide(row: Comparison, evidence: Evidence) -> tuple[Verdict, str]:
    """The verdict and which rule gave it.

    Rules: ``no_cases``, ``worse``, ``missing``, ``better``, ``equal``, ``small``, ``ruled_out``, ``open``;
    and of significant losses that may not be beyond the tolerance: ``tolerated`` and ``near``. A significant
    change speaks for itself; missing data only forbid good news.
    """
    if row.p_worse_adjusted is None or row.p_better_adjusted is None:
        return "inconclusive", "no_cases"
    is_worse = row.p_worse_adjusted <= evidence.level
    if is_worse and _beyond(row, evidence.tolerance):
        return "regressed", "worse"
    if evidence.too_much_missing:
        return "inconclusive", "missing"
    if row.p_better_adjusted <= evidence.level:
        return "improved", "better"
    if is_worse:
        return ("unchanged", "tolerated") if within_margin(row) else ("inconclusive", "near")
    return _without_change(row, evidence)


def _without_change(row: Comparison, evidence: Evidence) -> tuple[Verdict, str]:
    """Whether a change that is not significant is small, or only unknown."""
    if evidence.design_p > 2 * evidence.level / row.family_size:
        return "inconclusive", "small"
    if within_margin(row):
        return "unchanged", "equal" if "constant" in row.flags else "ruled_out"
    return "inconclusive", "open"


def within_margin(row: Comparison) -> bool:
    """Whether the unclipped interval rules out a loss as large as the margin."""
    low = bounds_of_gain(row)[0]
    if row.margin is None or low is None:
        return False
    # A metric that is 0 throughout (the cost of a local model) has margin 0 and did not change.
    return low > -row.margin or low >= 0


def bounds_of_gain(row: Comparison) -> tuple[float | None, float | None]:
    """The unclipped interval with positive = better."""
    if row.ci_raw is None:
        return None, None
    low, high = row.ci_raw
    return (low, high) if row.direction == "higher" else (-high, -low)


def failure(row: Comparison, rule: Gate, *, strict: bool) -> Failure | None:
    """Why a gated comparison fails, ``None`` if it passes or the gate is off."""
    if rule == "off":
        return None
    is_shown = within_margin(row) and "missing_data" not in row.flags
    if row.verdict == "regressed" and not (rule == "non-inferiority" and is_shown):
        return "regressed"
    if rule == "non-inferiority" and not is_shown:
        return "not_shown"
    return "inconclusive" if strict and row.verdict == "inconclusive" else None


def _beyond(row: Comparison, tolerance: float) -> bool:
    if tolerance == 0:
        return True
    high = bounds_of_gain(row)[1]
    return high is not None and high < -tolerance
