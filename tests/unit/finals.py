"""Final reports made by hand: what their renderers are tested with."""

from __future__ import annotations

from typing import Any

import views

from pytest_promptune.core.circumstances import Circumstances, Difference
from pytest_promptune.core.model import Change
from pytest_promptune.core.series.final import (
    CaseChange,
    CaseChanges,
    FinalReport,
    GoalChange,
    IterationReport,
    MetricChange,
    NodeChange,
    Prompt,
    PromptChange,
    Recommendation,
    Remark,
    Tried,
)
from pytest_promptune.core.series.model import Adopted, Point, Series, Session
from pytest_promptune.core.view import GoalRow

FIRST, SECOND = "20261122T100000-aaaaaa", "20261122T120000-bbbbbb"
ADOPTED = Adopted(experiment=SECOND, variant="fewshot", at="2026-11-22T13:00:00Z", commit="1a2b3c4d5e6f")

_REPLY = Prompt(text="Answer.\n", hash="sha256:0000000000000003")
PROMPTS = (
    PromptChange(
        name="intent.j2",
        before=Prompt(text="Classify.\nBe brief.\n", hash="sha256:0000000000000001"),
        after=Prompt(text="Classify:\nBe brief.\n", hash="sha256:0000000000000002"),
    ),
    PromptChange(name="reply.j2", before=_REPLY, after=_REPLY),
)


def circumstances(**changes: Any) -> Circumstances:
    values: dict[str, Any] = {
        "experiment": FIRST,
        "variant": "current",
        "started": "2026-11-22T10:00:00Z",
        "status": "finished",
        "mode": "baseline",
        "commit": "abc1234",
        "branch": "main",
        "models": ("SmolLM2",),
        "concurrency": 16,
        "runs": 5,
        "cases": 20,
        "samples": 100,
        "promptune": "0.1.0",
        "python": "CPython 3.11.7",
        "tests": {"tests/test_bot.py": "sha256:00000000000000aa"},
        "hash_of_cases": "sha256:00000000000000bb",
        "hash_of_tests": "sha256:00000000000000cc",
    }
    return Circumstances(**(values | changes))


def goal(value: float, status: Any, **changes: Any) -> GoalRow:
    values: dict[str, Any] = {
        "goal": "Accuracy",
        "name": views.metric_name(),
        "variant": "present",
        "target": 0.9,
        "direction": "higher",
        "value": value,
        "ci": (value - 0.05, value + 0.05),
        "status": status,
    }
    return GoalRow(**(values | changes))


def compared(**changes: Any):
    values: dict[str, Any] = {
        "reference": "current",
        "candidate": "fewshot",
        "reference_mean": 0.75,
        "candidate_mean": 0.86,
        "difference": 0.11,
        "relative": 0.147,
        "ci": (0.029, 0.195),
        "p": 0.0155,
        "p_adjusted": 0.046,
        "verdict": "improved",
    }
    name = changes.pop("name", None)
    return views.comparison(name, **(values | changes))


def tried(name: str = "fewshot", **changes: Any) -> Tried:
    values: dict[str, Any] = {
        "name": name,
        "description": "two examples",
        "changes": (
            Change(kind="template", target="intent.j2", before="Classify.\n", after="Classify:\nExamples.\n"),
        ),
        "one_change": True,
        "comparisons": (compared(), compared(name=views.LATENCY, gated=False, verdict="unchanged")),
    }
    return Tried(**(values | changes))


def iteration(**changes: Any) -> IterationReport:
    values: dict[str, Any] = {
        "number": 1,
        "experiment": SECOND,
        "started": "2026-11-22T12:00:00Z",
        "commit": "abc1234",
        "dirty": False,
        "notes": ("examples of every topic",),
        "repeats": (),
        "tried": (tried(),),
        "adopted": ADOPTED,
    }
    return IterationReport(**(values | changes))


def cases(number: int = 3) -> CaseChanges:
    """One degraded, one improved beyond chance, the rest kept."""
    some = [
        CaseChange(case="TC001", before=1.0, after=0.8, verdict="degraded"),
        CaseChange(case="TC002", before=0.2, after=1.0, verdict="improved", confirmed=True),
    ]
    kept = [CaseChange(case=f"K{i:03d}", before=1.0, after=1.0, verdict="kept") for i in range(number - 2)]
    return CaseChanges(name=views.metric_name(), cases=(*some, *kept))


def series(*, changed: bool = True) -> Series:
    start = Point(experiment=FIRST, variant="current")
    begins = Session(experiment=FIRST, mode="baseline", started="2026-11-22T10:00:00Z")
    if not changed:
        return Series(start=start, begins=begins, present=start)
    return Series(
        start=start, begins=begins, present=Point(experiment=SECOND, variant="fewshot"), adoption=ADOPTED
    )


def report(**changes: Any) -> FinalReport:
    """One iteration, in which the variant `fewshot` was adopted."""
    initial, final = views.metric_row(variant="start"), views.metric_row(variant="present", mean=0.86)
    values: dict[str, Any] = {
        "written": "2026-11-23",
        "promptune": "0.1.0",
        "series": series(),
        "apps": (views.APP,),
        "start": circumstances(),
        "present": circumstances(experiment=SECOND, variant="fewshot", mode="compare"),
        "differences": (Difference(what="commit", before="abc1234", after="def5678"),),
        "alpha": 0.05,
        "scope": "suite",
        "metrics": (
            MetricChange(
                name=views.metric_name(), initial=initial, final=final, comparison=compared(), gated=True
            ),
            MetricChange(
                name=views.LATENCY,
                initial=views.metric_row(views.LATENCY, mean=2.5, p50=2.3, p95=3.1),
                final=views.metric_row(views.LATENCY, mean=2.4, p50=2.2, p95=3.0),
                comparison=compared(
                    name=views.LATENCY, gated=False, verdict="unchanged", ratio=0.98, ratio_ci=(0.92, 1.05)
                ),
                gated=False,
            ),
        ),
        "goals": (GoalChange(initial=goal(0.75, "missed"), final=goal(0.86, "unclear")),),
        "goals_path": "fine-tune.md",
        "cases": (cases(),),
        "nodes": (
            NodeChange(
                app=views.APP,
                node="classify",
                before=views.node_row(),
                after=views.node_row(cost_usd=0.24),
            ),
        ),
        "iterations": (iteration(),),
        "prompts": PROMPTS,
        "recommendations": (
            Recommendation(
                kind="goal_open",
                values={
                    "goal": "Accuracy",
                    "metric": "test_intent",
                    "value": "86.0 %",
                    "interval": "[81.0, 91.0] %",
                    "target": "90.0 %",
                    "gap": "−4.0 pts",
                    "status": "unclear",
                },
            ),
        ),
        "remarks": (Remark(kind="chosen_by_these", values={"experiment": SECOND}),),
    }
    return FinalReport(**(values | changes))


def beginning() -> FinalReport:
    """Nothing was compared yet."""
    first = views.metric_row(variant="start")
    prompts = tuple(PromptChange(name=each.name, before=each.before, after=each.before) for each in PROMPTS)
    return report(
        series=series(changed=False),
        present=circumstances(),
        differences=(),
        metrics=(
            MetricChange(name=views.metric_name(), initial=first, final=None, comparison=None, gated=True),
        ),
        goals=(GoalChange(initial=goal(0.75, "missed"), final=goal(0.75, "missed")),),
        cases=(),
        iterations=(),
        prompts=prompts,
        recommendations=(Recommendation(kind="none"),),
        remarks=(Remark(kind="no_iteration"),),
    )
