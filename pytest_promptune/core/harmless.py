"""Lines that no CI runner takes for a command to it.

What the runners look for, as their sources have it:

- GitHub Actions (``ActionCommand.cs``): ``::name …::`` at the beginning of a line, spaces before it or not, and
  the older ``##[name …]`` anywhere in a line.
- Azure Pipelines (``Command.cs``): ``##vso[…]`` anywhere in a line; ``##[group]`` and the like at its beginning.
- TeamCity: ``##teamcity[…]``.

A space inside of the mark ends its meaning and stays readable. Characters without width would not do: .NET
ignores them when it compares by culture, so the patterns see through those that texts may keep.
"""

from __future__ import annotations

import re

_IGNORED = "[\u200c\u200d]*"
_AT_BEGINNING = re.compile(rf"^([\s\u200c\u200d]*:)(?={_IGNORED}:)")
_ANYWHERE = re.compile(rf"(#{_IGNORED}#)(?=[A-Za-z\u200c\u200d]*\[)")


def harmless(line: str) -> str:
    """`line`, one line of text, with a space inside of what a runner would take for a command's mark."""
    if "#" in line:
        line = _ANYWHERE.sub(r"\1 ", line)
    return _AT_BEGINNING.sub(r"\1 ", line) if ":" in line else line


def harmless_json(line: str) -> str:
    """JSON on one line: the same data, written so that no runner finds a command in it."""
    return line.replace("##", "#\\u0023")
