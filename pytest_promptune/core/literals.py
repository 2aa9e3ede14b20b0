"""Where a text stands in the source: an index over the string literals of files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from pytest_promptune.core.values import dataclass

#: Placeholders of str.format, f-strings and Jinja2; a literal is cut at them.
PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{[A-Za-z_][^{}\n]*\}|%\(\w+\)[sd]|%s", re.DOTALL)
#: Characters of a segment that says something about where a text comes from.
_TELLING = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A string literal, or a text file as a whole."""

    file: str
    line: int
    text: str

    @property
    def segments(self) -> tuple[str, ...]:
        """What stands between the placeholders, long enough to be told from chance."""
        parts = (part.strip() for part in PLACEHOLDER.split(self.text))
        return tuple(part for part in parts if len(part) >= _TELLING)


def text_of(node: ast.expr) -> str | None:
    """The text of a literal, with ``{expression}`` for what an f-string fills in; None for other nodes."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if not isinstance(node, ast.JoinedStr):
        return None
    parts = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            parts.append("{" + ast.unparse(part.value) + "}")
        else:
            parts.append(text_of(part) or "")
    return "".join(parts)


def literals_of(tree: ast.AST, file: str) -> Iterator[Literal]:
    """All string literals of a parsed Python file, the pieces of f-strings not for themselves."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        text = text_of(node) if isinstance(node, ast.expr) else None
        if text is None:
            pending.extend(ast.iter_child_nodes(node))
        elif isinstance(node, ast.expr) and text.strip():
            yield Literal(file=file, line=node.lineno, text=text)


class LiteralIndex:
    """Finds the literal that a text was made from."""

    def __init__(self, literals: Iterable[Literal]) -> None:
        self._literals = tuple(literals)
        self._exact: dict[str, Literal] = {}
        for literal in self._literals:
            self._exact.setdefault(literal.text.strip(), literal)

    def find(self, text: str) -> Literal | None:
        """The literal that is the text, or else the one whose segments cover most of it, in order.

        Returns:
            None where no literal covers at least half of the text.
        """
        text = text.strip()
        if (exact := self._exact.get(text)) is not None:
            return exact
        covered = [(_span(segments, text), literal) for literal, segments in self._cut]
        span, best = max(covered, key=lambda each: each[0], default=(0, None))
        return best if 2 * span >= len(text) > 0 else None

    def rank(self, rendered: str) -> list[Literal]:
        """The literals that a rendered prompt may have been made from, those that cover most of it first.

        Of each the lines of its segments are looked for in their order; half of its text must be there, since
        branches of a template are left out, and lines between messages, as ``system:``. White space counts as
        one space: what is dedented or wrapped is still found.
        """
        text = " ".join(rendered.split())
        found = []
        for literal, segments, whole in self._spaced:
            span = _covered(segments, text)
            if span and 2 * span >= whole:
                found.append((span, whole, literal))
        found.sort(key=lambda each: (-each[0], each[1]))
        return [literal for _, _, literal in found]

    @cached_property
    def _cut(self) -> list[tuple[Literal, tuple[str, ...]]]:
        return [(literal, literal.segments) for literal in self._literals]

    @cached_property
    def _spaced(self) -> list[tuple[Literal, tuple[str, ...], int]]:
        """Literals with the lines of their segments, and how many characters those have."""
        spaced = []
        for literal in self._literals:
            lines = (" ".join(line.split()) for part in literal.segments for line in part.splitlines())
            segments = tuple(line for line in lines if len(line) >= _TELLING)
            if segments:
                spaced.append((literal, segments, sum(map(len, segments))))
        return spaced


def _covered(segments: tuple[str, ...], text: str) -> int:
    """Characters of `text` that those of the segments cover which occur in their order."""
    position = span = 0
    for segment in segments:
        found = text.find(segment, position)
        if found >= 0:
            position = found + len(segment)
            span += len(segment)
    return span


def _span(segments: tuple[str, ...], text: str) -> int:
    """Characters of `text` that the segments cover, 0 unless all occur in their order."""
    position = 0
    for segment in segments:
        found = text.find(segment, position)
        if found < 0:
            return 0
        position = found + len(segment)
    return sum(map(len, segments))
