"""The end of a session: compare, judge, record, and say what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pytest_promptune.aggregation import Aggregation
from pytest_promptune.core import remarks
from pytest_promptune.core.aggregates import Given
from pytest_promptune.core.baseline import (
    Baseline,
    BaselineMetric,
    Recorded,
    merged,
    obstacle_to_times,
    same,
)
from pytest_promptune.core.comparison import (
    AggregateMatch,
    Match,
    Rules,
    Side,
    baseline_side,
    compare,
    is_gated,
    match,
    measured,
)
from pytest_promptune.core.display import count
from pytest_promptune.core.experiment import Column, Experiment
from pytest_promptune.core.gate import (
    decide,
    gate_items,
    missing_baseline,
    replay_hint,
    rerun_hint,
)
from pytest_promptune.core.labels import beside, classified
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.quotes import examples
from pytest_promptune.core.rerun import behind
from pytest_promptune.core.silence import (
    Silence,
    failing_rows,
    items_of_apps,
    items_of_scorers,
    silences,
)
from pytest_promptune.core.stats.wording import ONE_RUN_HINT
from pytest_promptune.core.tally import grouped_errors
from pytest_promptune.core.view import (
    BaselineView,
    ClassesRow,
    ComparisonRow,
    Decision,
    ErrorView,
    GateItem,
    MetricName,
    MetricRow,
    View,
)
from pytest_promptune.settings import Settings
from pytest_promptune.store.baselines import baseline_path, other_baselines, write_baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything the conclusion is drawn from."""

    settings: Settings
    root: Path
    experiment: Experiment
    #: Variants that were measured, the one in place of `current` first.
    variants: Sequence[str]
    #: By test module, ``None`` where there is no file.
    baselines: Mapping[str, Baseline | None]
    #: Case ids that exist in a module, whether or not they were selected; ``None`` where unknown.
    collected: Mapping[str, frozenset[str]]
    #: Whether all collected items were selected, so that what was not measured doesn't exist any more.
    is_whole: bool = False
    #: Whether that were all tests of the project, and not those of some folders or modules.
    is_everything: bool = False
    #: By test module: items that were not run since the budget was spent.
    unpaid: Mapping[str, int] = field(default_factory=dict)
    #: Under which conditions a baseline would be recorded.
    recorded: Recorded
    #: Aggregate metrics of the user's.
    given: Given = field(default_factory=Given)
    #: Two-sided error level of the comparisons, where it is that of a look and not the session's.
    alpha: float | None = None


@dataclass(slots=True, kw_only=True)
class Conclusion:
    """What the evidence says."""

    metrics: list[MetricRow] = field(default_factory=list)
    classes: list[ClassesRow] = field(default_factory=list)
    comparisons: list[ComparisonRow] = field(default_factory=list)
    baselines: list[BaselineView] = field(default_factory=list)
    errors: list[ErrorView] = field(default_factory=list)
    gate: list[GateItem] = field(default_factory=list)
    decision: Decision | None = None
    #: The gate failed for a scorer that gave no score: nothing to be recorded.
    unscored: bool = False
    #: What limits the worth of the verdict, and what else is worth knowing.
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Node ids that ``--lf`` should run again.
    rerun: list[str] = field(default_factory=list)

    def told_in(self, view: View) -> View:
        """`view` with everything that was found, after what it tells already."""
        return replace(
            view,
            metrics=tuple(self.metrics),
            classes=tuple(self.classes),
            comparisons=tuple(self.comparisons),
            baselines=tuple(self.baselines),
            errors=tuple(self.errors),
            decision=self.decision,
            gate=tuple(self.gate),
            warnings=(*view.warnings, *self.warnings),
            notes=(*view.notes, *self.notes),
        )


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
    aggregation = Aggregation(
        settings,
        evidence.experiment,
        columns,
        variants=evidence.variants,
        baselines=evidence.baselines,
        collected=evidence.collected,
        given=evidence.given,
    )
    found.metrics.extend(aggregation.described())
    found.classes.extend(aggregation.classes())
    found.warnings.extend(aggregation.warnings())
    found.gate.extend(items_of_apps(evidence.experiment, evidence.variants[0]))
    if settings.mode == "baseline":
        _record(evidence, columns, found)
    else:
        _compare(evidence, columns, aggregation, found)
        found.gate.extend(aggregation.failures)
    names = [*(column.name for column in columns), *aggregation.names]
    if evidence.is_whole:  # else a name may belong to what was left out
        found.warnings.extend(remarks.unused_names(_named(evidence, columns), names))
    elif found.comparisons:
        found.warnings.insert(0, remarks.partial(evidence.experiment))
    runs = max((result.run for result in evidence.experiment.results), default=0)
    if runs == 1 and found.comparisons:
        found.notes.append(ONE_RUN_HINT)
    found.decision = decide(
        settings.mode,
        found.comparisons,
        failed=any(item.failed for item in found.gate),
        baseline_missing=not found.unscored and any(view.action == "missing" for view in found.baselines),
        against=settings.against,
        runs=runs,
        variant=evidence.variants[0],
    )
    if settings.mode == "baseline":  # it is recorded all the same
        found.gate.extend(aggregation.failures)
    return found


# --- comparing ------------------------------------------------------------------------------------


def _compare(
    evidence: Evidence, columns: Sequence[Column], aggregation: Aggregation, found: Conclusion
) -> None:
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
            gone = remarks.gone(baseline, names, _shown_path(evidence.root, module, settings.against))
            found.warnings.extend([gone] if gone else [])


def _tell_unjudged(
    evidence: Evidence, aggregated: Sequence[AggregateMatch], lacking: Sequence[MetricName], found: Conclusion
) -> None:
    """Gated aggregates that have nothing to be compared with: a warning, or failed where one is required."""
    settings, variant = evidence.settings, evidence.variants[0]
    required = settings.require_baseline and settings.gate != "off"
    for entry in aggregated:
        if entry.gated and entry.obstacle:
            found.warnings.append(f"{entry.name.metric} is gated but was not judged. {entry.obstacle}")
            if required and entry.reference.startswith("baseline:"):
                found.gate.append(_lacking(evidence, entry.name, variant, []))
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
    lacking = [
        *entry.cases.only_candidate,
        *(f"{case} (its content changed)" for case in entry.cases.changed),
    ]
    if required and lacking:
        found.gate.append(_lacking(evidence, name, variant, lacking))
    return entry


def _lacking(evidence: Evidence, name: MetricName, variant: str, cases: Sequence[str]) -> GateItem:
    against = evidence.settings.against
    path = _shown_path(evidence.root, name.module, against)
    return missing_baseline(name, variant, path=path, cases=cases, against=against)


def _compared_view(evidence: Evidence, module: str) -> BaselineView:
    against = evidence.settings.against
    baseline = evidence.baselines.get(module)
    path = _shown_path(evidence.root, module, against)
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


# --- recording ------------------------------------------------------------------------------------


def _record(evidence: Evidence, columns: Sequence[Column], found: Conclusion) -> None:
    against = evidence.settings.against
    unusable = {item.nodeid.partition("::")[0] for item in found.gate}
    measured_modules = {module for (module, *_), _ in evidence.experiment.samples.items()}
    silent = silences(evidence.experiment, evidence.baselines, whole=evidence.is_whole)
    for module in evidence.experiment.modules:
        path = _shown_path(evidence.root, module, against)
        obstacle = ""
        if unpaid := evidence.unpaid.get(module):
            obstacle = f"{count(unpaid, 'item')} not run, since --promptune-max-cost was spent"
            left = "the old one stays" if evidence.baselines.get(module) else "there is none"
            found.warnings.append(f"The baseline {path} was not recorded, {left}: {obstacle}.")
        elif module not in measured_modules:
            obstacle = "no sample was measured"
        elif module in unusable:
            obstacle = "an app gave no output in any sample"
        if obstacle:
            view = BaselineView(
                path=path, name=against, module=module, action="not recorded", detail=obstacle
            )
        else:
            mine = [column for column in columns if column.name.module == module]
            view = _record_module(evidence, module, path, mine)
            not_scored = [silence for silence in silent if silence.name.module == module]
            losses = remarks.losses(evidence.experiment, module, not_scored)
            found.warnings.extend([losses] if losses else [])
        found.baselines.append(view)


def _record_module(evidence: Evidence, module: str, path: str, columns: Sequence[Column]) -> BaselineView:
    variant = evidence.variants[0]
    scores = {column.name.metric: column.scores(variant) for column in columns}
    of_tests = classified(evidence.experiment, columns)
    labels = {each.column.name.metric: each.labels(variant) for each in of_tests}
    new = Baseline(
        recorded=evidence.recorded,
        cases=dict(evidence.experiment.case_hashes(module)),
        metrics={
            c.name.metric: BaselineMetric(direction=c.name.direction, unit=c.name.unit, kind=c.name.kind)
            for c in columns
            if scores[c.name.metric]
        },
        scores={metric: cases for metric, cases in scores.items() if cases},
        labels=beside(scores, labels),
    )
    old = evidence.baselines.get(module)
    # a session that measured everything there is leaves nothing of tests and cases that are gone
    whole = new if evidence.is_whole else merged(old, new)
    detail = "" if variant == CURRENT else f"scores of the variant {variant}"
    action: Literal["recorded", "updated", "untouched"] = "recorded" if old is None else "updated"
    if same(old, whole):
        action = "untouched"
        detail = "scores and conditions did not change; measured times alone don't rewrite it"
    else:
        write_baseline(baseline_path(evidence.root, module, evidence.settings.against), whole)
    return BaselineView(
        path=path, name=evidence.settings.against, module=module, action=action, detail=detail
    )


def _shown_path(root: Path, module: str, against: str) -> str:
    path = baseline_path(root, module, against)
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


# --- what is named ----------------------------------------------------------------------------------


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
