"""What the source says about nodes, and what samples of an experiment showed of them, put together.

What samples showed wins where both speak: the model that answered, the parameters of the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pytest_promptune.core.limits import OUTPUT_LIMITS
from pytest_promptune.core.literals import Literal as Found
from pytest_promptune.core.literals import LiteralIndex
from pytest_promptune.core.model import ModelCall as Way
from pytest_promptune.core.nodes.model import CallPlace, ModelUse, Node, PromptText, Role
from pytest_promptune.core.nodes.traces import Trace, TracedCall, TracedNode
from pytest_promptune.core.values import dataclass

#: Messages of which the app writes the text: the rest is from models and tools.
_ROLES: Mapping[str, Role | None] = {
    "system": "system",
    "developer": "system",
    "human": "human",
    "user": "human",
    "text": None,
}
#: Providers whose clients tell the temperature of every call: without one there is none.
_TELLING = frozenset({"anthropic", "azure", "openai"})
#: Name of the schema of a structured output that only samples showed.
SOME_SCHEMA = "structured output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where texts and calls stand in the project."""

    #: The literal that a rendered text was made from.
    locate: Callable[[str], Found | None]
    #: A file's name relative to the project.
    name: Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Nodes with what samples showed of them."""

    nodes: tuple[Node, ...]
    #: Apps of the experiment none of whose nodes is in the graphs.
    foreign: tuple[str, ...] = ()


def merge(
    nodes: Sequence[Node], trace: Trace, graphs: Mapping[str, Collection[str]], places: Places
) -> Merged:
    """Each node of the source with its traces, then those that only samples showed.

    Args:
        nodes: that call a model, as the source says; of several graphs as ``graph:node``.
        trace: of an experiment.
        graphs: by name, paths of all their nodes; the name of a graph alone is empty.
        places: of texts and calls.
    """
    prefixes = {app: _graph_of(app, trace, graphs) for app in trace.apps}
    by_path: dict[str, list[TracedNode]] = {}
    for traced in trace.nodes:
        graph = prefixes[traced.app]
        if graph is not None:
            by_path.setdefault(_path(graph, traced.node, graphs), []).append(traced)
    silent = {
        _path(graph, path, graphs) for app, path in trace.silent if (graph := prefixes[app]) is not None
    }
    known = {_path(graph, path, graphs) for graph, paths in graphs.items() for path in paths}
    known |= {node.node for node in nodes}
    found = [_merged(node, by_path.pop(node.node, []), silent, places) for node in nodes]
    for path, several in by_path.items():
        bare = Node(node=path, file=None, line=None, calls=(), is_dynamic=path not in known)
        found.append(_merged(bare, several, silent, places))
    foreign = tuple(app for app, graph in prefixes.items() if graph is None)
    return Merged(nodes=tuple(found), foreign=foreign)


def _path(graph: str, path: str, graphs: Mapping[str, object]) -> str:
    return f"{graph}:{path}" if len(graphs) > 1 else path


def _graph_of(app: str, trace: Trace, graphs: Mapping[str, Collection[str]]) -> str | None:
    """The graph whose nodes an app has: the one of its name, else the one with most of its nodes."""
    paths = {node.node for node in trace.nodes if node.app == app}
    paths |= {path for name, path in trace.silent if name == app}
    shared = {name: len(paths.intersection(known)) for name, known in graphs.items()}
    if shared.get(app):
        return app
    best = max(shared, key=lambda name: shared[name], default=None)
    return best if best is not None and shared[best] else None


def _merged(node: Node, traced: Sequence[TracedNode], silent: Collection[str], places: Places) -> Node:
    if not traced:
        return replace(node, is_silent=node.node in silent)
    calls = list(node.calls)
    for each in traced:
        for call in each.calls:
            place = _placed(call.site, places)
            number = _call_at(calls, place, alone=len(node.calls) == 1)
            if number is None:
                file, line = place or (None, None)
                calls.append(CallPlace(models=(), file=file, line=line))
                number = len(calls) - 1
            if place is not None:
                call = replace(call, site="{}:{}".format(*place))
            calls[number] = _merged_call(calls[number], call, each.models, places)
    seen: Literal["trace", "both"] = "both" if node.calls else "trace"
    file, line = node.file, node.line
    if file is None:
        file, line = next(((call.file, call.line) for call in calls if call.file), (None, None))
    return replace(node, file=file, line=line, calls=tuple(calls), evidence=seen, traced=tuple(traced))


def _placed(site: str | None, places: Places) -> tuple[str, int] | None:
    file, _, line = (site or "").rpartition(":")
    return (places.name(file), int(line)) if file and line.isdigit() else None


def _call_at(calls: Sequence[CallPlace], place: tuple[str, int] | None, *, alone: bool) -> int | None:
    """Which call of the source this is: the only one, or the nearest in the same file."""
    if alone:
        return 0
    near = [
        (abs((call.line or 0) - place[1]), number)
        for number, call in enumerate(calls)
        if place is not None and call.file == place[0]
    ]
    return min(near)[1] if near else None


# --- one call -------------------------------------------------------------------------------------


def _merged_call(call: CallPlace, traced: TracedCall, billed: Sequence[str], places: Places) -> CallPlace:
    ways = traced.ways[::-1]  # what came up last is what holds
    used = [_model(way, call.models, billed, alone=len(ways) == 1) for way in ways]
    asked = {way.model for way in ways}
    rest = [model for model in call.models if model.model is not None and model.model not in asked]
    if len(call.models) == 1:  # the one that was called, whatever its name is
        rest = []
    if call.traced is not None:  # another app has the node, too
        traced = replace(traced, answers=call.traced.answers + traced.answers)
    return replace(
        call,
        models=_once([*used, *rest]),
        prompt=tuple(_prompt(call.prompt, traced, places)),
        traced=traced,
    )


def _once(models: Iterable[ModelUse]) -> tuple[ModelUse, ...]:
    every = list(models)
    return tuple(model for i, model in enumerate(every) if model not in every[:i])


def _model(way: Way, live: Sequence[ModelUse], billed: Sequence[str], *, alone: bool) -> ModelUse:
    """The model of a call: what the call said, and of the rest what the source says of the same model."""
    same = [model for model in live if model.model == way.model]
    unnamed = [model for model in live if model.model is None]
    base = next(iter(same or unnamed or (live if len(live) == 1 else [])), ModelUse())
    params: dict[str, Any] = dict(base.params)
    if way.temperature is not None:
        params["temperature"] = way.temperature
    elif way.provider in _TELLING:  # left out by the client, for a model that rejects it
        params.pop("temperature", None)
    if way.max_tokens is not None:
        params[next((name for name in OUTPUT_LIMITS if name in params), "max_tokens")] = way.max_tokens
    return replace(
        base,
        model=_billed(way.model, billed, alone=alone) or way.model or base.model,
        provider=way.provider or base.provider,
        params=params,
        tools=base.tools or way.tools,
        schema=base.schema or (SOME_SCHEMA if way.is_structured else None),
    )


def _billed(asked: str | None, billed: Sequence[str], *, alone: bool) -> str | None:
    """The name of the model that answered, ``gpt-4.1-2025-04-14`` where ``gpt-4.1`` was asked."""
    if asked in billed:
        return asked
    named = [name for name in billed if asked and name.startswith(asked)]
    if len(named) == 1:
        return named[0]
    return billed[0] if alone and len(billed) == 1 else None


# --- its prompt -----------------------------------------------------------------------------------


def _prompt(live: Sequence[PromptText], traced: TracedCall, places: Places) -> list[PromptText]:
    """The texts of the source with their roles and places, and those of messages that it doesn't have.

    A person's message without any text of the project is the input: it is shown only where nothing else is.
    """
    messages = [(role, text) for role, text in traced.prompt if role in _ROLES and text.strip()]
    texts = [_with_place(text, messages, places) for text in live]
    index = LiteralIndex(Found(file="", line=0, text=text.text) for text in live)
    bare: list[PromptText] = []
    for role, text in messages:
        if index.rank(text):
            continue
        found = places.locate(text)
        if found is None or (_ROLES[role] != "system" and _is_input(found, text)):
            bare.append(PromptText(text=text, role=_ROLES[role]))
        elif all((each.file, each.line) != (found.file, found.line) for each in texts):
            made = PromptText(text=found.text, file=found.file, line=found.line, role=_ROLES[role])
            texts.append(made)
    system = [text for text in bare if text.role == "system"]
    return [*system, *texts] or bare


def _is_input(found: Found, text: str) -> bool:
    """Whether a literal is what a person wrote, in a file of cases, and no prompt."""
    return not found.file.endswith(".py") and found.text.split() == text.split()


def _with_place(text: PromptText, messages: Sequence[tuple[str, str]], places: Places) -> PromptText:
    """A text of the source with what the message tells that it is in."""
    index = LiteralIndex([Found(file="", line=0, text=text.text)])
    within = next(((role, said) for role, said in messages if index.rank(said)), None)
    if within is None:
        return text
    role, said = within
    text = replace(text, role=text.role or _ROLES[role])
    if text.file is not None:
        return text
    found = places.locate(text.text)
    if found is None and 2 * len(text.text) >= len(said):  # the message, not a piece of it
        found = places.locate(said)
    return text if found is None else replace(text, file=found.file, line=found.line)
