"""Lines that no CI runner takes for a command to it.

What the runners look for, as their sources have it:

- GitHub Actions (``ActionCommand.cs``): ``::name …::`` at the beginning of a line, spaces before it or not,
  and the older ``##[name …]`` anywhere in a line.
- Azure Pipelines (``Command.cs``): ``##vso[…]`` anywhere in a line; ``##[group]`` and the like at its start.
- TeamCity: ``##teamcity[…]``.

A space inside of the mark ends its meaning and stays readable; in markup a character reference does so, and
is not seen. Characters without width would not do: .NET ignores them when it compares by culture, so the
patterns see through those that texts may keep.
"""

from __future__ import annotations

import re

_IGNORED = "[\u200c\u200d]*"
_AT_BEGINNING = re.compile(rf"^([\s\u200c\u200d]*:)(?={_IGNORED}:)")
_ANYWHERE_IN_JSON = re.compile(r"##(?=[A-Za-z]*\[)")
#: Controls of terminals, marks of direction, line breaks of Unicode, and spaces without width; no joiners.
_UNSEEN = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
#: The commands that `ActionCommandManager.cs` and its extensions know.
_NAMED = re.compile(
    rf"(:{_IGNORED})(?=:{_IGNORED}(?:add-mask|add-matcher|add-path|debug|echo|endgroup|error|group|"
    rf"internal-set-repo-path|notice|remove-matcher|save-state|set-env|set-output|stop-commands|warning)"
    rf"(?: |{_IGNORED}:))",
    re.IGNORECASE,
)
_SECOND_COLON = re.compile(rf"^([\s\u200c\u200d]*:{_IGNORED}):")
_SECOND_HASH = re.compile(rf"(#{_IGNORED})#(?=[A-Za-z\u200c\u200d]*\[)")
_ANYWHERE = re.compile(rf"(#{_IGNORED}#)(?=[A-Za-z\u200c\u200d]*\[)")


def harmless(line: str) -> str:
    """`line`, one line of text, with a space inside of what a runner would take for a command's mark."""
    if "#" in line:
        line = _ANYWHERE.sub(r"\1 ", line)
    return _AT_BEGINNING.sub(r"\1 ", line) if ":" in line else line


def harmless_markup(line: str) -> str:
    """`line`, one line of HTML, with a character reference in place of the second half of a command's mark.

    It looks the same; not for what is within ``<style>`` and ``<script>``, which know no references.
    """
    if "#" in line:
        line = _SECOND_HASH.sub(r"\1&#35;", line)
    return _SECOND_COLON.sub(r"\1&#58;", line) if ":" in line else line


def harmless_where_broken(text: str) -> str:
    """As `harmless`, for a text that others, as pytest, break into lines wherever they like."""
    return harmless(_NAMED.sub(r"\1 ", text) if ":" in text else text)


def harmless_json(text: str) -> str:
    """JSON, on any number of lines: the same data, written so that showing it does nothing.

    What a terminal obeys, a reader can't see, or a runner takes for a command is written as an escape.
    """
    if "##" in text:
        text = _ANYWHERE_IN_JSON.sub(r"#\\u0023", text)
    return (
        text
        if text.isascii() and "\x7f" not in text
        else _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    )
