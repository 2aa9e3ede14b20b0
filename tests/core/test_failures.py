"""Whose fault a failed call was, told from exceptions of clients that aren't imported."""

import asyncio
from http import HTTPStatus
from types import SimpleNamespace

import pytest

from pytest_promptune.core.failures import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    describe,
    is_infrastructure,
    is_worth_another_try,
    pause_before,
    retry_after,
)


def fake(module: str, name: str, *bases: type[BaseException], **attributes: object) -> BaseException:
    """An exception as a client library would define it, without the library."""
    kind = type(name, bases or (Exception,), {"__module__": module, **attributes})
    return kind("message")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("openai", "RateLimitError"),
        ("openai", "APIConnectionError"),
        ("openai", "APITimeoutError"),
        ("openai", "InternalServerError"),
        ("anthropic", "RateLimitError"),
        ("anthropic._exceptions", "OverloadedError"),
        ("anthropic", "ServiceUnavailableError"),
        ("httpx", "ConnectError"),
        ("httpx", "ConnectTimeout"),
        ("httpx", "ReadTimeout"),
        ("httpx", "RemoteProtocolError"),
        ("httpcore", "ReadError"),
        ("groq", "RateLimitError"),
        ("requests.exceptions", "ReadTimeout"),
        ("requests.exceptions", "ConnectionError"),
        ("requests.exceptions", "Timeout"),
        ("google.api_core.exceptions", "ResourceExhausted"),
        ("google.api_core.exceptions", "ServiceUnavailable"),
        ("google.api_core.exceptions", "GatewayTimeout"),
        ("aiohttp.client_exceptions", "ClientConnectorError"),
        ("aiohttp.client_exceptions", "ServerDisconnectedError"),
        ("botocore.exceptions", "EndpointConnectionError"),
        ("botocore.exceptions", "ReadTimeoutError"),
        ("httpx2", "ReadError"),
        ("httpx", "ProxyError"),
        ("httpcore2", "ConnectError"),
        ("langchain_core.exceptions", "ModelRateLimitError"),
        ("langchain_core.exceptions", "ModelTimeoutError"),
        ("langchain_openai.chat_models._client_utils", "StreamChunkTimeoutError"),
    ],
)
def test_transient_by_name(module, name):
    """Rate limits, time-outs and lost connections of the usual clients."""
    assert is_infrastructure(fake(module, name))


@pytest.mark.parametrize(
    ("module", "name", "parent"),
    [
        ("langchain_openai.chat_models.base", "OpenAIConnectionError", "openai.APIConnectionError"),
        ("langchain_anthropic.chat_models", "AnthropicOverloadedError", "anthropic.OverloadedError"),
    ],
)
def test_transient_by_the_parent_of_langchains_class(module, name, parent):
    """LangChain's integrations raise classes of their own that derive from the client's."""
    client = type(fake(*parent.split(".")))
    assert is_infrastructure(fake(module, name, client))


def test_transient_by_an_ancestor():
    """A subclass of a client's exception counts as its parent."""
    parent = type(fake("openai", "RateLimitError"))
    assert is_infrastructure(fake("my_app", "SlowDownError", parent))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("openai", "BadRequestError"),
        ("openai", "AuthenticationError"),
        ("openai", "LengthFinishReasonError"),
        ("langchain_core.exceptions", "OutputParserException"),
        ("pydantic_core", "ValidationError"),
        ("httpx", "InvalidURL"),
        ("my_app", "RateLimitError"),
        ("my_app", "ReadTimeout"),
        ("openai_tools.errors", "RateLimitError"),
        ("langchain_core.exceptions", "ModelInvalidRequestError"),
    ],
)
def test_faults_of_the_app(module, name):
    """What the app did wrong, and classes that only share a name with a client's, count against it."""
    assert not is_infrastructure(fake(module, name))


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 520, 529, HTTPStatus.BAD_GATEWAY])
def test_transient_by_status(status):
    """The HTTP status tells, on the exception or on its response."""
    assert is_infrastructure(fake("some.client", "ApiError", status_code=status))
    assert is_infrastructure(fake("some.client", "ApiError", response=SimpleNamespace(status_code=status)))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 501])
def test_other_statuses_are_faults_of_the_app(status):
    """A refused request is the app's fault, even where the class has a transient name."""
    assert not is_infrastructure(fake("openai", "RateLimitError", status_code=status))


@pytest.mark.parametrize("status", [None, "429", True, 429.0], ids=repr)
def test_odd_statuses_say_nothing(status):
    """What isn't a whole number is no status; the name decides then."""
    assert not is_infrastructure(fake("some.client", "ApiError", status_code=status))


@pytest.mark.parametrize(
    ("module", "attribute"),
    [("google.genai.errors", "code"), ("urllib.error", "code"), ("aiohttp.client_exceptions", "status")],
)
def test_transient_by_another_name_of_the_status(module, attribute):
    """Some clients call the status otherwise; an app's exceptions may mean anything by these names."""
    assert is_infrastructure(fake(module, "SomeError", **{attribute: 429}))
    assert not is_infrastructure(fake(module, "SomeError", **{attribute: 404}))
    assert not is_infrastructure(fake("my_app", "SomeError", **{attribute: 429}))


@pytest.mark.parametrize(
    "attributes",
    [
        {"body": {"type": "server_error", "code": None}},
        {"body": {"type": "tokens", "code": "rate_limit_exceeded"}},
        {"status_code": 200, "body": {"type": "error", "error": {"type": "overloaded_error"}}},
        {"status_code": 200, "body": {"type": "error", "error": {"type": "api_error"}}},
    ],
)
def test_transient_within_a_stream(attributes):
    """An answer that began with 200 and broke off says why in its body only."""
    assert is_infrastructure(fake("anthropic", "APIStatusError", **attributes))
    assert not is_infrastructure(fake("my_app", "APIStatusError", **attributes))


@pytest.mark.parametrize(
    "attributes",
    [
        {"status_code": 200, "body": {"error": {"type": "invalid_request_error"}}},
        {"status_code": 400, "body": {"error": {"type": "api_error"}}},
        {"body": "api_error"},
        {"body": {"type": ["api_error"]}},
    ],
)
def test_other_bodies_say_nothing(attributes):
    """Other types, a status that is an error itself, and bodies of other shapes."""
    assert not is_infrastructure(fake("anthropic", "APIStatusError", **attributes))


def test_transient_by_a_response_of_aws():
    """Bedrock's client says it in the metadata of its response."""
    response = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 429}}
    assert is_infrastructure(fake("botocore.exceptions", "ClientError", response=response))


@pytest.mark.parametrize(
    "kind", [ConnectionError, ConnectionResetError, BrokenPipeError, ConnectionRefusedError]
)
def test_lost_connections(kind):
    """The interpreter's own connection errors are nobody's prompt's fault."""
    assert is_infrastructure(kind("lost"))


@pytest.mark.parametrize(
    "error",
    [ValueError(), KeyError("a"), TimeoutError(), OSError(), SystemExit(1), asyncio.CancelledError()],
    ids=repr,
)
def test_plain_exceptions(error):
    """Everything else is the app's: a time-out of its own, too."""
    assert not is_infrastructure(error)


def raised(make: object) -> BaseException:
    try:
        make()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_causes_are_looked_through():
    """A rate limit behind an app's own exception is a rate limit, named or implied."""

    def named() -> None:
        raise ValueError("no answer") from fake("openai", "RateLimitError")

    def implied() -> None:
        try:
            raise fake("httpx", "ReadTimeout")
        except Exception:
            raise ValueError("no answer")  # noqa: B904 - the point of the test

    def suppressed() -> None:
        try:
            raise fake("httpx", "ReadTimeout")
        except Exception:
            raise ValueError("no answer") from None

    assert is_infrastructure(raised(named))
    assert is_infrastructure(raised(implied))
    assert not is_infrastructure(raised(suppressed))


def test_causes_in_a_circle():
    """A chain that comes back to itself ends."""
    one, other = ValueError("a"), ValueError("b")
    one.__cause__, other.__cause__ = other, one
    assert not is_infrastructure(one)


def behind(module: str, name: str, text: str) -> BaseException:
    """A client's connection error that was raised from another exception."""
    error = type(fake("openai", "APIConnectionError"))("Connection error.")
    error.__cause__ = type(fake(module, name))(text)
    return error


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LocalProtocolError", "Illegal header value b'Bearer '"),
        ("UnsupportedProtocol", "Request URL is missing an 'http://' or 'https://' protocol."),
        ("InvalidURL", "Invalid port: 'x'"),
    ],
)
def test_what_was_never_sent_is_the_apps_fault(name, text):
    """A missing key or a bad address: clients call it a connection error, but it never gets better."""
    assert not is_infrastructure(behind("httpx", name, text))
    assert is_infrastructure(behind("my_app", name, text))


def test_other_local_protocol_errors_are_transient():
    """A connection that the server closed meanwhile."""
    assert is_infrastructure(behind("httpx", "LocalProtocolError", "Can't send data in state CLOSED"))


def test_groups_are_looked_through():
    """A task group that lost one of its calls to a rate limit was lost to the rate limit."""
    group = ExceptionGroup("unhandled errors", [fake("openai", "RateLimitError")])
    assert is_infrastructure(group)


def test_described():
    """An exception as data: the class's name, its message, whose fault."""
    found = describe(fake("openai", "RateLimitError"))
    assert (found.type, found.message, found.infrastructure) == ("RateLimitError", "message", True)


def test_described_with_the_reason():
    """What the client's "Connection error." leaves out is added."""
    reason = "ConnectError: All connection attempts failed"
    assert describe(behind("httpx", "ConnectError", "All connection attempts failed")).message == (
        f"Connection error. ({reason})"
    )
    assert describe(behind("httpx", "ReadTimeout", "")).message == "Connection error."


def test_described_without_the_key():
    """The text of an illegal header shows the key: it is not quoted."""
    wrapped = behind("httpx2", "LocalProtocolError", "Illegal header value b'Bearer sk-unsaid\\n'")
    for error in (wrapped, wrapped.__cause__):
        found = describe(error)
        assert "is the API key set" in found.message
        assert "sk-unsaid" not in str(found)
        assert not found.infrastructure


def test_described_without_a_message_of_its_own():
    """An exception whose text can't be made is still an errored sample."""

    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert describe(OddError()).type.endswith("OddError")


# --- a quota that is used up ----------------------------------------------------------------------

USED_UP = {"message": "You exceeded your current quota.", "type": "insufficient_quota"}


@pytest.mark.parametrize(
    "attributes",
    [
        {"code": "insufficient_quota"},
        {"body": {**USED_UP, "code": "insufficient_quota"}},
        {"body": {"error": {**USED_UP, "code": None}}},
        {"__str__": lambda _: f"Error code: 429 - {{'error': {USED_UP}}}"},
    ],
    ids=["code", "body", "body with error", "text"],
)
@pytest.mark.parametrize("module", ["openai", "some_router.exceptions"])
def test_a_used_up_quota_is_not_tried_again(module, attributes):
    """OpenAI's 429 of an account without credit is nobody's prompt's fault, but no pause mends it."""
    error = fake(module, "RateLimitError", status_code=429, **attributes)
    assert is_infrastructure(error)
    assert not is_worth_another_try(error)


def test_a_used_up_quota_is_named():
    """The message begins with what it is; without that it reads as any rate limit."""
    found = describe(fake("openai", "RateLimitError", status_code=429, code="insufficient_quota"))
    assert found.message.startswith("the account's quota is used up (insufficient_quota)")
    assert found.message.endswith("message")
    assert found.infrastructure


def test_a_used_up_quota_within_a_stream():
    """An answer that began well says so in its body only."""
    error = fake("openai", "APIError", body=USED_UP)
    assert is_infrastructure(error)
    assert not is_worth_another_try(error)


def test_a_used_up_quota_behind_other_exceptions():
    """An app's own exception and a task group are looked through; one member is enough."""
    wrapped = ValueError("no answer")
    wrapped.__cause__ = fake("openai", "RateLimitError", code="insufficient_quota")
    group = ExceptionGroup("unhandled errors", [fake("openai", "RateLimitError"), wrapped])
    for error in (wrapped, group):
        assert is_infrastructure(error)
        assert not is_worth_another_try(error)
        assert "quota" in describe(error).message


@pytest.mark.parametrize(
    "attributes",
    [
        {"status_code": 429, "code": "rate_limit_exceeded"},
        {"status_code": 429, "code": ["insufficient_quota"]},
        {"status_code": 503},
        {},
    ],
    ids=repr,
)
def test_other_rate_limits_are_tried_again(attributes):
    """Everything else that the infrastructure lost."""
    error = fake("openai", "RateLimitError", **attributes)
    assert is_worth_another_try(error)
    assert "quota" not in describe(error).message


def test_an_apps_own_quota_stays_its_fault():
    """What only talks like OpenAI, or was refused with another status, is neither lost nor tried again."""
    for error in (
        fake("my_app", "QuotaError", code="insufficient_quota"),
        fake("openai", "BadRequestError", status_code=400, code="insufficient_quota"),
    ):
        assert not is_infrastructure(error)
        assert not is_worth_another_try(error)
        assert describe(error).message == "message"


# --- waiting --------------------------------------------------------------------------------------


def limited(value: object, **headers: object) -> BaseException:
    given = {"retry-after": value, **{name.replace("_", "-"): text for name, text in headers.items()}}
    return fake("openai", "RateLimitError", response=SimpleNamespace(headers=given))


@pytest.mark.parametrize(("value", "seconds"), [("2", 2.0), ("0.5", 0.5), (3, 3.0), ("0", 0.0)])
def test_retry_after(value, seconds):
    """The server's header says how long to wait."""
    assert retry_after(limited(value)) == seconds


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf", None, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after_that_says_nothing(value):
    """Nonsense, absurd numbers, and a date of an answer that doesn't say when it was made."""
    assert retry_after(limited(value)) is None


def test_retry_after_in_milliseconds():
    """The finer header wins, where it is a number."""
    assert retry_after(limited("2", retry_after_ms="1500")) == 1.5
    assert retry_after(limited("2", retry_after_ms="soon")) == 2.0
    assert retry_after(limited(None, retry_after_ms="0")) == 0.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wednesday, 21-Oct-26 07:29:00 GMT", 60.0),
        ("Wed Oct 21 07:28:10 2026", 10.0),
        ("Wed, 21 Oct 2026 09:28:20 +0200", 20.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("tomorrow", None),
    ],
)
def test_retry_after_as_a_date(value, seconds):
    """A date counts from the date of the same answer, whatever our clock says; one that is past is now."""
    assert retry_after(limited(value, date="Wed, 21 Oct 2026 07:28:00 GMT")) == seconds
    assert retry_after(limited(value, date="today")) is None


def test_retry_after_of_other_clients():
    """Headers on the exception itself (aiohttp, urllib), and Bedrock's in the response's metadata."""
    assert retry_after(fake("urllib.error", "HTTPError", headers={"retry-after": "3"})) == 3.0
    response = {"ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "4"}}}
    assert retry_after(fake("botocore.exceptions", "ClientError", response=response)) == 4.0


def test_retry_after_behind_another_exception():
    """What an app or a task group wraps still says when; of several, the latest."""
    wrapped = ValueError("no answer")
    wrapped.__cause__ = limited("5")
    assert retry_after(wrapped) == 5.0
    assert retry_after(ExceptionGroup("two", [wrapped, limited("8"), ValueError()])) == 8.0
    assert retry_after(ExceptionGroup("none", [ValueError()])) is None


def test_retry_after_without_a_response():
    """Exceptions without a response, or with another kind of headers, don't say."""
    assert retry_after(ValueError()) is None
    assert retry_after(fake("x", "E", response=SimpleNamespace(headers=None))) is None
    assert retry_after(fake("x", "E", response={"headers": {}})) is None


def test_pauses_grow_to_a_limit():
    """Twice as long each time, up to the longest, within half and one and a half of it."""
    error = ValueError()
    middle = [pause_before(attempt, error, 0.5) for attempt in range(1, 12)]
    assert middle[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert middle[-1] == LONGEST_PAUSE_S
    assert pause_before(1, error, 0.0) == FIRST_PAUSE_S / 2
    assert pause_before(1000, error, 0.0) == LONGEST_PAUSE_S / 2


def test_the_server_is_obeyed_within_reason():
    """At least what it asks for; one that asks for hours isn't asked again."""
    assert pause_before(1, limited("7"), 0.0) == 7.0
    assert pause_before(1, limited("0"), 0.0) == FIRST_PAUSE_S / 2
    assert pause_before(1, limited("300"), 0.0) == 300.0
    assert is_worth_another_try(limited("600"))
    assert not is_worth_another_try(limited("601"))
    assert describe(limited("601")).infrastructure
