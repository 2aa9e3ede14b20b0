"""A log as a week of work leaves it: what commands that read it are tested with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import views
from log_samples import manifest, sample

from pytest_promptune.core.model import SampleError, Usage
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.scoring import Score
from pytest_promptune.core.view import UsageView, View
from pytest_promptune.report.json_results import to_results
from pytest_promptune.store.log import LoggedCase, LogWriter
from pytest_promptune.store.log.location import Location

BASELINE = "20261120T083000-0a1b2c"
CHECK = "20261121T090000-3d4e5f"
COMPARE = "20261122T100000-6a7b8c"
LOST = "20261122T110500-9d0e1f"

HOSTILE = '=HYPERLINK("http://evil")\x1b[31m\n@日本語'
NOTE = "two examples for refunds; 返金の例を二つ足した"

_MEANS = {
    BASELINE: {"current": (0.86, 0.97, 41.0)},
    CHECK: {"current": (0.75, 0.97, 43.9)},
    COMPARE: {"current": (0.75, 0.96, 41.2), "fewshot": (0.86, 0.98, 43.9)},
}


def _metrics(id_: str) -> tuple[Any, ...]:
    polite = views.metric_name("test_polite")
    return tuple(
        views.metric_row(
            name, variant=variant, mean=mean, ci=_interval(mean), case_means={"c0": 1.0, "c1": mean}
        )
        for variant, means in _MEANS[id_].items()
        for name, mean in zip((views.metric_name(), polite, views.WORDS), means, strict=True)
    )


def _interval(mean: float) -> tuple[float, float]:
    half = 0.08 * max(mean, 1)
    return round(mean - half, 3), round(min(mean + half, 1) if mean <= 1 else mean + half, 3)


def view_of(id_: str) -> View:
    """What its session had to say."""
    made = {BASELINE: views.recorded(), CHECK: views.failed_check(), COMPARE: views.three_variants()}[id_]
    variants = tuple(_MEANS[id_])
    comparisons = tuple(row for row in made.comparisons if row.candidate in variants)
    return replace(
        made,
        experiment=replace(made.experiment, id=id_, variants=variants, samples=4 * len(variants), missing=0),
        metrics=_metrics(id_),
        comparisons=comparisons,
        variants=made.variants[:1],
        usage=UsageView(cost_usd=0.42),
    )


def _result(case: str, variant: str, run: int, order: int) -> list[Result]:
    """Of two tests; the second scores words."""
    missed = case == "c1" and run == 2
    given: dict[str, Any] = {
        "nodeid": f"{views.MODULE}::x[{case}-{run}]",
        "module": views.MODULE,
        "app": "bot",
        "case_id": case,
        "case_hash": f"sha256:{case}",
        "variant": variant,
        "run": run,
        "order": order,
        "sample": SampleFacts(latency_s=0.25),
        "scope": "",
    }
    first = Result(
        test="test_intent",
        metric="test_intent",
        outcome="missed" if missed else "passed",
        message=f"classified as '{HOSTILE}'" if missed else "",
        **given,
    )
    words = {"words": Score(value=3.5 + order, kind="score", direction="lower", unit="words")}
    return [first, Result(test="test_reply", metric="test_reply", outcome="passed", scores=words, **given)]


def fill(location: Location) -> Location:
    """A baseline, a check that failed, a comparison with a note, and a session that was cut off."""
    started = {
        BASELINE: "2026-11-20T08:30:00Z",
        CHECK: "2026-11-21T09:00:00Z",
        COMPARE: "2026-11-22T10:00:00Z",
    }
    modes = {BASELINE: "baseline", CHECK: "check", COMPARE: "compare"}
    for id_, mode in modes.items():
        writer = _writer(
            location, id_, mode=mode, started=started[id_], note=NOTE if id_ == COMPARE else None
        )
        order = 0
        for variant in _MEANS[id_]:
            for case in ("c0", "c1"):
                for run in (1, 2):
                    writer.sample(_sample(case, run, variant))
                    for result in _result(case, variant, run, order):
                        writer.result(result)
                    order += 1
        view = view_of(id_)
        results = to_results(view, case_means=True)
        ended = {"finished": started[id_], "seconds": 42.0, "exit_code": view.exit_code}
        writer.finish(status="finished", results=results, **ended)
        assert writer.close() is None
    cut_off = _writer(location, LOST, mode="check", started="2026-11-22T11:05:00Z")
    lost = SampleError(type="TimeoutError", message=HOSTILE)
    cut_off.sample(_sample("c0", 1, "current", error=lost, output=None, usage=Usage()))
    cut_off.finish(
        status="interrupted", finished="2026-11-22T11:06:00Z", seconds=60.0, exit_code=2, results={}
    )
    assert cut_off.close() is None
    return location


def _sample(case: str, run: int, variant: str, **values: Any) -> Any:
    made = sample(
        case, run, **{"output": {"reply": HOSTILE}, "usage": Usage(cost_usd=0.105), "nodes": ()} | values
    )
    return replace(made, key=replace(made.key, variant=variant), record=replace(made.record, variant=variant))


def _writer(location: Location, id_: str, **values: Any) -> LogWriter:
    cases = [
        LoggedCase(module=views.MODULE, id=case, hash=f"sha256:{case}", input={"q": 1}, expected={"a": 2})
        for case in ("c0", "c1")
    ]
    given = {"commit": "abc1234def", "branch": "main", "promptune": "0.1.0", "python": "3.11.7"}
    prompts = {"current": {"say.j2": "Be kind.\x1b[2J\n"}, "fewshot": {"say.j2": "Be kind. 例\n"}}
    return LogWriter(
        location, manifest(id_, series="sha256:s", cases=cases, prompts=prompts, **given | values)
    )


def at(root: Path) -> Location:
    """The default place below a root, filled."""
    from pytest_promptune.store.log import locate

    return fill(locate(None, root=root))
