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

    #: The package of its own client.
    sdk: str | None = None

    @property
    def module(self) -> str:
        """What is imported of the package."""
        return self.package.replace("-", "_")


PROVIDERS: Mapping[str, Provider] = {
    "anthropic": Provider(package="langchain-anthropic", key="ANTHROPIC_API_KEY", sdk="anthropic"),
    "anthropic_bedrock": Provider(package="langchain-aws"),
    "azure_ai": Provider(package="langchain-azure-ai"),
    "azure_openai": Provider(package="langchain-openai"),
    "baseten": Provider(package="langchain-baseten", key="BASETEN_API_KEY"),
    "bedrock": Provider(package="langchain-aws"),
    "bedrock_converse": Provider(package="langchain-aws"),
    "cohere": Provider(package="langchain-cohere", key="COHERE_API_KEY"),
    "deepseek": Provider(package="langchain-deepseek", key="DEEPSEEK_API_KEY"),
    "fireworks": Provider(package="langchain-fireworks", key="FIREWORKS_API_KEY"),
    "google_anthropic_vertex": Provider(package="langchain-google-vertexai"),
    "google_genai": Provider(package="langchain-google-genai", sdk="google-genai"),
    "google_vertexai": Provider(package="langchain-google-vertexai"),
    "groq": Provider(package="langchain-groq", key="GROQ_API_KEY"),
    "huggingface": Provider(package="langchain-huggingface"),
    "ibm": Provider(package="langchain-ibm"),
    "litellm": Provider(package="langchain-litellm"),
    "mistralai": Provider(package="langchain-mistralai", key="MISTRAL_API_KEY"),
    "nvidia": Provider(package="langchain-nvidia-ai-endpoints", key="NVIDIA_API_KEY"),
    "ollama": Provider(package="langchain-ollama", sdk="ollama"),
    "openai": Provider(package="langchain-openai", key="OPENAI_API_KEY", sdk="openai"),
    "openrouter": Provider(package="langchain-openrouter", key="OPENROUTER_API_KEY"),
    "perplexity": Provider(package="langchain-perplexity", key="PPLX_API_KEY"),
    "together": Provider(package="langchain-together", key="TOGETHER_API_KEY"),
    "upstage": Provider(package="langchain-upstage", key="UPSTAGE_API_KEY"),
    "xai": Provider(package="langchain-xai", key="XAI_API_KEY"),
}
#: What classes and clients are called after, where ``init_chat_model`` has another word.
_ALIASES = {"azure": "azure_openai", "aws": "bedrock", "nvidia_ai_endpoints": "nvidia"}
#: What the fields that point a model at another server end with.
URLS = ("api_base", "api_url", "base_url", "endpoint")


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


def provider_called(name: str | None) -> Provider | None:
    """The provider of that name, as ``init_chat_model`` or the package ``langchain-NAME`` has it."""
    return PROVIDERS.get(_ALIASES.get(name, name)) if name else None


def has_key(variable: str, environment: Mapping[str, str]) -> bool:
    """Whether the environment has a key, or the token that some clients take in its place."""
    return bool(environment.get(variable) or environment.get(variable.replace("_API_KEY", "_AUTH_TOKEN")))


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
    is_equipped = any(_is_set(fields.get(field)) or environment.get(v) for field, v in secrets.items())
    if variable is not None and not is_equipped:
        is_equipped = has_key(variable, environment)
    if not is_equipped:  # a function that fetches a token, as Azure's
        is_equipped = any(value and field.endswith("token_provider") for field, value in fields.items())
    limit = next((fields[name] for name in OUTPUT_LIMITS if fields.get(name) is not None), None)
    return ModelNeeds(
        kind=type(model).__name__,
        name=next((n for n in (fields.get("model_name"), fields.get("model")) if isinstance(n, str)), None),
        url=url,
        max_tokens=limit if isinstance(limit, int) and not isinstance(limit, bool) else None,
        key=variable,
        has_key=is_equipped or url is not None,
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
        value for name, value in fields.items() if name.endswith(URLS) and isinstance(value, str) and value
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
    is_equipped = any(value for key, value in fields.items() if str(key).endswith(("api_key", *URLS)))
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
