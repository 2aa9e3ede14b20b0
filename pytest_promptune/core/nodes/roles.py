"""What a node is for in its app, by stated rules: what it asks its model for, and what comes after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_promptune.core.nodes.findings import Task, task_of, why_of
from pytest_promptune.core.nodes.model import Node

_WORDS: Mapping[Task, str] = {
    "decision": "decides",
    "extraction": "extracts",
    "agent": "agent",
    "generation": "generates",
}


def roles_of(node: Node) -> Mapping[str, str]:
    """Its roles with what each was seen from, in the order of its calls; empty where nothing tells.

    A call decides or extracts by the schema of its output, is that of an agent by its tools, and else does
    what its wording or stored answers say: a text is generated where they say nothing else. A node routes
    where a conditional edge or a ``Command`` follows, and answers where an edge to the graph's end does.
    """
    found: dict[str, str] = {}
    for role, seen in _roles(node):
        found.setdefault(role, seen)
    return found


def _roles(node: Node) -> Iterator[tuple[str, str]]:
    for call in node.calls:
        if (task := task_of(call)) is not None:
            yield _WORDS[task], why_of(call)
    if node.is_routing:
        yield "routes", "what is next is chosen after it"
    if node.is_last:
        yield "answers", "the graph ends after it"


def role_lines(node: Node) -> list[str]:
    """``decides (schema Intent)``, one for each role."""
    return [f"{word} ({seen})" for word, seen in roles_of(node).items()]
