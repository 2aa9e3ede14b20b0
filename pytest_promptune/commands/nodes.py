"""``nodes``: which nodes of a graph call a language model, and what is weak in their prompts."""

from __future__ import annotations

import argparse
from contextlib import nullcontext

from pytest_promptune.commands.model import Answer, Command, as_wide_as_the_terminal, without_collecting


def _nodes_arguments(parser: argparse.ArgumentParser) -> None:
    from pytest_promptune.inspecting.arguments import nodes_arguments

    nodes_arguments(parser)


def _nodes(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.inspecting.asking import ask
    from pytest_promptune.inspecting.finding import rows
    from pytest_promptune.inspecting.telling import beside_rows, node_lines, node_markdown

    with nullcontext() if arguments.dry_run else without_collecting():  # a dry run may take long
        found = ask(arguments)
    text = node_markdown(found) if arguments.markdown else as_wide_as_the_terminal(node_lines, found)
    return Answer(text=text, data=rows(found), status=found.status, beside_data=tuple(beside_rows(found)))


COMMAND = Command(
    words=("nodes",),
    help="find the graph's nodes that call a language model, and what is weak in their prompts",
    run=_nodes,
    arguments=_nodes_arguments,
    error_status=2,
)
