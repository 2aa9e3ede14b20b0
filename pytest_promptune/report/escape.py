"""Foreign text in Markdown: whatever a case, a model or an exception says, it stays text.

The escapes are as few as GitHub's dialect allows, because reports are also read as plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup, escape

from pytest_promptune.core.display import UNKNOWN, clean, cut
from pytest_promptune.core.harmless import harmless, harmless_markup

#: Invisible and without width: keeps GitHub from making a mention, a reference or a link of what follows.
JOINER = "\u2060"

_SPECIAL = re.compile(
    r"[\\`*|~]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # inside words an underscore is an underscore
    r"|<(?=[A-Za-z/!?])"
    r"|\](?=[(\[:])"
    r"|\$(?!\d)"  # GitHub renders $...$ as a formula
)
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK = re.compile(r"^(?:[-+#=]+(?=\s|$)|>)")
_ORDERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
#: `JOINER` goes in: mentions, numbers of issues, links.
_LINKED = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\d)|(?<=\bGH)(?=-\d)|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
#: What CI runners take for a command when a report is printed (see `core.harmless`).
_COMMAND = re.compile(
    "(#[\u200c\u200d]*#[A-Za-z\u200c\u200d]*)(?=\\[)|^([\\s\u200c\u200d]*:)(?=[\u200c\u200d]*:)"
)
#: Brackets, and escapes to step over.
_BRACKET = re.compile(r"\\.|[\[\]]")


def text(value: object, *, limit: int | None = None) -> Markup:
    """`value` on one line, without meaning for Markdown, HTML or GitHub."""
    line = clean(str(value))
    if limit is not None:
        line = cut(line, limit)
    line = _ENTITY.sub("&amp;", _SPECIAL.sub(r"\\\g<0>", line))
    line = _ORDERED.sub(r"\1\\\2", _BLOCK.sub(r"\\\g<0>", _COMMAND.sub(r"\g<0>\\", line)))
    return Markup(_LINKED.sub(JOINER, line))


def alternative(value: object) -> Markup:
    """`value` between the brackets of a picture, whose own would end it early or make it a link."""
    return Markup(_BRACKET.sub(lambda found: found[0] if len(found[0]) > 1 else f"\\{found[0]}", text(value)))


def code(value: object, *, limit: int | None = None) -> Markup:
    """`value` as a code span that is also safe in the cells of a table."""
    line = clean(str(value))
    if limit is not None:
        line = cut(line, limit)
    if not line:
        return Markup(UNKNOWN)
    if "`" in line or "|" in line or harmless(line) != line:
        return Markup(f"<code>{text(line)}</code>")
    return Markup(f"`{line}`")


def codes(values: Iterable[object], *, limit: int = 50) -> Markup:
    """Code spans with commas between, and a count of those left out."""
    every = list(values)
    shown = Markup(", ").join(code(value) for value in every[:limit])
    rest = len(every) - limit
    return shown + Markup(f" and {rest} more") if rest > 0 else shown


def sentence(pattern: str, *values: object) -> Markup:
    """`pattern` with `values` in place of ``{}``, escaped unless they are already."""
    return Markup(pattern).format(*(value if isinstance(value, Markup) else text(value) for value in values))


def fence(lines: Iterable[str], language: str = "") -> Markup:
    """A code block whose fence is longer than any run of backticks in it.

    Where a CI runner would take a line for a command, it is a block of HTML, in which that can be escaped.
    """
    block = list(lines)
    if any(harmless(line) != line for line in block):
        shown = "\n".join(harmless_markup(str(escape(line))) for line in block)
        attribute = f' lang="{language}"' if language else ""
        return Markup(f"<pre{attribute}>\n<code>{shown}\n</code></pre>")
    longest = max((len(run) for line in block for run in re.findall("`+", line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return Markup("\n".join([f"{ticks}{language}", *block, ticks]))
