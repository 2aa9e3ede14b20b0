"""The terminal summary: a view becomes styled lines, and the plugin only writes them.

Nothing here prints, asks for the time, or knows pytest. Every text of a segment is freed of control
characters when the segment is made, so no answer of a model reaches the terminal as a command to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_promptune.core import wording
from pytest_promptune.core.display import (
    UNKNOWN,
    adjusted,
    clean,
    columns,
    cut,
    deviation,
    effect,
    interval,
    listed,
    mean,
    percent,
    probability,
)
from pytest_promptune.core.goals import wording as goal_wording
from pytest_promptune.core.lines import (
    BAD,
    BOLD,
    DIM,
    INDENT,
    WARN,
    Line,
    bullets,
    line,
    paragraph,
    rule,
    styled,
    table,
)
from pytest_promptune.core.view import ComparisonRow, MetricRow, View
from pytest_promptune.terminal_analysis import analysis
from pytest_promptune.terminal_nodes import nodes

_UNGATED = " *"
_COLOURS: Mapping[str, Mapping[str, bool]] = {
    "regressed": {"red": True, "bold": True},
    "inconclusive": {"yellow": True},
    "improved": {"green": True, "bold": True},
    "unchanged": {},
}
_GOAL_COLOURS: Mapping[str, Mapping[str, bool]] = {
    "attained": {"green": True},
    "missed": {"red": True},
    "unclear": {"yellow": True},
}


#: Variants of which each gets a sentence about each goal.
_FEW_VARIANTS = 3


def summary(view: View, *, verbosity: int, width: int) -> list[Line]:
    """What the terminal shows after the session, in lines of at most `width` columns.

    Quiet (negative verbosity) is one line, and of a comparison of variants a second one that says what to
    do next; or none below -1, unless something is wrong. A check that found nothing wrong is short;
    everything else comes with its tables.
    """
    width = max(width, 20)
    if view.interrupted:
        more = [*_warnings(view, width), *_errors(view, width), *_written(view, width)]
        return [*paragraph(_titled(view), width, WARN), *(more if verbosity >= 0 else [])]
    if verbosity < 0:
        return _quiet(view, verbosity, width)
    if view.mode == "check" and verbosity == 0 and not wording.is_wrong(view):
        return _short(view, width)
    return _full(view, verbosity, width)


# -- the three lengths -----------------------------------------------------------------------------------


def _quiet(view: View, verbosity: int, width: int) -> list[Line]:
    if wording.is_wrong(view):
        lines = [*paragraph(_titled(view), width, BAD), *_failures(view, width), *_warnings(view, width)]
        lines += _in_one_line(view, width) if view.mode == "compare" else _next(view, width)
        return [*lines, *_written(view, width)]
    if verbosity < -1:
        return []
    lines = [*_one_line(view, width), *_warnings(view, width)]
    return [*lines, *(_in_one_line(view, width) if view.mode == "compare" else [])]


def _short(view: View, width: int) -> list[Line]:
    lines = [*_one_line(view, width), *_warnings(view, width)]
    for text in wording.undecided(row for row in view.comparisons if row.gated):
        lines += paragraph(text, width, WARN, INDENT)
    for what, metric, ids in wording.case_changes(view.comparisons):
        lines += _ids(what, metric, ids, width) if not metric else []
    lines += _goals(view, 0, width)
    lines += _errors(view, width)
    to_do = [item for item in view.baselines if item.detail or item.action == "missing"]
    lines += bullets((wording.baseline(item) for item in to_do), width)
    return [*lines, *bullets(view.notes, width), *_command(view, width), *_written(view, width)]


def _full(view: View, verbosity: int, width: int) -> list[Line]:
    lines = [rule(f"promptune: {view.mode}", width), *paragraph(wording.effort(view), width, DIM)]
    for rows in wording.comparisons(view):
        lines += _comparison(rows, view, verbosity, width)
    if view.mode == "baseline" or verbosity > 0 or not view.comparisons:
        for measured in wording.measurements(view):
            lines += _measurement(measured, view, verbosity, width)
    lines += [*_classes(view, width), *nodes(view, width)]
    lines += analysis(view, verbosity=verbosity, width=width)
    if view.goals:
        lines += [Line(), line("Goals", BOLD), *_goals(view, verbosity, width)]
    if view.comparisons:
        lines += [Line(), *paragraph(wording.scope(view), width, DIM)]
    lines += _errors(view, width)
    lines += bullets((wording.baseline(item) for item in view.baselines), width, "Baselines")
    lines += _warnings(view, width, "Warnings")
    lines += bullets(view.notes, width, "Notes")
    if wording.is_wrong(view):
        title = "Gate: failed" if wording.failed(view) else "Regressed, but the gate is off"
        lines += [Line(), line(title, BAD), *_failures(view, width)]
    if view.decision:
        lines += [Line(), *_next(view, width)]
    return [*lines, *_written(view, width)]


def compared_tables(view: View, *, verbosity: int, width: int) -> list[Line]:
    """What stored experiments are to each other: the tables of the summary, without those of a session."""
    lines = []
    for rows in wording.comparisons(view):
        lines += _comparison(rows, view, verbosity, width)
    lines += [Line(), *paragraph(wording.scope(view), width, DIM)] if view.comparisons else []
    lines += [*_errors(view, width), *_warnings(view, width, "Warnings")]
    lines += bullets(view.notes, width, "Notes")
    if wording.is_wrong(view):
        lines += [Line(), line("Worse", BAD), *_failures(view, width)]
    return lines


def _one_line(view: View, width: int) -> list[Line]:
    """The result, with as much of the conditions as fits on the line."""
    text = _titled(view)
    colour = WARN if not view.comparisons and view.mode != "baseline" else {}
    for detail in _details(view):
        if columns(text) + columns(detail) <= width:
            text += detail
    return [line(cut(text, width), colour)]


def _details(view: View) -> Iterable[str]:
    if not view.comparisons:
        return
    sensitivity = [
        row.minimum_detectable
        for row in view.comparisons
        if row.gated and row.name.kind == "binary" and row.minimum_detectable is not None and not row.constant
    ]
    size = wording.size(view.experiment.cases, view.experiment.runs)
    found = any(row.verdict != "unchanged" for row in view.comparisons if row.gated)
    if sensitivity and not found:
        yield f" ({size} detect {max(sensitivity) * 100:.2g} points or more)"
    else:
        yield f" ({size})"
    if view.experiment.errored:
        yield f", {view.experiment.errored} errored"


def _titled(view: View) -> str:
    return f"promptune: {wording.headline(view)}"


# -- tables ----------------------------------------------------------------------------------------------


def _comparison(rows: wording.Comparison, view: View, verbosity: int, width: int) -> list[Line]:
    """One candidate against one reference: a table by verdict, then what happened to its cases."""
    first = rows[0]
    shown = [row for row in rows if row.gated or verbosity > 0 or view.mode == "compare"]
    tested = [row for row in shown if not row.constant]
    title = f"{wording.app_title(first.name, wording.modules(view))}: {clean(first.candidate)} against "
    lines = [Line(), *paragraph(title + wording.against(first.reference), width, BOLD)]
    lines += _verdicts(tested, width)
    for text in wording.constants(shown):
        lines += paragraph(text, width, indent=INDENT)
    for text in wording.reasons(shown) if verbosity > 0 else wording.undecided(shown):
        lines += paragraph(text, width, indent=INDENT)
    for what, metric, ids in wording.case_changes(row for row in shown if row.gated or verbosity > 0):
        lines += _ids(what, metric, ids, width)
    unnoticed = wording.detectable(rows, view.experiment.runs)
    if unnoticed:
        lines += paragraph(f"{unnoticed[0].upper()}{unnoticed[1:]}.", width, indent=INDENT)
    if any(not row.gated for row in tested):
        lines += paragraph("* compared and reported, not gated", width, DIM, INDENT)
    return lines


def _verdicts(rows: Sequence[ComparisonRow], width: int) -> list[Line]:
    """The table; its verdicts are headings, since at 80 columns they would leave no room for names."""
    if not rows:
        return []
    sides = [cut(wording.column(side), 10) for side in (rows[0].reference, rows[0].candidate)]
    header, body = ["", *sides, "difference [interval]", "p", "adj. p"], [_cells(row) for row in rows]
    if not any(adjusted(row) for row in rows):
        header, body = header[:-1], [cells[:-1] for cells in body]
    laid_out = table(header, body, width, right=(1, 2, 4, 5))
    lines = [line(text, DIM) for text in laid_out.header]
    verdict = ""
    for row, block in zip(rows, laid_out.rows, strict=True):
        if row.verdict != verdict:
            verdict = row.verdict
            lines.append(line(INDENT + wording.VERDICTS[verdict], _COLOURS[verdict] or BOLD))
        lines += [line(text, _COLOURS[verdict] if row.gated else {}) for text in block]
    return lines


def _cells(row: ComparisonRow) -> list[str]:
    return [
        wording.label(row.name) + ("" if row.gated else _UNGATED),
        mean(row.name, row.reference_mean),
        mean(row.name, row.candidate_mean),
        effect(row),
        probability(row.p),
        adjusted(row),
    ]


def _measurement(rows: Sequence[MetricRow], view: View, verbosity: int, width: int) -> list[Line]:
    """The metrics of one app under one variant."""
    first = rows[0]
    title = f"{wording.app_title(first.name, wording.modules(view))}: {clean(first.variant)}"
    header = ["", "mean", f"{percent(1 - view.experiment.alpha)} interval", "sd of runs", "flaky"]
    laid_out = table(header, [_measured(row) for row in rows], width, right=(1, 3, 4))
    lines = [Line(), *paragraph(title, width, BOLD), *styled(laid_out)]
    for row in rows:
        lines += _ids("flaky", wording.label(row.name), row.flaky_cases, width) if row.flaky_cases else []
        for text in wording.passes(row) if verbosity > 0 else []:
            lines += paragraph(f"{wording.label(row.name)}: {text}", width, indent=INDENT)
    return lines


def _measured(row: MetricRow) -> list[str]:
    return [
        wording.label(row.name),
        mean(row.name, row.mean),
        interval(row.name, row.ci),
        deviation(row.name, row.sd_of_runs),
        str(len(row.flaky_cases)) if row.name.kind == "binary" else UNKNOWN,
    ]


def _classes(view: View, width: int) -> list[Line]:
    """Which class is taken for which, a line for each test and variant."""
    lines = [each for row in view.classes for each in paragraph(wording.classes(row), width, indent=INDENT)]
    return [Line(), line("Classes", BOLD), *lines] if lines else []


def _goals(view: View, verbosity: int, width: int) -> list[Line]:
    """Whether each goal is reached: a sentence for each variant, or a line for each status of many."""
    lines: list[Line] = []
    for of_goal in goal_wording.by_goal(view.goals):
        if len(of_goal) <= _FEW_VARIANTS or verbosity > 0:
            for row in of_goal:
                lines += paragraph(goal_wording.sentence(row), width, _GOAL_COLOURS[row.status], INDENT)
            continue
        lines += paragraph(f"{goal_wording.heading(of_goal[0])}:", width, indent=INDENT)
        for told, rows in goal_wording.by_status(of_goal):
            text = f"{told}: {', '.join(map(goal_wording.reached, rows))}"
            lines += paragraph(text, width, _GOAL_COLOURS[rows[0].status], INDENT * 2)
    rule_of_all = f"Passing rule: {view.passing_rule}" if view.goals else ""
    return [*lines, *paragraph(rule_of_all, width, DIM, INDENT)] if lines else []


# -- lists -----------------------------------------------------------------------------------------------


def _ids(what: str, metric: str, ids: Sequence[str], width: int) -> list[Line]:
    """One line of case ids, cut to the width with a count."""
    head = f"{INDENT}cases {what}{f' ({metric})' if metric else ''}: "
    if columns(head) > width - 12:
        head = cut(head, max(width - 14, 6)) + ": "
    return [line(head + listed(ids, width - columns(head)))]


def _errors(view: View, width: int) -> list[Line]:
    """Errors that are alike, once each."""
    lines = [Line(), line("Errors", BOLD)] if view.errors else []
    for item in view.errors:
        head = f"{INDENT}{wording.error_count(item)}"
        lines += paragraph(f"{head.strip()}:", width, WARN if item.infrastructure else BAD, INDENT)
        lines.append(line(cut(2 * INDENT + clean(item.error), width)))
        if item.cases:
            label = f"{2 * INDENT}cases "
            lines.append(line(label + listed(item.cases, width - len(label))))
    return lines


def _failures(view: View, width: int) -> list[Line]:
    """Every failed gate and every regression no gate failed for, in full: nothing here is cut."""
    texts = wording.failed(view) + [wording.regression(row) for row in wording.regressed(view)]
    return [each for text in texts for each in paragraph(text, width, {"red": True}, INDENT)]


def _warnings(view: View, width: int, title: str = "") -> list[Line]:
    """What limits the verdict, in a colour that says so."""
    lines = [each for text in view.warnings for each in paragraph(text, width, WARN, INDENT)]
    return [Line(), line(title, BOLD), *lines] if title and lines else lines


def _written(view: View, width: int) -> list[Line]:
    """Where to read more."""
    return paragraph(f"Written: {', '.join(view.written)}", width, DIM, INDENT) if view.written else []


def _next(view: View, width: int) -> list[Line]:
    """What to do next and why, and the command for it."""
    if view.decision is None:
        return []
    said = paragraph(f"Next: {wording.decision(view.decision)}", width, BOLD)
    return [*said, *_command(view, width)]


def _in_one_line(view: View, width: int) -> list[Line]:
    """What to do next with the command for it, below it where the line is too short for both; else why."""
    if view.decision is None or not view.decision.command:
        return _next(view, width)
    head = f"Next: {wording.action(view.decision)}:"
    whole = f"{head} {clean(view.decision.command)}"
    if columns(whole) <= width:
        return [line(whole, BOLD)]
    return [*paragraph(head, width, BOLD), *_command(view, width)]


def _command(view: View, width: int) -> list[Line]:
    """The command to run next, never broken over lines: it is there to be copied."""
    if view.decision is None or not view.decision.command:
        return []
    return [line(cut(f"{INDENT}$ {clean(view.decision.command)}", max(width, 200)), {"cyan": True})]
