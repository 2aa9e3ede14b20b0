"""The arguments of ``nodes``; importing it is cheap."""

from __future__ import annotations

import argparse

#: Of a dry run.
MOST_RUNS = 1000


def nodes_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``pytest-promptune nodes``."""
    parser.add_argument(
        "--graph",
        metavar="MODULE:NAME",
        help="the compiled graph, or a function without arguments that gives it, as my_app.graph:graph "
        "(default: ini key promptune_graph, else the graphs of langgraph.json)",
    )
    parser.add_argument("--root", metavar="DIR", help="of the project (default: that of pytest, run here)")
    parser.add_argument(
        "--markdown", action="store_true", help="answer in Markdown: all prompts and findings, node by node"
    )
    parser.add_argument(
        "--experiment",
        metavar="ID",
        help="whose samples to read beside the source (`last` for the newest; default: the newest, if any)",
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="the experiment log (default: promptune_store; empty to read the source alone)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="run the project's cases with fake models instead, which answer from JSON schemas: says which "
        "nodes are reached. No provider is called, no key is needed; tests and the app's tools do run",
    )
    parser.add_argument(
        "--runs", type=_runs, metavar="N", help="how often --dry-run runs each case (default: 1)"
    )
    parser.epilog = (
        "The app is imported; without --dry-run neither its graph nor a model is called. Nothing is sent to "
        "LangSmith (LANGSMITH_TRACING=false). What the samples of a stored experiment showed is merged in: "
        "models, parameters, prompts, tokens, times, answers that flip. Exit status: 1 with findings or "
        "without a node that calls a model."
    )


def _runs(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= MOST_RUNS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not valid; expected a whole number from 1 to {MOST_RUNS}."
        )
    return number
