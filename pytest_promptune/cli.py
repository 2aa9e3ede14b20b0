"""The `pytest-promptune` command: everything that only reads the store or the source, and the embedded model.

What runs samples is an option of pytest instead. A subcommand is one module of `commands`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from pytest_promptune.commands import COMMANDS, GROUPS
from pytest_promptune.commands.model import Command
from pytest_promptune.core.display import clean_lines
from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.core.harmless import harmless, harmless_json


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0, 1 for an error or what the command warns of, 2 for wrong usage."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as done:  # argparse has said why
        return done.code if isinstance(done.code, int) else 2
    command: Command = arguments.command
    try:
        answer = command.run(arguments)
    except PromptuneError as error:
        if arguments.json is True:
            _write(sys.stdout, harmless_json(json.dumps({"error": str(error)})))
        _say(command, str(error))
        return command.error_status
    except KeyboardInterrupt:
        return 130
    if arguments.json is True:
        _write(sys.stdout, harmless_json(json.dumps(answer.data, allow_nan=False)))
        for note in answer.beside_data:
            _say(command, note)
    else:
        _write(sys.stdout, "\n".join([*map(harmless, answer.text.split("\n")), *answer.annotations]))
    return answer.status


def _say(command: Command, text: str) -> None:
    """What people are told on standard error."""
    lines = clean_lines(f"pytest-promptune {' '.join(command.words)}: {text}")
    _write(sys.stderr, "\n".join(map(harmless, lines)))


def _write(stream: TextIO, text: str) -> None:
    """A line; what the stream's encoding has no character for is escaped."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-promptune", description="Companion of the pytest plugin: what needs no sample to run."
    )
    groups: dict[tuple[str, ...], Any] = {(): parser.add_subparsers(required=True, metavar="COMMAND")}
    for command in COMMANDS:
        *group, name = command.words
        if tuple(group) not in groups:
            of_group = groups[()].add_parser(group[0], help=GROUPS[group[0]], description=GROUPS[group[0]])
            groups[tuple(group)] = of_group.add_subparsers(required=True, metavar="COMMAND")
        one = groups[tuple(group)].add_parser(name, help=command.help, description=command.help)
        command.arguments(one)
        if not command.has_own_json:
            one.add_argument("--json", action="store_true", help="answer in JSON, on one line")
        one.set_defaults(command=command, parser=parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
