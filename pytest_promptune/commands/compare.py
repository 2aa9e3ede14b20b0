"""``compare``: two stored experiments beside each other, with the gate if wanted."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_promptune.commands.model import (
    Answer,
    Command,
    as_wide_as_the_terminal,
    root_argument,
    settings_of_project,
    store_argument,
    without_collecting,
)

if TYPE_CHECKING:
    from pytest_promptune.core.casebook import CaseBook
    from pytest_promptune.settings import Settings
    from pytest_promptune.stored.comparing import Compared
    from pytest_promptune.stored.reading import Record

_OPTIONS = ("alpha", "margin", "tolerance", "scope", "strict", "gate_cases")


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    from pytest_promptune.settings import OPTIONS

    what = "experiment: last, an id, or the beginning of one; ID:VARIANT for another variant than `current`"
    parser.add_argument("a", metavar="A", help=f"reference {what}")
    parser.add_argument("b", metavar="B", help=f"candidate {what}")
    parser.add_argument("--gate", action="store_true", help="exit with status 1 when the gate fails")
    parser.add_argument("--gate-rule", metavar="RULE", help=OPTIONS["gate"].help)
    for name in _OPTIONS:
        spec = OPTIONS[name]
        flag = f"--{name.replace('_', '-')}"
        if spec.kind == "flag":
            parser.add_argument(flag, action="store_true", default=None, help=spec.help)
        elif spec.kind == "list":
            parser.add_argument(flag, action="append", metavar=spec.metavar, help=spec.help)
        else:
            parser.add_argument(flag, metavar=spec.metavar, help=spec.help)
    parser.add_argument("--report", metavar="PATH", help="write a report: Markdown, or HTML for PATH.html")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="reasons of every verdict, too")
    store_argument(parser)
    root_argument(parser)
    parser.epilog = (
        "What isn't given is taken from the ini file of pytest: promptune_alpha, _margin, _tolerance, "
        "_scope, _gate, _gate_metrics, _strict, _gate_cases, _store, _templates."
    )


def _compare(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.stored.meanwhile import read_meanwhile

    settings = _settings(arguments)
    root = Path(arguments.root).resolve()
    records = read_meanwhile(partial(_records, arguments, settings, root), _load)
    reference = next(records)
    from pytest_promptune.outputs import annotation_lines
    from pytest_promptune.stored.compared import lines_of, to_json
    from pytest_promptune.stored.comparing import Wishes, compare
    from pytest_promptune.stored.sides import completed, side_of

    before = side_of(reference, label="A {variant}")  # the other one is being read
    candidate = next(records)
    if reference.summary.status != "finished":
        before = side_of(completed(reference, candidate), label="A {variant}")
    now = side_of(completed(candidate, reference), label="B {variant}")
    described = bool(arguments.report or arguments.json)
    found = compare(before, now, Wishes(settings=settings, gate=arguments.gate, described=described))
    written = _written(arguments, found, settings, root)
    text = as_wide_as_the_terminal(lines_of, found, verbosity=arguments.verbose, gate=arguments.gate)
    return Answer(
        text="\n".join([text, *written]),
        data=to_json(found) | {"report": arguments.report} if arguments.json else {},
        status=found.view.exit_code,
        annotations=annotation_lines(found.view, root=root) if arguments.gate else (),
    )


def _records(arguments: argparse.Namespace, settings: Settings, root: Path) -> Iterator[Record]:
    from pytest_promptune.stored.reading import read_each

    return read_each((arguments.a, arguments.b), store=settings.store, root=root)


def _load() -> None:
    import pytest_promptune.outputs
    import pytest_promptune.stored.compared  # noqa: F401 - which imports numpy


def _compare_quickly(arguments: argparse.Namespace) -> Answer:
    with without_collecting():
        return _compare(arguments)


def _settings(arguments: argparse.Namespace) -> Settings:
    """Those of the project with what was typed in place of them."""
    from dataclasses import replace

    from pytest_promptune.core.errors import SettingsError
    from pytest_promptune.settings import OPTIONS, parsed

    settings = settings_of_project(arguments)
    typed: dict[str, Any] = {}
    for name, option in (("gate", "gate_rule"), *((name, name) for name in _OPTIONS)):
        value = getattr(arguments, option)
        if value is not None:
            typed[name] = parsed(OPTIONS[name], f"--{option.replace('_', '-')}", value)
    if arguments.gate and typed.get("gate") == "off":
        raise SettingsError("--gate and --gate-rule=off contradict each other: leave one of them out.")
    if arguments.gate and "gate" not in typed and settings.gate == "off":
        typed["gate"] = "regression"  # who asks for the gate doesn't mean none
    return replace(settings, **typed)


def _written(arguments: argparse.Namespace, found: Compared, settings: Settings, root: Path) -> list[str]:
    """Write the report that is asked for, and the summary of a GitHub job; lines that say so."""
    from dataclasses import replace

    from pytest_promptune.outputs import OutputError, write_outputs

    report = (str(Path(arguments.report).resolve()),) if arguments.report else ()
    lines = [f"Written: {arguments.report}"] if arguments.report else []
    try:
        write_outputs(
            found.view,
            replace(settings, report=report, json=None),
            root=root,
            book=partial(_book, found, settings, root),
        )
    except OutputError as error:
        if error.is_file_missing:
            raise
        lines.append(str(error))
    return lines


def _book(found: Compared, settings: Settings, root: Path) -> CaseBook:
    """The answers of both sides, for HTML alone."""
    from pytest_promptune.case_books import read_compared_book
    from pytest_promptune.store.log import ExperimentLog, locate_existing

    both = (found.reference, found.candidate)
    sides = [(side.circumstances.experiment, side.circumstances.variant) for side in both]
    results = [result for side in both for result in side.measured.experiment.results]
    with ExperimentLog(locate_existing(settings.store, root=root)) as log:
        return read_compared_book(log, found.view, sides, results)


COMMAND = Command(
    words=("compare",),
    help="compare two stored experiments, or variants of them, without running anything",
    run=_compare_quickly,
    arguments=_compare_arguments,
    error_status=2,
)
