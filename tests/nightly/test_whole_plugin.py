"""The promise of the gate, all the way: results of items, a baseline file on disk, comparison, gate items."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_suites import pass_rates

from pytest_promptune.conclusion import Evidence, conclude
from pytest_promptune.core.baseline import Recorded
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.model import Usage
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.scoring import Score
from pytest_promptune.settings import Settings
from pytest_promptune.store.baselines import baseline_path, read_baseline

pytestmark = pytest.mark.nightly

BUILDS = 1_000
MODULE = "test_bot.py"
RUNS = 5
RECORDED = Recorded(
    at="2026-01-01T00:00:00Z", commit="abc", dirty=False, runs=RUNS, promptune="0.1", concurrency=16
)


def session(rng, truth):
    """What the items of one session contribute: an assertion, a score, latency and cost."""
    experiment = Experiment()
    for run in range(1, RUNS + 1):
        for case, (rate, level, seconds, cost) in enumerate(truth):
            name = f"c{case:02}"
            facts = SampleFacts(
                latency_s=float(np.exp(rng.normal(seconds, 0.3))),
                usage=Usage(cost_usd=float(rng.normal(cost, 0.001))),
            )
            experiment.add(
                Result(
                    nodeid=f"{MODULE}::test_answer[{name}-current-run{run}]",
                    module=MODULE,
                    test="test_answer",
                    metric="test_answer",
                    app="bot",
                    case_id=name,
                    case_hash="same",
                    variant="current",
                    run=run,
                    outcome="passed" if rng.random() < rate else "missed",
                    scores={"quality": Score(value=float(rng.normal(level, 0.1)), kind="score")},
                    sample=facts,
                )
            )
    return experiment


def concluded(experiment, root, **settings):
    asked = Settings(gate_metrics=("latency_s", "cost_usd"), **settings)
    return conclude(
        Evidence(
            settings=asked,
            root=root,
            experiment=experiment,
            variants=["current"],
            baselines={MODULE: read_baseline(baseline_path(root, MODULE, "main"))},
            collected={},
            recorded=RECORDED,
            is_whole=True,
            is_everything=True,
        )
    )


def test_an_unchanged_app_fails_as_rarely_as_promised(tmp_path, note):
    """20 cases x 5 runs x 4 gated metrics: at most 45 of 1,000 sessions fail; 25 are expected at most."""
    rng = np.random.default_rng(2032)
    failed = gated = 0
    for _ in range(BUILDS):
        truth = list(
            zip(
                pass_rates(rng, 20),
                rng.uniform(0.3, 0.9, 20),
                rng.normal(0.5, 0.5, 20),
                rng.uniform(0.01, 0.02, 20),
                strict=True,
            )
        )
        concluded(session(rng, truth), tmp_path, baseline=True)
        found = concluded(session(rng, truth), tmp_path)
        names = {row.name.metric for row in found.comparisons if row.gate != "off" and not row.constant}
        gated += len(names)
        failed += any(item.failed for item in found.gate)
    note(f"{failed} of {BUILDS} sessions failed, {gated / BUILDS:.2f} gated metrics each")
    assert gated == 4 * BUILDS
    assert failed <= 45
