"""The final report as GitHub renders it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pytest_promptune.core.display import effect, mean, percent, probability
from pytest_promptune.core.model import Change
from pytest_promptune.core.series.final import (
    CaseChanges,
    FinalReport,
    GoalChange,
    IterationReport,
    MetricChange,
    Tried,
)
from pytest_promptune.core.series.model import Session
from pytest_promptune.core.view import ComparisonRow
from pytest_promptune.report import changes
from pytest_promptune.report.escape import code
from pytest_promptune.report.final import tables, tracing
from pytest_promptune.report.markdown import Picture
from pytest_promptune.report.templating import render
from pytest_promptune.report.words import Words

TEMPLATE = "final/report.md.j2"
#: More cases than these are folded away.
_UNFOLDED = 12
#: And longer diffs.
_LONG_DIFF = 30
#: Values of recommendations that are numbers with their units, and no words of users.
_NUMBERS = frozenset(
    {"value", "interval", "target", "gap", "before", "after", "cost", "time", "share", "numbers"}
)
_KINDS = ("binary", "latency", "cost")


def render_final(
    report: FinalReport,
    *,
    language: str = "en",
    templates: Path | None = None,
    plots: Sequence[Picture] = (),
    plots_hint: str = "",
) -> str:
    """The report as Markdown.

    Args:
        report: what it says.
        language: one of `words.LANGUAGES`.
        templates: folder whose ``final/*.md.j2`` replace ours.
        plots: pictures that go with it.
        plots_hint: why there are none.

    Raises:
        ReportError: when a template has an error or asks for a value that does not exist.
    """
    found = values(report, Words(language)) | {"plots": tuple(plots), "plots_hint": plots_hint}
    return render(TEMPLATE, found, templates=templates)


def values(report: FinalReport, w: Words) -> dict[str, Any]:
    """What templates can use."""
    return {
        "report": report,
        "t": w,
        "title": w("title", apps=_names(report.apps, w)),
        "headline": _headline(report, w),
        "lines": _lines(report, w),
        "price": _price(report, w),
        "remarks": [w(f"m_{each.kind}", **each.values) for each in report.remarks],
        "results": tables.results(report, w),
        "goals": tables.goal_table(report, w),
        "goal_notes": _goal_notes(report, w) if report.goals else [],
        "conditions": tables.conditions(report, w),
        "differences": [
            w(f"d_{each.what}", before=each.before, after=each.after) for each in report.differences
        ],
        "traces": tracing.measurements(report, w),
        "prompts": tracing.prompts(report, w),
        "prompts_note": tracing.prompts_note(report, w),
        "start": _start(report, w),
        "iterations": [_iteration(each, report, w) for each in report.iterations],
        "cases": [_cases(each, report, w) for each in _shown_cases(report) if _has_changes(each)],
        "cases_same": _same_cases(report, w),
        "cases_about": _about_cases(report, w),
        "nodes": tables.node_table(report.nodes, report, w),
        "plots": (),
        "plots_hint": "",
        "recommendations": [_recommended(each.kind, each.values, w) for each in report.recommendations],
        "method": list(_method(report, w)),
    }


def _names(names: Iterable[str], w: Words) -> Markup:
    return Markup(w.plain("list")).join(code(name) for name in names)


# -- summary ---------------------------------------------------------------------------------------


def _headline(report: FinalReport, w: Words) -> list[Markup]:
    adopted = [each.adopted.variant for each in report.iterations if each.adopted is not None]
    told = _names(adopted, w) if adopted else w("none")
    found = [w("headline", iterations=len(report.iterations), adopted=told)]
    if report.goals or report.unjudged:
        attained = report.goals_with(lambda row: row.status == "attained")
        met = report.goals_with(lambda row: bool(row.met))
        found.append(w("headline_goals", met=met, attained=attained, goals=report.number_of_goals))
        needed = report.goals_needed
        found.append(w("rule_all") if needed is None else w("rule_any", needed=needed))
    return found


def _lines(report: FinalReport, w: Words) -> list[Markup]:
    """One for each goal; where none is judged, for each gated metric that isn't the same throughout."""
    unjudged = [w(f"unjudged_{each.why}", goal=each.goal) for each in report.unjudged]
    if report.goals:
        metrics = {(each.name.module, each.name.metric): each for each in report.metrics}
        return [
            _goal_line(each, metrics.get((each.name.module, each.name.metric)), report, w)
            for each in report.goals
        ] + unjudged
    changed = [each for each in report.metrics if each.gated and not _is_constant(each)]
    return unjudged + [_metric_line(each, report, w) for each in changed]


def _is_constant(each: MetricChange) -> bool:
    return each.comparison is not None and each.comparison.constant


def _goal_line(goal: GoalChange, metric: MetricChange | None, report: FinalReport, w: Words) -> Markup:
    row = goal.final
    result = w("result_goal", target=tables.target(row, w), status=tables.status(row, w))
    what = w("goal_of", goal=row.goal, metric=tables.goal_metric(row, report, w))
    comparison = metric.comparison if metric is not None and row.percentile is None else None
    before, after = mean(goal.name, goal.initial.value), mean(goal.name, row.value)
    return _line(what, before, after, comparison, result, is_changed=report.is_changed, w=w)


def _metric_line(each: MetricChange, report: FinalReport, w: Words) -> Markup:
    row = each.comparison
    result = w("result_none")
    if row is not None:
        result = w("result_verdict", verdict=w(f"verdict_{row.verdict}"))
    before, after = (mean(each.name, None if m is None else m.mean) for m in (each.initial, each.final))
    if not report.is_changed:
        after = before
    return _line(
        tables.name_of(each.name, report, w), before, after, row, result, is_changed=report.is_changed, w=w
    )


def _line(
    what: Markup,
    before: str,
    after: str,
    row: ComparisonRow | None,
    result: Markup,
    *,
    is_changed: bool,
    w: Words,
) -> Markup:
    if not is_changed:
        return w("line_still", what=what, after=w.number(after), result=result)
    moved = {"what": what, "before": w.number(before), "after": w.number(after), "result": result}
    if row is None or row.p is None or row.constant:
        return w("line_moved", **moved)
    p = probability(row.p_adjusted if row.gated and row.p_adjusted is not None else row.p)
    return w("line_compared", effect=w.number(effect(row)), p=p, **moved)


def _price(report: FinalReport, w: Words) -> Markup | str:
    """Times, tokens and cost that rose: no gate says so, and nobody adopts a variant without knowing."""
    rows = [each.comparison for each in report.metrics if not each.gated and each.comparison is not None]
    worse = [r for r in rows if r.name.kind in ("latency", "cost") and r.verdict == "regressed"]
    if not worse:
        return ""
    told = [
        w("price_of", metric=tables.name_of(row.name, report, w), effect=w.number(effect(row)))
        for row in worse
    ]
    return w("price", metrics=Markup(w.plain("list")).join(told))


def _goal_notes(report: FinalReport, w: Words) -> list[Markup]:
    needed = report.goals_needed
    return [w("note_goals"), w("rule_all") if needed is None else w("rule_any", needed=needed)]


# -- iterations ------------------------------------------------------------------------------------


def _iteration(each: IterationReport, report: FinalReport, w: Words) -> dict[str, Any]:
    table = tables.tried_table(each.tried, report, w)
    return {
        "title": w("iteration", number=each.number, variants=_names((t.name for t in each.tried), w)),
        "about": [*_about(each, w), *_level(each, report, w)],
        "notes": _notes(each.notes, w),
        "table": table,
        "changes": [_changes(tried, w) for tried in each.tried],
        "decision": _decision(each, w),
        "reason": w("reason", reason=each.reason) if each.reason and each.adopted is None else "",
    }


def _start(report: FinalReport, w: Words) -> dict[str, Any]:
    """What is to be said of the starting point where it is no iteration as well: what was noted of it."""
    begins = report.series.begins
    is_iteration = any(each.experiment == begins.experiment for each in report.iterations)
    notes = _notes([begins.note] if begins.note and not is_iteration else [], w)
    about = _measured_as(begins.experiment, begins.started, begins.commit, w, dirty=begins.dirty)
    return {"title": w("iteration_start"), "about": [about], "notes": notes}


def _notes(notes: Iterable[str], w: Words) -> list[Markup]:
    return [w("note", note=note) for note in notes]


def _about(each: IterationReport, w: Words) -> list[Markup]:
    found = [_measured_as(each.experiment, each.started, each.commit, w, dirty=each.dirty)]
    if each.repeats:
        found.append(
            w("iteration_repeats", repeats=Markup(w.plain("list")).join(_repeat(r, w) for r in each.repeats))
        )
    if each.by_hand:
        found.append(w("iteration_by_hand", prompts=each.by_hand))
    return found


def _repeat(each: Session, w: Words) -> Markup:
    return w(
        "repeat", experiment=each.experiment, cases=each.cases, runs=each.runs, metrics=len(each.measured)
    )


def _measured_as(
    experiment: str, started: str, commit: str | None, w: Words, *, dirty: bool | None
) -> Markup:
    shown: Markup | None = code(commit) if commit else None
    if shown is not None and dirty:
        shown = w("with_changes", commit=shown)
    return w("iteration_of", experiment=experiment, date=started[:10], commit=shown)


def _level(each: IterationReport, report: FinalReport, w: Words) -> list[Markup]:
    """Where a session looked before all runs were there, its intervals are wider."""
    levels = {row.alpha for tried in each.tried for row in tried.comparisons} - {None, report.alpha}
    told = [percent(1 - level, digits=5) for level in sorted(filter(None, levels))]
    return [w("iteration_level", level=", ".join(told))] if told else []


def _changes(tried: Tried, w: Words) -> dict[str, Any]:
    prompts = [each for each in tried.changes if each.what == "prompt"]
    others = [each for each in tried.changes if each.what != "prompt"]
    return {
        "title": w("changed", variant=tried.name)
        if tried.changes
        else w("changed_unknown", variant=tried.name),
        "description": tried.description,
        "warning": "" if tried.one_change else w("not_one_change"),
        "diffs": [_diff(each, tried.name, w) for each in prompts],
        "parameters": changes.parameters(others, tried.name, name=w("c_parameter")) if others else None,
    }


def _diff(change: Change, variant: str, w: Words) -> dict[str, Any]:
    key = "change_of" if change.before is not None else "change_of_unknown"
    diff = changes.diff(change, variant, more=w.plain("more_lines"))
    lines = diff.count("\n") - 1
    return {
        "title": w(key, kind=_kind(change.kind, w), target=code(change.target)),
        "diff": diff,
        "fold": w("show_diff", lines=lines) if lines > _LONG_DIFF else "",
    }


def _kind(kind: str, w: Words) -> str:
    return w(f"kind_{kind}") if kind in ("template", "context", "node", "builder") else kind


def _decision(each: IterationReport, w: Words) -> list[Markup]:
    if each.adopted is not None:
        commit: Markup | None = code(each.adopted.commit[:10]) if each.adopted.commit else None
        if commit is not None and each.adopted.is_elsewhere:
            commit = w("elsewhere", commit=commit)
        return [w("decided_adopted", variant=each.adopted.variant, date=each.adopted.at[:10], commit=commit)]
    found = [w("decided_nothing")]
    if each.suggested in ("record", "adopt", "continue", "stop", "plateau", "investigate"):
        action = w(f"action_{each.suggested}")
        found.append(
            w("suggested_variant", action=action, variant=each.suggested_variant)
            if each.suggested_variant
            else w("suggested", action=action)
        )
    return found


# -- cases and recommendations -----------------------------------------------------------------------


def _shown_cases(report: FinalReport) -> Sequence[CaseChanges]:
    return report.suggested_cases.cases if report.suggested_cases else report.cases


def _about_cases(report: FinalReport, w: Words) -> Markup | str:
    """Which states are compared case by case where there is no final one, or why none are."""
    found = report.suggested_cases
    if found is not None:
        return w("cases_suggested", iteration=found.iteration, variant=found.variant)
    return w("cases_none") if report.iterations and not report.is_changed else ""


def _has_changes(found: CaseChanges) -> bool:
    return found.count("kept") < len(found.cases)


def _same_cases(report: FinalReport, w: Words) -> Markup | str:
    same = [tables.name_of(each.name, report, w) for each in _shown_cases(report) if not _has_changes(each)]
    return w("cases_same", metrics=Markup(w.plain("list")).join(same)) if same else ""


def _cases(found: CaseChanges, report: FinalReport, w: Words) -> dict[str, Any]:
    counts = {name: found.count(name) for name in ("improved", "kept", "degraded")}
    told = [w("cases_counts", confirmed=found.confirmed, **counts)]
    if unknown := found.count("unknown"):
        told.append(w("cases_unknown", unknown=unknown))
    table = tables.case_table(found, w, is_final=report.is_changed)
    is_folded = len(table.rows) > _UNFOLDED
    return {
        "title": tables.name_of(found.name, report, w),
        "counts": told,
        "table": table,
        "fold": w("show_cases", number=len(table.rows)) if is_folded else "",
    }


def _recommended(kind: str, given: Any, w: Words) -> Markup:
    filled = dict(given)
    filled |= {name: w.number(str(filled[name])) for name in _NUMBERS & set(filled)}
    if "status" in filled:
        filled["status"] = w(f"status_{filled['status']}")
    return w(f"r_{kind}", **filled)


# -- how it was computed -----------------------------------------------------------------------------


def _method(report: FinalReport, w: Words) -> Iterable[Markup]:
    compared = [each.comparison for each in report.metrics if each.comparison is not None]
    compared += [row for each in report.iterations for tried in each.tried for row in tried.comparisons]
    if compared:
        yield w("w_effect")
        yield from (w(f"w_{scope}") for scope in ("suite", "population") if _has(compared, scope))
        yield w("w_interval", level=tables.level(report))
        kinds = {row.name.kind for row in compared}
        yield from (w(f"w_{kind}") for kind in _KINDS if kind in kinds)
        yield w("w_adjusted")
    if _shown_cases(report):
        yield w("w_cases")
    if report.start.experiment != report.present.experiment:
        yield w("w_apart")
    yield w("w_recommendations")
    yield w("w_unknown")


def _has(rows: Iterable[ComparisonRow], scope: str) -> bool:
    return any(row.scope == scope for row in rows)
