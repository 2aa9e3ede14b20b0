"""``goals``: what was understood of the goals file."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_promptune.commands.model import (
    Answer,
    Command,
    as_wide_as_the_terminal,
    root_argument,
    settings_of_project,
)


def _goals_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="the goals file (default: as promptune_goals says, or fine-tune.md at the root, in "
        ".langgraph-architect/ or in .langgraph-master/)",
    )
    root_argument(parser)


def _goals(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.core.goals.telling import file_lines, to_json
    from pytest_promptune.goal_files import require_goals

    root = Path(arguments.root).resolve()
    configured = None if arguments.path is not None else settings_of_project(arguments).goals
    goals = require_goals(arguments.path, configured=configured, root=root, here=Path.cwd())
    return Answer(
        text=as_wide_as_the_terminal(file_lines, goals), data=to_json(goals), status=int(bool(goals.problems))
    )


COMMAND = Command(
    words=("goals",),
    help="print what was understood of the goals file, line by line, and what was not",
    run=_goals,
    arguments=_goals_arguments,
    error_status=2,
)
