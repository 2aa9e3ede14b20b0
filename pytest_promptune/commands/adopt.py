"""``adopt``: a variant becomes the app's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_promptune.commands.model import Answer, Command, as_wide_as_the_terminal, root_argument


def _adopt_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("variant", metavar="NAME", help="the variant that becomes the app's own")
    parser.add_argument(
        "--commit",
        action="store_true",
        help="commit exactly what was written; hooks run, other staged changes stay",
    )
    parser.add_argument("--tag", metavar="TAG", help="tag the commit (with --commit)")
    parser.add_argument(
        "--experiment",
        metavar="ID",
        help="whose numbers count (default: the newest finished comparison of the variant)",
    )
    parser.add_argument("--store", metavar="URL", help="the experiment log (default: promptune_store)")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be written, and write nothing"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="adopt it although the numbers don't speak for it, or write over uncommitted changes",
    )
    parser.add_argument(
        "--applied",
        action="store_true",
        help="what can't be written mechanically has been changed by hand: do the rest",
    )
    root_argument(parser)
    parser.epilog = (
        "Writes the variant's texts over the current ones, all or nothing, records the baseline from its "
        "stored samples, notes the adoption in the experiment log, removes the variant, and prints the "
        "commit (or makes it, with --commit). Exit status: 1 when it was not adopted, or not committed."
    )


def _adopt(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.adopting.adoption import adopt
    from pytest_promptune.adopting.telling import outcome_lines, to_json
    from pytest_promptune.adopting.values import Wishes

    outcome = adopt(
        Wishes(
            root=Path(arguments.root).resolve(),
            variant=arguments.variant,
            experiment=arguments.experiment,
            store=arguments.store,
            commit=arguments.commit,
            tag=arguments.tag,
            dry_run=arguments.dry_run,
            force=arguments.force,
            applied=arguments.applied,
        )
    )
    text = as_wide_as_the_terminal(outcome_lines, outcome)
    return Answer(text=text, data=to_json(outcome), status=outcome.status)


COMMAND = Command(
    words=("adopt",),
    help="make a variant the app's own: its texts, its scores as the baseline, and the commit",
    run=_adopt,
    arguments=_adopt_arguments,
    error_status=2,
)
