"""What can be an app, and how one sample of it is called.

Nothing of LangChain is imported here unless the app already did: a plain function doesn't pay for it.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.errors import AppError, VariantError
from pytest_promptune.core.model import Variant
from pytest_promptune.core.overrides import NodeOverride, read_overrides

if TYPE_CHECKING:
    from pytest_promptune.langgraph.boundary import Attempt

#: Key under ``config["configurable"]`` that gives every sample a seed of its own.
SEED = "promptune_seed"

#: What LangGraph calls the node before the first.
_START = "__start__"


def is_builder(value: object) -> bool:
    """A function with one parameter named ``variant``: it builds the app of one variant."""
    if not callable(value) or isinstance(value, type) or _is_runnable(value):
        return False
    try:
        parameters = inspect.signature(value).parameters
    except (TypeError, ValueError):
        return False
    return tuple(parameters) == ("variant",)


def adapt(value: object, *, name: str) -> App:
    """Wrap what the app fixture returned.

    Raises:
        AppError: when it is neither a compiled graph, a Runnable, nor a callable.
    """
    if _is_graph(value):
        return Graph(name, value)
    if _is_runnable(value):
        return Runnable(name, value)
    if hasattr(value, "compile") and hasattr(value, "add_node"):
        raise AppError(
            f"app fixture {name!r} returns a {type(value).__name__} that isn't compiled: return "
            "graph.compile()."
        )
    if callable(value):
        return Function(name, value)
    raise AppError(
        f"app fixture {name!r} returns {_shown(value)}, which can't be called. Return a compiled LangGraph "
        "graph, a LangChain Runnable, a sync or async function of the case's input, or a builder, a function "
        "with one parameter named 'variant'."
    )


class App:
    """An app and how to call it; subclasses say which variants reach it."""

    #: Whether `call` gives a coroutine function.
    is_async = True

    def __init__(self, name: str, target: Any) -> None:
        self.name = name
        self.target = target
        self._overrides: dict[str, dict[str, NodeOverride]] = {}

    def check(self, variant: Variant, *, built: bool) -> None:
        """Refuse a variant that would not reach this app.

        Args:
            variant: whose changes are to arrive.
            built: the app was built for this variant, so its context has arrived already.

        Raises:
            VariantError: naming what can't arrive and what to do.
        """
        if variant.nodes:
            self._overrides[variant.name] = read_overrides(variant, built=built)
            self._check_nodes(variant)
        if variant.context and not built:
            self._check_context(variant)

    def attempt(self, variant: Variant) -> Attempt | None:
        """What applies the variant's changes of nodes to one call, ``None`` where it has none."""
        overrides = self._overrides.get(variant.name)
        if overrides is None:
            return None
        from pytest_promptune.langgraph.boundary import Attempt

        return Attempt(overrides, certain=self.nodes)

    @property
    def nodes(self) -> frozenset[str]:
        """Paths of the nodes that are known without running the app."""
        return frozenset()

    @functools.cached_property
    def _graphs(self) -> frozenset[str]:
        """Those nodes that are graphs themselves, so that all that is in them is known."""
        graphs = {"": self.target} | {
            f"{namespace.replace('|', '/')}/": graph
            for namespace, graph in self.target.get_subgraphs(recurse=True)
        }
        return frozenset(
            prefix + name
            for prefix, graph in graphs.items()
            for name, node in getattr(graph, "nodes", {}).items()
            if _is_graph(getattr(node, "bound", None))
        )

    def _check_nodes(self, variant: Variant) -> None:
        """Where nodes aren't known, each sample tells whether they ran."""

    def _check_context(self, variant: Variant) -> None:
        raise VariantError(
            f"variant {variant.name!r} sets [context], but the app {self.name!r} is {self.what}, which has "
            "none. Return a LangGraph graph with a context_schema, or a function with one parameter named "
            "'variant'."
        )

    what = "an app"

    def default_context(self) -> Mapping[str, Any]:
        """The context fields of `current`, as far as they are known."""
        return {}

    def call(self, value: Any, variant: Variant, *, seed: int) -> Callable[[], Any]:
        """A function without arguments that runs one sample."""
        raise AppError(f"{self.what} can't be called")


class Function(App):
    """A plain callable, called with the case's input."""

    what = "a plain function"

    def __init__(self, name: str, target: Any) -> None:
        super().__init__(name, target)
        self.is_async = inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(
            getattr(target, "__call__", None)  # noqa: B004 - an object whose __call__ is async
        )

    def call(self, value: Any, variant: Variant, *, seed: int) -> Callable[[], Any]:
        """Call it with the input alone."""
        return functools.partial(self.target, value)


class Runnable(App):
    """A LangChain Runnable, called through ``ainvoke``."""

    what = "a Runnable"

    def call(self, value: Any, variant: Variant, *, seed: int) -> Callable[[], Any]:
        """Call it with the input and a config that carries the sample's seed."""
        config = {"configurable": {SEED: seed}}
        return functools.partial(self.target.ainvoke, value, config)


class Graph(App):
    """A compiled LangGraph graph.

    Each sample gets a copy without cache, since a node's cache would answer one variant with the
    output of another, and a memory of its own where the graph has a checkpointer.
    """

    what = "a graph without context_schema"

    def __init__(self, name: str, target: Any) -> None:
        super().__init__(name, target)
        self._schema: Any = getattr(target, "context_schema", None)
        self._remembers = target.checkpointer not in (None, False)
        self._bare = target.copy({"cache": None, "checkpointer": None})
        self._defaults = self._read_defaults()

    def _fields(self) -> tuple[str, ...] | None:
        """Names of the context's fields, ``None`` where the schema doesn't say."""
        if dataclasses.is_dataclass(self._schema):
            return tuple(f.name for f in dataclasses.fields(self._schema))
        for attribute in ("model_fields", "__annotations__"):
            fields = getattr(self._schema, attribute, None)
            if fields:
                return tuple(fields)
        return None

    def _check_context(self, variant: Variant) -> None:
        if self._schema is None:
            super()._check_context(variant)
        fields = self._fields()
        unknown = [name for name in variant.context if fields is not None and name not in fields]
        if unknown:
            raise VariantError(
                f"variant {variant.name!r}: [context] sets {', '.join(map(repr, unknown))}, which the "
                f"context of {self.name!r} ({self._schema.__name__}) doesn't have. Its fields: "
                f"{', '.join(fields or ())}."
            )

    @functools.cached_property
    def nodes(self) -> frozenset[str]:
        """Those of the graph and of its subgraphs; graphs that a node invokes by hand may have more."""
        found = {name for name in self.target.nodes if name != _START}
        for namespace, graph in self.target.get_subgraphs(recurse=True):
            path = namespace.replace("|", "/")
            found |= {f"{path}/{name}" for name in getattr(graph, "nodes", ()) if name != _START}
        return frozenset(found)

    def _check_nodes(self, variant: Variant) -> None:
        problems = [text for path in variant.nodes if (text := self._unknown(path))]
        if problems:
            raise VariantError("\n".join(f"variant {variant.name!r}: {text}" for text in problems))

    def _unknown(self, path: str) -> str | None:
        """What is wrong with a node's path; ``None`` as well where only running the app can tell."""
        if path in self.nodes:
            return None
        parts = path.split("/")
        parents = ["/".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]
        parent = next((each for each in parents if each in self.nodes), "")
        if parent and parent not in self._graphs:  # it may invoke any graph by hand
            return None
        beside = sorted(each for each in self.nodes if each.startswith(f"{parent}/" if parent else ""))
        near = difflib.get_close_matches(path, self.nodes, 3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        return (
            f"[nodes] names {path!r}, which the graph of {self.name!r} doesn't have.{hint} "
            f"There are {', '.join(map(repr, beside))}."
        )

    def default_context(self) -> Mapping[str, Any]:
        """The defaults of the context schema, where it can be built without arguments."""
        return self._defaults

    def _read_defaults(self) -> Mapping[str, Any]:
        try:
            value = self._schema() if callable(self._schema) else None
        except Exception:  # a schema with required fields: there is no default
            return {}
        if isinstance(value, Mapping):
            return dict(value)
        return {name: getattr(value, name, None) for name in self._fields() or ()} if value else {}

    def call(self, value: Any, variant: Variant, *, seed: int) -> Callable[[], Any]:
        """Invoke a fresh copy with the variant's context."""
        configurable: dict[str, Any] = {SEED: seed}
        graph = self._bare
        if self._remembers:
            from langgraph.checkpoint.memory import InMemorySaver

            configurable["thread_id"] = uuid.uuid4().hex
            graph = self.target.copy({"cache": None, "checkpointer": InMemorySaver()})
        arguments: dict[str, Any] = {}
        if variant.context or self._defaults:
            known = self._fields()  # a builder may use fields that the graph lacks; others were refused
            arguments["context"] = {k: v for k, v in variant.context.items() if known is None or k in known}
        config = {"configurable": configurable}

        async def invoke() -> Any:
            output = await graph.ainvoke(value, config, **arguments)
            if isinstance(output, Mapping) and output.get("__interrupt__"):
                raise AppError(
                    f"the graph {self.name!r} stopped at an interrupt and waits for a person: "
                    f"{output['__interrupt__']!r}"
                )
            return output

        return invoke


def _is_graph(value: object) -> bool:
    module = sys.modules.get("langgraph.pregel")
    return module is not None and isinstance(value, module.Pregel)


def _is_runnable(value: object) -> bool:
    module = sys.modules.get("langchain_core.runnables")
    return module is not None and isinstance(value, module.Runnable)


def _shown(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__qualname__}"
