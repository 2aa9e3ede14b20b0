"""What is inside a live object: models, prompt texts, functions that it runs, graphs that it invokes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from functools import lru_cache
from pathlib import PurePath
from types import MethodType
from typing import Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage
from langchain_core.prompts import (
    BasePromptTemplate,
    ChatPromptTemplate,
    FewShotChatMessagePromptTemplate,
    FewShotPromptTemplate,
    PromptTemplate,
)
from langchain_core.prompts.message import BaseMessagePromptTemplate
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableBranch,
    RunnableLambda,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
)
from langchain_core.tools import BaseTool
from langgraph.pregel import Pregel

from pytest_promptune.core.nodes.model import ModelUse, PromptText, Role
from pytest_promptune.core.values import dataclass
from pytest_promptune.langgraph.nodes.models import (
    PARAMETERS,
    named_model,
    plain,
    use_of,
    with_schema,
)
from pytest_promptune.langgraph.nodes.values import Closure, Instance, Value, in_order

_DEEPEST = 12
_LARGEST = 200
_ROLES: Mapping[str, Role] = {
    "system": "system", "developer": "system", "human": "human", "user": "human", "ai": "ai",
    "assistant": "ai",
}  # fmt: skip


def role_of(name: object) -> Role | None:
    """The role that LangChain and providers call so."""
    return _ROLES.get(name) if isinstance(name, str) else None


@dataclass(slots=True, kw_only=True)
class Contents:
    """What was found inside of objects."""

    models: list[ModelUse] = field(default_factory=list)
    texts: list[PromptText] = field(default_factory=list)
    #: Python functions and methods that run when the object is invoked.
    functions: list[Callable[..., Any]] = field(default_factory=list)
    #: Graphs that run when the object is invoked, with their names.
    graphs: list[Pregel[Any, Any, Any, Any]] = field(default_factory=list)
    closures: list[Closure] = field(default_factory=list)
    _seen: dict[int, object] = field(default_factory=dict)

    def add(self, value: object, depth: int = 0) -> None:
        """Add what is inside of `value`."""
        if depth > _DEEPEST or id(value) in self._seen:
            return
        self._seen[id(value)] = value  # keeps it alive, so that its id stays its own
        classes: tuple[Any, ...] = (type(value), value.__class__)  # isinstance asks both, too
        if (expand := _expansion(*classes)) is not None:
            expand(self, value, depth + 1)

    def add_all(self, values: Iterable[object], depth: int = 0) -> None:
        """Add what is inside of each."""
        for value in values:
            self.add(value, depth)

    def add_value(self, value: Value, depth: int = 0) -> None:
        """Add what an abstract value holds."""
        if depth > _DEEPEST:
            return
        self.models += value.models
        self.texts += value.texts
        self.closures += value.closures
        for bound in value.bound:
            self.add_value(bound, depth + 1)
        for item in value.objects:
            if isinstance(item, Instance):
                self._add_instance(item, depth + 1)
            else:
                self.add(item, depth + 1)

    def _add_instance(self, instance: Instance, depth: int) -> None:
        if id(instance) in self._seen:
            return
        self._seen[id(instance)] = instance
        self.add_value(instance.made_of, depth)
        for key, value in instance.fields.items():
            if not instance.is_state or key == "messages":
                self.add_value(value, depth)


def contents(value: Value) -> Contents:
    """What an abstract value holds."""
    found = Contents()
    found.add_value(value)
    found.models = [use for i, use in enumerate(found.models) if use not in found.models[:i]]
    found.texts = list(dict.fromkeys(found.texts))
    return found


def _model(into: Contents, value: Any, depth: int) -> None:
    into.models.append(use_of(value))


def _text(into: Contents, value: str, depth: int) -> None:
    into.texts.append(PromptText(text=value))


def _path(into: Contents, value: PurePath, depth: int) -> None:
    """A file that is read later is what it is called."""
    if value.suffix:
        into.texts.append(PromptText(text=str(value)))


def _message(into: Contents, value: BaseMessage, depth: int) -> None:
    text = value.text if isinstance(value.text, str) else str(value.content)
    into.texts.append(PromptText(text=text, role=role_of(value.type)))


def _template(into: Contents, value: Any, depth: int) -> None:
    """A prompt template of any kind."""
    if isinstance(value, ChatPromptTemplate):
        into.add_all(value.messages, depth)
    elif isinstance(value, BaseMessagePromptTemplate):
        inner = Contents()
        inner.add(getattr(value, "prompt", None), depth)
        kind = type(value).__name__.removesuffix("MessagePromptTemplate").lower()
        into.texts += [replace(text, role=role_of(kind)) for text in inner.texts]
    elif isinstance(value, PromptTemplate):
        into.texts.append(PromptText(text=value.template, role="human"))
    elif isinstance(value, FewShotPromptTemplate):
        shown = [value.prefix, *(str(example) for example in value.examples or []), value.suffix]
        into.texts += [PromptText(text=part, role="human") for part in shown if part]
    elif isinstance(value, FewShotChatMessagePromptTemplate):
        for example in value.examples or []:
            into.texts += [PromptText(text=str(part), role="ai") for part in list(example.values())[-1:]]


def _binding(into: Contents, value: RunnableBinding[Any, Any], depth: int) -> None:
    inner = Contents()
    inner.add(value.bound, depth)
    into.models += [_bound(use, value.kwargs) for use in inner.models]
    into.texts += inner.texts
    into.functions += inner.functions
    into.graphs += inner.graphs


def _bound(use: ModelUse, given: Mapping[str, Any]) -> ModelUse:
    params = {name: plain(item) for name, item in given.items() if name in PARAMETERS}
    tools = given.get("tools") or given.get("functions")
    if isinstance(tools, list | tuple):
        use = replace(use, tools=tuple(filter(None, map(tool_name, tools))))
    told = given.get("ls_structured_output_format")
    if told or "response_format" in given:
        kept = told.get("schema") if isinstance(told, Mapping) else given.get("response_format")
        use = replace(with_schema(use, Value(objects=(_inner_schema(kept),))), tools=())
    return replace(use, params={**use.params, **params})


def _inner_schema(kept: Any) -> Any:
    """OpenAI's ``{"type": "function", "function": {"name": …, "parameters": …}}`` as the schema in it."""
    if isinstance(kept, Mapping):
        inner = kept.get("function") or kept.get("json_schema") or kept
        if isinstance(inner, Mapping):
            schema = inner.get("parameters") or inner.get("schema") or inner
            return {"title": inner.get("name") or inner.get("title"), **schema}
    return kept


def tool_name(tool: Any) -> str | None:
    """What a tool is called, whatever form it has."""
    if isinstance(tool, Mapping):
        inner = tool.get("function")
        name = inner.get("name") if isinstance(inner, Mapping) else tool.get("name") or tool.get("type")
    else:
        name = getattr(tool, "name", None) or getattr(tool, "__name__", None)
    return name if isinstance(name, str) else None


def _fallbacks(into: Contents, value: RunnableWithFallbacks[Any, Any], depth: int) -> None:
    into.add_all([value.runnable, *value.fallbacks], depth)


def _branch(into: Contents, value: RunnableBranch[Any, Any], depth: int) -> None:
    into.add_all([part for pair in value.branches for part in pair], depth)
    into.add(value.default, depth)


def _lambda(into: Contents, value: Any, depth: int) -> None:
    """LangChain's and LangGraph's runnables of functions; `deps` of the former are found in the source."""
    for name in ("func", "afunc"):
        function = getattr(value, name, None)
        if function is not None:
            into.add(function, depth)


def _function(into: Contents, value: Callable[..., Any], depth: int) -> None:
    into.functions.append(value)


def _nothing(into: Contents, value: type, depth: int) -> None:
    """A class says nothing of what its objects hold."""


def _tool(into: Contents, value: BaseTool, depth: int) -> None:
    _lambda(into, value, depth)
    for name, own in (("coroutine", None), ("_run", BaseTool._run), ("_arun", BaseTool._arun)):
        function = getattr(value, name, None)
        module = getattr(function, "__module__", "") or ""
        if callable(function) and function is not own and not module.startswith("langchain_core"):
            into.add(function, depth)


def _graph(into: Contents, value: Any, depth: int) -> None:
    into.graphs.append(value)


def _runnable(into: Contents, value: Any, depth: int) -> None:
    """Any other runnable: what its fields hold. A class of the app's own runs its own methods."""
    tools = getattr(value, "tools_by_name", None)
    if isinstance(tools, Mapping):  # LangGraph's ToolNode
        into.add_all(tools.values(), depth)
        return
    default = getattr(value, "_default_config", None)
    if isinstance(default, Mapping):  # init_chat_model with configurable fields
        given = {name: plain(item) for name, item in default.items() if name in PARAMETERS}
        use = named_model(default.get("model"), default.get("model_provider"))
        into.models.append(replace(use, params=given))
        return
    _lambda(into, value, depth)
    for method in ("invoke", "ainvoke", "transform"):
        function = getattr(type(value), method, None)
        module = getattr(function, "__module__", "") or ""
        if function is not None and not module.startswith(("langchain_core", "langgraph.")):
            into.functions.append(MethodType(function, value))
    into.add_all(_fields(value), depth)


def _fields(value: Any) -> list[Any]:
    """The values of an object's attributes, without running its properties."""
    try:
        held = dict(vars(value))
    except TypeError:
        return []
    return [item for name, item in held.items() if name not in ("name", "tags", "metadata", "config")]


def _collection(into: Contents, value: Any, depth: int) -> None:
    items = in_order(dict.values(value) if isinstance(value, dict) else value)
    into.add_all(items[:_LARGEST], depth)


#: The first kind that fits says how to look inside.
@lru_cache(maxsize=4096)
def _expansion(*classes: Any) -> _Expansion | None:
    """How things of a class are looked into."""
    return next((expand for kind, expand in _EXPANSIONS if any(issubclass(c, kind) for c in classes)), None)


_Expansion = Callable[["Contents", Any, int], None]
_EXPANSIONS: tuple[tuple[Any, _Expansion], ...] = (
    (BaseLanguageModel, _model),
    (str, _text),
    (PurePath, _path),
    (BaseMessage, _message),
    (BasePromptTemplate, _template),
    (BaseMessagePromptTemplate, _template),
    (Pregel, _graph),
    (BaseTool, _tool),
    (RunnableBinding, _binding),
    (RunnableSequence, lambda into, value, depth: into.add_all(value.steps, depth)),
    (RunnableParallel, lambda into, value, depth: into.add_all(value.steps__.values(), depth)),
    (RunnableWithFallbacks, _fallbacks),
    (RunnableBranch, _branch),
    (RunnableLambda, _lambda),
    (Runnable, _runnable),
    (list | tuple | set | frozenset | dict, _collection),
    (type, _nothing),
    (Callable, _function),
)
