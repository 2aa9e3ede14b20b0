"""Measurements made by hand, to be set beside each other."""

from __future__ import annotations

from typing import Any

from pytest_promptune.core.model import Usage
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.sides import Measured, measured_as


def result(case: str, run: int, **changes: Any) -> Result:
    values: dict[str, Any] = {
        "nodeid": f"test_a.py::test_a[{case}-{run}]",
        "module": "test_a.py",
        "test": "test_a",
        "metric": "test_a",
        "app": "bot",
        "case_hash": f"hash of {case}",
        "variant": "current",
        "outcome": "passed",
        "sample": SampleFacts(latency_s=1.0 + run / 10, usage=Usage(), models=("m",)),
    }
    return Result(case_id=case, run=run, **(values | changes))


def side(label: str = "A", *, passes: int = 10, **changes: Any) -> Measured:
    """Ten cases, three runs each; the first `passes` cases pass."""
    results = [
        result(f"c{case}", run, outcome="passed" if case < passes else "missed", **changes)
        for case in range(10)
        for run in (1, 2, 3)
    ]
    return measured_as(label, results)
