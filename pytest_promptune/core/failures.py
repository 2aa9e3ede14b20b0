"""Whose fault a failed call was: the app's, or the network's between it and its model."""

from __future__ import annotations

from pytest_promptune.core.model import SampleError

#: HTTP statuses that say nothing about the app: too many requests, too slow, overloaded, broken.
_TRANSIENT_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})

#: Exception classes of openai, anthropic, httpx, requests and google by name, so that none is imported.
_TRANSIENT_NAMES = frozenset(
    {
        "APIConnectionError",
        "APITimeoutError",
        "ConnectError",
        "ConnectTimeout",
        "DeadlineExceeded",
        "InternalServerError",
        "OverloadedError",
        "PoolTimeout",
        "RateLimitError",
        "ReadError",
        "ReadTimeout",
        "RemoteProtocolError",
        "ResourceExhausted",
        "ServiceUnavailable",
        "ServiceUnavailableError",
        "TooManyRequests",
        "WriteError",
        "WriteTimeout",
    }
)
_CLIENTS: tuple[str, ...] = ("anthropic", "cohere", "google", "groq", "httpcore", "httpx", "langchain")
_CLIENTS += ("mistralai", "openai", "requests", "urllib3")


def describe(error: BaseException) -> SampleError:
    """The error of a sample as data; an exception's causes are looked through."""
    return SampleError(
        type=type(error).__qualname__, message=str(error), infrastructure=is_infrastructure(error)
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


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, ConnectionError):
        return True
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int) and not isinstance(status, bool):
        return status in _TRANSIENT_STATUS
    return any(
        parent.__name__ in _TRANSIENT_NAMES and parent.__module__.startswith(_CLIENTS)
        for parent in type(error).__mro__
    )
