"""Whose fault a failed call was: the app's, or the network's between it and its model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email.utils import mktime_tz, parsedate_tz
from typing import Any

from pytest_promptune.core.errors import ParameterRejected
from pytest_promptune.core.model import SampleError

#: Seconds before the first retry, and the longest a retry waits by itself.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
#: The longest that a server may make a retry wait; one that asks for more isn't asked again.
LONGEST_ASKED_S = 600.0

#: HTTP statuses that say nothing about the app: too many requests, too slow, overloaded, broken.
_TRANSIENT_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})

#: What OpenAI calls an account without credit: a 429 which no pause mends.
_NO_QUOTA = "insufficient_quota"

#: What OpenAI and Anthropic call such errors in the body: all that is known in a stream, which began well.
_TRANSIENT_TYPES = frozenset(
    {
        _NO_QUOTA,
        "api_error",
        "overloaded_error",
        "rate_limit_error",
        "rate_limit_exceeded",
        "server_error",
        "timeout_error",
    }
)

#: Exception classes of model providers' clients by name, so that none of them is imported.
_TRANSIENT_NAMES = frozenset(
    {
        "APIConnectionError",
        "APITimeoutError",
        "ClientConnectionError",
        "ClientConnectorError",
        "ClientOSError",
        "ClientPayloadError",
        "CloseError",
        "ConnectError",
        "ConnectTimeout",
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "DeadlineExceeded",
        "EndpointConnectionError",
        "GatewayTimeout",
        "InternalServerError",
        "ModelAPIError",
        "ModelConnectionError",
        "ModelRateLimitError",
        "ModelTimeoutError",
        "OverloadedError",
        "PoolTimeout",
        "ProxyError",
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
        "StreamChunkTimeoutError",
        "Timeout",
        "TooManyRequests",
        "WriteError",
        "WriteTimeout",
    }
)
#: Raised before anything was sent: the app's settings are wrong, whatever the client makes of it.
_UNSENT_NAMES = frozenset({"InvalidURL", "UnsupportedProtocol"})

#: In place of the client's own text, which quotes the header with the key in it.
_ILLEGAL_HEADER = "a header can't be sent: is the API key set, and free of line breaks?"

#: In front of the client's text, which calls it a 429 first of all.
_QUOTA_USED_UP = f"the account's quota is used up ({_NO_QUOTA}), so it was not tried again"

#: Top-level packages of clients; those of LangChain (langchain_openai, …) belong to them, too.
_CLIENTS = frozenset(
    {
        "aiohttp",
        "anthropic",
        "botocore",
        "cohere",
        "google",
        "groq",
        "httpcore",
        "httpcore2",
        "httpx",
        "httpx2",
        "mistralai",
        "openai",
        "requests",
        "urllib",
        "urllib3",
    }
)
#: Attributes that hold the HTTP status, where it is neither `status_code` nor the response's.
_STATUS_ATTRIBUTES = {"aiohttp": "status", "google": "code", "urllib": "code"}


def describe(error: BaseException) -> SampleError:
    """The error of a sample as data; an exception's causes are looked through.

    A parameter that the provider doesn't support says as little about the app as a lost connection.
    """
    message = _ILLEGAL_HEADER if _is_illegal_header(error) else _text(error)
    reason = _reason(error)
    if is_infrastructure(error) and _has_no_quota(error):
        message = f"{_QUOTA_USED_UP}: {message}"
    return SampleError(
        type=type(error).__qualname__,
        message=f"{message} ({reason})" if reason and reason not in message else message,
        infrastructure=is_infrastructure(error) or isinstance(error, ParameterRejected),
    )


def is_infrastructure(error: BaseException) -> bool:
    """True for rate limits, 5xx and lost connections: the sample says nothing about the app."""
    chain = tuple(_chain(error))
    return not any(_is_unsent(link) for link in chain) and any(_is_transient(link) for link in chain)


def is_worth_another_try(error: BaseException) -> bool:
    """True where waiting may help: what the infrastructure lost, unless the account's quota is used up.

    Nor where the server asks to wait longer than `LONGEST_ASKED_S`.
    """
    asked = retry_after(error) or 0.0
    return is_infrastructure(error) and not _has_no_quota(error) and asked <= LONGEST_ASKED_S


def retry_after(error: BaseException) -> float | None:
    """Seconds that the server asks to wait; ``None`` if it doesn't say.

    Read from the headers ``retry-after-ms`` and ``Retry-After`` of the exception's response, or of one
    behind it. A date counts from the ``Date`` of the same response: our clock may differ from the server's.
    """
    for link in _chain(error):
        if isinstance(link, BaseExceptionGroup):
            said = [seconds for member in link.exceptions if (seconds := retry_after(member)) is not None]
            if said:
                return max(said)
        headers = _headers(link)
        seconds = None if headers is None else _seconds(headers)
        if seconds is not None:
            return seconds
    return None


def pause_before(attempt: int, error: BaseException, chance: float) -> float:
    """Seconds to wait before trying again: exponential with jitter, at least what the server asks for.

    Args:
        attempt: how many attempts have failed, 1 or more.
        error: what the last one raised.
        chance: a random number in [0, 1).
    """
    pause = min(FIRST_PAUSE_S * 2.0 ** (attempt - 1), LONGEST_PAUSE_S) * (0.5 + chance)
    return max(pause, retry_after(error) or 0.0)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it was raised from or during."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception whose text raises must not hide what happened
        return "(no text)"


def _reason(error: BaseException) -> str | None:
    """What OpenAI's and Anthropic's clients leave out when all they say is "Connection error."."""
    if not any(kind.__name__ == "APIConnectionError" for kind in _client_classes(error)):
        return None
    chain = tuple(_chain(error))
    if any(_is_illegal_header(link) for link in chain):
        return _ILLEGAL_HEADER
    root = next((link for link in reversed(chain[1:]) if _text(link)), None)
    return None if root is None else f"{type(root).__qualname__}: {_text(root)}"


def _client_classes(error: BaseException) -> list[type]:
    """Those of an exception's classes that a client library defines."""
    tops = ((kind, str(kind.__module__).partition(".")[0]) for kind in type(error).__mro__)
    return [kind for kind, top in tops if top in _CLIENTS or top.startswith("langchain")]


def _is_illegal_header(error: BaseException) -> bool:
    is_local = any(kind.__name__ == "LocalProtocolError" for kind in _client_classes(error))
    return is_local and "header" in _text(error)


def _is_unsent(error: BaseException) -> bool:
    return _is_illegal_header(error) or any(k.__name__ in _UNSENT_NAMES for k in _client_classes(error))


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(is_infrastructure(member) for member in error.exceptions)
    if isinstance(error, ConnectionError):
        return True
    status = _status(error)
    if status is not None and status >= 400:
        return status in _TRANSIENT_STATUS
    kinds = _client_classes(error)
    if any(kind.__name__ in _TRANSIENT_NAMES for kind in kinds):
        return True
    return bool(kinds) and not _TRANSIENT_TYPES.isdisjoint(_types(error))


def _has_no_quota(error: BaseException) -> bool:
    """Whether a client, or any 429, says so in its code, body or text."""
    for link in _chain(error):
        if isinstance(link, BaseExceptionGroup):
            if any(_has_no_quota(member) for member in link.exceptions):
                return True
        elif _client_classes(link) or _status(link) == 429:
            said = [getattr(link, "code", None), *_types(link)]
            if _NO_QUOTA in said or _NO_QUOTA in _text(link):
                return True
    return False


def _status(error: BaseException) -> int | None:
    """The HTTP status that an exception, or the response it carries, tells."""
    response: Any = getattr(error, "response", None)
    found = [getattr(error, "status_code", None), getattr(response, "status_code", None)]
    own_name = _STATUS_ATTRIBUTES.get(str(type(error).__module__).partition(".")[0])
    if own_name is not None:
        found.append(getattr(error, own_name, None))
    if isinstance(response, Mapping):  # botocore
        found.append(dict(response.get("ResponseMetadata") or {}).get("HTTPStatusCode"))
    return next((s for s in found if isinstance(s, int) and not isinstance(s, bool)), None)


def _types(error: BaseException) -> set[str]:
    """What the provider's answer calls the error: its `type` and `code`."""
    body: Any = getattr(error, "body", None)
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        body = body["error"]
    found = [body.get("type"), body.get("code")] if isinstance(body, Mapping) else []
    return {word for word in found if isinstance(word, str)}


def _headers(error: BaseException) -> Any:
    """The response's headers, a mapping that ignores case, or ``None``."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore, which writes their names in lower case
        headers = dict(response.get("ResponseMetadata") or {}).get("HTTPHeaders")
    else:
        headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    return headers if hasattr(headers, "get") else None


def _seconds(headers: Any) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    return _between(headers.get("date"), value) if seconds is None else seconds


def _number(value: Any) -> float | None:
    """A finite number of 0 or more."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < float("inf") else None


def _between(start: object, end: object) -> float | None:
    """Seconds from one HTTP date to another, 0 for one that is past; ``None`` where either is no date."""
    try:
        dates = [parsedate_tz(str(value)) for value in (start, end)]
        moments = [mktime_tz(date) for date in dates if date is not None]
    except (ValueError, OverflowError):  # a month of 40 days
        return None
    return max(float(moments[1] - moments[0]), 0.0) if len(moments) == 2 else None
