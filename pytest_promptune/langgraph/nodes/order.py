"""Which nodes of a graph run before which, by its edges and routes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def nodes_before(
    builder: Any, names: Collection[str], free: Collection[str]
) -> Mapping[str, tuple[str, ...]]:
    """Of each node those that may have run before it, in the order of the graph.

    Args:
        builder: what the graph was compiled from; ``None`` where that is not known: any may be first.
        names: of the graph's nodes, its start among them.
        free: nodes that choose what is next while they run, by a `Command`.
    """
    if builder is None:
        return dict.fromkeys(names, tuple(names))
    following = {name: _following(builder, name, names, free) for name in names}
    reached = {name: _reached(name, following) for name in names}
    return {name: tuple(other for other in names if name in reached[other]) for name in names}


def _following(builder: Any, name: str, names: Collection[str], free: Collection[str]) -> frozenset[str]:
    """The nodes that may come next; all where it isn't written down."""
    declared = getattr(builder.nodes.get(name), "ends", None) or ()
    routes = builder.branches.get(name, {}).values()
    if any(route.ends is None for route in routes) or (name in free and not declared):
        return frozenset(names)
    found = {end for start, end in builder.edges if start == name}
    found |= {end for starts, end in builder.waiting_edges if name in starts}
    return frozenset([*found, *declared, *(end for route in routes for end in route.ends.values())])


def _reached(name: str, following: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The nodes that may run some time after one; itself only where there is a way back."""
    found: set[str] = set()
    pending = list(following[name])
    while pending:
        other = pending.pop()
        if other not in found:
            found.add(other)
            pending += following.get(other, ())
    return frozenset(found)
