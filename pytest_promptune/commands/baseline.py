"""``baseline list``, ``baseline show`` and ``baseline rm``: the recorded baselines of a project."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_promptune.commands.model import (
    Answer,
    Command,
    as_wide_as_the_terminal,
    project_root,
    root_argument,
    settings_of_project,
    store_argument,
)

if TYPE_CHECKING:
    from pytest_promptune.stored.baselines import Measured


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    store_argument(parser)
    root_argument(parser)


def _named_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "baseline", metavar="NAME|PATH", help="a name, as main, for the baselines of all modules; or one file"
    )
    root_argument(parser)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    _named_arguments(parser)
    store_argument(parser)


def _list(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.stored.baselines import list_lines, recorded, to_json

    found = recorded(project_root(arguments), _measured(arguments))
    damaged = any(each.problem for each in found)
    text = as_wide_as_the_terminal(list_lines, found)
    return Answer(text=text, data=to_json(found, metrics=False), status=int(damaged))


def _show(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.stored.baselines import named, show_lines, to_json

    found = named(arguments.baseline, project_root(arguments), here=Path.cwd(), measured=_measured(arguments))
    damaged = any(each.problem for each in found)
    text = as_wide_as_the_terminal(show_lines, found)
    return Answer(text=text, data=to_json(found, metrics=True), status=int(damaged))


def _rm(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.core.display import clean
    from pytest_promptune.store.baselines import remove_baseline
    from pytest_promptune.stored.baselines import named

    found = named(arguments.baseline, project_root(arguments), here=Path.cwd())
    for each in found:
        remove_baseline(each.path)
    removed = [each.shown for each in found]
    return Answer(text="\n".join(f"Removed: {clean(path)}" for path in removed), data={"removed": removed})


def _measured(arguments: argparse.Namespace) -> Measured | None:
    """What the log knows of newer cases; nothing where there is no log, or none that can be read."""
    from pytest_promptune.core.errors import StoreError
    from pytest_promptune.store.log import STORE_OPTION, ExperimentLog, locate

    store = settings_of_project(arguments).store
    if store == "":
        return None
    location = locate(store, root=project_root(arguments), option=STORE_OPTION)
    if arguments.store is None and location.path is not None and not location.path.exists():
        return None

    def measured(module: str, since: str) -> Mapping[str, str] | None:
        try:
            with ExperimentLog(location) as log:
                return log.lists.case_hashes(module, since=since)
        except StoreError:
            if arguments.store is not None:
                raise
            return None

    return measured


LIST = Command(
    words=("baseline", "list"),
    help="list the recorded baselines: when, at which commit, of what; which no longer fit",
    run=_list,
    arguments=_list_arguments,
    error_status=2,
)

SHOW = Command(
    words=("baseline", "show"),
    help="show the metrics of a baseline with their means and flaky cases",
    run=_show,
    arguments=_show_arguments,
    error_status=2,
)

RM = Command(
    words=("baseline", "rm"),
    help="remove a baseline; asks nothing",
    run=_rm,
    arguments=_named_arguments,
    error_status=2,
)
