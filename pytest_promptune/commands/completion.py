"""``completion``: what makes a shell complete this command."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pytest_promptune.commands.model import Answer, Command

SHELLS = ("bash", "zsh", "fish")
_FILES = ("FILE", "PATH")
_FOLDERS = ("DIR",)


def _completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="which shell's script to print")


def _completion(arguments: argparse.Namespace) -> Answer:
    import shtab

    for action in _actions(arguments.parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads it
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # shtab reads it
    script = shtab.complete(arguments.parser, shell=arguments.shell)
    return Answer(text=script.rstrip("\n"), data={"shell": arguments.shell, "script": script})


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Of the parser and of all its subcommands."""
    for action in parser._actions:  # argparse has no public way to list them; shtab takes this one, too
        yield action
        if isinstance(action.choices, dict):
            for subparser in action.choices.values():
                yield from _actions(subparser)


COMMAND = Command(
    words=("completion",),
    help="print what makes bash, zsh or fish complete this command",
    run=_completion,
    arguments=_completion_arguments,
)
