"""The final report's data, out of the experiment log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_promptune.conditions import own_version, timestamp
from pytest_promptune.core.circumstances import differences
from pytest_promptune.core.comparison import Rules
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.goals.model import Goals
from pytest_promptune.core.series.building import agree
from pytest_promptune.core.series.changes import (
    case_changes,
    gated_places,
    goal_changes,
    metric_changes,
    node_changes,
    suggested_cases,
)
from pytest_promptune.core.series.final import (
    FinalReport,
    GoalChange,
    IterationReport,
    Remark,
    RemarkKind,
    Tried,
    UnjudgedGoal,
)
from pytest_promptune.core.series.model import Iteration, Point, Series
from pytest_promptune.core.series.progress import progress
from pytest_promptune.core.series.recommending import Findings, recommend
from pytest_promptune.core.series.rows import Mean, change_from, comparisons_from, mean_from, node_from
from pytest_promptune.core.sides import Beside, beside
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import NodeRow
from pytest_promptune.goal_files import find_goals
from pytest_promptune.settings import Settings
from pytest_promptune.store.log import ExperimentLog, locate_existing
from pytest_promptune.stored.comparing import obstacle_to_times
from pytest_promptune.stored.prompt_texts import prompt_changes
from pytest_promptune.stored.reading import record_of
from pytest_promptune.stored.series import StoredSeries, read_series
from pytest_promptune.stored.sides import Stored, side_of

_START, _PRESENT = "start", "present"
Documents = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user wants of a final report."""

    root: Path
    settings: Settings
    #: An experiment of the series, and the one it begins with.
    series: str | None = None
    begin: str | None = None


def final_report(wishes: Wishes) -> FinalReport:
    """Gather what the final report says; reads no outputs.

    Raises:
        StoreError: when there is no series, or its experiments can't be read.
        GoalsError: when the goals file can't be read.
    """
    settings = wishes.settings
    with ExperimentLog(locate_existing(settings.store, root=wishes.root)) as log:
        found = read_series(log, root=wishes.root, of=wishes.series, begin=wishes.begin)
        series = found.series
        start = _read(log, found, series.start, _START)
        present = _read(log, found, series.present, _PRESENT) if series.is_changed else start
        measured = {each.session.experiment for each in series.iterations}
        measured |= {each.adopted.experiment for each in series.iterations if each.adopted}
        documents = {experiment: log.results_of(experiment) for experiment in sorted(measured)}
        tags = [case.tags for case in log.cases_of(series.present.experiment)]
        prompts = prompt_changes(log, series.start, series.present)
    goals = find_goals(settings.goals, root=wishes.root)
    report = _Gathering(settings, found, start, present, documents, goals).report(tags)
    return replace(report, prompts=prompts)


def _read(log: ExperimentLog, found: StoredSeries, point: Point, label: str) -> Stored:
    record = record_of(log, found.summaries[point.experiment], point.variant)
    return side_of(record, label=label)


class _Gathering:
    """Everything that was read, and what is drawn from it."""

    def __init__(
        self,
        settings: Settings,
        found: StoredSeries,
        start: Stored,
        present: Stored,
        documents: Documents,
        goals: Goals | None,
    ) -> None:
        self.settings = settings
        self.found = found
        self.series: Series = found.series
        self.start = start
        self.present = present
        self.documents = documents
        self.goals = goals
        self.is_changed = present is not start
        self.obstacle = obstacle_to_times(start.circumstances, present.circumstances)
        self.beside = self._beside() if self.is_changed else None

    def _beside(self) -> Beside:
        rules = Rules(
            alpha=self.settings.alpha,
            gate="off",
            margins=self.settings.margin,
            tolerances=self.settings.tolerance,
            scope=self.settings.scope,
        )
        return beside(
            self.start.measured,
            self.present.measured,
            rules,
            gate_metrics=self.settings.gate_metrics,
            obstacle_to_times=self.obstacle,
        )

    def report(self, tags: Iterable[Mapping[str, Any]]) -> FinalReport:
        """Put it together."""
        alpha, scope = self.settings.alpha, self.settings.scope
        rows = self.start.measured.rows(alpha=alpha)
        now = self.present.measured.rows(alpha=alpha) if self.is_changed else None
        gated = gated_places(self.present.measured, self.settings.gate_metrics)
        metrics = metric_changes(rows, now, self.beside, gated=gated)
        goals: tuple[GoalChange, ...] = ()
        unjudged: tuple[UnjudgedGoal, ...] = ()
        if self.goals is not None:
            goals, unjudged = goal_changes(
                self.goals,
                (self.start.measured, self.present.measured),
                (rows, rows if now is None else now),
                alpha=alpha,
                scope=scope,
                meanings=dict(self.settings.goal_metrics),
            )
        nodes = node_changes(_nodes(self.start), _nodes(self.present) if self.is_changed else None)
        iterations = tuple(self._iteration(each) for each in self.series.iterations)
        findings = Findings(
            metrics=metrics,
            goals=goals,
            unjudged=unjudged,
            goals_path=self.goals.path if self.goals else "",
            goals_problems=len(self.goals.problems) if self.goals else 0,
            nodes=nodes,
            iterations=iterations,
            present=self.present.circumstances,
            is_outdated=self._is_outdated(),
            tags=tags,
        )
        return FinalReport(
            written=timestamp()[:10],
            promptune=own_version(),
            series=self.series,
            apps=tuple(dict.fromkeys(each.name.app for each in metrics)),
            start=self.start.circumstances,
            present=self.present.circumstances,
            differences=tuple(differences(self.start.circumstances, self.present.circumstances)),
            alpha=alpha,
            scope=scope,
            metrics=metrics,
            goals=goals,
            unjudged=unjudged,
            goals_path=self.goals.path if self.goals else None,
            goals_needed=self.goals.rule.needed if self.goals else None,
            cases=case_changes(self.beside.rows) if self.beside else (),
            suggested_cases=None if self.is_changed else suggested_cases(iterations),
            nodes=nodes,
            iterations=iterations,
            progress=progress(self.series, metrics, goals, self._means),
            recommendations=recommend(findings),
            remarks=tuple(self._remarks()),
        )

    def _is_outdated(self) -> bool:
        """Whether somebody changed the prompts after the last iteration, perhaps to what it suggests."""
        if not self.series.iterations:
            return False
        last = self.series.iterations[-1].session
        if set(self.series.partial_strayed) - {last.experiment}:
            return True
        measured = last.current
        return self.series.strayed is not None and not agree(measured, self.present.circumstances.prompts)

    # --- iterations -------------------------------------------------------------------------------

    def _iteration(self, iteration: Iteration) -> IterationReport:
        session = iteration.session
        document = self.documents[session.experiment]
        decision = document.get("decision") or {}
        return IterationReport(
            number=iteration.number,
            experiment=session.experiment,
            started=session.started,
            commit=session.commit,
            dirty=session.dirty,
            notes=iteration.notes,
            repeats=iteration.repeats,
            by_hand=iteration.by_hand,
            tried=_understood(_tried, document, iteration.tried, session.experiment),
            adopted=iteration.adopted,
            suggested=decision.get("action"),
            suggested_variant=decision.get("variant"),
            reason=str(decision.get("reason") or ""),
        )

    def _means(self, point: Point) -> Mapping[tuple[str, str], Mean]:
        document = self.documents.get(point.experiment, {})
        return dict(_understood(_means, document, point.variant, point.experiment))

    # --- remarks ----------------------------------------------------------------------------------

    def _remarks(self) -> Iterable[Remark]:
        series = self.series
        yield self._origin()
        for kind in ("running", "interrupted"):
            if ids := getattr(series, kind):
                yield Remark(
                    kind="running" if kind == "running" else "interrupted", values={"experiments": ids}
                )
        strayed = set(series.partial_strayed)
        if kept := tuple(each for each in series.partial if each not in strayed):
            yield Remark(kind="partial", values={"experiments": kept})
        if strayed:
            yield Remark(kind="partial_strayed", values={"experiments": series.partial_strayed})
        if series.earlier:
            first = series.earlier[0]
            command = f"pytest-promptune report --from {first}"
            values = {"experiment": first, "count": len(series.earlier), "command": command}
            yield Remark(kind="earlier", values=values)
        if self.found.parts:
            yield Remark(kind="parts", values={"experiments": self.found.parts})
        if self.found.others:
            yield Remark(kind="other_series", values={"experiments": self.found.others})
        yield from self._limits()

    def _origin(self) -> Remark:
        """Where the final numbers are from."""
        series, present = self.series, self.series.present.experiment
        if series.strayed:
            if series.adoption is not None:
                return Remark(kind="strayed", values={"experiment": series.strayed})
            return Remark(kind="by_hand", values={"start": series.start.experiment, "experiment": present})
        if not series.iterations:
            return Remark(kind="no_iteration")
        if series.adoption is None:
            return Remark(kind="nothing_adopted")
        kind: RemarkKind = "remeasured" if series.is_remeasured else "chosen_by_these"
        return Remark(kind=kind, values={"experiment": present})

    def _limits(self) -> Iterable[Remark]:
        """What the comparison of start and present leaves out."""
        if self.obstacle:
            before, after = self.start.circumstances, self.present.circumstances
            values = {"before": before.concurrency, "after": after.concurrency}
            yield Remark(kind="times_not_comparable", values=values)
        found = self.beside
        if found is not None:
            lost, new = (
                [name.metric for name in names] for names in (found.only_reference, found.only_candidate)
            )
            unlike = [after.metric for _, after in found.unlike]
            if lost:
                yield Remark(kind="only_initial", values={"metrics": tuple(lost)})
            if new:
                yield Remark(kind="only_final", values={"metrics": tuple(new)})
            if unlike:
                yield Remark(kind="unlike", values={"metrics": tuple(unlike)})
        absent = tuple(dict.fromkeys((*self.start.absent, *self.present.absent)))
        if absent:
            yield Remark(kind="not_computed", values={"metrics": absent})
        apps = tuple(dict.fromkeys(column.name.app for column in self.start.measured.columns))
        if len(apps) > 1:
            yield Remark(kind="several_apps", values={"apps": apps})
        runs = min(self.start.circumstances.runs, self.present.circumstances.runs)
        if runs < 3:
            yield Remark(kind="few_runs", values={"runs": runs})


def _understood(read_part: Any, document: Mapping[str, Any], which: Any, experiment: str) -> Any:
    """A part of a results document.

    Raises:
        StoreError: when it is not what this plugin writes.
    """
    try:
        return read_part(document, which)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"The results of experiment {experiment} are damaged ({type(error).__name__}: {error}). Begin "
            "the report after it with --from."
        ) from None


def _tried(document: Mapping[str, Any], names: Sequence[str]) -> tuple[Tried, ...]:
    about = {each["name"]: each for each in document.get("variants", ())}
    rows = comparisons_from(document)
    return tuple(
        Tried(
            name=name,
            description=about.get(name, {}).get("description") or "",
            changes=tuple(change_from(each) for each in about.get(name, {}).get("changes") or ()),
            one_change=bool(about.get(name, {}).get("one_change", True)),
            comparisons=tuple(
                row for row in rows if row.candidate == name and not row.reference.startswith("baseline:")
            ),
        )
        for name in names
    )


def _means(document: Mapping[str, Any], variant: str) -> dict[tuple[str, str], Mean]:
    rows = [mean_from(each) for each in document.get("metrics", ()) if each["variant"] == variant]
    return {(row.name.module, row.name.metric): row for row in rows}


def _nodes(side: Stored) -> list[NodeRow]:
    return list(
        _understood(_node_rows, side.document, side.circumstances.variant, side.circumstances.experiment)
    )


def _node_rows(document: Mapping[str, Any], variant: str) -> list[NodeRow]:
    return [node_from(each) for each in document.get("nodes", ()) if each["variant"] == variant]
