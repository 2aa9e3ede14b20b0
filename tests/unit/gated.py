"""Gated comparisons: what the gate and the decision are tested with."""

from __future__ import annotations

from typing import Any

from pytest_promptune.core.view import ComparisonRow, MetricName

NAME = MetricName(
    metric="test_a[formal]",
    test="tests/test_m.py::test_a[formal]",
    module="tests/test_m.py",
    app="bot",
    kind="binary",
    direction="higher",
)


def row(verdict: str = "unchanged", **more: Any) -> ComparisonRow:
    """`current` against the baseline; a regression fails."""
    values: dict[str, Any] = {
        "name": NAME,
        "reference": "baseline:main",
        "candidate": "current",
        "n_cases": 4,
        "reference_mean": 0.9,
        "candidate_mean": 0.5,
        "difference": -0.4,
        "relative": -0.44,
        "ratio": None,
        "ratio_ci": None,
        "ci": (-0.6, -0.2),
        "p": 0.001,
        "p_adjusted": 0.002,
        "p_worse_adjusted": 0.001,
        "cliffs_delta": -0.4,
        "hedges_g": -1.0,
        "margin": 0.1,
        "minimum_detectable": 0.2,
        "runs_needed": None,
        "scope": "suite",
        "verdict": verdict,
        "reason": "Because of it.",
        "gate": "failed" if verdict == "regressed" else "passed",
        "gated": True,
        "constant": False,
        **more,
    }
    return ComparisonRow(**values)


def versus(candidate: str, verdict: str, **more: Any) -> ComparisonRow:
    """A variant against `current`."""
    return row(verdict, reference="current", candidate=candidate, **more)
