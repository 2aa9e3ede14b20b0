"""What a node is for, and what that was seen from."""

from __future__ import annotations

import pytest

from pytest_promptune.core.nodes.model import CallPlace, ModelUse, Node, PromptText
from pytest_promptune.core.nodes.roles import role_lines


def call(text: str = "", **use: object) -> CallPlace:
    prompt = (PromptText(text=text),) if text else ()
    return CallPlace(models=(ModelUse(**use),), prompt=prompt)  # type: ignore[arg-type]


def node(*calls: CallPlace, **more: bool) -> Node:
    return Node(node="n", file=None, line=None, calls=calls, **more)


@pytest.mark.parametrize(
    ("found", "roles"),
    [
        (node(call(schema="Intent", decides=True)), ["decides (schema Intent)"]),
        (node(call("Classify it.", schema="Person")), ["extracts (schema Person)"]),
        (node(call("Classify it.", tools=("search", "pay"))), ["agent (its tools search, pay)"]),
        (node(call("Classify the message.")), ["decides (its wording)"]),
        (node(call("Extract the name.")), ["extracts (its wording)"]),
        (node(call("Be kind to people.")), ["generates (nothing but a text is asked for)"]),
        (node(call()), []),
        (node(call(), is_routing=True), ["routes (what is next is chosen after it)"]),
        (
            node(call("Be kind to people."), is_last=True),
            ["generates (nothing but a text is asked for)", "answers (the graph ends after it)"],
        ),
        (
            node(
                call("Extract the name."), call("Classify it.", schema="A", decides=True), call("Extract it.")
            ),
            ["extracts (its wording)", "decides (schema A)"],
        ),
    ],
)
def test_roles(found, roles):
    """By schema, tools, wording, and what follows in the graph; nothing where nothing tells."""
    assert role_lines(found) == roles
