"""The words of the final report, of plots and of pages, apart from layout: one module per language, with the same keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import import_module

from markupsafe import Markup

from pytest_promptune.core.display import UNKNOWN
from pytest_promptune.report.escape import code, codes, text

#: Names of the modules.
LANGUAGES = ("en", "ja")
#: Values of these names are names from a project: shown as code.
_NAMES = frozenset(
    {
        "app",
        "category",
        "difficulty",
        "experiment",
        "metric",
        "node",
        "variant",
        "commit",
        "command",
        "case",
        "start",
    }
)
#: Names that a list has room for.
_MOST = 10


class Words:
    """Sentences and headings in one language."""

    def __init__(self, language: str) -> None:
        """Load the language.

        Args:
            language: one of `LANGUAGES`.
        """
        module = import_module(f"{__name__}.{language}")
        self._words: Mapping[str, str] = module.WORDS
        self._units: Mapping[str, str] = module.UNITS

    def __call__(self, key: str, **values: object) -> Markup:
        """The words of a key; what is filled in is escaped for Markdown, names and lists of them are code."""
        filled = {name: self._shown(name, value) for name, value in values.items()}
        return Markup(self._words[key]).format(**filled)

    def text(self, key: str, **values: str | int) -> str:
        """The words of a key for a picture, where nothing is markup."""
        return self._words[key].format(**values)

    def joined(self, texts: Iterable[str]) -> str:
        """A list of names, or of the cells of a row."""
        return self._words["list"].join(texts)

    def plain(self, key: str) -> str:
        """The pattern of a key as it stands."""
        return self._words[key]

    def beginning(self, start: str) -> dict[str, str]:
        """The patterns of all keys that begin with `start`, by what follows."""
        return {key.removeprefix(start): word for key, word in self._words.items() if key.startswith(start)}

    def units(self, shown: str) -> str:
        """A number as `core.display` shows it, or its unit, with units in words of this language."""
        for unit, word in self._units.items():
            shown = re.sub(rf"(?:(?<=[\d\]])|\A){re.escape(unit)}", word, shown)
        return shown

    def number(self, shown: str) -> Markup:
        """As `units`, to be filled in: what users named or wrote is never translated."""
        return text(self.units(shown))

    def _shown(self, name: str, value: object) -> Markup:
        if value is None:
            return Markup(UNKNOWN)
        if isinstance(value, Markup):
            return value
        if isinstance(value, str):
            return code(value) if name in _NAMES else text(value)
        if isinstance(value, Iterable):
            listed = [str(each) for each in value]
            rest = len(listed) - _MOST
            shown = codes(listed[:_MOST], limit=_MOST)
            return shown + self("and_more", rest=rest) if rest > 0 else shown
        return Markup(f"{value:,}" if isinstance(value, int) else text(value))
