"""``report``: the final report over a tuning series."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_promptune.commands.model import (
    Answer,
    Command,
    as_seen_from_here,
    root_argument,
    settings_of_project,
    store_argument,
    stored_log,
    without_collecting,
)
from pytest_promptune.core.values import dataclass
from pytest_promptune.option_values import HTML

if TYPE_CHECKING:
    from pytest_promptune.core.casebook import CaseBook
    from pytest_promptune.core.series.final import FinalReport
    from pytest_promptune.plot_files import Plots

DEFAULT_PATH = "promptune-final-report.md"
DEFAULT_HTML = "promptune-final-report.html"
LANGUAGES = ("en", "ja")


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    from pytest_promptune.settings import OPTIONS

    parser.add_argument(
        "--out",
        metavar="PATH",
        help=f"where to write it (default: {DEFAULT_PATH} under the root, with --html {DEFAULT_HTML}; - "
        "prints it); a path that ends in .html is written as HTML",
    )
    parser.add_argument(
        "--html", action="store_true", help="as one HTML file, with the answers to every case"
    )
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language (default: en)")
    parser.add_argument(
        "--from",
        dest="begin",
        metavar="EXPERIMENT",
        help="begin the series with this experiment (default: the newest recorded baseline)",
    )
    parser.add_argument(
        "--series",
        metavar="EXPERIMENT",
        help="the series of this experiment (default: the one with a baseline that was worked on last)",
    )
    parser.add_argument("--goals", metavar="PATH", help=OPTIONS["goals"].help)
    store_argument(parser)
    root_argument(parser)
    parser.epilog = (
        "What isn't given is taken from the ini file of pytest: promptune_alpha, _margin, _scope, _goals, "
        "_goal_metrics, _gate_metrics, _store, _templates."
    )


def _report(arguments: argparse.Namespace) -> Answer:
    from dataclasses import replace

    from pytest_promptune.report.final.json import to_json
    from pytest_promptune.stored.final import Wishes, final_report

    root = Path(arguments.root).resolve()
    settings = settings_of_project(arguments)
    if arguments.goals is not None:
        given = arguments.goals.strip()
        settings = replace(settings, goals=str(Path(given).resolve()) if given else "")
    wishes = Wishes(
        root=root,
        settings=settings,
        series=arguments.series,
        begin=arguments.begin,
    )
    with without_collecting():
        found = final_report(wishes)
    if arguments.json and arguments.out is None:
        return Answer(text="", data=to_json(found))
    from pytest_promptune.plot_files import Plots, of_series, write_plots
    from pytest_promptune.store.files import write_text

    is_printed = arguments.out == "-"
    as_html = arguments.html or (arguments.out or "").lower().endswith(HTML)
    usual = DEFAULT_HTML if as_html else DEFAULT_PATH
    path = Path(arguments.out).resolve() if arguments.out and not is_printed else root / usual
    plots = Plots() if is_printed and not as_html else of_series(found, language=arguments.lang)
    look = Look(
        language=arguments.lang,
        templates=root / settings.templates if settings.templates else None,
        as_html=as_html,
        path=path,
    )
    text = _rendered(found, plots, look, _book(arguments, found) if as_html else None)
    if is_printed:
        return Answer(text=text.rstrip("\n"), data=to_json(found))
    write_text(path, text)
    if not as_html:
        write_plots(path, plots.drawn)
    told = [
        f"Written: {arguments.out or as_seen_from_here(path)}",
        *([str(plots.problem)] if plots.problem else []),
    ]
    return Answer(text="\n".join(told), data=to_json(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the report is to look."""

    language: str
    templates: Path | None
    as_html: bool
    #: Where it is written; plots beside it are referred to from there.
    path: Path


def _book(arguments: argparse.Namespace, found: FinalReport) -> CaseBook:
    from pytest_promptune.case_books import read_series_book

    with stored_log(arguments) as log, without_collecting():
        return read_series_book(log, found, language=arguments.lang)


def _rendered(found: FinalReport, plots: Plots, look: Look, book: CaseBook | None) -> str:
    from pytest_promptune.plot_files import beside, within
    from pytest_promptune.report.final.markdown import render_final

    markdown = render_final(
        found,
        language=look.language,
        templates=look.templates,
        plots=within(plots.drawn) if look.as_html else beside(look.path, plots.drawn),
        plots_hint=plots.hint,
    )
    if not look.as_html:
        return markdown
    from pytest_promptune.report.html import page

    return page(markdown, book=book, language=look.language, templates=look.templates)


COMMAND = Command(
    words=("report",),
    help="write the final report over a tuning series: what was tried, what came of it, what is open",
    run=_report,
    arguments=_report_arguments,
    error_status=2,
)
