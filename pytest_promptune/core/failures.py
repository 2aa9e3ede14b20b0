"""Whose fault a failed call was: the app's, or the network's between it and its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_promptune.core.model import SampleError

#: Seconds before the first retry, and the longest a retry waits.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0

#: HTTP statuses that say nothing about the app: too many requests, too slow, overloaded, broken.
_TRANSIENT_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})

#: Exception classes of model providers' clients by name, so that none of them is imported.
_TRANSIENT_NAMES = frozenset(
    {
        "APIConnectionError",
        "APITimeoutError",
        "ClientConnectionError",
        "ClientConnectorError",
        "ClientOSError",
        "ConnectError",
        "ConnectTimeout",
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "DeadlineExceeded",
        "EndpointConnectionError",
        "GatewayTimeout",
        "InternalServerError",
        "OverloadedError",
        "PoolTimeout",
        "RateLimitError",
        "ReadError",
        "ReadTimeout",
        "ReadTimeoutError",
        "RemoteProtocolError",
        "ResourceExhausted",
        "ServerDisconnectedError",
        "ServerTimeoutError",
        "ServiceUnavailable",
        "ServiceUnavailableError",
        "Timeout",
        "TooManyRequests",
        "WriteError",
        "WriteTimeout",
    }
)
_CLIENTS = (
    "aiohttp",
    "anthropic",
    "botocore",
    "cohere",
    "google",
    "groq",
    "httpcore",
    "httpx",
    "langchain",
    "mistralai",
    "openai",
    "requests",
    "urllib3",
)


def describe(error: BaseException) -> SampleError:
    """The error of a sample as data; an exception's causes are looked through."""
    try:
        message = str(error)
    except Exception:  # an exception whose text raises must not hide what happened
        message = "(no text)"
    return SampleError(
        type=type(error).__qualname__, message=message, infrastructure=is_infrastructure(error)
    )


def is_infrastructure(error: BaseException) -> bool:
    """True for rate limits, 5xx and lost connections: the sample says nothing about the app."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if _is_transient(current):
            return True
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return False


def retry_after(error: BaseException) -> float | None:
    """Seconds that the server asks to wait, from its ``Retry-After`` header; ``None`` if it doesn't say."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    value = headers.get("retry-after") if hasattr(headers, "get") else None
    try:
        seconds = float(value) if value is not None else None
    except (TypeError, ValueError):  # a date: rare, and the clock of another machine
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None


def pause_before(attempt: int, error: BaseException, chance: float) -> float:
    """Seconds to wait before trying again: exponential with jitter, at least what the server asks for.

    Args:
        attempt: how many attempts have failed, 1 or more.
        error: what the last one raised.
        chance: a random number in [0, 1).
    """
    pause = min(FIRST_PAUSE_S * 2.0 ** (attempt - 1), LONGEST_PAUSE_S) * (0.5 + chance)
    return max(pause, min(retry_after(error) or 0.0, LONGEST_PAUSE_S))


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(is_infrastructure(member) for member in error.exceptions)
    if isinstance(error, ConnectionError):
        return True
    status = _status(error)
    if status is not None:
        return status in _TRANSIENT_STATUS
    return any(
        parent.__name__ in _TRANSIENT_NAMES and parent.__module__.startswith(_CLIENTS)
        for parent in type(error).__mro__
    )


def _status(error: BaseException) -> int | None:
    """The HTTP status that an exception, or the response it carries, tells."""
    response: Any = getattr(error, "response", None)
    found = [getattr(error, "status_code", None), getattr(response, "status_code", None)]
    if type(error).__module__.startswith("google"):
        found.append(getattr(error, "code", None))
    if isinstance(response, Mapping):  # botocore
        found.append(dict(response.get("ResponseMetadata") or {}).get("HTTPStatusCode"))
    return next((s for s in found if isinstance(s, int) and not isinstance(s, bool)), None)
