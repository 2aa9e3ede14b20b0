"""The order of work of ``pytest-promptune merge``: files, checks, one experiment, its conclusion, outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_promptune.conclusion import Evidence, conclude
from pytest_promptune.core.aggregates.given import Given
from pytest_promptune.core.analysis.analysing import analyse
from pytest_promptune.core.baseline import Recorded
from pytest_promptune.core.display import clean, count
from pytest_promptune.core.errors import SettingsError, StoreError
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.gate import ADOPT, REPLAY, measured_as
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.nodes.usage import node_rows
from pytest_promptune.core.scorers import failures_told
from pytest_promptune.core.shards.combining import (
    Combined,
    combine,
    failed_tests,
    gaps,
    is_whole,
    spent_twice,
    total_usage,
)
from pytest_promptune.core.shards.shard import Circumstances, Document, Shard, ShardError, from_json
from pytest_promptune.core.tally import Tally, hash_of_tests, tally
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import Decision, ExperimentView, GateItem, View
from pytest_promptune.goal_files import find_goals
from pytest_promptune.ini_files import settings_of
from pytest_promptune.outputs import write_outputs
from pytest_promptune.settings import SPECS, Gate, Settings
from pytest_promptune.sharding import settings_from_json
from pytest_promptune.store.baselines import baseline_path, read_baseline
from pytest_promptune.store.log import ExperimentLog, locate_existing
from pytest_promptune.variants.reading import variant_path

#: How the ids of merged results begin.
_MERGED = "merged-"

#: Commands that need pytest's cache or the experiment log: they aren't on the machine that merges.
_LAST_FAILED = "pytest --lf"
_ELSEWHERE = (_LAST_FAILED, REPLAY)

NO_FUNCTIONS = (
    "Merging runs no code of the tests, and these are functions of theirs: measure them in one session, or "
    "give the number of each sample as a score."
)

#: The rule of the gate where the shards themselves ran without it.
DEFAULT_RULE: Gate = "regression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user wants of a merge."""

    root: Path
    #: A failed gate makes the exit status 1.
    gate: bool = False
    #: The gate's rule; ``None`` for that of the shards.
    rule: Gate | None = None
    json: Path | None = None
    report: tuple[Path, ...] = ()
    allow_partial: bool = False
    #: The goals file, as in `Settings.goals`; ``None`` for that of the root's ini file.
    goals: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Several parts as one."""

    view: View
    #: What lets them be merged again.
    shard: Shard


def merge(paths: Sequence[str], wishes: Wishes) -> Merged:
    """Conclude several parts of a suite as one; in baseline mode, record them.

    Raises:
        PromptuneError: when they can't be read, overlap or contradict each other, the tests are not under the
            root, the root's ini file can't be read, or something can't be written.
    """
    if wishes.json is not None:
        _refuse_to_overwrite(wishes.json)
    documents = [read(path) for path in paths]
    of_each = [settings_from_json(document.shard.settings, path=document.path) for document in documents]
    combined = combine(documents, allow_partial=wishes.allow_partial)
    settings = _as_wished(of_each[0], wishes)
    _refuse_wrong_root(combined, wishes.root)
    experiment = Experiment()
    for result in combined.shard.results:
        experiment.add(result)
    counts = tally(experiment)
    view = replace(_view(documents, combined, settings, counts), nodes=node_rows(experiment))
    concluded = conclude(_evidence(documents, combined, settings, experiment, counts, wishes.root))
    tags = {
        module: {case: part.tags.get(case, {}) for case in part.cases}
        for module, part in combined.shard.modules.items()
    }
    view = replace(view, analysis=analyse(experiment, tags, concluded.ranking))
    view = concluded.told_in(_with_gaps(view, combined, experiment, documents))
    failed = any(item.failed for item in view.gate)
    view = replace(
        view,
        exit_code=int(wishes.gate and failed),
        gate=tuple(_with_hints_for_here(item) for item in view.gate),
        decision=_runnable(view.decision, experiment, wishes.root),
    )
    # the next merge must find the shards' own rule, and not this one's
    shard = replace(combined.shard, settings=documents[0].shard.settings)
    written = write_outputs(view, settings, root=wishes.root, shard=shard)
    return Merged(view=replace(view, written=written), shard=shard)


def _refuse_to_overwrite(path: Path) -> None:
    """After ``--json`` the first of the files to merge would be taken for the one to write."""
    try:
        measured = str(_parsed(str(path))["experiment"]["id"])
    except (ShardError, KeyError, TypeError):  # nothing that was measured
        return
    if not measured.startswith(_MERGED):
        raise SettingsError(
            f"--json: {path.name} holds results that were measured ({measured}) and would be lost. Give the "
            "files to merge first, and --json alone or with the path of another file after them."
        )


def read(path: str) -> Document:
    """One results file.

    Raises:
        ShardError: when it can't be read or merged.
    """
    return from_json(_parsed(path), path=path)


def _parsed(path: str) -> Any:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ShardError(f"{path}: can't be read ({why}).") from None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{path}: not JSON ({error}). Is it whole?") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _as_wished(settings: Settings, wishes: Wishes) -> Settings:
    rule = settings.gate
    if wishes.gate and rule == "off":
        rule = DEFAULT_RULE
    reports = tuple(str(path) for path in wishes.report)
    try:
        next(spec for spec in SPECS if spec.name == "report").parse(reports)
    except ValueError as error:
        raise ShardError(f"--report: expected {error}.") from None
    return replace(
        settings,
        gate=wishes.rule or rule,
        json=str(wishes.json) if wishes.json else None,
        report=reports,
        goals=settings_of(wishes.root).goals if wishes.goals is None else wishes.goals,
    )


def _refuse_wrong_root(combined: Combined, root: Path) -> None:
    """Without the tests there are no baselines either, and nothing would be compared in silence."""
    missing = [module for module in combined.shard.modules if not (root / module).is_file()]
    if missing:
        raise ShardError(
            f"{clean(missing[0])} is not under {root}: run this where the tests and their baselines lie, "
            "as in a checkout of what was measured, or say where with --root."
        )


def _evidence(
    documents: Sequence[Document],
    combined: Combined,
    settings: Settings,
    experiment: Experiment,
    counts: Tally,
    root: Path,
) -> Evidence:
    shard = combined.shard
    whole = is_whole(shard)
    given = Given(absent=shard.aggregates, why_absent=NO_FUNCTIONS if shard.aggregates else "")
    return Evidence(
        settings=settings,
        root=root,
        experiment=experiment,
        variants=[variant.view.name for variant in shard.variants],
        several={each.view.name for each in shard.variants if each.view.changes and not each.view.one_change},
        baselines={
            module: read_baseline(baseline_path(root, module, settings.against))
            for module in experiment.modules
        },
        collected={module: frozenset(part.cases) for module, part in shard.modules.items()},
        is_whole=whole,
        is_everything=whole and shard.everything,
        recorded=Recorded(
            at=min(document.circumstances.started for document in documents),
            commit=_commit(documents),
            dirty=_dirty(documents),
            runs=counts.runs,
            promptune=documents[0].circumstances.promptune,
            concurrency=settings.concurrency,
            models=counts.models,
            prompts=shard.prompts,
        ),
        given=given,
        goals=find_goals(settings.goals, root=root),
    )


def _view(documents: Sequence[Document], combined: Combined, settings: Settings, counts: Tally) -> View:
    parts = [document.circumstances for document in documents]
    shard = combined.shard
    measured = sorted({result.module for result in shard.results})
    identity = hashlib.sha256("\n".join(sorted(part.id for part in parts)).encode()).hexdigest()[:16]
    experiment = ExperimentView(
        id=f"{_MERGED}{identity}",
        started=min(part.started for part in parts),
        finished=max(part.finished for part in parts),
        commit=_commit(documents),
        dirty=_dirty(documents),
        branch=next((part.branch for part in parts if part.branch is not None), None),
        runs=counts.runs,
        cases=counts.cases,
        variants=tuple(variant.view.name for variant in shard.variants),
        samples=counts.samples,
        errored=counts.errored,
        missing=counts.missing,
        reused=counts.reused,
        conditions={
            "cases": counts.contents,
            "tests": hash_of_tests({module: shard.modules[module].hash for module in measured}),
        },
        models=counts.models,
        promptune=parts[0].promptune,
        python=" and ".join(dict.fromkeys(part.python for part in parts)),
        libraries=_libraries(parts),
        concurrency=settings.concurrency,
        alpha=settings.alpha,
        seconds=max(part.seconds for part in parts),
    )
    return View(
        mode=settings.mode,
        exit_code=0,
        experiment=experiment,
        variants=tuple(variant.view for variant in shard.variants if variant.view.name != CURRENT),
        usage=total_usage(documents, counts.usage),
        warnings=shard.warnings,
        notes=shard.notes,
    )


def _libraries(parts: Sequence[Circumstances]) -> dict[str, str]:
    """Versions by name; all of them where machines had different ones."""
    found: dict[str, dict[str, None]] = {}
    for part in parts:
        for name, number in part.libraries.items():
            found.setdefault(name, {})[number] = None
    return {name: " and ".join(numbers) for name, numbers in sorted(found.items())}


def _commit(documents: Sequence[Document]) -> str | None:
    return next((d.circumstances.commit for d in documents if d.circumstances.commit is not None), None)


def _dirty(documents: Sequence[Document]) -> bool | None:
    known = [d.circumstances.dirty for d in documents if d.circumstances.dirty is not None]
    return any(known) if known else None


def _with_gaps(view: View, combined: Combined, experiment: Experiment, documents: Sequence[Document]) -> View:
    """The view with what a reader must know of where it comes from."""
    cut_short = [document.path for document in documents if not document.shard.complete]
    warnings = [*gaps(combined)]
    if cut_short:
        warnings.insert(0, f"Ended early: {', '.join(cut_short)}.")
    warnings += [failed_tests(experiment), *failures_told(experiment.scorers.failures)]
    merged = f"Merged from {count(len(documents), 'file')}: {', '.join(d.path for d in documents)}."
    notes = [merged, spent_twice(combined, documents[0].path)]
    return replace(
        view,
        warnings=(*view.warnings, *filter(None, warnings)),
        notes=(*filter(None, notes), *view.notes),
    )


def _with_hints_for_here(item: GateItem) -> GateItem:
    return replace(item, hint="") if any(command in item.hint for command in _ELSEWHERE) else item


def _runnable(decision: Decision | None, experiment: Experiment, root: Path) -> Decision | None:
    """The decision with a command that works here, or else where it does."""
    if decision is None or not decision.command.startswith((_LAST_FAILED, ADOPT)):
        return decision
    if decision.variant is None or not decision.command.startswith(ADOPT):
        return replace(decision, command="")
    if _is_adoptable(decision.variant, _cases(experiment), root):
        return decision
    where = (
        f"Run {decision.command} where one session compared it in all of these cases and the experiment log "
        f"has that: pytest --promptune-compare{measured_as(decision.variant)}"
    )
    return replace(decision, reason=f"{decision.reason} {where}", command="")


def _is_adoptable(variant: str, cases: Mapping[str, str], root: Path) -> bool:
    """Whether the variant is there, and the newest numbers that the log has of it are of all these cases."""
    settings = settings_of(root)
    if not variant_path(root / settings.variants, variant).exists():
        return False
    try:
        with ExperimentLog(locate_existing(settings.store, root=root)) as log:
            for found in log.history(None, mode="compare", variant=variant):
                if found.status == "finished" and found.replay_of is None:
                    measured: Mapping[str, str] = log.conditions_of(found.id).get("cases", {})
                    return cases.items() <= measured.items()
    except (StoreError, SettingsError):  # no log, or one that can't be read
        return False
    return False


def _cases(experiment: Experiment) -> dict[str, str]:
    return {
        f"{module}::{case}": content
        for module in experiment.modules
        for case, content in experiment.case_hashes(module).items()
    }
