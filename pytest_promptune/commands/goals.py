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
    from functools import partial

    from pytest_promptune.core.goals.telling import file_lines, misfits, to_json
    from pytest_promptune.goal_files import require_goals

    root = Path(arguments.root).resolve()
    settings = settings_of_project(arguments)
    goals = require_goals(arguments.path, configured=settings.goals, root=root, here=Path.cwd())
    return Answer(
        text=as_wide_as_the_terminal(partial(file_lines, mapping=settings.goal_metrics), goals),
        data=to_json(goals, mapping=settings.goal_metrics),
        status=int(bool(goals.problems or misfits(goals, settings.goal_metrics))),
    )


COMMAND = Command(
    words=("goals",),
    help="print what was understood of the goals file, line by line, and what was not",
    run=_goals,
    arguments=_goals_arguments,
    error_status=2,
)
