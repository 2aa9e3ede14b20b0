"""Views made by hand: what renderers are tested with."""

from __future__ import annotations

from typing import Any

from pytest_promptune.core.analysis.model import (
    AnalysisView,
    CoverageRow,
    Mistaken,
    Outlier,
    OutlierRow,
    PriorityRow,
    TroubleRow,
)
from pytest_promptune.core.model import Change
from pytest_promptune.core.view import (
    BaselineView,
    CaseLists,
    ComparisonRow,
    Decision,
    ErrorView,
    ExperimentView,
    GateItem,
    LookView,
    MetricName,
    MetricRow,
    NodeLatency,
    NodeRow,
    UsageView,
    VariantView,
    View,
)

MODULE = "tests/prompts/test_support.py"
APP = "support_bot"


def metric_name(metric: str = "test_intent", **changes: Any) -> MetricName:
    """A 0/1 metric of a test unless told otherwise."""
    values: dict[str, Any] = {
        "metric": metric,
        "test": f"{MODULE}::{metric.split('::')[0]}",
        "module": MODULE,
        "app": APP,
        "kind": "binary",
        "direction": "higher",
        "unit": None,
    }
    return MetricName(**(values | changes))


WORDS = metric_name("test_reply::words", kind="score", direction="lower", unit="words")
LATENCY = metric_name(f"{APP}::latency_s", kind="latency", direction="lower", unit="s")
COST = metric_name(f"{APP}::cost_usd", kind="cost", direction="lower", unit="USD")
ERROR_RATE = metric_name(f"{APP}::error_rate", direction="lower")


def metric_row(name: MetricName | None = None, **changes: Any) -> MetricRow:
    """75 % of 100 samples passed."""
    values: dict[str, Any] = {
        "name": name or metric_name(),
        "variant": "current",
        "n_cases": 20,
        "n_samples": 100,
        "n_missing": 0,
        "mean": 0.75,
        "sd": 0.435,
        "between_case_sd": 0.38,
        "within_case_sd": 0.21,
        "sd_of_runs": 0.032,
        "min": 0.70,
        "max": 0.80,
        "ci": (0.66, 0.84),
        "case_means": {"TC001": 1.0, "TC002": 0.2},
    }
    return MetricRow(**(values | changes))


def comparison(name: MetricName | None = None, **changes: Any) -> ComparisonRow:
    """Nothing found for a 0/1 metric against the baseline."""
    values: dict[str, Any] = {
        "name": name or metric_name(),
        "reference": "baseline:main",
        "candidate": "current",
        "n_cases": 20,
        "reference_mean": 0.86,
        "candidate_mean": 0.85,
        "difference": -0.01,
        "relative": -0.0116,
        "ratio": None,
        "ratio_ci": None,
        "ci": (-0.08, 0.06),
        "p": 0.83,
        "p_adjusted": 1.0,
        "p_worse_adjusted": 0.9,
        "cliffs_delta": -0.01,
        "hedges_g": -0.05,
        "margin": 0.1,
        "minimum_detectable": 0.1098,
        "runs_needed": None,
        "scope": "suite",
        "verdict": "unchanged",
        "reason": "No more change than differences between runs would explain; a drop of more than 8.0 "
        "points is ruled out.",
        "gate": "passed",
        "gated": True,
        "constant": False,
    }
    return ComparisonRow(**(values | changes))


def node_row(node: str = "classify", **changes: Any) -> NodeRow:
    """A node that ran in all 100 samples."""
    values: dict[str, Any] = {
        "node": node,
        "variant": "current",
        "app": APP,
        "samples": 100,
        "calls": 103,
        "retries": 3,
        "latency_s": NodeLatency(mean=0.412, p50=0.39, p95=0.71, p99=1.3),
        "input_tokens": 41_200,
        "output_tokens": 1_030,
        "cost_usd": 0.12,
        "share_of_latency": 0.214,
        "share_of_cost": 0.034,
        "share_of_tokens": 0.5,
        "errors": {"RateLimitError": 2, "ValueError": 1},
    }
    return NodeRow(**(values | changes))


def regression(**changes: Any) -> ComparisonRow:
    """75 % where 86 % passed before."""
    values: dict[str, Any] = {
        "candidate_mean": 0.75,
        "difference": -0.11,
        "relative": -0.128,
        "ci": (-0.195, -0.029),
        "p": 0.0155,
        "p_adjusted": 0.0155,
        "verdict": "regressed",
        "reason": "The drop is larger than chance explains.",
        "gate": "failed",
        "cases": CaseLists(regressed=("TC002", "TC009"), suspect=("TC011",)),
        "case_means": {"TC001": (1.0, 1.0), "TC002": (1.0, 0.2)},
    }
    return comparison(**(values | changes))


def improvement(**changes: Any) -> ComparisonRow:
    """86 % where 75 % passed before."""
    values: dict[str, Any] = {
        "reference": "current",
        "candidate": "fewshot",
        "reference_mean": 0.75,
        "candidate_mean": 0.86,
        "difference": 0.11,
        "ci": (0.029, 0.195),
        "p": 0.0155,
        "p_adjusted": 0.0465,
        "verdict": "improved",
        "reason": "The rise is larger than chance explains.",
        "cases": CaseLists(improved=("TC002", "TC005")),
    }
    return comparison(**(values | changes))


def latency(**changes: Any) -> ComparisonRow:
    """2.5 s and 2.4 s: no significant change."""
    values: dict[str, Any] = {
        "name": LATENCY,
        "reference_mean": 2.5,
        "candidate_mean": 2.4,
        "difference": -0.1,
        "ratio": 0.983,
        "ratio_ci": (0.924, 1.045),
        "ci": (-0.079, 0.044),
        "p": 0.58,
        "p_adjusted": None,
        "minimum_detectable": 0.08,
        "gate": "off",
        "gated": False,
    }
    return comparison(**(values | changes))


def cost(**changes: Any) -> ComparisonRow:
    """1.5 cents and 1.4 cents."""
    values: dict[str, Any] = {
        "name": COST,
        "reference_mean": 0.015,
        "candidate_mean": 0.014,
        "difference": -0.001,
        "ci": (-0.0014, -0.0006),
        "relative": -0.0667,
        "p": 0.0002,
        "p_adjusted": None,
        "verdict": "improved",
        "gate": "off",
        "gated": False,
    }
    return comparison(**(values | changes))


def words(**changes: Any) -> ComparisonRow:
    """A score with a unit that could not be settled."""
    values: dict[str, Any] = {
        "name": WORDS,
        "reference_mean": 41.2,
        "candidate_mean": 43.9,
        "difference": 2.7,
        "ci": (-1.1, 6.4),
        "p": 0.16,
        "p_adjusted": 0.32,
        "minimum_detectable": 5.4,
        "runs_needed": 9,
        "verdict": "inconclusive",
        "reason": "A regression of up to 6.4 words cannot be ruled out; 9 runs per case needed.",
    }
    return comparison(**(values | changes))


def constant(metric: str, **changes: Any) -> ComparisonRow:
    """All samples passed on both sides."""
    values: dict[str, Any] = {
        "name": metric_name(metric),
        "reference_mean": 1.0,
        "candidate_mean": 1.0,
        "difference": 0.0,
        "ci": (-0.037, 0.037),
        "p": 1.0,
        "p_adjusted": None,
        "constant": True,
    }
    return comparison(**(values | changes))


def experiment(**changes: Any) -> ExperimentView:
    """20 cases x 5 runs of `current`."""
    values: dict[str, Any] = {
        "id": "20261122-100000-1a2b",
        "started": "2026-11-22T10:00:00Z",
        "finished": "2026-11-22T10:00:42Z",
        "commit": "abc1234def5678",
        "dirty": False,
        "branch": "main",
        "runs": 5,
        "cases": 20,
        "variants": ("current",),
        "samples": 100,
        "errored": 0,
        "missing": 0,
        "reused": 0,
        "conditions": {"cases": "sha256:1f0c", "tests": "sha256:9ab2"},
        "models": ("SmolLM2-135M-Instruct",),
        "promptune": "0.1.0",
        "python": "3.11.7",
        "libraries": {"langgraph": "1.0.0"},
        "concurrency": 16,
        "alpha": 0.05,
        "seconds": 42.0,
    }
    return ExperimentView(**(values | changes))


def look(**changes: Any) -> LookView:
    """The first of three, after which nothing more was needed."""
    values: dict[str, Any] = {
        "number": 1,
        "of": 3,
        "runs": 3,
        "most": 10,
        "planned": (3, 6, 10),
        "alpha": 0.0000854516,
        "not_needed": 140,
    }
    return LookView(**(values | changes))


def baseline_file(**changes: Any) -> BaselineView:
    """The baseline that was compared with."""
    values: dict[str, Any] = {
        "path": "tests/prompts/__promptune__/test_support.main.json",
        "name": "main",
        "module": MODULE,
        "action": "compared",
        "recorded_at": "2026-11-20T08:30:00Z",
        "commit": "0123abc4567",
    }
    return BaselineView(**(values | changes))


def view(**changes: Any) -> View:
    """A check that found nothing."""
    values: dict[str, Any] = {
        "mode": "check",
        "exit_code": 0,
        "experiment": experiment(),
        "metrics": (metric_row(mean=0.85),),
        "comparisons": (comparison(), words(verdict="unchanged"), constant("test_polite")),
        "baselines": (baseline_file(),),
        "usage": UsageView(input_tokens=41_200, output_tokens=5_310, cost_usd=0.42),
    }
    return View(**(values | changes))


def failed_check() -> View:
    """A check whose gate failed, with everything that can go along with it."""
    message = (
        "test_intent regressed by 11.0 points [-19.5, -2.9] against baseline main: "
        "75.0 % of 100 samples passed, 86.0 % before"
    )
    return view(
        exit_code=1,
        experiment=experiment(errored=3, missing=2),
        metrics=(
            metric_row(flaky_cases=("TC007",)),
            metric_row(LATENCY, mean=2.4, ci=(2.2, 2.6), sd_of_runs=0.1),
        ),
        comparisons=(
            regression(),
            words(),
            latency(),
            constant("test_polite"),
            constant("test_language"),
            constant("ignored", name=ERROR_RATE, reference_mean=0.0, candidate_mean=0.0),
        ),
        errors=(
            ErrorView(
                app=APP,
                variant="current",
                error="ValueError: no JSON in 'Sure! Here is the answer you asked for: {intent: billing'",
                infrastructure=False,
                count=3,
                cases=("TC003", "TC004"),
            ),
            ErrorView(
                app=APP,
                variant="current",
                error="openai.RateLimitError: 429",
                infrastructure=True,
                count=2,
                cases=("TC001",),
            ),
        ),
        decision=Decision(
            action="investigate",
            variant="current",
            reason="test_intent dropped by 11.0 points.",
            command="pytest tests/prompts/test_support.py -k TC002",
        ),
        gate=(
            GateItem(
                nodeid=f"{MODULE}::test_intent::gate[test_intent-current]", failed=True, message=message
            ),
            GateItem(
                nodeid=f"{MODULE}::test_reply::gate[words-current]", failed=False, message="inconclusive"
            ),
        ),
        notes=("The model changed since the baseline: SmolLM2-135M-Instruct, before SmolLM2-360M-Instruct.",),
    )


def three_variants() -> View:
    """A comparison of three variants with `current`, and of `current` with the baseline."""
    names = ("current", "fewshot", "short", "strict_json_with_a_long_name")
    lost = {"reference": "current", "candidate": "short"}
    same = {"reference": "current", "candidate": names[3]}
    return view(
        mode="compare",
        experiment=experiment(variants=names, samples=400, seconds=171.3),
        metrics=(
            metric_row(),
            metric_row(
                variant="fewshot", mean=0.86, ci=(0.78, 0.92), flaky_cases=("TC007", "TC010", "TC011")
            ),
            metric_row(LATENCY, mean=2.5, ci=(2.3, 2.7), sd_of_runs=0.12),
        ),
        comparisons=(
            comparison(reference_mean=0.76, candidate_mean=0.75),
            improvement(),
            words(reference="current", candidate="fewshot"),
            cost(reference="current", candidate="fewshot"),
            latency(reference="current", candidate="fewshot"),
            regression(reference_mean=0.75, candidate_mean=0.64, **lost),
            constant("test_polite", **lost),
            latency(reference_mean=0.412, candidate_mean=0.239, ratio=0.58, ratio_ci=(0.55, 0.62), **lost),
            comparison(reference_mean=0.75, candidate_mean=0.74, **same),
            words(verdict="unchanged", **same),
        ),
        variants=(
            VariantView(
                name="fewshot",
                description="five examples",
                changes=(
                    Change(
                        kind="template",
                        target="analyze_intent.j2",
                        before="Classify the ticket.\nAnswer with one word.\n",
                        after="Classify the ticket.\nExample:\n```\nrefund -> billing\n```\n"
                        "Answer with one word.\n",
                    ),
                ),
                one_change=True,
            ),
            VariantView(
                name="short",
                description="",
                changes=(
                    Change(kind="context", target="temperature", before="0.7", after="0", what="parameter"),
                    Change(kind="node", target="reply", before=None, after="Answer briefly."),
                ),
                one_change=False,
            ),
        ),
        decision=Decision(
            action="adopt",
            variant="fewshot",
            reason="test_intent improved by 11.0 points, nothing regressed.",
            command="pytest-promptune adopt fewshot",
        ),
    )


def recorded() -> View:
    """A baseline was recorded."""
    return view(
        mode="baseline",
        metrics=(
            metric_row(flaky_cases=("TC007", "TC010", "TC011")),
            metric_row(
                metric_name("test_polite"), mean=1.0, ci=(0.963, 1.0), sd_of_runs=0.0, min=1.0, max=1.0
            ),
            metric_row(WORDS, mean=41.2, sd=9.1, sd_of_runs=0.8, min=40.1, max=42.3, ci=(39.8, 42.6)),
            metric_row(LATENCY, mean=0.412, sd=0.1, sd_of_runs=0.02, min=0.39, max=0.44, ci=(0.40, 0.43)),
            metric_row(COST, mean=0.000042, sd=None, sd_of_runs=None, min=None, max=None, ci=None),
        ),
        comparisons=(),
        baselines=(baseline_file(action="recorded", recorded_at=None, commit=None),),
        decision=Decision(
            action="continue", variant=None, reason="The baseline is recorded.", command="pytest"
        ),
    )


def analysis(**changes: Any) -> AnalysisView:
    """One row of each part."""
    values: dict[str, Any] = {
        "trouble": (
            TroubleRow(
                metric="test_intent",
                module="tests/test_support.py",
                variant="current",
                category="billing",
                samples=20,
                misses=10,
                cases=("T01", "T04"),
                flaky=("T04",),
                mistaken=(
                    Mistaken(expected="billing", predicted="technical", count=8, cases=("T01", "T04")),
                    Mistaken(expected="billing", predicted=None, count=2, cases=("T04",)),
                ),
            ),
        ),
        "outliers": (
            OutlierRow(
                app="support_bot",
                variant="current",
                quantity="latency_s",
                samples=60,
                low=-0.2,
                high=1.5,
                outliers=(Outlier(case="T04", run=2, value=4.1, node="classify", far=True),),
            ),
        ),
        "coverage": (
            CoverageRow(
                module="tests/test_support.py",
                tag="category",
                counts={"billing": 12, "technical": 2},
                advice=("few cases of technical",),
            ),
        ),
        "priorities": (
            PriorityRow(
                node="classify",
                app="support_bot",
                impact=0.7,
                shares={"quality": 1.0, "latency": 0.4},
                runs=5,
                cost_usd=0.04,
            ),
        ),
        "priority_rule": "Impact: a share.",
    }
    return AnalysisView(**{**values, **changes})
