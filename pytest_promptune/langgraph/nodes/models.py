"""Which model it is and how it is set: from live clients, from constructors in the source, from SDK calls."""

from __future__ import annotations

import ast
import enum
import inspect
import re
import typing
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from langchain_core.language_models import BaseLanguageModel

from pytest_promptune.core.limits import OUTPUT_LIMITS
from pytest_promptune.core.nodes.model import ModelUse, Origin
from pytest_promptune.langgraph.nodes.values import Arguments, Instance, Value
from pytest_promptune.langgraph.providers import URLS

#: Parameters that change answers; keys, clients and addresses are nobody's business here.
PARAMETERS = frozenset(
    {
        "temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "max_output_tokens",
        "num_predict", "num_ctx", "max_new_tokens", "max_tokens_to_sample", "seed", "stop", "stop_sequences",
        "frequency_penalty", "presence_penalty", "repeat_penalty", "n", "reasoning", "reasoning_effort",
        "thinking", "thinking_budget", "verbosity", "tool_choice",
    }
)  # fmt: skip
_NAMES = ("model_name", "model", "model_id", "deployment_name", "azure_deployment", "repo_id", "model_path")

#: Functions that make a model, or an agent that calls one, of a name such as ``openai:gpt-4.1-mini``.
FACTORIES = frozenset({"init_chat_model", "create_agent", "create_react_agent", "create_deep_agent"})
#: What a name of a model begins with, where nobody says the provider.
_BEGINNINGS = (
    ("gpt-", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"), ("chatgpt", "openai"),
    ("claude", "anthropic"), ("gemini", "google_genai"), ("mistral", "mistralai"), ("deepseek", "deepseek"),
    ("grok", "xai"), ("command", "cohere"), ("sonar", "perplexity"),
)  # fmt: skip

#: The ends of calls into providers' SDKs, and the provider where the call tells it.
SDK_CALLS: Mapping[tuple[str, ...], str | None] = {
    ("chat", "completions", "create"): "openai",
    ("chat", "completions", "parse"): "openai",
    ("chat", "completions", "stream"): "openai",
    ("responses", "create"): "openai",
    ("responses", "parse"): "openai",
    ("responses", "stream"): "openai",
    ("messages", "create"): "anthropic",
    ("messages", "stream"): "anthropic",
    ("messages", "parse"): "anthropic",
    ("models", "generate_content"): "google_genai",
    ("models", "generate_content_stream"): "google_genai",
    ("litellm", "completion"): None,
    ("litellm", "acompletion"): None,
    ("ollama", "chat"): "ollama",
    ("ollama", "generate"): "ollama",
}


def is_model(value: object) -> bool:
    """Whether a live object is a language model."""
    return isinstance(value, BaseLanguageModel)


def is_model_class(value: object) -> bool:
    """Whether a live object is a class of language models."""
    return isinstance(value, type) and issubclass(value, BaseLanguageModel)


def use_of(model: BaseLanguageModel[Any]) -> ModelUse:
    """A live model, with the parameters that the app set."""
    told = _told(model)
    given: frozenset[str] = PARAMETERS & getattr(model, "model_fields_set", set())
    params = {name: plain(getattr(model, name, None)) for name in sorted(given)}
    extra = getattr(model, "model_kwargs", None)
    if isinstance(extra, Mapping):
        params |= {name: plain(value) for name, value in extra.items() if name in PARAMETERS}
    return ModelUse(
        model=_named(model) or told.get("ls_model_name"),
        provider=told.get("ls_provider") or provider_of(type(model)),
        params={name: value for name, value in params.items() if value is not None},
        is_settled=True,
        is_limited=any(getattr(model, name, None) is not None for name in OUTPUT_LIMITS),
        origin="held",
    )


def _told(model: BaseLanguageModel[Any]) -> Mapping[str, Any]:
    """What the model tells tracers of itself."""
    try:
        told = model._get_ls_params()  # chat and completion models have it
    except Exception:  # somebody else's class
        return {}
    return told if isinstance(told, Mapping) else {}


def _named(model: object) -> str | None:
    names = (getattr(model, name, None) for name in _NAMES)
    return next((name.removeprefix("models/") for name in names if isinstance(name, str) and name), None)


def provider_of(cls: type) -> str | None:
    """The provider that a class of ``langchain_openai`` and the like is for."""
    package = cls.__module__.partition(".")[0]
    if package.startswith("langchain_") and package not in ("langchain_core", "langchain_community"):
        return "azure" if cls.__name__.startswith("Azure") else package.removeprefix("langchain_")
    return None


def constructed(cls: type | None, given: Arguments, provider: str | None = None) -> ModelUse:
    """The model that a call of its class would make."""
    name = next((text for key in _NAMES if (text := constant_text(given.named.get(key)))), None)
    is_default = given.is_complete and not any(key in given.named for key in _NAMES)
    return ModelUse(
        model=name or (_default_name(cls) if is_default else None),
        provider=provider or (provider_of(cls) if cls else None),
        params=params_of(given),
        is_settled=given.is_complete,
        is_limited=(provider or (provider_of(cls) if cls else None)) == "anthropic",
        origin="made",
        is_equipped=_is_equipped(given),
    )


def _default_name(cls: type | None) -> str | None:
    for name in _NAMES:
        default = getattr(getattr(cls, "model_fields", {}).get(name), "default", None)
        if isinstance(default, str):
            return default
    return None


def of_factory(given: Arguments) -> ModelUse:
    """The model of ``init_chat_model("openai:gpt-4.1-mini", temperature=0)`` and of agents made so."""
    text = constant_text(given.get(0, "model"))
    provider = constant_text(given.named.get("model_provider"))
    return replace(
        named_model(text, provider),
        params=params_of(given),
        is_settled=bool(text) and given.is_complete,
        origin="made",
        is_equipped=_is_equipped(given),
    )


def _is_equipped(given: Arguments) -> bool:
    """Whether a model gets a key or an address of its own, or may get one: not all is written out."""
    return not given.is_complete or any(name.endswith(("api_key", *URLS)) for name in given.named)


def named_model(text: str | None, provider: str | None = None) -> ModelUse:
    """A model by LangChain's name for it."""
    if not text:
        return ModelUse(provider=provider)
    before, colon, after = text.partition(":")
    if not provider and colon and re.fullmatch(r"[a-z_]+", before):
        return ModelUse(model=after, provider=before, is_limited=before == "anthropic")
    guessed = next((name for start, name in _BEGINNINGS if text.startswith(start)), None)
    provider = provider or guessed
    return ModelUse(model=text, provider=provider, is_limited=provider == "anthropic")


def of_sdk(
    provider: str | None, given: Arguments, *, origin: Origin = "sdk", client: Value | None = None
) -> ModelUse:
    """The model of a call into a provider's SDK.

    Args:
        provider: where the call tells it.
        given: the arguments of the call.
        origin: ``posted`` where the app does without the SDK.
        client: that is called.
    """
    name = constant_text(given.get(None, "model"))
    use = named_model(name, provider)
    schema = "response_format" in given.named or "text_format" in given.named
    return replace(
        use,
        model=name,
        params=params_of(given),
        is_settled=given.is_complete,
        is_limited=provider == "anthropic",
        schema="response_format" if schema else None,
        tools=("tools",) if "tools" in given.named else (),
        origin=origin,
        is_equipped=client is not None and any(map(_has_key, client.objects)),
    )


def _has_key(client: Any) -> bool:
    """Whether a client, real or made by the source, was given a key; a real one is not asked."""
    if isinstance(client, Instance):
        return any(name.endswith("api_key") for name in client.fields)
    return bool(inspect.getattr_static(client, "api_key", None))


def params_of(given: Arguments) -> dict[str, Any]:
    """The parameters among keyword arguments; `None` for one that is known at run time only."""
    return {
        name: constant(value)
        for name, value in sorted(given.named.items())
        if name in PARAMETERS and not value.is_none
    }


def constant(value: Value | None) -> Any:
    """The plain value that an expression has in any case, or None."""
    if value is None or value.models or value.closures:
        return None
    if value.elements is not None:
        parts = [constant(element) for element in value.elements]
        return None if any(part is None for part in parts) else parts
    if value.is_text and len(value.texts) == 1 and not value.objects:
        return value.texts[0].text
    real = [item for item in value.objects if not isinstance(item, Instance)]
    return plain(real[0]) if len(real) == 1 and not value.texts else None


def constant_text(value: Value | None) -> str | None:
    """As `constant`, for texts."""
    found = constant(value)
    return found if isinstance(found, str) else None


def plain(value: Any) -> Any:
    """A parameter's value as JSON knows it, or its name."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None  # NaN fails the comparison, too
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return type(value).__name__


# -- structured output -----------------------------------------------------------------------------------


def with_schema(use: ModelUse, schema: Value | None) -> ModelUse:
    """The model with structured output."""
    name, decides = "schema", False
    for item in schema.objects if schema else ():
        item = getattr(item, "schema", item) if not isinstance(item, type) else item
        name, decides = _schema(item)
    return replace(use, schema=name, decides=decides)


def _schema(schema: Any) -> tuple[str, bool]:
    if isinstance(schema, Mapping):
        return str(schema.get("title") or schema.get("name") or "schema"), _has_choices(schema)
    if not isinstance(schema, type):
        return "schema", False
    try:
        hints = typing.get_type_hints(schema)
    except Exception:  # annotations that don't resolve
        hints = {}
    return schema.__name__, bool(hints) and any(_chooses(hint) for hint in hints.values())


def _chooses(hint: Any) -> bool:
    if hint is bool or typing.get_origin(hint) is typing.Literal:
        return True
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return True
    return any(_chooses(part) for part in typing.get_args(hint) if not isinstance(part, str))


def _has_choices(schema: Mapping[str, Any]) -> bool:
    fields = schema.get("properties", {})
    values = fields.values() if isinstance(fields, Mapping) else ()
    return any(isinstance(one, Mapping) and ("enum" in one or one.get("type") == "boolean") for one in values)


# -- by name ---------------------------------------------------------------------------------------------

_LIKE_A_MODEL = re.compile(r"(?:^|_)(?:llm|chat_?model|model|chain|agent)$", re.IGNORECASE)
_LIKE_A_CLASS = re.compile(r"(?:Azure)?Chat[A-Z]\w+|\w+LLM")


def is_called_like_a_model(name: str | None) -> bool:
    """Whether something unknown is named like a model, as in ``config["configurable"]["llm"]``."""
    return bool(name and _LIKE_A_MODEL.search(name))


def is_called_like_a_class(name: str) -> bool:
    """Whether a class that can't be imported here is named like LangChain's chat models."""
    return bool(_LIKE_A_CLASS.fullmatch(name))


def sdk_call(node: ast.Call) -> tuple[str | None, bool]:
    """The provider of a call that looks like one into an SDK, and whether it does."""
    parts: list[str] = []
    part: ast.expr = node.func
    while isinstance(part, ast.Attribute):
        parts.append(part.attr)
        part = part.value
    if isinstance(part, ast.Name):
        parts.append(part.id)
    names = tuple(reversed(parts))
    has_model = any(keyword.arg in ("model", None) for keyword in node.keywords)
    for ending, provider in SDK_CALLS.items():
        if has_model and names[-len(ending) :] == ending:
            return provider, True
    return None, False
