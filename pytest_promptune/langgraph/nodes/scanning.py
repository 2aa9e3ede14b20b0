"""The nodes of a compiled graph, subgraphs included, that call a language model."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from dataclasses import replace
from types import CodeType
from typing import Any

from langgraph.pregel import Pregel

from pytest_promptune.core.nodes.model import CallPlace, Node
from pytest_promptune.core.values import dataclass
from pytest_promptune.langgraph.nodes.channels import Channels, channels_of, filled, has_command, state_of
from pytest_promptune.langgraph.nodes.contents import Contents
from pytest_promptune.langgraph.nodes.evaluator import Evaluator
from pytest_promptune.langgraph.nodes.order import nodes_before
from pytest_promptune.langgraph.nodes.sources import Sources, code_of
from pytest_promptune.langgraph.nodes.values import Value

_START, _END = "__start__", "__end__"
_DEEPEST = 8

Graph = Pregel[Any, Any, Any, Any]


def scan(graph: Graph, sources: Sources, *, declared: frozenset[str] = frozenset()) -> list[Node]:
    """The nodes that call a model, in the order of the graph; neither the graph nor a model is called.

    Args:
        graph: compiled.
        sources: the app's files.
        declared: functions that call a model in a way of their own, as ``app.services:call``.
    """
    found: dict[str, Node] = {}
    for node in _Scan(sources, declared).nodes(graph, "", (), {}):
        before = found.get(node.node)  # several graphs that one node invokes by hand have nodes of one name
        found[node.node] = replace(before, calls=before.calls + node.calls) if before else node
    return list(found.values())


def scan_app(app: object, sources: Sources, *, declared: frozenset[str] = frozenset()) -> list[Node]:
    """As `scan`, of anything that can be an app; one that is no graph is a node named as its function.

    Args:
        app: a compiled graph, a Runnable or a function.
        sources: the app's files.
        declared: functions that call a model in a way of their own.
    """
    if isinstance(app, Pregel):
        return scan(app, sources, declared=declared)
    look = _Look(Evaluator(sources, declared=declared), [app])
    look.run(None)
    found = []
    if look.evaluator.found:
        name = getattr(app, "__name__", None) or type(app).__name__
        found.append(Node(node=name, file=None, line=None, calls=tuple(look.evaluator.found)))
    for inner in look.evaluator.calls.graphs:
        found += scan(inner, sources, declared=declared)
    return found


def names_of(graph: Graph) -> tuple[str, ...]:
    """The names of the graph's own nodes."""
    return tuple(name for name in graph.nodes if name != _START)


def paths_of(graph: Graph) -> tuple[str, ...]:
    """Paths of all its nodes, those of subgraphs as ``research/writer``."""
    found = [name for name in graph.nodes if name != _START]
    for namespace, inner in graph.get_subgraphs(recurse=True):
        path = namespace.replace("|", "/")
        found += [f"{path}/{name}" for name in getattr(inner, "nodes", ()) if name != _START]
    return tuple(found)


class _Scan:
    def __init__(self, sources: Sources, declared: frozenset[str]) -> None:
        self._sources = sources
        self._declared = declared

    def nodes(self, graph: Graph, prefix: str, above: tuple[Graph, ...], before: Channels) -> Iterator[Node]:
        """The graph's nodes that call a model, and those of the graphs that they invoke."""
        if any(graph is other for other in above) or len(above) > _DEEPEST:
            return  # a graph that invokes itself
        looks = {name: _Look(self._evaluator(), list(_runnables(graph, name))) for name in graph.nodes}
        returned = {name: look.run(None) for name, look in looks.items()}
        free = [name for name, values in returned.items() if has_command(values)]
        earlier = nodes_before(getattr(graph, "builder", None), list(looks), free)
        for name, look in looks.items():
            path = f"{prefix}{name}"
            channels = channels_of([value for other in earlier[name] for value in returned[other]], before)
            if look.evaluator.found:
                calls = tuple(self._filled(graph, name, look, channels))
                file, line = self._place(name, look.runnables, calls)
                yield Node(
                    node=path,
                    file=file,
                    line=line,
                    calls=calls,
                    is_routing=name in free or _has_routes(graph, name),
                    is_last=not above and _is_last(graph, name),
                )
            for inner in look.evaluator.calls.graphs:
                yield from self.nodes(inner, f"{path}/", (*above, graph), channels)

    def _filled(self, graph: Graph, name: str, look: _Look, channels: Channels) -> list[CallPlace]:
        """The node's calls, those without a text with what reaches them through the state."""
        calls = look.evaluator.found
        if not channels or all(call.prompt for call in calls):
            return calls
        again = _Look(self._evaluator(), look.runnables)
        again.run(state_of(_schema(graph, name), channels))
        return filled(calls, again.evaluator.found)

    def _evaluator(self) -> Evaluator:
        return Evaluator(self._sources, declared=self._declared)

    def _place(
        self, name: str, runnables: list[Any], calls: tuple[CallPlace, ...]
    ) -> tuple[str | None, int | None]:
        """Where the node stands: its function in the app, else where the app adds it, else its prompt."""
        inside = Contents()
        inside.add_all(runnables[:1])
        places = []
        for function in inside.functions:
            code = _code_behind(function)
            if code is not None:
                place = (self._sources.name(code.co_filename), code.co_firstlineno)
                if not self._sources.is_installed(code.co_filename):
                    return place
                places.append(place)
        if (added := self._sources.call_site("add_node", name)) is not None:
            return added
        texts = [(text.file, text.line) for call in calls for text in call.prompt if text.file]
        own = [place for place in texts if (self._sources.root / place[0]).is_file()]
        sites = [(call.file, call.line) for call in calls if call.file]
        return next(iter([*own, *places, *texts, *sites]), (None, None))


@dataclass(frozen=True, slots=True)
class _Look:
    """One evaluation of what a node runs."""

    evaluator: Evaluator
    runnables: list[Any]

    def run(self, state: Value | None) -> list[Value]:
        """Evaluate it, and say what it gives."""
        return [self.evaluator.run(runnable, state) for runnable in self.runnables]


def _has_routes(graph: Graph, name: str) -> bool:
    """Whether conditional edges leave a node, or it is declared to choose by a `Command`."""
    builder = getattr(graph, "builder", None)
    ends = getattr(getattr(builder, "nodes", {}).get(name), "ends", None)
    return bool(ends or getattr(builder, "branches", {}).get(name))


def _is_last(graph: Graph, name: str) -> bool:
    """Whether an edge leads to the graph's end, or one that starts at several nodes."""
    builder = getattr(graph, "builder", None)
    waiting = (starts for starts, end in getattr(builder, "waiting_edges", ()) if end == _END)
    return (name, _END) in getattr(builder, "edges", ()) or any(name in starts for starts in waiting)


def _schema(graph: Graph, name: str) -> Any:
    """The class of the state that a node gets."""
    builder = getattr(graph, "builder", None)
    spec = getattr(builder, "nodes", {}).get(name)
    return getattr(spec, "input_schema", None) or getattr(builder, "state_schema", None)


def _code_behind(item: Any) -> CodeType | None:
    """The code of a function, method, partial or callable object."""
    while isinstance(item, functools.partial):
        item = item.func
    item = getattr(item, "__func__", item)
    return code_of(inspect.unwrap(item)) or code_of(inspect.getattr_static(type(item), "__call__", None))


def _runnables(graph: Graph, name: str) -> Iterator[Any]:
    """What a node runs: its own runnable, and the routes that are chosen behind it."""
    builder = getattr(graph, "builder", None)
    specs = getattr(builder, "nodes", {})
    if name in specs:
        yield specs[name].runnable
    elif name != _START or builder is None:
        yield graph.nodes[name].bound
    for branch in getattr(builder, "branches", {}).get(name, {}).values():
        yield branch.path
