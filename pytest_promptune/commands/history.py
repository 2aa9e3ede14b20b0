"""``history``: the newest experiments with the trend of their metrics, and throwing old ones away."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pytest_promptune.commands.model import (
    Answer,
    Command,
    as_wide_as_the_terminal,
    root_argument,
    store_argument,
    stored_log,
    whole_number,
)

if TYPE_CHECKING:
    from pytest_promptune.store.log import ExperimentLog

_LIMIT = 10

#: What `ExperimentLog.prune` keeps.
_WHY = "the newest, its baseline, the newest interrupted one, adopted variants"

_EPILOG = (
    "Metrics are those of the tests unless --metric names others. --prune throws experiments away and asks "
    "nothing; --dry-run shows which."
)


def _history_arguments(parser: argparse.ArgumentParser) -> None:
    from typing import get_args

    from pytest_promptune.core.view import Mode

    parser.epilog = _EPILOG
    parser.add_argument(
        "-n",
        "--limit",
        type=whole_number(1),
        default=_LIMIT,
        metavar="N",
        help=f"how many (default: {_LIMIT})",
    )
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="a metric by its name or last part (repeatable)",
    )
    parser.add_argument("--variant", metavar="NAME", help="only experiments that measured it, and its values")
    parser.add_argument("--mode", choices=get_args(Mode), help="only experiments of this kind")
    parser.add_argument(
        "--series",
        metavar="ID",
        help="only experiments on the same apps and cases as this one (`last` for the newest)",
    )
    parser.add_argument(
        "--prune", action="store_true", help="throw experiments away; needs one of the next two"
    )
    parser.add_argument("--keep", type=whole_number(0), metavar="N", help="with --prune: the newest N stay")
    parser.add_argument(
        "--older-than", metavar="WHEN", help="with --prune: those before it go; 30d, 12h, 2w, or 2026-01-31"
    )
    parser.add_argument("--dry-run", action="store_true", help="with --prune: only say what would go")
    parser.add_argument(
        "--force",
        action="store_true",
        help=f"with --prune: also what later sessions may ask for: {_WHY}",
    )
    store_argument(parser)
    root_argument(parser)


def _history(arguments: argparse.Namespace) -> Answer:

    from pytest_promptune.stored.history import Wishes, read_history, to_json
    from pytest_promptune.stored.history_lines import history_lines

    _refuse_contradictions(arguments)
    with stored_log(arguments) as log:
        if arguments.prune:
            return _prune(arguments, log)
        wishes = Wishes(
            limit=None if arguments.all else arguments.limit,
            mode=arguments.mode,
            variant=arguments.variant,
            series=arguments.series,
            metrics=arguments.metric,
        )
        found = read_history(log, wishes)
    if arguments.json:  # of a long history each of the two takes a while
        return Answer(text="", data=to_json(found))
    text = as_wide_as_the_terminal(history_lines, found, only=arguments.variant)
    return Answer(text=text, data=None)


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    from pytest_promptune.core.errors import SettingsError

    chosen = arguments.keep is not None or arguments.older_than is not None
    if arguments.prune and not chosen:
        raise SettingsError("--prune: says not what goes. Give --keep N, --older-than WHEN, or both.")
    if not arguments.prune and (chosen or arguments.dry_run or arguments.force):
        raise SettingsError(
            "--keep, --older-than, --dry-run and --force say what --prune throws away. Give it, too."
        )


def _prune(arguments: argparse.Namespace, log: ExperimentLog) -> Answer:
    from datetime import UTC, datetime

    from pytest_promptune.core.display import clean, count
    from pytest_promptune.core.lines import paragraph
    from pytest_promptune.stored.history import moment

    older_than = moment(arguments.older_than, now=datetime.now(UTC)) if arguments.older_than else None
    limits = {"keep": arguments.keep, "older_than": older_than}
    needed = [] if arguments.force else log.still_needed(**limits)
    gone = log.prune(**limits, force=arguments.force, dry_run=arguments.dry_run)
    verb = "would go" if arguments.dry_run else "pruned"
    text = [f"{count(len(gone), 'experiment')} {verb}.", *(f"  {clean(id_)}" for id_ in gone)]
    if needed:
        stays, them = ("stays", "it") if len(needed) == 1 else ("stay", "them")
        why = f"since later sessions may ask for {them} ({_WHY}); --force prunes {them}, too."
        text.append(as_wide_as_the_terminal(paragraph, f"{count(len(needed), 'experiment')} {stays}, {why}"))
        text += [f"  {clean(id_)}" for id_ in needed]
    data = {"pruned": gone, "needed": needed, "count": len(gone), "dry_run": arguments.dry_run}
    return Answer(text="\n".join(text), data=data)


COMMAND = Command(
    words=("history",),
    help="list the newest experiments with the trend of their metrics; throw old ones away",
    run=_history,
    arguments=_history_arguments,
    error_status=2,
)
