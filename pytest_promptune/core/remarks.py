"""What a reader must know beside the verdicts, in sentences: what they leave out and what had no effect."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pytest_promptune.core.baseline import Baseline, BaselineMetric
from pytest_promptune.core.display import count
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.matching import is_named
from pytest_promptune.core.silence import Silence
from pytest_promptune.core.view import ComparisonRow, MetricName
from pytest_promptune.core.wording import against

#: Share of errored samples above which a baseline says more about errors than about the app.
MANY_ERRORS = 0.2


def partial(experiment: Experiment) -> str:
    """That less than the suite ran, and how much."""
    runs: dict[tuple[str, str, str], set[int]] = {}
    for result in experiment.results:
        if result.outcome != "skipped":
            runs.setdefault((result.module, result.case_id, result.variant), set()).add(result.run)
    cases = len({(module, case) for module, case, _ in runs})
    fewest, most = (choose(map(len, runs.values()), default=0) for choose in (min, max))
    span = f"{fewest} to " if fewest < most else ""
    ran = f"{count(cases, 'case')} x {span}{count(most, 'run')}"
    return f"Partial session: the verdict is about what ran ({ran}), not about the suite."


def unused_names(given: Iterable[tuple[str, str]], names: Sequence[MetricName]) -> list[str]:
    """Settings, by where they stand, that name a metric nobody measured: slips that would go unnoticed."""
    return [
        f"{where} names {text!r}, which was not measured in this session: it has no effect."
        for where, text in dict.fromkeys(given)
        if not any(is_named(name, [text]) for name in names)
    ]


def unreached(experiment: Experiment, changed: Mapping[str, Sequence[str]]) -> list[str]:
    """That a node which a variant changes ran in none of its samples: they are samples of what it was before.

    Args:
        experiment: what was measured.
        changed: paths of nodes, by the name of the variant.
    """
    told = []
    for variant, nodes in changed.items():
        samples = [
            result.sample
            for result in experiment.results
            if result.variant == variant and result.sample is not None and result.sample.error is None
        ]
        ran = {node.node for sample in samples for node in sample.nodes}
        told += [
            f"Variant {variant!r} changes node {node!r}, which ran in none of its samples: what was "
            "measured is the app without this change. Add cases that reach it."
            for node in nodes
            if samples and node not in ran
        ]
    return told


def few_common(rows: Iterable[ComparisonRow]) -> list[str]:
    """That less than half of all cases could be compared, once for each pair of sides.

    A case whose content changed is one on each side.
    """
    told: dict[tuple[str, str, str], str] = {}
    for row in rows:
        common, changed = len(row.case_means), len(row.cases.changed)
        everything = common + 2 * changed + len(row.cases.only_reference) + len(row.cases.only_candidate)
        if 0 < 2 * common < everything:
            told.setdefault(
                (row.name.module, row.reference, row.candidate),
                f"{row.name.module}: only {common:,} of {count(everything, 'case')} are the same in "
                f"{against(row.reference)} and in {row.candidate}; the verdicts speak of these alone.",
            )
    return list(told.values())


def losses(experiment: Experiment, module: str, silent: Sequence[Silence]) -> str:
    """What a baseline of this module was recorded without, or nothing.

    Args:
        experiment: of the session.
        module: whose baseline.
        silent: the metrics in it that scorers gave in no sample.
    """
    sampled: Counter[str] = Counter()
    errored: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for (of_module, app, *_), facts in experiment.samples.items():
        if of_module == module:
            sampled[app] += 1
            if facts.error is not None:
                (missing if facts.error.infrastructure else errored)[app] += 1
    tests = Counter(result.test for result in experiment.results if result.module == module)
    failed = Counter(
        result.test for result in experiment.results if result.module == module and result.outcome == "failed"
    )
    parts = [
        f"{number:,} of {count(sampled[app], 'sample')} of {app} errored"
        for app, number in errored.items()
        if number > MANY_ERRORS * sampled[app]
    ]
    parts += [
        f"{number:,} of {count(sampled[app], 'sample')} of {app} got lost" for app, number in missing.items()
    ]
    parts += [f"{test} failed {number:,} of {count(tests[test], 'time')}" for test, number in failed.items()]
    parts += dict.fromkeys(silence.what for silence in silent)
    unmeasured = f" Nothing was recorded of {', '.join(s.name.metric for s in silent)}." if silent else ""
    return f"{module} was recorded although {', '.join(parts)}.{unmeasured}" if parts else ""


def not_compared(name: MetricName, baseline: Baseline, label: str) -> str:
    """Why a metric has no recorded side although there is a baseline."""
    recorded = baseline.metrics.get(name.metric)
    if recorded is None:
        why = f"{name.metric} is not in the baseline {label} yet"
    elif not baseline.scores.get(name.metric):
        why = f"{name.metric} has no scores in the baseline {label}"
    else:
        why = (
            f"{name.metric} was recorded as {recorded.kind} in {recorded.unit or 'no unit'} "
            f"({recorded.direction} is better) and is {name.kind} in {name.unit or 'no unit'} "
            f"({name.direction} is better) now"
        )
    return f"{why}: not compared; record it with --promptune-baseline."


def gone(baseline: Baseline, names: Sequence[MetricName], path: str) -> str:
    """Recorded metrics that nobody measures any more, a silent hole in the gate; or nothing.

    Args:
        names: what was measured in the module.
        path: the baseline file, for people.
    """
    now = {name.metric for name in names}
    lost = {metric: baseline.metrics[metric] for metric in sorted(baseline.scores) if metric not in now}
    if not lost:
        return ""
    found = _renamed(lost, [name for name in names if name.metric not in baseline.metrics])
    guesses = ", ".join(f"{old} to {new}" for old, new in found.items())
    hint = f"Renamed {guesses}? Then rename it in the file too; if not, record" if guesses else "Record"
    return (
        f"{path} has {', '.join(lost)}, which nothing measured in this session: not compared. {hint} the "
        "baseline again."
    )


def _renamed(lost: Mapping[str, BaselineMetric], new: Sequence[MetricName]) -> dict[str, str]:
    """What each lost metric may be called now: like before, or as the only new one of its kind is."""
    found: dict[str, str] = {}

    def candidates(old: str) -> list[str]:
        free = [name for name in new if name.metric not in found.values()]
        return [name.metric for name in free if _measure(name) == _measure(lost[old])]

    for old in lost:
        found.update((old, near) for near in difflib.get_close_matches(old, candidates(old), n=1))
    left = [old for old in lost if old not in found]
    kinds = Counter(_measure(lost[old]) for old in left)
    for old in left:
        only = candidates(old)
        if kinds[_measure(lost[old])] == len(only) == 1:
            found[old] = only[0]
    return found


def _measure(metric: BaselineMetric | MetricName) -> tuple[str, str, str | None]:
    return metric.kind, metric.direction, metric.unit
