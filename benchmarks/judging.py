"""How long the statistics take: `python benchmarks/judging.py [--rounds N] [--frame]`.

Each suite is compared in processes of its own, from their start to their end, so that imports count. A
session of 0/1 metrics, errors, scores, latency and cost, every variant with the first one, 9,999
relabellings. With --frame the scores come as a pandas DataFrame, to `compare_all`. Prints a table in
Markdown: medians, least and greatest.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas

    from pytest_promptune.stats import Pair

METRICS = 5


@dataclass(frozen=True)
class Suite:
    name: str
    cases: int
    runs: int
    variants: int

    @property
    def values(self) -> int:
        return self.cases * self.runs * self.variants * METRICS


SUITES = (
    Suite("usual", 20, 5, 4),
    Suite("large", 50, 10, 10),
    Suite("huge", 200, 10, 10),
)


def pairs_of(suite: Suite) -> list[Pair]:
    """Scores as a session has them: by metric, variant, case and run."""
    import numpy as np

    from pytest_promptune.stats import MetricSpec, Pair

    rng = np.random.default_rng(0)
    rates = rng.beta(0.5, 0.17, suite.cases)
    shape = (suite.cases, suite.runs)
    kinds = {
        "accuracy": (MetricSpec("binary"), lambda: (rng.random(shape) < rates[:, None]) * 1.0),
        "errors": (MetricSpec("binary", "lower"), lambda: (rng.random(shape) < 0.05) * 1.0),
        "score": (MetricSpec("score"), lambda: rng.normal(0.5, 0.1, shape)),
        "latency": (MetricSpec("latency", "lower"), lambda: np.exp(rng.normal(0, 0.3, shape))),
        "cost": (MetricSpec("cost", "lower"), lambda: rng.normal(0.01, 0.001, shape)),
    }

    def scores(values: np.ndarray) -> dict[str, list[float]]:
        return {f"case{row:03}": runs for row, runs in enumerate(values.tolist())}

    pairs: list[Pair] = []
    for metric, (spec, draw) in kinds.items():
        reference = scores(draw())
        pairs += [
            Pair(
                metric=metric,
                reference="v0",
                candidate=f"v{variant}",
                reference_scores=reference,
                candidate_scores=scores(draw()),
                spec=spec,
            )
            for variant in range(1, suite.variants)
        ]
    return pairs


def frame_of(pairs: list[Pair]) -> pandas.DataFrame:
    """The same as a table, one value a row."""
    import pandas

    sides = {(pair.candidate, pair.metric): pair.candidate_scores for pair in pairs}
    sides |= {(pair.reference, pair.metric): pair.reference_scores for pair in pairs}
    rows = [
        (variant, case, run, metric, value)
        for (variant, metric), scores in sides.items()
        for case, runs in scores.items()
        for run, value in enumerate(runs)
    ]
    return pandas.DataFrame(rows, columns=["variant", "case", "run", "metric", "value"])


def child(suite: Suite, *, frame: bool) -> None:
    """One comparison; tells how long it took without imports, and the largest resident memory in MiB."""
    from pytest_promptune.stats import compare_all, judge

    pairs = pairs_of(suite)
    table = frame_of(pairs) if frame else None
    began = time.perf_counter()
    if table is None:
        judge(pairs)
    else:
        compare_all(table, reference="v0", metrics={pair.metric: pair.spec for pair in pairs})
    took = time.perf_counter() - began
    print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(suite: Suite, *, frame: bool) -> tuple[float, float, float, float]:
    """Of the whole process: seconds and processor seconds; seconds of the comparison; MiB."""
    command = [sys.executable, __file__, "--child", suite.name, *(["--frame"] if frame else [])]
    began, used = time.perf_counter(), processor()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    whole, busy = time.perf_counter() - began, processor() - used
    took, memory = map(float, done.stdout.split())
    return whole, busy, took, memory


def processor() -> float:
    """Processor seconds of all children so far."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def spread(values: list[float], digits: int = 2) -> str:
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frame", action="store_true", help="give the scores as a DataFrame")
    parser.add_argument("--child", choices=[suite.name for suite in SUITES], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(next(suite for suite in SUITES if suite.name == arguments.child), frame=arguments.frame)
        return
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    columns = ("suite", "cases × runs × variants × metrics", "values", "process, s", "its CPU, s")
    print(f"| {' | '.join(columns)} | comparison, s | MiB |")
    print("|---|---|---|---|---|---|---|")
    for suite in SUITES:
        rounds = [measure(suite, frame=arguments.frame) for _ in range(arguments.rounds)]
        whole, busy, took, memory = (list(column) for column in zip(*rounds, strict=True))
        size = f"{suite.cases} × {suite.runs} × {suite.variants} × {METRICS}"
        print(
            f"| {suite.name} | {size} | {suite.values:,} | {spread(whole)} | {spread(busy)} | {spread(took)} "
            f"| {spread(memory, 0)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
