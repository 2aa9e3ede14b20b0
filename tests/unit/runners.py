"""What CI runners take for commands in the output of a job, after the rules of their sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: Of actions/runner, `ActionCommandManager` and its extensions.
GITHUB = {"add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice"}
GITHUB |= {"internal-set-repo-path", "remove-matcher", "save-state", "set-env", "set-output", "stop-commands"}
GITHUB |= {"warning"}
_IGNORED = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\x00]")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Command:
    """One command, with what the runner makes of its properties and its message."""

    name: str
    properties: Mapping[str, str]
    message: str


def commands(output: str) -> list[Command]:
    """All commands in the lines of `output`, with those that .NET finds when it compares by culture."""
    return [found for line in re.split(r"\r\n|\r|\n", output) if (found := _command(line)) is not None]


def _command(line: str) -> Command | None:
    for seen in (line, _IGNORED.sub("", line), _COLOURS.sub("", line)):
        found = _github(seen) or _older(seen) or _azure(seen)
        if found is not None:
            return found
    return None


def _github(line: str) -> Command | None:
    """`ActionCommand.TryParseV2`: at the beginning, after spaces."""
    match = re.match(r"::(.*?)::(.*)", line.lstrip(), re.DOTALL)
    if match is None:
        return None
    name, _, given = match[1].partition(" ")
    if name.lower() not in GITHUB:
        return None
    pairs = [pair.split("=", 1) for pair in given.strip().split(",") if "=" in pair]
    properties = {key: _unescaped(value, ":", ",") for key, value in pairs}
    return Command(name, properties, _unescaped(match[2]))


def _older(line: str) -> Command | None:
    """`ActionCommand.TryParse`: anywhere in a line."""
    match = re.search(r"##\[([^\]]*)\](.*)", line, re.DOTALL)
    if match is None or match[1].partition(" ")[0].lower() not in GITHUB:
        return None
    return Command(match[1].partition(" ")[0], {}, match[2])


def _azure(line: str) -> Command | None:
    """`Command.TryParse` of the Azure Pipelines agent, and its formatting commands; TeamCity's messages."""
    match = re.search(r"##(?:vso|teamcity)\[([^\]]*)\](.*)", line, re.DOTALL) or re.match(
        r"##\[(\w+)\](.*)", line.lstrip(), re.DOTALL
    )
    return Command(match[1], {}, match[2]) if match else None


def _unescaped(text: str, *more: str) -> str:
    """The runner's order: the per cent sign last."""
    for character in ("\r", "\n", *more, "%"):
        text = text.replace(f"%{ord(character):02X}", character)
    return text
