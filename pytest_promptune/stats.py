"""Statistics of repeated runs, for any scores: usable from a notebook, without pytest.

>>> from pytest_promptune.stats import compare
>>> reference = {"a": [1, 1, 1, 0, 1], "b": [1, 0, 1, 1, 1]}
>>> candidate = {"a": [0, 0, 0, 0, 0], "b": [0, 0, 1, 0, 0]}
>>> compare(reference, candidate).verdict
'regressed'
"""

from pytest_promptune.core.stats.classes import confusions
from pytest_promptune.core.stats.describing import describe
from pytest_promptune.core.stats.flips import case_changes
from pytest_promptune.core.stats.frames import compare_all
from pytest_promptune.core.stats.goals import goal_attainment
from pytest_promptune.core.stats.judging import compare, judge
from pytest_promptune.core.stats.looks import spending
from pytest_promptune.core.stats.model import (
    CaseChange,
    ClassCounts,
    Comparison,
    Confusions,
    Description,
    GoalResult,
    Judgement,
    MetricSpec,
    Pair,
    PassEstimate,
    PassGroup,
    Passing,
    Scores,
    VarianceComponents,
)
from pytest_promptune.core.stats.multiplicity import benjamini_hochberg, holm
from pytest_promptune.core.stats.passing import pass_at_k, pass_hat_k, passing
from pytest_promptune.core.stats.planning import (
    cases_needed,
    minimum_detectable,
    runs_needed,
    variance_components,
)

__all__ = [
    "CaseChange",
    "ClassCounts",
    "Comparison",
    "Confusions",
    "Description",
    "GoalResult",
    "Judgement",
    "MetricSpec",
    "Pair",
    "PassEstimate",
    "PassGroup",
    "Passing",
    "Scores",
    "VarianceComponents",
    "benjamini_hochberg",
    "case_changes",
    "cases_needed",
    "compare",
    "compare_all",
    "confusions",
    "describe",
    "goal_attainment",
    "holm",
    "judge",
    "minimum_detectable",
    "pass_at_k",
    "pass_hat_k",
    "passing",
    "runs_needed",
    "spending",
    "variance_components",
]
