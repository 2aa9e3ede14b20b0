"""The end of a session: compare, judge, record, and say what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_promptune.conclusion.aggregation import Aggregation
from pytest_promptune.conclusion.comparing import compare_all
from pytest_promptune.conclusion.evidence import Conclusion, Evidence
from pytest_promptune.conclusion.recording import record_all
from pytest_promptune.core import remarks
from pytest_promptune.core.aggregates.labels import classified
from pytest_promptune.core.aggregates.rows import failure
from pytest_promptune.core.analysis.ranking import ranked
from pytest_promptune.core.comparison import measured
from pytest_promptune.core.decision import Situation, decide
from pytest_promptune.core.experiment import Column
from pytest_promptune.core.silence import items_of_apps
from pytest_promptune.core.stats.wording import ONE_RUN_HINT
from pytest_promptune.core.tally import grouped_errors

__all__ = ["Conclusion", "Evidence", "conclude"]


def conclude(evidence: Evidence) -> Conclusion:
    """Compare, judge and record; writes baseline files in baseline mode only."""
    settings = evidence.settings
    found = Conclusion(
        errors=grouped_errors(evidence.experiment), notes=[*evidence.experiment.contradictions]
    )
    columns = list(evidence.experiment.columns())
    for column in columns:
        for variant in evidence.variants:
            if column.scores(variant):
                found.metrics.append(measured(column, variant, alpha=settings.alpha))
    classifying = classified(evidence.experiment, columns)
    aggregation = Aggregation(evidence, columns, classifying)
    found.metrics.extend(aggregation.described())
    found.classes.extend(aggregation.classes())
    found.warnings.extend(aggregation.warnings())
    found.gate.extend(items_of_apps(evidence.experiment, evidence.variants[0]))
    if settings.mode == "baseline":
        record_all(evidence, columns, classifying, found)
    else:
        compare_all(evidence, columns, aggregation, found)
    if evidence.goals is not None:
        from pytest_promptune.conclusion.goals import judge_goals  # only where there are goals

        judge_goals(evidence.goals, evidence, columns, classifying, found)
    names = [*(column.name for column in columns), *aggregation.names]
    if evidence.is_whole:  # else a name may belong to what was left out
        found.warnings.extend(remarks.unused_names(_named(evidence, columns), names))
    elif found.comparisons:
        found.warnings.insert(0, remarks.partial(evidence.experiment))
    found.warnings.extend(remarks.unreached(evidence.experiment, evidence.changed_nodes))
    runs = max((result.run for result in evidence.experiment.results), default=0)
    if runs == 1 and found.comparisons:
        found.notes.append(ONE_RUN_HINT)
    if settings.mode != "check":
        found.ranking = ranked(
            evidence.experiment,
            found.goals,
            variant=evidence.variants[0],
            runs=runs,
            looked_at=evidence.looked_at,
        )
    samples = list(evidence.experiment.distinct_samples.values())
    found.decision = decide(
        Situation(
            mode=settings.mode,
            rows=found.comparisons,
            failed=any(item.failed for item in found.gate),
            baseline_missing=not found.unscored and any(view.action == "missing" for view in found.baselines),
            against=settings.against,
            runs=runs,
            variant=evidence.variants[0],
            chosen=settings.variant,
            several=evidence.several,
            selection=evidence.selection,
            uncomputed=[name.metric for name, _ in aggregation.failures],
            goals=evidence.goals,
            goal_rows=found.goals,
            earlier=evidence.earlier,
            node=found.ranking.first,
            missing=sum(each.error is not None and each.error.infrastructure for each in samples),
            samples=len(samples),
        )
    )
    found.gate.extend(failure(name, what) for name, what in aggregation.failures)
    found.gate.extend(found.goal_items)  # they are no regressions, so the decision doesn't count them
    return found


def _named(evidence: Evidence, columns: Sequence[Column]) -> list[tuple[str, str]]:
    """Where metrics are named in settings and markers, and how."""
    settings = evidence.settings
    given = [
        (where, metric)
        for where, metric, is_typed in settings.named_metrics
        if is_typed or evidence.is_everything  # an ini file speaks of all tests
    ]
    if evidence.is_everything:
        given += [("promptune_gate_metrics", text) for text in settings.gate_metrics]
    return given + [("the marker's gate=", text) for column in columns for text in column.gate or ()]
