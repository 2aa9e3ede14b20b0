"""The `pytest-promptune` command: everything that only reads the store or the source, and the embedded model.

What runs samples is an option of pytest instead. A subcommand is one row of `COMMANDS` and one function that
returns an `Answer`; it imports what it needs itself, so that no command pays for another's dependencies.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_promptune.core.errors import PromptuneError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command found: `text` for people, `data` for ``--json``."""

    text: str
    data: dict[str, Any]
    #: 1: it found what it warns of.
    status: int = 0


def _no_arguments(_: argparse.ArgumentParser) -> None:
    """For a command that takes none beside --json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One subcommand: its words, its arguments, and the function that answers."""

    words: tuple[str, ...]
    help: str
    run: Callable[[argparse.Namespace], Answer]
    arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments


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
        sys.stderr.write(f"pytest-promptune {' '.join(command.words)}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write((json.dumps(answer.data, allow_nan=False) if arguments.json else answer.text) + "\n")
    return answer.status


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
        one.add_argument("--json", action="store_true", help="answer in JSON, on one line")
        one.set_defaults(command=command)
    return parser


def _model_fetch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="fetch it again even if it is there")


def _model_fetch(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.local.weights import fetch_weights, find_weights

    weights = find_weights()
    if arguments.force or weights is None or weights.source == "cache":
        weights = fetch_weights(force=arguments.force, report=lambda line: sys.stderr.write(line + "\n"))
    return _weights(str(weights.path), weights.source, weights.model)


def _model_path(_: argparse.Namespace) -> Answer:
    from pytest_promptune.local.weights import require_weights

    weights = require_weights()
    return _weights(str(weights.path), weights.source, weights.model)


def _weights(path: str, source: str, model: str) -> Answer:
    return Answer(text=path, data={"path": path, "source": source, "model": model})


GROUPS = {"model": "the embedded language model (extra [local])"}

COMMANDS = (
    Command(
        words=("model", "fetch"),
        help="download the embedded model (93 MB, once) and print where it is",
        run=_model_fetch,
        arguments=_model_fetch_arguments,
    ),
    Command(words=("model", "path"), help="print where the embedded model is", run=_model_path),
)

if __name__ == "__main__":
    sys.exit(main())
