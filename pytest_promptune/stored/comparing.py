"""``compare A B``: two stored experiments, judged as the variants of one session are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_promptune.core import remarks
from pytest_promptune.core.circumstances import Circumstances, Difference, differences
from pytest_promptune.core.comparison import Rules
from pytest_promptune.core.display import clean, count, some
from pytest_promptune.core.errors import SettingsError, StoreError
from pytest_promptune.core.gate import gate_items, not_judged
from pytest_promptune.core.quotes import examples
from pytest_promptune.core.sides import Beside, Measured, beside
from pytest_promptune.core.silence import failing_rows, items_of_apps, silences
from pytest_promptune.core.stats.wording import ONE_RUN_HINT
from pytest_promptune.core.tally import grouped_errors, tally
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ComparisonRow, ExperimentView, GateItem, MetricName, View
from pytest_promptune.settings import Settings
from pytest_promptune.stored.sides import Stored, metrics_of

_DIFFERENT = {
    "models": "models {before} in A, {after} in B",
    "parameters": "model parameters {before} in A, {after} in B",
    "libraries": "{before} in A, {after} in B",
    "concurrency": "{before} samples in flight in A, {after} in B",
    "tests": "the text of {before}",
    "prompts": "the app's own prompts {before}",
    "commit": "commit {before} in A, {after} in B",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user wants of a comparison."""

    #: As in `Settings`: error level, margins, scope, the gate's rule, …
    settings: Settings
    #: A failed gate makes the exit status 1.
    gate: bool = False
    #: Whether each side is described by itself, too, for reports and machines.
    described: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Both sides, and what was found."""

    reference: Stored
    candidate: Stored
    view: View

    @property
    def failed(self) -> bool:
        """Whether a decision of the gate failed."""
        return any(item.failed for item in self.view.gate)


def compare(before: Stored, now: Stored, wishes: Wishes) -> Compared:
    """Compare two stored variants.

    Args:
        before: ``A``, is subtracted.
        now: ``B``.
        wishes: how.

    Raises:
        SettingsError: when both are the same.
        StoreError: when they have no metric in common.
    """
    _refuse_same(before.circumstances, now.circumstances)
    found = _beside(before, now, wishes.settings)
    if not found.rows:
        raise StoreError(
            f"Nothing to compare: {before.circumstances.experiment} measured {metrics_of(before.measured)}, "
            f"{now.circumstances.experiment} measured {metrics_of(now.measured)}, and no metric of a test "
            "module is the same in both."
        )
    view = _view(before, now, found, wishes)
    view = replace(view, exit_code=int(wishes.gate and any(item.failed for item in view.gate)))
    return Compared(reference=before, candidate=now, view=view)


def rules_of(settings: Settings) -> Rules:
    """How verdicts are found."""
    return Rules(
        alpha=settings.alpha,
        gate=settings.gate,
        margins=settings.margin,
        tolerances=settings.tolerance,
        scope=settings.scope,
        strict=settings.strict,
        gate_cases=settings.gate_cases,
    )


def obstacle_to_times(before: Circumstances, now: Circumstances) -> str:
    """Why times can't be compared, or empty: they depend on how many samples are in flight."""
    if before.experiment == now.experiment or before.concurrency == now.concurrency:
        return ""
    loads = [
        "an unknown number of" if side.concurrency is None else f"{side.concurrency:,}"
        for side in (before, now)
    ]
    return (
        f"Measured with {loads[0]} samples in flight in one and {loads[1]} in the other: not comparable. "
        "Compare within one session, or measure with the same --promptune-concurrency."
    )


def _beside(before: Stored, now: Stored, settings: Settings) -> Beside:
    return beside(
        before.measured,
        now.measured,
        rules_of(settings),
        gate_metrics=settings.gate_metrics,
        obstacle_to_times=obstacle_to_times(before.circumstances, now.circumstances),
    )


def _refuse_same(before: Circumstances, now: Circumstances) -> None:
    if (before.experiment, before.variant) == (now.experiment, now.variant):
        raise SettingsError(
            f"A and B are the same: {now.variant} of {now.experiment}. Name two experiments, or two variants "
            "of one as ID:VARIANT."
        )


# --- the view -------------------------------------------------------------------------------------


def _view(before: Stored, now: Stored, found: Beside, wishes: Wishes) -> View:
    settings = wishes.settings
    described = (before, now) if wishes.described else ()
    silent = [
        silence for side in (before, now) for silence in silences(side.measured.experiment, {}, whole=False)
    ]
    rows = tuple(failing_rows(found.rows, silent))
    warnings = [
        *_ended_early(before.circumstances, now.circumstances),
        _not_alike(differences(before.circumstances, now.circumstances)),
        _unjudged(found),
        _not_computed(before, now),
        *remarks.few_common(rows),
        *(silence.sentence for silence in silent),
    ]
    runs = max(side.circumstances.runs for side in (before, now))
    return View(
        mode="compare",
        exit_code=0,
        experiment=_experiment(before, now, settings),
        metrics=tuple(row for side in described for row in side.measured.rows(alpha=settings.alpha)),
        comparisons=rows,
        errors=tuple(e for side in (before, now) for e in grouped_errors(side.measured.experiment)),
        gate=(*_cut_off(before, now, wishes), *_gate(now.measured, rows, found, settings)),
        warnings=tuple(filter(None, warnings)),
        notes=tuple(filter(None, [*_one_sided(found), *_unlike(found), ONE_RUN_HINT if runs == 1 else ""])),
    )


def _cut_off(before: Stored, now: Stored, wishes: Wishes) -> list[GateItem]:
    """What did not come to its end passes no gate, as its own session didn't."""
    if not wishes.gate:
        return []
    module = next((column.name.module for column in now.measured.columns), "")
    return [
        GateItem(
            nodeid=f"{module}::gate[unfinished-{side.measured.label}]",
            failed=True,
            message=f"Experiment {side.circumstances.experiment} "
            f"{'still runs' if side.circumstances.status == 'running' else 'ended early'}: the gate needs a "
            "finished one. Go on with it with pytest --promptune-resume, or measure it again.",
        )
        for side in (before, now)
        if side.circumstances.is_cut_off
    ]


def _gate(
    candidate: Measured, rows: Sequence[ComparisonRow], found: Beside, settings: Settings
) -> list[GateItem]:
    if settings.gate == "off":
        return []
    gated = [row for row in rows if row.gate != "off"]
    items = []
    for item, row in zip(gate_items(rows), gated, strict=True):
        if item.failed:
            worse = {*row.cases.regressed, *row.cases.suspect}
            quoted = examples(candidate.experiment.results, row.name, row.candidate, worse)
            item = replace(item, examples=quoted)
        items.append(item)
    items += items_of_apps(candidate.experiment, candidate.label)
    judged = {row.name.metric for row in gated}
    if settings.require_baseline:
        lacking = [n for n in found.only_reference if n.metric in found.unjudged and n.metric not in judged]
        items += [not_judged(name, candidate.label, "it was measured in A alone.") for name in lacking]
    return items


def _experiment(before: Stored, now: Stored, settings: Settings) -> ExperimentView:
    """Both experiments as one, for the conditions of a report."""
    a, b = before.circumstances, now.circumstances
    counts = [tally(side.measured.experiment) for side in (before, now)]
    same = a.experiment == b.experiment
    seconds = [side.seconds or 0.0 for side in (a, b)]
    return ExperimentView(
        id=a.experiment if same else f"{a.experiment} (A) and {b.experiment} (B)",
        started=min(a.started, b.started),
        finished=max(a.started, b.started),
        commit=b.commit if a.commit == b.commit else f"{a.commit or '?'} (A) and {b.commit or '?'} (B)",
        dirty=any(side.dirty for side in (a, b)),
        branch=b.branch if a.branch == b.branch else None,
        runs=max(a.runs, b.runs),
        cases=max(a.cases, b.cases),
        variants=(before.measured.label, now.measured.label),
        samples=a.samples + b.samples,
        errored=a.errored + b.errored,
        missing=a.missing + b.missing,
        reused=0,
        conditions={f"cases in {letter}": each.contents for letter, each in zip("AB", counts, strict=True)},
        models=tuple(sorted({*a.models, *b.models})),
        promptune=b.promptune,
        python=b.python,
        concurrency=b.concurrency or 0,
        alpha=settings.alpha,
        seconds=seconds[1] if same else sum(seconds),
    )


# --- what a reader must know ----------------------------------------------------------------------


def _ended_early(*sides: Circumstances) -> list[str]:
    return [
        f"Experiment {found.experiment} is running: what it has not measured yet counts as missing."
        if found.status == "running"
        else f"Experiment {found.experiment} ended early: what it did not measure counts as missing."
        for found in {side.experiment: side for side in sides}.values()
        if found.status != "finished"
    ]


def _not_alike(found: Sequence[Difference]) -> str:
    """In what the two differ beside the variant."""
    if not found:
        return ""
    told = [
        _DIFFERENT[each.what].format(before=clean(each.before), after=clean(each.after)) for each in found
    ]
    return f"Measured under different conditions: {'; '.join(told)}. The difference may come from these."


def _unjudged(found: Beside) -> str:
    names = list(dict.fromkeys(found.unjudged))
    if not names:
        return ""
    verb = "is" if len(names) == 1 else "are"
    return f"Gated, but not judged, since one side can't be compared: {some(names)} {verb} not decided on."


def _not_computed(before: Stored, now: Stored) -> str:
    names = list(dict.fromkeys((*before.absent, *now.absent)))
    if not names:
        return ""
    return (
        f"Not computed: {some(names)}. They are functions of the tests, and stored experiments are compared "
        "without running any code: measure both variants in one session."
    )


def _one_sided(found: Beside) -> list[str]:
    told = []
    for side, names in (("A", found.only_reference), ("B", found.only_candidate)):
        if names:
            listed = some([clean(name.metric) for name in names])
            told.append(f"Measured in {side} only: {count(len(names), 'metric')} ({listed}).")
    return told


def _unlike(found: Beside) -> list[str]:
    return [
        f"{clean(after.metric)} is {_measure(before)} in A and {_measure(after)} in B: not compared."
        for before, after in found.unlike
    ]


def _measure(name: MetricName) -> str:
    return f"{name.kind} in {clean(name.unit or 'no unit')} ({name.direction} is better)"
