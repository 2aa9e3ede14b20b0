"""The Markdown of a goals file as pieces of text with their line, headings and enclosing list items."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pytest_promptune.core.goals.quantities import plain
from pytest_promptune.core.values import dataclass

if TYPE_CHECKING:
    from markdown_it.token import Token

#: A line of a paragraph that begins something new: ``Accuracy: 90%``.
_LABELLED = re.compile(r"[^:：]{1,40}[:：]\s")
_NAME_COLUMN = re.compile(r"\b(?:metrics?|measures?|names?)\b|指標|メトリクス|項目|名前|名称", re.IGNORECASE)
_TARGET_COLUMN = re.compile(r"target|goal|目標", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A list item, a paragraph or a row of a table, on one line."""

    #: Of its beginning, from 1.
    line: int
    text: str
    #: Titles above it, the outermost first.
    headings: tuple[str, ...] = ()
    #: Texts of the list items around it, the outermost first.
    parents: tuple[str, ...] = ()


def read_blocks(markdown: str) -> list[Block]:
    """All text of a file; code blocks, HTML, rules and what is struck through say nothing."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return list(_Walk(tokens).blocks())


class _Walk:
    """Goes through the tokens once."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._headings: dict[int, str] = {}
        #: Text of each open list item, empty until it is known.
        self._items: list[str] = []
        #: Cells of the row, and titles of the columns.
        self._cells: list[str] = []
        self._columns: list[str] = []
        #: On which the row is.
        self._line = 0

    def blocks(self) -> Iterator[Block]:
        """Everything that is text, in order."""
        before: Token | None = None
        for token in self._tokens:
            if token.type == "list_item_open":
                self._items.append("")
            elif token.type == "list_item_close":
                self._items.pop()
            elif token.type == "tr_close":
                yield from self._row(is_title=before is not None and before.type == "th_close")
            elif token.type == "tr_open":
                self._cells, self._line = [], _line(token)
            elif token.type == "inline" and before is not None:
                yield from self._inline(token, before)
            before = token

    def _inline(self, token: Token, opening: Token) -> Iterator[Block]:
        text = _text(token)
        if opening.type == "heading_open":
            level = int(opening.tag[1:])
            self._headings = {above: title for above, title in self._headings.items() if above < level}
            self._headings[level] = plain(text)
        elif opening.type in ("th_open", "td_open"):
            self._cells.append(plain(text))
        else:
            for line, part in _parts(text, _line(token)):
                yield self._block(line, part)

    def _block(self, line: int, text: str) -> Block:
        parents = tuple(filter(None, self._items[:-1] if self._items else ()))
        if self._items and not self._items[-1]:
            self._items[-1] = text
        elif self._items:
            parents = (*parents, self._items[-1])
        return Block(line=line, text=text, headings=tuple(self._headings.values()), parents=parents)

    def _row(self, *, is_title: bool) -> Iterator[Block]:
        """``name: target``; of several columns, those that are titled so."""
        if is_title:
            self._columns = self._cells
        elif len(self._cells) > 1:
            at = self._name_at()
            cells = list(zip(self._cells, self._columns, strict=False))
            aims = [cell for cell, title in (*cells[:at], *cells[at + 1 :]) if _TARGET_COLUMN.search(title)]
            values = aims or self._cells[at + 1 :] or self._cells[:at]
            text = f"{self._cells[at]}: {' '.join(values)}"
            yield Block(line=self._line, text=text, headings=tuple(self._headings.values()))

    def _name_at(self) -> int:
        """In which column the name is: the one that is titled so, else the first with words."""
        titled = (i for i, title in enumerate(self._columns) if _NAME_COLUMN.search(title))
        worded = (i for i, cell in enumerate(self._cells) if re.search(r"[^\W\d]", cell))
        return next(titled, next(worded, 0))


def _line(token: Token) -> int:
    return (token.map or [0])[0] + 1


def _text(token: Token) -> str:
    """What a reader sees, with a newline where a line ends."""
    pieces = []
    struck = 0
    for child in token.children or ():
        struck += {"s_open": 1, "s_close": -1}.get(child.type, 0)
        if child.type in ("softbreak", "hardbreak"):
            pieces.append("\n")
        elif child.type in ("text", "code_inline") and not struck:
            pieces.append(child.content)
    return "".join(pieces)


def _parts(text: str, line: int) -> Iterator[tuple[int, str]]:
    """A paragraph as one line, or as several where lines begin with labels of their own."""
    lines = text.split("\n")
    starts = [0, *(i for i, one in enumerate(lines) if i and _LABELLED.match(one))]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        if whole := plain(" ".join(lines[start:end])):
            yield line + start, whole
