"""Calls of a model through plain HTTP: a body that is posted to a well-known endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_promptune.core.values import dataclass
from pytest_promptune.langgraph.nodes.contents import contents
from pytest_promptune.langgraph.nodes.values import NOTHING, Arguments, Instance, Value, held

#: Methods of requests, httpx, aiohttp and their sessions that send a body.
_METHODS = frozenset({"post", "request", "stream"})
#: The ends of the URLs, and the provider where the URL tells it: many serve the first.
_ENDPOINTS: tuple[tuple[re.Pattern[str], str | None], ...] = (
    (re.compile(r"(?:^|/)chat/completions/?$"), None),
    (re.compile(r"(?:^|/)v1/responses/?$"), "openai"),
    (re.compile(r"(?:^|/)v1/messages/?$"), "anthropic"),
    (re.compile(r"(?:^|/)api/(?:chat|generate)/?$"), "ollama"),
    (re.compile(r":(?:stream)?[gG]enerateContent(?:\?.*)?$"), "google_genai"),
)
_DEEPEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What is sent to a model: its provider where the URL tells it, the fields of the body."""

    provider: str | None
    given: Arguments


def posted(method: str, given: Arguments) -> Posted | None:
    """The request in ``requests.post(f"{base}/chat/completions", json=body)`` and the like.

    Args:
        method: that is called.
        given: its arguments. A body that isn't known has no fields.

    Returns:
        None for other methods, without a body, and where the URL isn't that of a model.
    """
    body = given.get(None, "json", "data", "content", "body")
    if method not in _METHODS or body is None:
        return None
    urls = [value for value in (*given.positional, given.named.get("url")) if value is not None]
    texts = [text.text for text in contents(held(urls)).texts]
    for ending, provider in _ENDPOINTS:
        if any(ending.search(text) for text in texts):
            dicts = list(_dicts(body))
            fields = {name: value for each in dicts for name, value in each.fields.items()}
            is_known = bool(dicts) and all(each.made_of.is_unknown for each in dicts)
            rest = NOTHING if is_known else Value(name="**")
            return Posted(provider=provider, given=Arguments(named=fields, rest=rest))
    return None


def _dicts(value: Value, depth: int = 0) -> Iterator[Instance]:
    """The dicts that the source writes, as they are or inside of ``json.dumps(…)``."""
    for item in value.objects:
        if isinstance(item, Instance) and item.cls is dict:
            yield item
        elif isinstance(item, Instance) and depth < _DEEPEST:
            yield from _dicts(item.made_of, depth + 1)
