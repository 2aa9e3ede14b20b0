"""The `pytest-promptune` command: everything that only reads the store or the source, and the embedded model.

What runs samples is an option of pytest instead. A subcommand is one row of `COMMANDS` and one function that
returns an `Answer`; it imports what it needs itself, so that no command pays for another's dependencies.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pytest_promptune.core.display import clean_lines
from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.core.values import dataclass

if TYPE_CHECKING:
    from pytest_promptune.core.lines import Line
    from pytest_promptune.settings import Settings
    from pytest_promptune.sizing.sources import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command found: `text` for people, `data` for ``--json``."""

    text: str
    data: Any
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
    #: Exit status of an error that the user can mend.
    error_status: int = 1
    #: Whether ``--json`` makes the answer JSON; else the option is the command's own.
    answers_json: bool = True


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
        _write(sys.stderr, "\n".join(clean_lines(f"pytest-promptune {' '.join(command.words)}: {error}")))
        return command.error_status
    except KeyboardInterrupt:
        return 130
    as_json = command.answers_json and arguments.json
    _write(sys.stdout, json.dumps(answer.data, allow_nan=False) if as_json else answer.text)
    return answer.status


def _write(stream: TextIO, text: str) -> None:
    """A line; what the stream's encoding has no character for is escaped."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


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
        if command.answers_json:
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


def _merge_arguments(parser: argparse.ArgumentParser) -> None:
    from pytest_promptune.option_values import GATES

    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="results of --promptune-json, one per machine"
    )
    parser.add_argument("--json", metavar="PATH", help="write the results of all, which can be merged again")
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
        "--root", metavar="DIR", default=".", help="where the tests and their baselines lie (default: here)"
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
    import shutil

    from pytest_promptune.merging import Wishes, merge
    from pytest_promptune.terminal import summary

    wishes = Wishes(
        root=Path(arguments.root).resolve(),
        gate=arguments.gate,
        rule=arguments.gate_rule,
        json=Path(arguments.json).resolve() if arguments.json else None,
        report=tuple(Path(path).resolve() for path in arguments.report),
        allow_partial=arguments.allow_partial,
        goals=str(Path(arguments.goals).resolve()) if arguments.goals else arguments.goals,
    )
    view = merge(arguments.files, wishes)
    lines = summary(view, verbosity=0, width=shutil.get_terminal_size().columns)
    return Answer(text="\n".join(line.text for line in lines), data={}, status=view.exit_code)


def _calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    from pytest_promptune.sizing.arguments import calibrate_arguments

    calibrate_arguments(parser)


def _calibrate(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.sizing.calibrating import Questions, calibrate, other_rules, to_json
    from pytest_promptune.sizing.sources import find
    from pytest_promptune.sizing.telling import calibration_lines

    settings = _settings(arguments)
    questions = Questions(
        splits=arguments.splits,
        seed=arguments.seed,
        alpha=arguments.alpha or settings.alpha,
        scope=arguments.scope or settings.scope,
        margins=arguments.margin,
        tolerances=arguments.tolerance,
        usual_margins=settings.margin,
        usual_tolerances=settings.tolerance,
        other_rules=other_rules(settings),
    )
    found = calibrate(find(_asked(arguments, settings)), questions)
    return Answer(text=_text(calibration_lines, found), data=to_json(found), status=found.status)


def _plan_runs_arguments(parser: argparse.ArgumentParser) -> None:
    from pytest_promptune.sizing.arguments import plan_runs_arguments

    plan_runs_arguments(parser)


def _plan_runs(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.sizing.planning import Goals, plan_runs, to_json
    from pytest_promptune.sizing.sources import find
    from pytest_promptune.sizing.telling import plan_lines

    settings = _settings(arguments)
    goals = Goals(
        differences=arguments.difference,
        power=arguments.power,
        alpha=arguments.alpha or settings.alpha,
        variants=arguments.variants,
    )
    plan = plan_runs(find(_asked(arguments, settings)), goals)
    return Answer(text=_text(plan_lines, plan), data=to_json(plan))


def _nodes_arguments(parser: argparse.ArgumentParser) -> None:
    from pytest_promptune.inspecting.arguments import nodes_arguments

    nodes_arguments(parser)


def _nodes(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.inspecting.asking import ask
    from pytest_promptune.inspecting.finding import rows
    from pytest_promptune.inspecting.telling import node_lines, node_markdown

    found = ask(arguments)
    text = node_markdown(found) if arguments.markdown else _text(node_lines, found)
    return Answer(text=text, data=rows(found), status=found.status)


def _settings(arguments: argparse.Namespace) -> "Settings":
    """Of the project that is asked about."""
    from pytest_promptune.ini_files import settings_of

    return settings_of(Path(arguments.root).resolve())


def _asked(arguments: argparse.Namespace, settings: "Settings") -> "Asked":
    from pytest_promptune.sizing.sources import Asked

    return Asked(
        root=Path(arguments.root).resolve(),
        paths=arguments.paths,
        against=arguments.against or settings.against,
        experiment=arguments.experiment,
        variant=arguments.variant,
        store=settings.store if arguments.store is None and arguments.experiment else arguments.store,
        metrics=arguments.metric,
        gate_metrics=settings.gate_metrics,
    )


def _text(lines_of: Callable[..., Sequence["Line"]], found: object) -> str:
    """An answer as wide as the terminal."""
    import shutil

    lines = lines_of(found, width=shutil.get_terminal_size().columns)
    return "\n".join(line.text for line in lines)


def _goals_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="the goals file (default: as promptune_goals says, or fine-tune.md at the root, in "
        ".langgraph-architect/ or in .langgraph-master/)",
    )
    parser.add_argument("--root", metavar="DIR", default=".", help="root of the project (default: here)")


def _goals(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.core.goals.telling import file_lines, to_json
    from pytest_promptune.goal_files import require_goals

    root = Path(arguments.root).resolve()
    configured = None if arguments.path is not None else _settings(arguments).goals
    goals = require_goals(arguments.path, configured=configured, root=root, here=Path.cwd())
    return Answer(text=_text(file_lines, goals), data=to_json(goals), status=int(bool(goals.problems)))


GROUPS = {"model": "the embedded language model (extra [local])"}

COMMANDS = (
    Command(
        words=("goals",),
        help="print what was understood of the goals file, line by line, and what was not",
        run=_goals,
        arguments=_goals_arguments,
        error_status=2,
    ),
    Command(
        words=("model", "fetch"),
        help="download the embedded model (93 MB, once) and print where it is",
        run=_model_fetch,
        arguments=_model_fetch_arguments,
    ),
    Command(
        words=("merge",),
        help="conclude results that several machines measured as one: compare, gate, report, record",
        run=_merge,
        arguments=_merge_arguments,
        error_status=2,
        answers_json=False,
    ),
    Command(
        words=("calibrate",),
        help="compare stored runs with themselves: how often the gate fails by chance, what it would find",
        run=_calibrate,
        arguments=_calibrate_arguments,
        error_status=2,
    ),
    Command(
        words=("plan-runs",),
        help="tell from stored runs how many runs or cases it takes to find a change",
        run=_plan_runs,
        arguments=_plan_runs_arguments,
        error_status=2,
    ),
    Command(
        words=("nodes",),
        help="find the graph's nodes that call a language model, and what is weak in their prompts",
        run=_nodes,
        arguments=_nodes_arguments,
        error_status=2,
    ),
    Command(words=("model", "path"), help="print where the embedded model is", run=_model_path),
)

if __name__ == "__main__":
    sys.exit(main())
