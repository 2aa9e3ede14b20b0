"""Every metric beside its reference: what is compared, judged and gated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_promptune.conclusion.aggregation import Aggregation
from pytest_promptune.conclusion.evidence import Conclusion, Evidence
from pytest_promptune.core import remarks
from pytest_promptune.core.baseline import obstacle_to_times
from pytest_promptune.core.comparison import Rules, compare
from pytest_promptune.core.experiment import Column
from pytest_promptune.core.gate import (
    gate_items,
    missing_baseline,
    not_judged,
    replay_hint,
    rerun_hint,
)
from pytest_promptune.core.matching import AggregateMatch, Match, Side, baseline_side, is_gated, match
from pytest_promptune.core.quotes import examples
from pytest_promptune.core.rerun import behind
from pytest_promptune.core.silence import (
    Silence,
    failing_rows,
    items_of_scorers,
    silences,
)
from pytest_promptune.core.view import (
    BaselineView,
    CaseLists,
    GateItem,
    MetricName,
)
from pytest_promptune.store.baselines import other_baselines


def compare_all(
    evidence: Evidence, columns: Sequence[Column], aggregation: Aggregation, found: Conclusion
) -> None:
    """Judge every metric against its reference, and gate."""
    settings = evidence.settings
    label = f"baseline:{settings.against}"
    matches: list[Match] = []
    for column in columns:
        gated = is_gated(column, settings.gate_metrics)
        first = evidence.variants[0]
        if against_baseline := _match_baseline(evidence, column, label, first, gated, found):
            matches.append(against_baseline)
        for variant in evidence.variants[1:]:
            sides = [_measured_side(evidence, column, name) for name in (first, variant)]
            if column.scores(first) or column.scores(variant):
                matches.append(match(column, sides[0], sides[1], gated=gated))
    rules = Rules(
        alpha=evidence.alpha or settings.alpha,
        gate=settings.gate,
        margins=settings.margin,
        tolerances=settings.tolerance,
        scope=settings.scope,
        strict=settings.strict,
        gate_cases=settings.gate_cases,
    )
    aggregated = aggregation.matches(rules, hypotheses=sum(entry.gated for entry in matches))
    _tell_unjudged(evidence, aggregated, aggregation.without_baseline(), found)
    silent = silences(evidence.experiment, evidence.baselines, whole=evidence.is_whole)
    found.comparisons.extend(failing_rows(compare(matches, rules, aggregated), silent))
    found.warnings.extend(remarks.few_common(found.comparisons))
    for item, row in zip(
        gate_items(found.comparisons), (r for r in found.comparisons if r.gate != "off"), strict=True
    ):
        if item.failed:
            worse = {*row.cases.regressed, *row.cases.suspect}
            quoted = examples(evidence.experiment.results, row.name, row.candidate, worse)
            hint = rerun_hint(settings.mode, settings.against, evidence.variants[0])
            item = replace(item, examples=quoted, hint=hint)
        found.gate.append(item)
    found.rerun.extend(behind(evidence.experiment, found.comparisons))
    if settings.gate != "off":
        _gate_silences(evidence, silent, found)
    of_silent = [silence.name for silence in silent]  # these are not gone, and not to be recorded again
    for module in evidence.experiment.modules:
        found.baselines.append(_compared_view(evidence, module))
        baseline = evidence.baselines.get(module)
        if baseline is not None and evidence.is_whole:
            names = [name for name in [c.name for c in columns] + of_silent if name.module == module]
            gone = remarks.gone(baseline, names, evidence.shown_path(module))
            found.warnings.extend([gone] if gone else [])


def _tell_unjudged(
    evidence: Evidence, aggregated: Sequence[AggregateMatch], lacking: Sequence[MetricName], found: Conclusion
) -> None:
    """Gated aggregates that lack what to compare with: a warning, or failed where that is required."""
    settings, variant = evidence.settings, evidence.variants[0]
    required = settings.require_baseline and settings.gate != "off"
    for entry in aggregated:
        if entry.gated and entry.obstacle:
            found.warnings.append(f"{entry.name.metric} is gated but was not judged. {entry.obstacle}")
        if entry.gated and required and entry.reference.startswith("baseline:"):
            unrecorded = [] if entry.is_unrecorded else _unrecorded(entry.cases)
            if unrecorded or entry.is_unrecorded:
                found.gate.append(_lacking(evidence, entry.name, variant, unrecorded))
            elif entry.obstacle:
                found.gate.append(not_judged(entry.name, variant, entry.obstacle))
    found.gate.extend(_lacking(evidence, name, variant, []) for name in lacking if required)


def _gate_silences(evidence: Evidence, silent: Sequence[Silence], found: Conclusion) -> None:
    """What a scorer should have measured and didn't fails, although there is no comparison of it."""
    settings = evidence.settings
    hint_of = rerun_hint if settings.store == "" else replay_hint
    hint = hint_of(settings.mode, settings.against, evidence.variants[0])
    decided = items_of_scorers(
        silent,
        found.comparisons,
        baselines=evidence.baselines,
        compares=len(evidence.variants) > 1,
        required=settings.require_baseline,
    )
    for silence, item in decided:
        quoted = examples(evidence.experiment.results, silence.name, silence.variant, silence.cases)
        found.gate.append(replace(item, examples=quoted, hint=hint))
        found.unscored = True
        found.rerun = list(dict.fromkeys([*found.rerun, *silence.nodeids]))


def _measured_side(evidence: Evidence, column: Column, variant: str) -> Side:
    hashes = evidence.experiment.case_hashes(column.name.module)
    return Side(label=variant, scores=column.all_scores(variant), hashes=hashes)


def _match_baseline(
    evidence: Evidence, column: Column, label: str, variant: str, gated: bool, found: Conclusion
) -> Match | None:
    """The metric beside its baseline; what has none fails where one is required."""
    name = column.name
    baseline = evidence.baselines.get(name.module)
    candidate = _measured_side(evidence, column, variant)
    side = None
    if baseline is not None:
        collected = evidence.collected.get(name.module)
        side = baseline_side(column, baseline, label, collected=collected)
    required = evidence.settings.require_baseline and gated and evidence.settings.gate != "off"
    if baseline is None or side is None or not side.scores:
        if required:
            found.gate.append(_lacking(evidence, name, variant, []))
        elif baseline is not None and gated:
            told = found.warnings if name.metric in baseline.metrics else found.notes
            told.append(remarks.not_compared(name, baseline, evidence.settings.against))
        return None
    entry = match(column, side, candidate, gated=gated)
    if name.kind == "latency":
        obstacle = obstacle_to_times(baseline.recorded, evidence.settings.concurrency)
        entry = replace(entry, obstacle=obstacle)
        if obstacle and gated:
            found.warnings.append(f"{name.metric} is gated but was not judged. {obstacle}")
    unrecorded = _unrecorded(entry.cases)
    if required and unrecorded:
        found.gate.append(_lacking(evidence, name, variant, unrecorded))
    return entry


def _unrecorded(cases: CaseLists) -> list[str]:
    """The cases that the baseline doesn't have as they are now, as messages name them."""
    return [*cases.only_candidate, *(f"{case} (its content changed)" for case in cases.changed)]


def _lacking(evidence: Evidence, name: MetricName, variant: str, cases: Sequence[str]) -> GateItem:
    against = evidence.settings.against
    path = evidence.shown_path(name.module)
    return missing_baseline(name, variant, path=path, cases=cases, against=against)


def _compared_view(evidence: Evidence, module: str) -> BaselineView:
    against = evidence.settings.against
    baseline = evidence.baselines.get(module)
    path = evidence.shown_path(module)
    if baseline is None:
        others = other_baselines(evidence.root, module)
        detail = f"there are baselines named {', '.join(others)}" if others else ""
        return BaselineView(path=path, name=against, module=module, action="missing", detail=detail)
    models = set(evidence.recorded.models)
    then = set(baseline.recorded.models)
    detail = ""
    if models and then and models != then:
        detail = f"recorded with {', '.join(sorted(then))}, measured now with {', '.join(sorted(models))}"
    return BaselineView(
        path=path,
        name=against,
        module=module,
        action="compared",
        recorded_at=baseline.recorded.at,
        commit=baseline.recorded.commit,
        detail=detail,
    )
