"""``show``: one stored experiment, or its samples."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from pytest_promptune.stored.showing import Shown

_LIMIT = 100


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment",
        nargs="?",
        default="last",
        metavar="EXPERIMENT",
        help="id, the beginning of one, or last, the newest that called the app (default: last); "
        "ID:VARIANT lists the samples of one variant",
    )
    parser.add_argument(
        "--prompts",
        action="store_true",
        help="the prompts of all variants, too; with --samples: the rendered ones, by node",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="as short as the session's own summary")
    parser.add_argument("--samples", action="store_true", help="list its samples instead")
    parser.add_argument(
        "--case", action="append", default=[], metavar="ID", help="only samples of this case (repeatable)"
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME",
        help="only samples of this variant (repeatable)",
    )
    parser.add_argument(
        "--missed", action="store_true", help="only samples that missed a test or have an error"
    )
    parser.add_argument(
        "--outputs",
        action="store_true",
        help="the beginnings of outputs, too; whole ones in CSV and JSON, there with prompts and nodes",
    )
    parser.add_argument(
        "-n", "--limit", type=whole_number(1), metavar="N", help=f"how many samples (default: {_LIMIT})"
    )
    parser.add_argument("--all", action="store_true", help="all samples")
    parser.add_argument(
        "--csv", metavar="PATH", help="write all samples that are chosen with their scores, for spreadsheets"
    )
    parser.add_argument(
        "--html", metavar="PATH", help="write the HTML report of the session, with every answer"
    )
    store_argument(parser)
    root_argument(parser)


def _show(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.stored.reading import split
    from pytest_promptune.stored.showing import experiment_lines, read_experiment, to_json

    arguments.experiment, variant = split(arguments.experiment)
    if variant is not None:
        arguments.variant = [*arguments.variant, variant]
        arguments.samples = not arguments.csv
    _refuse_contradictions(arguments)
    with stored_log(arguments) as log:
        if arguments.samples or arguments.csv:
            return _samples(arguments, log)
        shown = read_experiment(log, arguments.experiment, prompts=arguments.prompts)
        if arguments.html:
            return _html(arguments, log, shown)
    text = as_wide_as_the_terminal(experiment_lines, shown, verbosity=0 if arguments.quiet else 1)
    return Answer(text=text, data=to_json(shown))


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    from pytest_promptune.core.errors import SettingsError

    of_samples = ("case", "variant", "missed", "outputs", "limit", "all")
    given = [name for name in of_samples if getattr(arguments, name)]
    if given and not (arguments.samples or arguments.csv):
        raise SettingsError(
            f"--{given[0]}: says which samples are listed. Give --samples or --csv PATH, too."
        )
    if arguments.html and (arguments.samples or arguments.csv):
        raise SettingsError("--html: has the whole session; leave out --samples and --csv.")
    if arguments.csv and (arguments.limit or arguments.all):
        raise SettingsError("--csv: has all samples that are chosen; leave out --limit and --all.")
    if arguments.csv and arguments.prompts:
        raise SettingsError("--csv: has no rendered prompts; --samples --prompts --json has.")


def _samples(arguments: argparse.Namespace, log: ExperimentLog) -> Answer:
    from pytest_promptune.store.log import Wanted
    from pytest_promptune.stored.sample_lists import check_names, sample_lines, to_json

    experiment = log.experiment(arguments.experiment)
    id_ = experiment.id
    limited = not (arguments.all or arguments.csv)
    wanted = Wanted(
        cases=arguments.case,
        variants=arguments.variant,
        missed=arguments.missed,
        outputs=arguments.outputs,
        # the terminal has prompts where they are asked for, JSON has everything or no texts at all
        traces=not arguments.csv and (arguments.prompts or (arguments.outputs and arguments.json)),
        limit=(arguments.limit or _LIMIT) if limited else None,
    )
    check_names(log, experiment, wanted)
    if arguments.csv:
        return _csv(arguments, log, id_, wanted)
    found = log.lists.samples(id_, wanted)
    total = log.lists.count(id_, wanted)
    shown = {"outputs": arguments.outputs, "prompts": arguments.prompts}
    text = as_wide_as_the_terminal(sample_lines, found, total=total, **shown)
    data = {"experiment": id_, **to_json(found, total=total, outputs=arguments.outputs)}
    return Answer(text=text, data=data)


def _html(arguments: argparse.Namespace, log: ExperimentLog, shown: Shown) -> Answer:
    from pytest_promptune.case_books import read_case_book
    from pytest_promptune.commands.model import settings_of_project
    from pytest_promptune.core.errors import StoreError
    from pytest_promptune.plot_files import of_session
    from pytest_promptune.report_files import html_page
    from pytest_promptune.store.files import write_text

    if shown.view is None:
        raise StoreError(f"{shown.summary.id} has no results: it ended early or runs still.")
    folder = settings_of_project(arguments).templates
    templates = Path(arguments.root).resolve() / folder if folder else None
    path = Path(arguments.html)
    book, plots = read_case_book(log, shown.view), of_session(shown.view)
    write_text(path, html_page(shown.view, book, plots, templates=templates))
    data = {"experiment": shown.summary.id, "written": path.as_posix()}
    return Answer(text=f"Written: {path.as_posix()}", data=data)


def _csv(arguments: argparse.Namespace, log: ExperimentLog, id_: str, wanted: Any) -> Answer:
    from pytest_promptune.core.display import count
    from pytest_promptune.store.files import write_text
    from pytest_promptune.stored.sample_lists import to_csv

    found = log.lists.samples(id_, wanted)
    path = Path(arguments.csv)
    write_text(path, to_csv(found, outputs=arguments.outputs))
    data = {"experiment": id_, "written": path.as_posix(), "samples": len(found)}
    return Answer(text=f"Written: {path.as_posix()}, {count(len(found), 'sample')} of {id_}", data=data)


COMMAND = Command(
    words=("show",),
    help="show a stored experiment as its session did, or its samples",
    run=_show,
    arguments=_show_arguments,
    error_status=2,
)
