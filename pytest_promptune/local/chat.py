"""The embedded model as the chat model that users have in production: langchain_openai's, our server."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any

from pytest_promptune.local.errors import LocalModelError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def local_chat_model(
    *, temperature: float = 0.7, max_tokens: int = 64, grammar: str | None = None, **kwargs: Any
) -> BaseChatModel:
    """A chat model on this machine's CPU; the first call starts its server (about a second).

    `grammar` (GBNF) constrains every answer, as structured output would with a large model: a model this
    small needs it. Further keywords go to `langchain_openai.ChatOpenAI`, such as `seed`, which makes answers
    repeatable. Async calls work in one event loop only: make the model where the loop is that will call it.
    Raises `LocalModelError`: no weights, extra missing, or the server does not start.
    """
    try:
        from langchain_openai import ChatOpenAI
    except ImportError as error:
        raise LocalModelError(
            f"The embedded model needs langchain-openai: {error}. "
            "Install it with: pip install 'pytest-promptune[local]'"
        ) from error
    from pydantic import SecretStr

    from pytest_promptune.local.server import shared_server

    server = shared_server()
    extra_body: dict[str, Any] = {**kwargs.pop("extra_body", {})}
    if grammar is not None:
        extra_body["grammar"] = grammar
    defaults: dict[str, Any] = {"max_retries": 0, "timeout": 120.0}
    return ChatOpenAI(
        model=server.model,
        base_url=f"{server.url}/v1",
        api_key=SecretStr(server.api_key),
        temperature=temperature,
        max_completion_tokens=max_tokens,
        extra_body=extra_body or None,
        **{**defaults, **_past_proxies(), **kwargs},
    )


def _past_proxies() -> dict[str, Any]:
    """Clients that ask this machine itself where the environment names a proxy for everything."""
    if "http" not in urllib.request.getproxies() or urllib.request.proxy_bypass("127.0.0.1"):
        return {}
    import openai

    return {
        "http_client": openai.DefaultHttpxClient(trust_env=False),
        "http_async_client": openai.DefaultAsyncHttpxClient(trust_env=False),
    }
