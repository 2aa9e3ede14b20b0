"""Imports the app, scans its graphs and says what is weak in their prompts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from pytest_promptune.app_imports import importing
from pytest_promptune.core.errors import AppError
from pytest_promptune.core.nodes.findings import find
from pytest_promptune.core.nodes.model import ModelUse, Node, to_json
from pytest_promptune.core.nodes.priority import Priority, Unmet
from pytest_promptune.core.nodes.traces import Trace
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.core.values import dataclass
from pytest_promptune.inspecting.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found in an app."""

    nodes: tuple[Node, ...]
    #: All nodes of the graphs, those that call no model included.
    looked_at: tuple[str, ...]
    #: Paths of all nodes by graph, those of subgraphs included.
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: What samples of an experiment showed of them.
    trace: Trace | None = None
    #: App and case of those that failed in that experiment.
    failed: frozenset[tuple[str, str]] = frozenset()
    #: Which nodes to work on first, and for what; empty where nothing was measured.
    priorities: tuple[Priority, ...] = ()
    unmet: Unmet | None = None
    #: Why others of the project's graphs couldn't be loaded, one text each.
    unloaded: tuple[str, ...] = ()
    #: What else is worth knowing.
    notes: tuple[str, ...] = ()

    @property
    def never_executed(self) -> tuple[str, ...]:
        """Nodes that call a model and that no sample reached."""
        return self._without_trace(is_silent=False)

    @property
    def silent(self) -> tuple[str, ...]:
        """Nodes that ran, and of which no model call was seen."""
        return self._without_trace(is_silent=True)

    def _without_trace(self, *, is_silent: bool) -> tuple[str, ...]:
        known = self.nodes if self.trace is not None else ()
        return tuple(node.node for node in known if not node.traced and node.is_silent == is_silent)

    @property
    def dynamic(self) -> tuple[str, ...]:
        """Nodes that samples showed and that the graph doesn't have."""
        return tuple(node.node for node in self.nodes if node.is_dynamic)

    @property
    def status(self) -> int:
        """2 where a graph couldn't be loaded; else 1 with findings, and where no node calls a model."""
        return 2 if self.unloaded else int(not self.nodes or any(node.findings for node in self.nodes))


def inspect_project(project: Project) -> Inspection:
    """The nodes of all graphs that call a model, with what is weak in their prompts.

    With several graphs the names of their nodes begin with that of their graph, ``graph:node``. Prompts,
    parameters and messages of errors are without secrets.

    Raises:
        AppError: when no graph can be loaded; where some can, these are shown, and why others can't.
        SettingsError: for a redaction pattern that is none.
    """
    redactor = Redactor(project.redact)
    try:
        return _inspected(project, redactor)
    except AppError as error:  # quotes what the app raised
        raise AppError(redactor.text(str(error))) from None


def _inspected(project: Project, redactor: Redactor) -> Inspection:
    with importing(project.paths):
        from pytest_promptune.langgraph.nodes.loading import load_graph
        from pytest_promptune.langgraph.nodes.scanning import names_of, paths_of, scan
        from pytest_promptune.langgraph.nodes.sources import Sources

        places = tuple(sys.path)
        sources, declared = Sources(project.root, variants=project.variants), frozenset(project.calls)
        nodes: list[Node] = []
        looked_at: list[str] = []
        paths: dict[str, tuple[str, ...]] = {}
        unloaded: list[str] = []
        for name, spec in project.graphs.items():
            try:
                graph = load_graph(spec, root=project.root, places=places)
            except AppError as error:
                unloaded.append(redactor.text(str(error)))
                continue
            prefix = f"{name}:" if len(project.graphs) > 1 else ""
            looked_at += [prefix + each for each in names_of(graph)]
            paths[name] = paths_of(graph)
            nodes += [
                find(_without_secrets(replace(node, node=prefix + node.node), redactor))
                for node in scan(graph, sources, declared=declared)
            ]
    if not paths:
        raise AppError("\n".join(unloaded))
    return Inspection(nodes=tuple(nodes), looked_at=tuple(looked_at), paths=paths, unloaded=tuple(unloaded))


def _without_secrets(node: Node, redactor: Redactor) -> Node:
    """What is shown of a node; findings are made of that alone."""

    def model(use: ModelUse) -> ModelUse:
        return replace(use, params=redactor.json(dict(use.params)))

    calls = [
        replace(
            call,
            models=tuple(map(model, call.models)),
            prompt=tuple(replace(text, text=redactor.text(text.text)) for text in call.prompt),
        )
        for call in node.calls
    ]
    return replace(node, calls=tuple(calls))


def rows(found: Inspection) -> list[dict[str, Any]]:
    """The rows of ``--json``."""
    return [to_json(node) for node in found.nodes]
