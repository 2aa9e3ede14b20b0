"""The terminal summary: a view becomes styled lines, and the plugin only writes them.

Nothing here prints, asks for the time, or knows pytest. Every text of a segment is freed of control
characters when the segment is made, so no answer of a model reaches the terminal as a command to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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
    probability,
    visible,
    wrap,
)
from pytest_promptune.core.view import ComparisonRow, MetricRow, View

_NARROWEST_NAME = 12
_INDENT = "  "
_UNGATED = " *"
_COLOURS: Mapping[str, Mapping[str, bool]] = {
    "regressed": {"red": True, "bold": True},
    "inconclusive": {"yellow": True},
    "improved": {"green": True, "bold": True},
    "unchanged": {},
}
_BOLD = {"bold": True}
_BAD = {"red": True, "bold": True}
_WARN = {"yellow": True}
_DIM = {"light": True}


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one line in one style."""

    text: str
    #: Keyword arguments of pytest's ``TerminalReporter.write``.
    markup: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", visible(self.text))


@dataclass(frozen=True, slots=True)
class Line:
    """One line, without its newline."""

    segments: tuple[Segment, ...] = ()

    @property
    def text(self) -> str:
        """The line without styles."""
        return "".join(segment.text for segment in self.segments)


def summary(view: View, *, verbosity: int, width: int) -> list[Line]:
    """What the terminal shows after the session, in lines of at most `width` columns.

    Quiet (negative verbosity) is one line, or none below -1, unless something is wrong. A check that
    found nothing wrong is short; everything else comes with its tables.
    """
    width = max(width, 20)
    if view.interrupted:
        more = [*_warnings(view, width), *_errors(view, width), *_written(view, width)]
        return [*_paragraph(_titled(view), width, _WARN), *(more if verbosity >= 0 else [])]
    if verbosity < 0:
        return _quiet(view, verbosity, width)
    if view.mode == "check" and verbosity == 0 and not wording.is_wrong(view):
        return _short(view, width)
    return _full(view, verbosity, width)


# -- the three lengths -----------------------------------------------------------------------------------


def _quiet(view: View, verbosity: int, width: int) -> list[Line]:
    if wording.is_wrong(view):
        lines = [*_paragraph(_titled(view), width, _BAD), *_failures(view, width), *_warnings(view, width)]
        return [*lines, *_command(view, width), *_written(view, width)]
    return [*_one_line(view, width), *_warnings(view, width)] if verbosity == -1 else []


def _short(view: View, width: int) -> list[Line]:
    lines = [*_one_line(view, width), *_warnings(view, width)]
    for text in wording.undecided(row for row in view.comparisons if row.gated):
        lines += _paragraph(text, width, _WARN, _INDENT)
    for what, metric, ids in wording.case_changes(view.comparisons):
        lines += _ids(what, metric, ids, width) if not metric else []
    lines += _errors(view, width)
    to_do = [item for item in view.baselines if item.detail or item.action == "missing"]
    lines += _bullets((wording.baseline(item) for item in to_do), width)
    return [*lines, *_bullets(view.notes, width), *_command(view, width), *_written(view, width)]


def _full(view: View, verbosity: int, width: int) -> list[Line]:
    lines = [_rule(f"promptune: {view.mode}", width), *_paragraph(wording.effort(view), width, _DIM)]
    for rows in wording.comparisons(view):
        lines += _comparison(rows, view, verbosity, width)
    if view.mode == "baseline" or verbosity > 0 or not view.comparisons:
        for measured in wording.measurements(view):
            lines += _measurement(measured, view, width)
    if view.comparisons:
        lines += [Line(), *_paragraph(wording.scope(view), width, _DIM)]
    lines += _errors(view, width)
    lines += _bullets((wording.baseline(item) for item in view.baselines), width, "Baselines")
    lines += _warnings(view, width, "Warnings")
    lines += _bullets(view.notes, width, "Notes")
    if wording.is_wrong(view):
        title = "Gate: failed" if wording.failed(view) else "Regressed, but the gate is off"
        lines += [Line(), _line(title, _BAD), *_failures(view, width)]
    if view.decision:
        lines += [Line(), *_paragraph(f"Next: {wording.decision(view.decision)}", width, _BOLD)]
    return [*lines, *_command(view, width), *_written(view, width)]


def _one_line(view: View, width: int) -> list[Line]:
    """The result, with as much of the conditions as fits on the line."""
    text = _titled(view)
    colour = _WARN if not view.comparisons and view.mode != "baseline" else {}
    for detail in _details(view):
        if columns(text) + columns(detail) <= width:
            text += detail
    return [_line(cut(text, width), colour)]


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
    lines = [Line(), *_paragraph(title + wording.against(first.reference), width, _BOLD)]
    lines += _verdicts(tested, width)
    for text in wording.constants(shown):
        lines += _paragraph(text, width, indent=_INDENT)
    for text in wording.undecided(shown):
        lines += _paragraph(text, width, indent=_INDENT)
    for what, metric, ids in wording.case_changes(row for row in shown if row.gated or verbosity > 0):
        lines += _ids(what, metric, ids, width)
    unnoticed = wording.detectable(rows, view.experiment.runs)
    if unnoticed:
        lines += _paragraph(f"{unnoticed[0].upper()}{unnoticed[1:]}.", width, indent=_INDENT)
    if any(not row.gated for row in tested):
        lines += _paragraph("* compared and reported, not gated", width, _DIM, _INDENT)
    return lines


def _verdicts(rows: Sequence[ComparisonRow], width: int) -> list[Line]:
    """The table; its verdicts are headings, since at 80 columns they would leave no room for names."""
    if not rows:
        return []
    sides = [cut(wording.column(side), 10) for side in (rows[0].reference, rows[0].candidate)]
    header, body = ["", *sides, "difference [interval]", "p", "adj. p"], [_cells(row) for row in rows]
    if not any(adjusted(row) for row in rows):
        header, body = header[:-1], [cells[:-1] for cells in body]
    table = _table(header, body, width, right=(1, 2, 4, 5))
    lines = [_line(text, _DIM) for text in table.header]
    verdict = ""
    for row, block in zip(rows, table.rows, strict=True):
        if row.verdict != verdict:
            verdict = row.verdict
            lines.append(_line(_INDENT + wording.VERDICTS[verdict], _COLOURS[verdict] or _BOLD))
        lines += [_line(text, _COLOURS[verdict] if row.gated else {}) for text in block]
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


def _measurement(rows: Sequence[MetricRow], view: View, width: int) -> list[Line]:
    """The metrics of one app under one variant."""
    first = rows[0]
    title = f"{wording.app_title(first.name, wording.modules(view))}: {clean(first.variant)}"
    header = ["", "mean", "95 % interval", "sd of runs", "flaky"]
    header[2] = f"{(1 - view.experiment.alpha) * 100:.6g} % interval"
    table = _table(header, [_measured(row) for row in rows], width, right=(1, 3, 4))
    lines = [Line(), *_paragraph(title, width, _BOLD), *(_line(text, _DIM) for text in table.header)]
    lines += [_line(text) for block in table.rows for text in block]
    for row in rows:
        lines += _ids("flaky", wording.label(row.name), row.flaky_cases, width) if row.flaky_cases else []
    return lines


def _measured(row: MetricRow) -> list[str]:
    return [
        wording.label(row.name),
        mean(row.name, row.mean),
        interval(row.name, row.ci),
        deviation(row.name, row.sd_of_runs),
        str(len(row.flaky_cases)) if row.name.kind == "binary" else UNKNOWN,
    ]


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows as lines; a row that does not fit in one line has several."""

    header: list[str]
    rows: list[list[str]]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int, right: Sequence[int]) -> _Table:
    """Columns where they fit beside short names, longer names on lines of their own; else all stacked."""
    widths = [max(columns(row[i]) for row in (header, *rows)) for i in range(len(header))]
    margin = 2 * _INDENT
    room = width - len(margin) - sum(widths[1:]) - 2 * (len(widths) - 1)
    if room < min(widths[0], _NARROWEST_NAME):
        return _Table([], [_stacked(header, row, width) for row in rows])
    widths[0] = min(widths[0], room)

    def lines(cells: Sequence[str]) -> list[str]:
        if columns(cells[0]) > room:
            return [cut(margin + cells[0], width), *lines(["", *cells[1:]])]
        padded = [_pad(text, widths[i], i in right) for i, text in enumerate(cells)]
        return [(margin + "  ".join(padded)).rstrip()]

    return _Table(lines(header), [lines(row) for row in rows])


def _stacked(header: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    indent = 3 * _INDENT
    values = ", ".join(f"{name} {text}" for name, text in zip(header[1:], row[1:], strict=True) if text)
    name = cut(2 * _INDENT + row[0], width)
    return [name, *(indent + line for line in wrap(values, width - len(indent)))]


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - columns(text))
    return space + text if right else text + space


# -- lists -----------------------------------------------------------------------------------------------


def _ids(what: str, metric: str, ids: Sequence[str], width: int) -> list[Line]:
    """One line of case ids, cut to the width with a count."""
    head = f"{_INDENT}cases {what}{f' ({metric})' if metric else ''}: "
    if columns(head) > width - 12:
        head = cut(head, max(width - 14, 6)) + ": "
    return [_line(head + listed(ids, width - columns(head)))]


def _errors(view: View, width: int) -> list[Line]:
    """Errors that are alike, once each."""
    lines = [Line(), _line("Errors", _BOLD)] if view.errors else []
    for item in view.errors:
        head = f"{_INDENT}{wording.error_count(item)}"
        lines += _paragraph(f"{head.strip()}:", width, _WARN if item.infrastructure else _BAD, _INDENT)
        lines.append(_line(cut(2 * _INDENT + clean(item.error), width)))
        if item.cases:
            label = f"{2 * _INDENT}cases "
            lines.append(_line(label + listed(item.cases, width - len(label))))
    return lines


def _failures(view: View, width: int) -> list[Line]:
    """Every failed gate and every regression no gate failed for, in full: nothing here is cut."""
    texts = wording.failed(view) + [wording.regression(row) for row in wording.regressed(view)]
    return [line for text in texts for line in _paragraph(text, width, {"red": True}, _INDENT)]


def _bullets(texts: Iterable[str], width: int, title: str = "") -> list[Line]:
    lines = [line for text in texts for line in _paragraph(text, width, indent=_INDENT)]
    return [Line(), _line(title, _BOLD), *lines] if title and lines else lines


def _warnings(view: View, width: int, title: str = "") -> list[Line]:
    """What limits the verdict, in a colour that says so."""
    lines = [line for text in view.warnings for line in _paragraph(text, width, _WARN, _INDENT)]
    return [Line(), _line(title, _BOLD), *lines] if title and lines else lines


def _written(view: View, width: int) -> list[Line]:
    """Where to read more."""
    return _paragraph(f"Written: {', '.join(view.written)}", width, _DIM, _INDENT) if view.written else []


def _command(view: View, width: int) -> list[Line]:
    """The command to run next, never broken over lines: it is there to be copied."""
    if view.decision is None or not view.decision.command:
        return []
    return [_line(cut(f"{_INDENT}$ {clean(view.decision.command)}", max(width, 200)), {"cyan": True})]


# -- lines -----------------------------------------------------------------------------------------------


def _line(text: str, markup: Mapping[str, bool] | None = None) -> Line:
    return Line((Segment(text, markup or {}),)) if text else Line()


def _paragraph(
    text: str, width: int, markup: Mapping[str, bool] | None = None, indent: str = ""
) -> list[Line]:
    """`text` wrapped, with a hanging indent after the first line."""
    hanging = indent + _INDENT
    lines = wrap(clean(text), width - len(hanging))
    return [_line((hanging if i else indent) + line, markup) for i, line in enumerate(lines)]


def _rule(title: str, width: int) -> Line:
    side = "=" * max((width - columns(title) - 2) // 2, 1)
    return _line(cut(f"{side} {title} {side}{'=' * width}", width + 1).removesuffix("…")[:width], _BOLD)
