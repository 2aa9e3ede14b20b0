"""Our Markdown as HTML, so that both reports say the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pytest_promptune.core.display import UNKNOWN
from pytest_promptune.report.escape import JOINER

#: A number with its unit, perhaps with an interval: what stands to the right in its column.
_NUMBER = re.compile(r"[<+−-]?[\d.,]+( ?[^\W\d]{1,6}| %)?( \[[^\]]*\][^\d]{0,8})?")
_NO_WORD = re.compile(r"[^\w]+")
_WIDE = '<div class="wide" tabindex="0">\n'
#: Plots scroll as tables do: on a phone, the words in them would be too small to read.
_PLOT = {"class": "wide plot", "tabindex": "0"}


def to_html(markdown: str) -> tuple[str, list[tuple[str, str]]]:
    """A report's Markdown as HTML, and its sections: the anchor and the title of each.

    Foreign text in it is escaped already (`report.escape`), which holds for HTML as well. Tables and
    plots can scroll, and nothing has a style of its own, which the page's policy forbids.
    """
    converter = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    # its own way to be told; whole pictures would take it long to quote
    converter.validateLink = _is_ours  # type: ignore[method-assign]
    converter.normalizeLink = _as_it_is  # type: ignore[method-assign]
    tokens = converter.parse(markdown.replace(JOINER, ""))
    sections: list[tuple[str, str]] = []
    for token, inner in zip(tokens, [*tokens[1:], None], strict=True):
        text = inner.content if inner is not None else ""
        if token.type == "heading_open" and token.tag == "h2":
            anchor = f"s-{_NO_WORD.sub('-', text.lower()).strip('-')}"
            token.attrSet("id", anchor)
            sections.append((anchor, text))
        if token.type in ("td_open", "th_open"):
            token.attrs.pop("style", None)
        if token.type == "table_open":
            token.attrSet("class", "sortable")
    _align(tokens)
    _frame(tokens)
    return converter.renderer.render(list(_scrolling(tokens)), converter.options, {}), sections


def _align(tokens: list[Token]) -> None:
    """Columns that hold nothing but numbers and dashes stand to the right."""
    columns: dict[int, list[tuple[Token, str]]] = {}
    place = 0
    for token, inner in zip(tokens, tokens[1:] + tokens[-1:], strict=True):
        if token.type == "tr_open":
            place = 0
        elif token.type in ("th_open", "td_open"):
            columns.setdefault(place, []).append((token, inner.content.strip("`* ")))
            place += 1
        elif token.type == "table_close":
            for cells in columns.values():
                texts = {text for token, text in cells if token.type == "td_open"} - {"", UNKNOWN}
                if texts and all(map(_NUMBER.fullmatch, texts)):
                    for cell, _ in cells:
                        cell.attrSet("class", "number")
            columns = {}


def _frame(tokens: list[Token]) -> None:
    """A paragraph that is one picture becomes a figure."""
    for begin, inner, end in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if begin.type == "paragraph_open" and [each.type for each in inner.children or ()] == ["image"]:
            begin.tag = end.tag = "figure"
            begin.attrs |= _PLOT


def _is_ours(url: str) -> bool:
    """Pictures that the page holds itself; no text of others becomes a link (`report.escape`)."""
    return url.startswith("data:image/svg+xml;base64,")


def _as_it_is(url: str) -> str:
    return url


def _scrolling(tokens: Iterable[Token]) -> Iterator[Token]:
    """Tables within something that scrolls, so that the page never does sideways."""
    for token in tokens:
        if token.type == "table_open":
            yield Token("html_block", "", 0, content=_WIDE)
        yield token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content="</div>\n")
