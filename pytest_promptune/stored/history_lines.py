"""The history as a table: a row for each experiment and variant, a column for each main metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from pytest_promptune.core.display import UNKNOWN, change, clean, columns, count, cut, mean, money
from pytest_promptune.core.lines import BOLD, DIM, INDENT, Line, line, paragraph, table_lines
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.view import MetricName
from pytest_promptune.core.wording import VERDICTS, label
from pytest_promptune.stored.history import Entry, History, Value

_SPARKS = "▁▂▃▄▅▆▇█"
#: Of a column of a metric, with its change.
_CELL = 14
#: How wide a metric's heading may be.
_NAME = 24
#: Experiments in one trend.
_MOST_POINTS = 30


def history_lines(history: History, *, width: int, only: str | None = None) -> list[Line]:
    """For a terminal; `only`: the values of this variant."""
    if not history.entries:
        return [
            line(f"No experiment of {history.total:,} is like that." if history.total else "No experiments.")
        ]
    titles = ["experiment", "when", "mode", "gate"]
    heads = [_head(entry) for entry in history.entries]
    if all(cells[-1] == UNKNOWN for cells in heads):
        titles = titles[:-1]
    sizes = [max(columns(cells[i]) for cells in (titles, *heads)) for i in range(len(titles))]
    room = width - sum(sizes) - 2 * len(sizes)
    names = _fitting(history.metrics, room)
    named = [(_title(name), _size(name)) for name in names]
    lines = [line(cut(_row([*zip(titles, sizes, strict=True), *named]), width), DIM)]
    for entry in history.entries:
        lines += _entry(entry, names, sizes, width, only)
    lines += _trends(history, only or CURRENT, width)
    return [*lines, *_rest(history, names, width)]


def _head(entry: Entry) -> list[str]:
    summary = entry.summary
    return [clean(entry.short), local(summary.started), clean(summary.mode), gate(entry)]


def _fitting(names: Sequence[MetricName], room: int) -> list[MetricName]:
    """As many as there is room for, at least one."""
    shown: list[MetricName] = []
    for name in names:
        room -= _size(name) + 2
        if shown and room < -2:
            break
        shown.append(name)
    return shown


def _title(name: MetricName) -> str:
    return cut(label(name), _NAME)


def _size(name: MetricName) -> int:
    return max(columns(_title(name)), _CELL)


def _row(cells: Sequence[tuple[str, int]]) -> str:
    """Cells padded to their sizes."""
    return "  ".join(text + " " * (size - columns(text)) for text, size in cells).rstrip()


def _entry(
    entry: Entry, names: Sequence[MetricName], sizes: Sequence[int], width: int, only: str | None
) -> list[Line]:
    summary = entry.summary
    shown = [variant for variant in entry.variants if only in (None, variant)]
    first = shown[0] if shown and shown[0] == CURRENT else None
    cells = list(zip(_head(entry), sizes, strict=False))
    lines = [line(cut(_row([*cells, *_cells(entry, names, first)]), width), BOLD)]
    indent = sum(sizes) + 2 * len(sizes)
    for variant in shown[0 if first is None else 1 :]:
        called = cut(f"{INDENT}{clean(variant)}", indent - 2)
        lines.append(line(cut(_row([(called, indent - 2), *_cells(entry, names, variant)]), width)))
    lines += paragraph(", ".join(_details(entry)), width, DIM, INDENT)
    return [*lines, *(paragraph(f"“{summary.note}”", width, indent=INDENT) if summary.note else [])]


def _cells(entry: Entry, names: Sequence[MetricName], variant: str | None) -> list[tuple[str, int]]:
    values = [entry.of((name.module, name.metric), variant) if variant else None for name in names]
    return [(_cell(value, variant), _size(name)) for name, value in zip(names, values, strict=True)]


def _cell(value: Value | None, variant: str | None) -> str:
    if value is None:
        return UNKNOWN if variant else ""
    text = mean(value.name, value.mean)
    if value.mean is None or value.before is None:
        return text
    since = change(value.name, value.before, value.mean).removesuffix(" pts")
    return f"{text} {since if since[0] in '+−' else f'±{since}'}"


def gate(entry: Entry) -> str:
    """What became of the gate: ``passed``, ``FAILED``, or nothing where none was asked."""
    summary = entry.summary
    if summary.gate_failed:
        return "FAILED"
    verdicts = any(getattr(summary, verdict) for verdict in VERDICTS)
    return "passed" if summary.status == "finished" and summary.mode == "check" and verdicts else UNKNOWN


def local(started: str) -> str:
    """A moment in UTC, in local time to the minute: ``2026-11-22 11:00``."""
    try:
        return datetime.fromisoformat(started).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return cut(clean(started), 16)


def _details(entry: Entry) -> Iterator[str]:
    """Status, size, verdicts, price."""
    summary = entry.summary
    if summary.status != "finished":
        yield summary.status
    if summary.replay_of is not None:
        yield f"replay of {clean(summary.replay_of)}"
    if summary.cases is not None and summary.runs is not None:
        yield f"{count(summary.cases, 'case')} × {count(summary.runs, 'run')}"
    yield count(summary.samples, "sample")
    yield from (
        f"{n:,} {word}" for word, n in (("errored", summary.errored), ("missing", summary.missing)) if n
    )
    yield from (f"{n:,} {verdict}" for verdict in VERDICTS if (n := getattr(summary, verdict)))
    if summary.gate_failed:
        yield f"{count(summary.gate_failed, 'gate')} failed"
    if entry.adopted:
        yield f"adopted: {clean(', '.join(entry.adopted))}"
    if summary.usage.cost_usd is not None:
        yield money(summary.usage.cost_usd)
    if summary.commit:
        yield f"{clean(summary.commit)[:7]}{' with changes' if summary.dirty else ''}"


# -- below the table -------------------------------------------------------------------------------------


def _trends(history: History, variant: str, width: int) -> list[Line]:
    """Each metric over the newest experiment's series, oldest first."""
    series = history.entries[0].summary.series
    alike = [
        entry
        for entry in history.entries
        if variant in entry.variants and entry.summary.series == series and entry.summary.replay_of is None
    ]
    rows = []
    for name in history.metrics:
        values = [entry.of((name.module, name.metric), variant) for entry in reversed(alike)]
        means = [value.mean for value in values if value is not None and value.mean is not None]
        if len(means) > 1:
            course = f"{mean(name, means[0])} → {mean(name, means[-1])}"
            rows.append([label(name), sparkline(means[-_MOST_POINTS:]), course])
    if not rows:
        return []
    title = (
        f"Trend of {clean(variant)} over {count(len(alike), 'experiment')} on the same cases, oldest first"
    )
    return [Line(), *paragraph(title, width, BOLD), *table_lines(["", "", ""], rows, width)[1:]]


def sparkline(values: Sequence[float]) -> str:
    """A block for each value, the lowest one for the smallest; all in the middle where nothing changes."""
    low, high = min(values), max(values)
    if high <= low:
        return _SPARKS[3] * len(values)
    top = len(_SPARKS) - 1
    return "".join(_SPARKS[round((value - low) / (high - low) * top)] for value in values)


def _rest(history: History, names: Sequence[MetricName], width: int) -> list[Line]:
    """What is not shown, and how to read what is."""
    lines = [Line()]
    if len(names) < len(history.metrics):
        left_out = ", ".join(label(name) for name in history.metrics[len(names) :])
        lines += paragraph(f"No room for: {left_out}. Choose with --metric.", width, DIM)
    if any(v.change is not None for entry in history.entries for v in entry.values):
        lines += paragraph(
            "Changes are against the experiment before on the same cases, those of variants against current; "
            "compare says whether they are more than chance.",
            width,
            DIM,
        )
    if len(history.entries) < history.total:
        lines += paragraph(
            f"{len(history.entries):,} of {count(history.total, 'experiment')}; -n N or --all shows more.",
            width,
            DIM,
        )
    return lines if len(lines) > 1 else []
