"""Experiments, samples and results to write to logs, and the logs of the tests."""

from __future__ import annotations

from typing import Any

from pytest_promptune.core.model import NodeRun, SampleError, SampleRecord, Usage
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.scoring import Classification, Score
from pytest_promptune.store.log import LoggedSample, LogWriter, Manifest, SampleKey
from pytest_promptune.store.log.location import Location

CONDITIONS = {"cases": {"c0": "sha256:00", "c1": "sha256:11"}, "runs": 3, "prompts": {"a.j2": "sha256:aa"}}
LOST = SampleError(type="RateLimitError", message="429", infrastructure=True)


def manifest(id_: str = "20261122T100000-aaaaaa", **values: Any) -> Manifest:
    """An experiment that begins."""
    given = {"mode": "check", "started": "2026-11-22T10:00:00Z", "conditions": CONDITIONS}
    return Manifest(id=id_, **given | values)


def sample(case: str = "c0", run: int = 1, **values: Any) -> LoggedSample:
    """A finished sample; values are those of its record."""
    key = SampleKey(app="bot", case_id=case, case_hash=f"sha256:{case}", variant="current", run=run)
    given: dict[str, Any] = {
        "output": {"reply": "größe", "n": [1, None, 2.5]},
        "latency_s": 0.25,
        "usage": Usage(input_tokens=10, output_tokens=3, cost_usd=0.5),
        "nodes": (NodeRun(node="say", calls=1, models=("m",), prompt=(("system", "Be kind."),)),),
    }
    record = SampleRecord(case_id=case, variant="current", run=run, **given | values)
    return LoggedSample(key=key, record=record, attempts=2, started=1.0, finished=1.25)


def result(case: str = "c0", run: int = 1, **values: Any) -> Result:
    """What one item contributes."""
    given: dict[str, Any] = {
        "nodeid": f"test_a.py::test_a[{case}-{run}]",
        "module": "test_a.py",
        "test": "test_a",
        "metric": "test_a",
        "app": "bot",
        "case_hash": f"sha256:{case}",
        "variant": "current",
        "outcome": "missed",
        "order": 7,
        "gate": ("test_a",),
        "scores": {"words": Score(value=3.0, kind="score", direction="lower", unit="w")},
        "classification": Classification(predicted="x", expected="y"),
        "message": "classified as 'x'",
        "sample": SampleFacts(latency_s=0.25, error=LOST),
    }
    return Result(case_id=case, run=run, **given | values)


def write(location: Location, *samples: LoggedSample, **values: Any) -> LogWriter:
    """A writer with these samples written, of an experiment that isn't finished."""
    writer = LogWriter(location, manifest(**values))
    for each in samples:
        writer.sample(each)
    writer.flush()
    assert writer.problem is None
    return writer


def finish(writer: LogWriter, status: Any = "finished", **results: Any) -> None:
    """End the writer's experiment."""
    writer.finish(status=status, finished="2026-11-22T10:01:00Z", seconds=60.0, exit_code=1, results=results)
    assert writer.close() is None
