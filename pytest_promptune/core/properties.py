"""What single results say to programs that read the properties of tests, as those of JUnit XML."""

from __future__ import annotations

from pytest_promptune.core.display import clean
from pytest_promptune.core.harmless import harmless
from pytest_promptune.core.results import Result
from pytest_promptune.core.view import ComparisonRow

#: Name and value; a value that is unknown has no property.
Property = tuple[str, str | int | float]

#: Outcomes of a test that are values of its assertion metric.
_VALUES = {"passed": 1, "missed": 0, "errored": 0}


def of_result(result: Result) -> list[Property]:
    """Which sample it is, the sample's own numbers, and its scores as ``promptune:<metric>``.

    Metrics are named as in baseline files. All values are plain, so that reports can travel.
    """
    found: list[Property] = [
        ("promptune_case", _line(result.case_id)),
        ("promptune_variant", _line(result.variant)),
        ("promptune_run", result.run),
    ]
    if result.outcome in _VALUES:
        found.append((f"promptune:{_line(result.metric)}", _VALUES[result.outcome]))
    for name, score in result.scores.items():
        if score.value is not None:
            full = name if score.scorer else f"{result.test}::{name}"
            value = int(score.value) if score.kind == "binary" else score.value
            found.append((f"promptune:{_line(full)}", value))
    sample = result.sample
    if sample is not None:
        usage = sample.usage
        facts = (
            ("latency_s", sample.latency_s),
            ("input_tokens", usage.input_tokens),
            ("output_tokens", usage.output_tokens),
            ("cost_usd", usage.cost_usd),
        )
        found += [(f"promptune:{result.app}::{name}", value) for name, value in facts if value is not None]
    return found


def of_comparison(row: ComparisonRow) -> list[Property]:
    """What the gate decided by: both sides, difference with interval, p and the verdict."""
    low, high = row.ci or (None, None)
    found: list[tuple[str, str | float | None]] = [
        ("metric", _line(row.name.metric)),
        ("reference", _line(row.reference)),
        ("candidate", _line(row.candidate)),
        ("verdict", row.verdict),
        ("difference", row.difference),
        ("ci_low", low),
        ("ci_high", high),
        ("p", row.p),
        ("p_adjusted", row.p_adjusted),
        ("margin", row.margin),
    ]
    return [(f"promptune_{name}", value) for name, value in found if value is not None]


def _line(name: str) -> str:
    """A name from anywhere, for files that terminals and jobs may show."""
    return harmless(clean(name))
