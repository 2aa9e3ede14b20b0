"""Every model of the process answers by itself, from the schemas that it is given (``nodes --dry-run``).

What a class of models has to say for itself, `_generate` and `_stream`, is replaced when one of its models is
called for the first time: callbacks, tools and parsers around it are those of every call.
"""

from __future__ import annotations

import functools
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from random import Random
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.llms import BaseLLM
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation, LLMResult
from langchain_core.utils.function_calling import convert_to_json_schema

from pytest_promptune.core.fakes.values import Faker
from pytest_promptune.langgraph.tracing import node_path

#: LangChain's note of a structured output, which it takes away before it asks the model.
_NOTE = "ls_structured_output_format"
_note: ContextVar[Any] = ContextVar("promptune_structured_output", default=None)
_OWN = ("_generate", "_agenerate", "_stream", "_astream")
_FORCING = ("any", "required")
#: Keys under which providers give a tool's schema.
_PARAMETERS = ("parameters", "input_schema", "parametersJsonSchema", "inputSchema")
#: Calls of tools in one conversation; then a model comes to an end.
_MOST_CALLS = 6


def install(seed: int = 0) -> None:
    """Replace the models for the rest of the process.

    Args:
        seed: of what is no choice.
    """
    fake = _Fake(Faker(Random(seed)))
    for family in (BaseChatModel, BaseLLM):
        for name, wrap in _WRAPS.items():
            setattr(family, name, wrap(getattr(family, name), fake))


def _disarmed(model: BaseChatModel | BaseLLM, fake: _Fake) -> None:
    """The class of a model asks no provider any more."""
    cls = type(model)
    replaced: tuple[Any, ...]
    if isinstance(model, BaseChatModel):
        replaced = (fake.generate, fake.agenerate, BaseChatModel._stream, BaseChatModel._astream)
    else:
        replaced = (fake.complete, fake.acomplete, BaseLLM._stream, BaseLLM._astream)
    if vars(cls).get("_generate") is replaced[0]:
        return
    for name, own in zip(_OWN, replaced, strict=True):
        setattr(cls, name, own)


def _generate(original: Callable[..., Any], fake: _Fake) -> Callable[..., Any]:
    @functools.wraps(original)
    def generate(self: Any, *args: Any, **kwargs: Any) -> Any:
        _disarmed(self, fake)
        token = _note.set(kwargs.get(_NOTE))
        try:
            return original(self, *args, **kwargs)
        finally:
            _note.reset(token)

    return generate


def _agenerate(original: Callable[..., Any], fake: _Fake) -> Callable[..., Any]:
    @functools.wraps(original)
    async def agenerate(self: Any, *args: Any, **kwargs: Any) -> Any:
        _disarmed(self, fake)
        token = _note.set(kwargs.get(_NOTE))
        try:
            return await original(self, *args, **kwargs)
        finally:
            _note.reset(token)

    return agenerate


def _stream(original: Callable[..., Any], fake: _Fake) -> Callable[..., Any]:
    @functools.wraps(original)
    def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        _disarmed(self, fake)  # without a stream of its own it is invoked
        return original(self, *args, **kwargs)

    return stream


_WRAPS: Mapping[str, Callable[[Callable[..., Any], Any], Callable[..., Any]]] = {
    "generate": _generate,
    "agenerate": _agenerate,
    "stream": _stream,
    "astream": _stream,
}


class _Fake:
    """Answers in place of all models; nodes may ask from threads."""

    def __init__(self, faker: Faker) -> None:
        self._faker = faker
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._asked: Counter[str] = Counter()

        def generate(
            _model: Any,
            messages: list[BaseMessage],
            _stop: Any = None,
            run_manager: Any = None,
            **kwargs: Any,
        ) -> ChatResult:
            return self._result(messages, run_manager, kwargs)

        async def agenerate(
            _model: Any,
            messages: list[BaseMessage],
            _stop: Any = None,
            run_manager: Any = None,
            **kwargs: Any,
        ) -> ChatResult:
            return self._result(messages, run_manager, kwargs)

        def complete(
            _model: Any, prompts: list[str], _stop: Any = None, run_manager: Any = None, **_kwargs: Any
        ) -> LLMResult:
            return self._completions(prompts, run_manager)

        async def acomplete(
            _model: Any, prompts: list[str], _stop: Any = None, run_manager: Any = None, **_kwargs: Any
        ) -> LLMResult:
            return self._completions(prompts, run_manager)

        #: What classes of chat models get as their methods.
        self.generate, self.agenerate = generate, agenerate
        #: And those of models that complete a text.
        self.complete, self.acomplete = complete, acomplete

    def _completions(self, prompts: Sequence[str], manager: Any) -> LLMResult:
        node = _node_of(manager)
        with self._lock:
            texts = [self._faker.text([prompt], node) for prompt in prompts]
        return LLMResult(generations=[[Generation(text=text)] for text in texts])

    def _result(self, messages: Sequence[BaseMessage], manager: Any, kwargs: Mapping[str, Any]) -> ChatResult:
        with self._lock:
            message = self._answer(messages, _node_of(manager), kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _answer(self, messages: Sequence[BaseMessage], node: str, kwargs: Mapping[str, Any]) -> AIMessage:
        tools = tools_of([*(kwargs.get("tools") or ()), *(kwargs.get("functions") or ())])
        schema = _schema_of(_note.get(), kwargs)
        if tools:
            name = self._tool(list(tools), messages, node, kwargs, must=_note.get() is not None)
            if name is not None:
                arguments = self._faker.value(tools[name], f"{node}/{name}")
                call = {"name": name, "args": arguments if isinstance(arguments, dict) else {}}
                return AIMessage(
                    "", tool_calls=[{**call, "id": f"call_{next(self._ids)}", "type": "tool_call"}]
                )
        if schema is not None:
            value = self._faker.value(schema, f"{node}/{schema.get('title', '')}")
            return AIMessage(json.dumps(value, ensure_ascii=False), additional_kwargs={"parsed": value})
        roles = ("system", "human")  # what a person writes may name choices of another kind
        said = ("\n".join(m.text for m in messages if m.type == role) for role in roles)
        return AIMessage(self._faker.text(said, node))

    def _tool(
        self,
        names: Sequence[str],
        messages: Sequence[BaseMessage],
        node: str,
        kwargs: Mapping[str, Any],
        *,
        must: bool,
    ) -> str | None:
        """Which tool is called next, ``None`` for an answer without one."""
        wanted = _choice(kwargs)
        if wanted in names:
            return wanted
        called = _called(messages)
        if must or wanted in _FORCING:
            left = [name for name in names if name not in called]
            return str(self._faker.turn(f"{node}?", left)) if left else names[-1]
        if wanted == "none" or isinstance(messages[-1], ToolMessage) or len(called) >= _MOST_CALLS:
            return None
        found: str | None = self._faker.turn(f"{node}?", [*names, None])
        return found


def _node_of(manager: Any) -> str:
    return node_path(getattr(manager, "metadata", None) or {})


def _called(messages: Sequence[BaseMessage]) -> list[str]:
    """Tools that were called since a person spoke."""
    calls: list[str] = []
    for message in reversed(messages):
        if message.type == "human":
            break
        if isinstance(message, AIMessage):
            calls += [call["name"] for call in message.tool_calls]
    return calls


def tools_of(given: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    """Schemas of arguments by name, in any provider's form; what can't be read is left out."""
    found: dict[str, Mapping[str, Any]] = {}
    for tool in given:
        if not isinstance(tool, Mapping):
            continue
        inner = tool.get("function") or tool.get("toolSpec") or tool
        for each in tool.get("function_declarations") or [inner]:
            if isinstance(each, Mapping) and isinstance(each.get("name"), str):
                parameters = (each[key] for key in _PARAMETERS if isinstance(each.get(key), Mapping))
                schema: Mapping[str, Any] = next(parameters, {})
                found[each["name"]] = schema.get("json", schema)
    return found


def _choice(kwargs: Mapping[str, Any]) -> str | None:
    """The name of the tool that must be called; ``any``, ``required``, ``none`` or nothing."""
    choice = kwargs.get("tool_choice") or kwargs.get("function_call")
    if choice is True:
        return "any"
    if isinstance(choice, Mapping):
        named = choice.get("function") or choice
        choice = (named.get("name") if isinstance(named, Mapping) else None) or choice.get("type")
    return choice if isinstance(choice, str) else None


def _schema_of(note: Any, kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of a structured output, if one is asked for."""
    form = kwargs.get("response_format")
    asked = note.get("schema") if isinstance(note, Mapping) else None
    if asked is None and isinstance(form, Mapping):
        inner = form.get("json_schema") or form
        asked = inner.get("schema") if isinstance(inner, Mapping) else None
    elif asked is None:
        asked = form
    if asked is None:
        return None
    try:
        return convert_to_json_schema(asked)
    except (ValueError, TypeError):
        return asked if isinstance(asked, Mapping) else None
