"""Prompt templates backwards: what was put into the placeholders of a text that was rendered before.

A placeholder is ``{name}``, where the name may go on as in ``{state["q"]}`` or ``{message.text}``;
``{{`` and ``}}`` are braces, and so is any other brace, as in ``{"label": "x"}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_promptune.core.values import dataclass

_EXPRESSION = r"[^\W\d]\w*(?:\.[^\W\d]\w*|\[[^\[\]{}\n]*\]|\([^(){}\n]*\))*"
_TOKEN = re.compile(rf"\{{\{{|\}}\}}|\{{\}}|\{{({_EXPRESSION})(?:![rsa])?(?::[^{{}}\n]*)?\}}")
_BRACE = re.compile(rf"{_TOKEN.pattern}|[{{}}]")
_LAST_NAME = re.compile(r"([^\W\d]\w*)\W*$")


def is_expression(text: str) -> bool:
    """Whether `text` can stand in a placeholder."""
    return re.fullmatch(_EXPRESSION, text) is not None


def normalized(name: str) -> str:
    """A placeholder's name with one kind of quotes."""
    return name.strip().replace('"', "'")


def placeholders(text: str) -> tuple[tuple[str, str], ...]:
    """The placeholders of a template in order: name, and how it is written, ``("q", "{q!r}")``."""
    return tuple((normalized(token[1]), token[0]) for token in _TOKEN.finditer(text) if token[1] is not None)


def braces(text: str) -> frozenset[str]:
    """The braces that a template has beside its placeholders, each kind once: ``{{``, ``}``, …."""
    return frozenset(token[0] for token in _BRACE.finditer(text) if token[1] is None)


def has_unpaired(text: str) -> bool:
    """Whether a ``}}`` closes no ``{{``, as in ``{"a": {"b": 1}}``: read as one brace it leaves one open."""
    opened: list[str] = []
    for token in _BRACE.finditer(text):
        brace = token[0]
        if brace in ("{", "{{"):
            opened.append(brace)
        elif brace == "}}" and (not opened or opened.pop() != "{{"):
            return True
        elif brace == "}" and opened and opened[-1] == "{":
            opened.pop()
    return False


@dataclass(frozen=True, slots=True)
class Template:
    """A text with placeholders between its constant parts."""

    #: The constant parts, one more than there are placeholders.
    parts: tuple[str, ...]
    #: The placeholders in order; a name may occur again.
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, *, verbatim: bool = False) -> Template:
        """Read a text as ``str.format`` would, except that a brace which makes no placeholder is a brace.

        Args:
            text: with placeholders.
            verbatim: leave ``{{`` and ``}}`` as they are, as in a text that is never formatted.
        """
        parts, names, end = [""], [], 0
        for token in _TOKEN.finditer(text):
            parts[-1] += text[end : token.start()]
            end = token.end()
            if token[1] is None:
                parts[-1] += token[0] if verbatim or token[0] == "{}" else token[0][0]
            else:
                names.append(normalized(token[1]))
                parts.append("")
        parts[-1] += text[end:]
        return cls(tuple(parts), tuple(names))

    @property
    def touching(self) -> tuple[str, str] | None:
        """The first two placeholders with nothing between them, whose values can't be told apart."""
        for i, part in enumerate(self.parts[1:-1]):
            if not part:
                return self.names[i], self.names[i + 1]
        return None

    @property
    def is_bare(self) -> bool:
        """Whether it has no words of its own, so that any text would fit."""
        return not any(part.strip() for part in self.parts)

    def splits(self, text: str) -> tuple[Mapping[str, str], ...]:
        """Values with which this template gives exactly `text`: none, one way, or two ways of several.

        The two are the ones with the shortest and the longest first values: if they are equal there
        is no third.
        """
        if not self.names:
            return ({},) if text == self.parts[0] else ()
        first, last = self.parts[0], self.parts[-1]
        room = len(text) - len(first) - len(last)
        if room < 0 or not text.startswith(first) or not text.endswith(last):
            return ()
        inner = text[len(first) : len(text) - len(last)]
        found: list[Mapping[str, str]] = []
        for values in (self._leftmost(inner), self._rightmost(inner)):
            named = None if values is None else self._named(values)
            if named is not None and named not in found and self.fill(named) == text:
                found.append(named)
        return tuple(found)

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with these values; each is inserted as it is."""
        filled = (values[name] + part for name, part in zip(self.names, self.parts[1:], strict=True))
        return self.parts[0] + "".join(filled)

    def renamed(self, names: Mapping[str, str]) -> Template:
        """The same text with other names."""
        return Template(self.parts, tuple(names.get(name, name) for name in self.names))

    def _leftmost(self, inner: str) -> list[str] | None:
        values, at = [], 0
        for part in self.parts[1:-1]:
            place = inner.find(part, at)
            if place < 0:
                return None
            values.append(inner[at:place])
            at = place + len(part)
        return [*values, inner[at:]]

    def _rightmost(self, inner: str) -> list[str] | None:
        values, end = [], len(inner)
        for part in reversed(self.parts[1:-1]):
            place = inner.rfind(part, 0, end)
            if place < 0:
                return None
            values.append(inner[place + len(part) : end])
            end = place
        return [inner[:end], *reversed(values)]

    def _named(self, values: list[str]) -> dict[str, str] | None:
        """By name; a name that occurs again must have the same value."""
        named: dict[str, str] = {}
        for name, value in zip(self.names, values, strict=True):
            if named.setdefault(name, value) != value:
                return None
        return named


def short_names(names: tuple[str, ...]) -> dict[str, str]:
    """The last word of each name and the name, ``q`` for ``state['q']``, where no other name has it."""
    words: dict[str, set[str]] = {}
    for name in names:
        word = _LAST_NAME.search(name)
        if word:
            words.setdefault(word[1], set()).add(name)
    return {word: found.pop() for word, found in words.items() if len(found) == 1 and word not in names}
