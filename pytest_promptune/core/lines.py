"""Styled lines for a terminal: pieces that summaries are put together from.

Nothing here prints. A segment's text is freed of control characters when the segment is made, and a line of
commands to CI runners, so no answer of a model reaches a terminal, or a job, as a command to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from pytest_promptune.core.display import clean, clean_lines, columns, cut, visible, wrap
from pytest_promptune.core.harmless import harmless
from pytest_promptune.core.values import dataclass

_NARROWEST_NAME = 12
INDENT = "  "
BOLD = {"bold": True}
BAD = {"red": True, "bold": True}
WARN = {"yellow": True}
DIM = {"light": True}


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

    def __post_init__(self) -> None:
        text = self.text
        if (safe := harmless(text)) != text:
            object.__setattr__(self, "segments", (Segment(safe, self.segments[0].markup),))

    @property
    def text(self) -> str:
        """The line without styles."""
        return "".join(segment.text for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as lines; a row that does not fit in one line has several."""

    header: list[str]
    rows: list[list[str]]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int, right: Sequence[int]) -> Table:
    """Columns where they fit beside short names, longer names on lines of their own; else all stacked."""
    widths = [max(columns(row[i]) for row in (header, *rows)) for i in range(len(header))]
    margin = 2 * INDENT
    room = width - len(margin) - sum(widths[1:]) - 2 * (len(widths) - 1)
    if room < min(widths[0], _NARROWEST_NAME):
        return Table([], [_stacked(header, row, width) for row in rows])
    widths[0] = min(widths[0], room)

    def lines(cells: Sequence[str]) -> list[str]:
        if columns(cells[0]) > room:
            return [cut(margin + cells[0], width), *lines(["", *cells[1:]])]
        padded = [_pad(text, widths[i], i in right) for i, text in enumerate(cells)]
        return [(margin + "  ".join(padded)).rstrip()]

    return Table(lines(header), [lines(row) for row in rows])


def _stacked(header: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    indent = 3 * INDENT
    values = ", ".join(f"{name} {text}" for name, text in zip(header[1:], row[1:], strict=True) if text)
    name = cut(2 * INDENT + row[0], width)
    return [name, *(indent + line for line in wrap(values, width - len(indent)))]


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - columns(text))
    return space + text if right else text + space


def line(text: str, markup: Mapping[str, bool] | None = None) -> Line:
    """A line in one style."""
    return Line((Segment(text, markup or {}),)) if text else Line()


def paragraph(
    text: str, width: int, markup: Mapping[str, bool] | None = None, indent: str = ""
) -> list[Line]:
    """`text` wrapped, with a hanging indent after the first line."""
    hanging = indent + INDENT
    parts = wrap(clean(text), width - len(hanging))
    return [line((hanging if i else indent) + part, markup) for i, part in enumerate(parts)]


def rule(title: str, width: int) -> Line:
    """A title between strokes, as wide as the terminal."""
    side = "=" * max((width - columns(title) - 2) // 2, 1)
    return line(cut(f"{side} {title} {side}{'=' * width}", width + 1).removesuffix("…")[:width], BOLD)


def bullets(texts: Iterable[str], width: int, title: str = "") -> list[Line]:
    """Paragraphs one step in, under a title where there are any."""
    lines = [each for text in texts for each in paragraph(text, width, indent=INDENT)]
    return [Line(), line(title, BOLD), *lines] if title and lines else lines


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[Line]:
    """A `table` of names and, to the right of them, numbers."""
    return styled(table(header, rows, width, right=range(1, len(header))))


def styled(laid_out: Table) -> list[Line]:
    """The lines of a table, its header less bright."""
    body = (line(text) for row in laid_out.rows for text in row)
    return [*(line(text, DIM) for text in laid_out.header), *body]


def cleaned(text: str, width: int, indent: str = "") -> list[Line]:
    """Foreign text of several lines, wrapped, with its invisible characters made visible."""
    lines: list[Line] = []
    for each in clean_lines(text.rstrip("\n")):
        lines += [line(indent + part) for part in wrap(each, width - len(indent))] or [Line()]
    return lines
