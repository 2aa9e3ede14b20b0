"""What the providers of models need: a package, and a key in the environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pytest_promptune.core.limits import OUTPUT_LIMITS
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One of those that LangChain's ``init_chat_model`` knows."""

    package: str
    #: The variable of its key; ``None`` where there are other ways to sign in, or none is needed.
    key: str | None = None

    @property
    def module(self) -> str:
        """What is imported of the package."""
        return self.package.replace("-", "_")


PROVIDERS: Mapping[str, Provider] = {
    "anthropic": Provider(package="langchain-anthropic", key="ANTHROPIC_API_KEY"),
    "azure_openai": Provider(package="langchain-openai"),
    "bedrock": Provider(package="langchain-aws"),
    "bedrock_converse": Provider(package="langchain-aws"),
    "cohere": Provider(package="langchain-cohere", key="COHERE_API_KEY"),
    "deepseek": Provider(package="langchain-deepseek", key="DEEPSEEK_API_KEY"),
    "fireworks": Provider(package="langchain-fireworks", key="FIREWORKS_API_KEY"),
    "google_genai": Provider(package="langchain-google-genai"),
    "google_vertexai": Provider(package="langchain-google-vertexai"),
    "groq": Provider(package="langchain-groq", key="GROQ_API_KEY"),
    "huggingface": Provider(package="langchain-huggingface"),
    "mistralai": Provider(package="langchain-mistralai", key="MISTRAL_API_KEY"),
    "ollama": Provider(package="langchain-ollama"),
    "openai": Provider(package="langchain-openai", key="OPENAI_API_KEY"),
    "perplexity": Provider(package="langchain-perplexity", key="PPLX_API_KEY"),
    "together": Provider(package="langchain-together", key="TOGETHER_API_KEY"),
    "xai": Provider(package="langchain-xai", key="XAI_API_KEY"),
}
_URLS = ("api_base", "api_url", "base_url", "endpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A model that a table names as ``provider:model``, to be made when it is needed."""

    provider: str
    name: str
    #: The table gives a key or an address of its own.
    is_equipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNeeds:
    """A chat model that is there: what it is, and whether it can sign in."""

    #: Name of its class.
    kind: str
    name: str | None = None
    #: Where it was pointed at, if not at its provider.
    url: str | None = None
    max_tokens: int | None = None
    #: The variable of its key, ``None`` where it needs none that is known.
    key: str | None = None
    has_key: bool = False

    def __str__(self) -> str:
        """``ChatOpenAI (gpt-4o)``."""
        return f"{self.kind} ({self.name})" if self.name else self.kind


def needs_of(model: Any, environment: Mapping[str, str]) -> ModelNeeds:
    """What a chat model needs, by what it says of its secrets itself (``lc_secrets``); it is not called.

    A model that has any of its secrets can sign in, as far as can be seen; so can one whose address is not
    that of its provider.
    """
    fields = vars(model)
    secrets = _secrets(model)
    variable = next((v for field, v in secrets.items() if field.endswith("api_key")), None)
    url = None
    if variable is not None:
        maker = variable.partition("_")[0].lower()
        url = next((u for u in _urls(fields) if maker not in (urlsplit(u).hostname or "")), None)
    has_key = any(_is_set(fields.get(field)) or environment.get(v) for field, v in secrets.items())
    if variable is not None and not has_key:
        has_key = bool(environment.get(variable.replace("_API_KEY", "_AUTH_TOKEN")))
    if not has_key:  # a function that fetches a token, as Azure's
        has_key = any(value and field.endswith("token_provider") for field, value in fields.items())
    limit = next((fields[name] for name in OUTPUT_LIMITS if fields.get(name) is not None), None)
    return ModelNeeds(
        kind=type(model).__name__,
        name=next((n for n in (fields.get("model_name"), fields.get("model")) if isinstance(n, str)), None),
        url=url,
        max_tokens=limit if isinstance(limit, int) and not isinstance(limit, bool) else None,
        key=variable,
        has_key=has_key or url is not None,
    )


def _secrets(model: Any) -> Mapping[str, str]:
    """Field → variable."""
    try:
        secrets = model.lc_secrets
    except Exception:  # of whoever wrote the class
        return {}
    return secrets if isinstance(secrets, Mapping) else {}


def _is_set(value: Any) -> bool:
    reveal = getattr(value, "get_secret_value", None)
    return bool(reveal() if callable(reveal) else value)


def _urls(fields: Mapping[str, Any]) -> Iterator[str]:
    return (
        value for name, value in fields.items() if name.endswith(_URLS) and isinstance(value, str) and value
    )


def key_of_class(model: type) -> str | None:
    """The variable of the key that models of a provider's class need, where that is known."""
    module = model.__module__.partition(".")[0]
    if model.__name__.startswith("Azure"):
        return None
    return next((p.key for p in PROVIDERS.values() if p.module == module and p.key), None)


def named_models(fields: Mapping[str, Any]) -> Iterator[NamedModel]:
    """Models that a table names, as ``model = "openai:gpt-4o"`` or by its ``model_provider``."""
    texts = {str(key): value for key, value in fields.items() if isinstance(value, str)}
    is_equipped = any(value for key, value in fields.items() if str(key).endswith(("api_key", *_URLS)))
    for key, text in texts.items():
        if key == "model" or key.endswith(("_model", "model_name")):
            provider, _, name = text.partition(":")
            if provider not in PROVIDERS and key == "model":
                provider, name = texts.get("model_provider", ""), text
            if provider in PROVIDERS and name:
                yield NamedModel(provider=provider, name=name, is_equipped=is_equipped)
    for value in fields.values():
        if isinstance(value, Mapping):
            yield from named_models(value)
