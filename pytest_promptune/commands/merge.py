"""``merge``: several machines' results, concluded as one."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_promptune.commands.model import USUAL_ROOT, Answer, Command, as_wide_as_the_terminal


def _merge_arguments(parser: argparse.ArgumentParser) -> None:
    from pytest_promptune.option_values import GATES

    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="results of --promptune-json, one per machine"
    )
    parser.add_argument(
        "--json",
        metavar="PATH",
        nargs="?",
        const=True,
        help="write the results of all, which can be merged again; without PATH: answer in JSON, on one line",
    )
    parser.add_argument(
        "--report", metavar="PATH", action="append", default=[], help="write the Markdown report (repeatable)"
    )
    parser.add_argument("--gate", action="store_true", help="exit with status 1 when the gate fails")
    parser.add_argument(
        "--gate-rule",
        choices=GATES,
        help="the gate's rule (default: that of the files, or regression if they ran with the gate off)",
    )
    parser.add_argument(
        "--root", metavar="DIR", help=f"where the tests and their baselines lie (default: {USUAL_ROOT})"
    )
    parser.add_argument(
        "--goals",
        metavar="PATH",
        help="goals file (default: as promptune_goals says, or fine-tune.md at the root; empty for none)",
    )
    parser.add_argument(
        "--allow-partial", action="store_true", help="take in sessions that ended early (-x, Ctrl-C), too"
    )


def _merge(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.merging import Wishes, merge
    from pytest_promptune.outputs import annotation_lines
    from pytest_promptune.terminal import summary

    wishes = Wishes(
        root=Path(arguments.root).resolve(),
        gate=arguments.gate,
        rule=arguments.gate_rule,
        json=Path(arguments.json).resolve() if arguments.json not in (None, True) else None,
        report=tuple(Path(path).resolve() for path in arguments.report),
        allow_partial=arguments.allow_partial,
        goals=str(Path(arguments.goals).resolve()) if arguments.goals else arguments.goals,
    )
    merged = merge(arguments.files, wishes)
    view = merged.view
    if arguments.json is True:
        from pytest_promptune.report.json_results import to_document

        return Answer(text="", data=to_document(view, merged.shard), status=view.exit_code)
    annotated = annotation_lines(view, root=wishes.root) if wishes.gate else ()
    text = as_wide_as_the_terminal(summary, view, verbosity=0)
    return Answer(text=text, data={}, status=view.exit_code, annotations=annotated)


COMMAND = Command(
    words=("merge",),
    help="conclude results that several machines measured as one: compare, gate, report, record",
    run=_merge,
    arguments=_merge_arguments,
    error_status=2,
    has_own_json=True,
)
