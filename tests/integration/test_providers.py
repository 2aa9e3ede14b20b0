"""The example app with the real clients of providers, on the wire: a server in this process answers them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pytest_promptune import engine
from pytest_promptune.core.failures import pause_before

EXAMPLE = Path(__file__).parents[2] / "examples" / "support_bot"
CASES = {"refund": "I want my money back.", "twice": "You charged me twice.", "card": "My card was declined."}
CURRENT, POLITE = "Classify the customer's message into one of four", "Please classify the customer's message"
REPLY = "Answer the customer's question about a payment"
#: Every name by which the environment can set up a client, and a proxy that nobody should ask.
PREFIXES = ("ANTHROPIC_", "AZURE_", "LANGCHAIN_", "LANGSMITH_", "OPENAI_")
DEAD_PROXY = "http://127.0.0.1:9"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that arrived."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        """System prompt and messages, wherever the provider's format has them."""
        contents = [self.body.get("system", ""), *(message["content"] for message in self.body["messages"])]
        return "\n".join(
            content if isinstance(content, str) else "\n".join(part["text"] for part in content)
            for content in contents
        )

    @property
    def tokens(self) -> tuple[int, int]:
        """What is billed for it, made up from its words; no two prompts here cost the same."""
        return len(self.text.split()), 7


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A failure to answer with; without a status the connection is reset."""

    status: int | None
    type: str = "api_error"
    headers: Mapping[str, str] = field(default_factory=dict)


class OpenAI:
    """Chat completions (https://platform.openai.com/docs/api-reference/chat)."""

    package = "langchain_openai"
    model = "openai:gpt-4.1-mini"
    answers_as = "gpt-4.1-mini-2025-04-14"
    path = "/v1/chat/completions"

    def environment(self, url: str) -> dict[str, str]:
        return {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "sk-test"}

    def refuses(self, asked: Asked) -> str | None:
        if asked.headers.get("authorization") != "Bearer sk-test":
            return "You didn't provide an API key."
        return None if asked.body["model"] == "gpt-4.1-mini" else "The model does not exist."

    def answer(self, asked: Asked) -> dict[str, Any]:
        text = "We are on it."
        if "response_format" in asked.body:
            schema = asked.body["response_format"]["json_schema"]["schema"]
            text = json.dumps({"topic": schema["properties"]["topic"]["enum"][0]})
        read, written = asked.tokens
        message = {"role": "assistant", "content": text, "refusal": None}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": self.answers_as,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
        }

    def error(self, kind: str, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}


class Azure(OpenAI):
    """The same through Azure: another client, other variables, the model's name in the path."""

    model = "azure_openai:gpt-4.1-mini"
    path = "/openai/deployments/gpt-4.1-mini/chat/completions?api-version=2024-10-21"

    def environment(self, url: str) -> dict[str, str]:
        return {
            "AZURE_OPENAI_ENDPOINT": url,
            "AZURE_OPENAI_API_KEY": "azure-test",
            "OPENAI_API_VERSION": "2024-10-21",
        }

    def refuses(self, asked: Asked) -> str | None:
        return None if asked.headers.get("api-key") == "azure-test" else "Access denied."


class Anthropic:
    """Messages (https://platform.claude.com/docs/en/api/messages), strict about what it doesn't know."""

    package = "langchain_anthropic"
    model = "anthropic:claude-haiku-4-5"
    answers_as = "claude-haiku-4-5-20251001"
    path = "/v1/messages"
    #: Its parameters; any other, such as a seed, is refused as the real one does.
    knows = frozenset(
        {"model", "messages", "max_tokens", "system", "temperature", "tools", "tool_choice", "stream"}
    )

    def environment(self, url: str) -> dict[str, str]:
        return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "sk-ant-test"}

    def refuses(self, asked: Asked) -> str | None:
        bearer = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if "sk-ant-test" not in (asked.headers.get("x-api-key"), bearer):
            return "invalid x-api-key"
        if unknown := asked.body.keys() - self.knows:
            return f"{min(unknown)}: Extra inputs are not permitted"
        if "anthropic-version" not in asked.headers or "max_tokens" not in asked.body:
            return "max_tokens: Field required"
        roles = {message["role"] for message in asked.body["messages"]}
        return None if roles <= {"user", "assistant"} else "messages: Unexpected role"

    def answer(self, asked: Asked) -> dict[str, Any]:
        content: dict[str, Any] = {"type": "text", "text": "We are on it."}
        if tools := asked.body.get("tools"):
            topic = tools[0]["input_schema"]["properties"]["topic"]["enum"][0]
            content = {
                "type": "tool_use",
                "id": "toolu_1",
                "name": tools[0]["name"],
                "input": {"topic": topic},
            }
        read, written = asked.tokens
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": self.answers_as,
            "content": [content],
            "stop_reason": "tool_use" if tools else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": read, "output_tokens": written},
        }

    def error(self, kind: str, message: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


Wire = OpenAI | Anthropic
WIRES = {"openai": OpenAI(), "anthropic": Anthropic(), "azure": Azure()}
both = pytest.mark.parametrize("wire", ["openai", "anthropic"], indirect=True)


class Provider:
    """A provider's server on this machine; what arrives is kept, what fails is said by `fault`."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.asked: list[Asked] = []
        self.fault: Callable[[Asked], Fault | None] = lambda asked: None
        provider = self

        class Handler(BaseHTTPRequestHandler):  # HTTP/1.0: no connection outlives the loop that opened it
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(path=self.path, headers=headers, body=body)
                provider.asked.append(asked)
                provider.serve(self, asked)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def serve(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        fault = self.fault(asked)
        refused = self.wire.refuses(asked)
        if asked.path != self.wire.path:
            self.send(handler, 404, self.wire.error("not_found_error", asked.path))
        elif fault is not None and fault.status is None:
            # closed without waiting, with data unsent: the client's system sees a reset
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
        elif fault is not None:
            self.send(handler, fault.status or 0, self.wire.error(fault.type, "Sorry."), fault.headers)
        elif refused is not None:
            status = 401 if "key" in refused or "denied" in refused else 400
            self.send(handler, status, self.wire.error("invalid_request_error", refused))
        else:
            self.send(handler, 200, self.wire.answer(asked))

    def send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: object,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        data = json.dumps(body).encode()
        handler.send_response_only(status)
        sent = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
        for name, value in sent.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    def about(self, case: str) -> list[Asked]:
        return [asked for asked in self.asked if CASES[case] in asked.text]


def failing(case: str, fault: Fault, *, times: int = 1000) -> Callable[[Asked], Fault | None]:
    """The first requests about a case fail."""
    left = Counter({case: times})

    def fault_of(asked: Asked) -> Fault | None:
        if CASES[case] not in asked.text or left[case] == 0:
            return None
        left[case] -= 1
        return fault

    return fault_of


def load(wire: Wire) -> None:
    """Import everything the client needs, parts that it loads when called as well, with a call to nowhere.

    A run forgets what it imported, and a client half of whose modules are imported again doesn't know
    its own exceptions any more.
    """
    from langchain.chat_models import init_chat_model

    with pytest.MonkeyPatch.context() as patch:
        isolate(patch)
        for name, value in wire.environment("http://127.0.0.1:1").items():
            patch.setenv(name, value)
        model = init_chat_model(wire.model, max_retries=0)
        schema = {"title": "Any", "description": "Anything", "type": "object", "properties": {}}
        with pytest.raises(Exception, match="Connection error"):
            asyncio.run(model.with_structured_output(schema).ainvoke("hello"))


def isolate(patch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches the clients; a proxy for everything is not asked for this machine."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIXES)]:
        patch.delenv(name)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        patch.setenv(name, DEAD_PROXY)
        patch.setenv(name.upper(), DEAD_PROXY)
    for name in ("no_proxy", "NO_PROXY"):
        patch.setenv(name, "127.0.0.1")


@pytest.fixture(scope="session")
def wire(request: pytest.FixtureRequest) -> Wire:
    """A provider whose packages are installed; loaded before pytester notes which modules there are."""
    wire = WIRES[request.param]
    for package in ("langchain.chat_models", wire.package):
        pytest.importorskip(package)
    load(wire)
    return wire


@pytest.fixture
def provider(wire: Wire, project: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The example's folder with three cases, and the environment that sends it to the server."""
    ignored = shutil.ignore_patterns("__pycache__", "__promptune__", "promptune-report*")
    shutil.copytree(EXAMPLE, project.path, ignore=ignored, dirs_exist_ok=True)
    tickets = [
        {"id": case, "input": text, "expected_intent": "billing", "difficulty": "easy"}
        for case, text in CASES.items()
    ]
    project.write({"tests/few.json": json.dumps(tickets)})
    provider = Provider(wire)
    isolate(monkeypatch)
    chosen = {"SUPPORT_BOT_CASES": "few.json", "SUPPORT_BOT_MODEL": wire.model}
    for name, value in {**chosen, **wire.environment(provider.url)}.items():
        monkeypatch.setenv(name, value)
    thread = threading.Thread(target=provider.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()
    thread.join()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the engine would have waited before each retry; it goes on at once."""
    computed: list[float] = []

    def at_once(attempt: int, error: BaseException, chance: float) -> float:
        computed.append(pause_before(attempt, error, chance))
        return 0.0

    monkeypatch.setattr(engine, "pause_before", at_once)
    return computed


# --- what is sent and what is recorded ------------------------------------------------------------


@both
def test_a_baseline_of_a_providers_model(project, provider):
    """The prompts of the app as it stands arrive, and usage and the model that answered are recorded."""
    ran = project.run("--promptune-baseline", "--promptune-runs=2")
    assert ran.code == 0, ran.text
    assert ran.metric("test_intent")["mean"] == 1
    for case in CASES:
        prompts = Counter(asked.text.partition(".")[0][:45] for asked in provider.about(case))
        assert sorted(prompts.values()) == [2, 2], "each node once in each run"
        assert sum(CURRENT in asked.text for asked in provider.about(case)) == 2
        assert sum(REPLY in asked.text for asked in provider.about(case)) == 2
    assert not any("seed" in asked.body or asked.body.get("stream") for asked in provider.asked)
    assert ran.json["usage"]["input_tokens"] == sum(asked.tokens[0] for asked in provider.asked)
    assert ran.json["usage"]["output_tokens"] == sum(asked.tokens[1] for asked in provider.asked)
    (baseline,) = project.path.rglob("__promptune__/*.json")
    assert json.loads(baseline.read_text())["recorded"]["models"] == [provider.wire.answers_as]


@both
def test_a_variant_reaches_a_providers_model(project, provider):
    """Under the variant its prompt arrives, under `current` the current one, equally often."""
    ran = project.run(
        "--promptune-compare", "--promptune-variant=polite", "--promptune-runs=1", "--promptune-gate=off"
    )
    assert ran.code == 0, ran.text
    assert sum(CURRENT in asked.text for asked in provider.asked) == len(CASES)
    assert sum(POLITE in asked.text for asked in provider.asked) == len(CASES)
    assert sum(REPLY in asked.text for asked in provider.asked) == 2 * len(CASES)
    replies = sum({asked.text: asked.tokens[0] for asked in provider.asked if REPLY in asked.text}.values())
    for variant, prompt in (("current", CURRENT), ("polite", POLITE)):
        read = replies + sum(asked.tokens[0] for asked in provider.asked if prompt in asked.text)
        assert ran.metric("support_bot::input_tokens", variant)["mean"] == pytest.approx(read / len(CASES))


@both
def test_a_variants_parameter_reaches_a_providers_model(project, provider):
    """The temperature of the runtime context is the one in the request."""
    ran = project.run(
        "--promptune-compare", "--promptune-variant=cool", "--promptune-runs=1", "--promptune-gate=off"
    )
    assert ran.code == 0, ran.text
    sent = Counter(asked.body["temperature"] for asked in provider.asked if CURRENT in asked.text)
    assert sent == {0.7: len(CASES), 0.2: len(CASES)}


@both
def test_usage_of_a_sample(project, provider):
    """A test sees the tokens of its sample, and of each node, with the model and the prompt."""
    project.write(
        {
            "tests/test_support.py": (EXAMPLE / "tests" / "test_support.py").read_text()
            + """
def test_usage(ticket: Case, sample: Sample) -> None:
    classify, reply = sample.nodes["classify_intent"], sample.nodes["write_reply"]
    assert classify.models == reply.models == ("{model}",)
    assert classify.usage.output_tokens == reply.usage.output_tokens == 7
    assert classify.usage.input_tokens + reply.usage.input_tokens == sample.usage.input_tokens
    assert dict(classify.prompt)["human"] == ticket.input["message"]
""".replace("{model}", provider.wire.answers_as)
        }
    )
    ran = project.run("--promptune-baseline", "--promptune-runs=1", "-k", "test_usage")
    assert ran.metric("test_usage")["mean"] == 1, ran.text
    assert ran.metric("support_bot::output_tokens")["mean"] == 14


@pytest.mark.parametrize("wire", ["azure"], indirect=True)
def test_a_third_provider(project, provider):
    """Any provider that LangChain knows is chosen by the same one variable."""
    ran = project.run("--promptune-baseline", "--promptune-runs=1")
    assert ran.code == 0, ran.text
    assert len(provider.asked) == 2 * len(CASES)
    assert ran.json["experiment"]["errored"] == 0


# --- what fails for the infrastructure's sake -----------------------------------------------------

FAULTS = {
    "429 with seconds": (Fault(status=429, type="rate_limit_error", headers={"retry-after": "7"}), 7.0),
    "429 with milliseconds": (Fault(status=429, headers={"retry-after-ms": "6500", "retry-after": "1"}), 6.5),
    "429 with a date": (
        Fault(
            status=429,
            headers={
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
                "retry-after": "Wed, 21 Oct 2026 07:28:09 GMT",
            },
        ),
        9.0,
    ),
    "529": (Fault(status=529, type="overloaded_error"), 0.0),
    "500": (Fault(status=500), 0.0),
    "connection reset": (Fault(status=None), 0.0),
}


@both
@pytest.mark.parametrize(("fault", "asks"), FAULTS.values(), ids=FAULTS)
def test_lost_samples_are_missing(project, provider, pauses, fault, asks):
    """Three attempts of one request each, as late as the server asks; then the sample is missing."""
    provider.fault = failing("twice", fault)
    ran = project.run("--promptune-baseline", "--promptune-runs=1")
    assert len(provider.about("twice")) == 3, ran.text
    assert len(pauses) == 2
    assert min(pauses) >= asks
    assert (ran.json["experiment"]["missing"], ran.json["experiment"]["errored"]) == (1, 0)
    assert ran.metric("support_bot::error_rate")["mean"] == 0
    assert (ran.metric("test_intent")["n_samples"], ran.metric("test_intent")["mean"]) == (2, 1)
    assert len(provider.about("refund")) == 2, "other samples are left alone"


@pytest.mark.parametrize("wire", ["openai"], indirect=True)
def test_a_used_up_quota_is_asked_once(project, provider, pauses):
    """OpenAI's 429 of an account without credit: missing like any other, but not asked again, and named."""
    provider.fault = failing("twice", Fault(status=429, type="insufficient_quota"))
    ran = project.run("--promptune-baseline", "--promptune-runs=1", "-rA")
    assert len(provider.about("twice")) == 1, ran.text
    assert pauses == []
    assert (ran.json["experiment"]["missing"], ran.json["experiment"]["errored"]) == (1, 0)
    assert "quota is used up" in ran.out


@both
@pytest.mark.parametrize(("fault", "asks"), FAULTS.values(), ids=FAULTS)
def test_samples_that_recover_count(project, provider, pauses, fault, asks):
    """A request that fails twice and then succeeds costs nothing but time."""
    provider.fault = failing("twice", fault, times=2)
    ran = project.run("--promptune-baseline", "--promptune-runs=1")
    assert ran.code == 0, ran.text
    assert len(provider.about("twice")) == 2 + 2
    assert (ran.json["experiment"]["missing"], ran.json["experiment"]["errored"]) == (0, 0)
    assert ran.metric("test_intent")["n_samples"] == len(CASES)


@both
def test_retries_of_the_client_multiply(project, provider, pauses):
    """What the README of the example says: an app whose client retries once asks twice as often."""
    suite = project.path / "tests" / "test_support.py"
    suite.write_text(suite.read_text().replace("max_retries=0", "max_retries=1"))
    provider.fault = failing("twice", Fault(status=429, headers={"retry-after-ms": "1"}))
    ran = project.run("--promptune-baseline", "--promptune-runs=1")
    assert len(provider.about("twice")) == 3 * 2, ran.text
    assert ran.json["experiment"]["missing"] == 1


@both
def test_a_connection_that_fails_says_why(project, provider, pauses, monkeypatch):
    """The clients say "Connection error." and nothing else; the reason is added. And it is no pass."""
    for name, value in provider.wire.environment("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    ran = project.run("--promptune-baseline", "--promptune-runs=1")
    assert ran.code == 1
    assert (ran.json["experiment"]["missing"], ran.json["experiment"]["errored"]) == (len(CASES), 0)
    assert "Connection error. (" in " ".join(ran.text.split())


# --- what is the app's own fault ------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=400, type="invalid_request_error"),
        Fault(status=401, type="authentication_error"),
        Fault(status=403, type="permission_error"),
        Fault(status=404, type="not_found_error"),
    ],
    ids=lambda fault: str(fault.status),
)
def test_refused_samples_are_errored_at_once(project, provider, pauses, fault):
    """One request, no retry, and the app's error."""
    provider.fault = failing("twice", fault)
    ran = project.run("--promptune-baseline", "--promptune-runs=1")
    assert len(provider.about("twice")) == 1, ran.text
    assert pauses == []
    assert (ran.json["experiment"]["missing"], ran.json["experiment"]["errored"]) == (0, 1)
    assert ran.metric("support_bot::error_rate")["mean"] == pytest.approx(1 / len(CASES))
    assert f"Error code: {fault.status}" in " ".join(ran.text.split())


@both
@pytest.mark.parametrize("key", [None, "sk-unsaid\n"], ids=["no key", "a line break in the key"])
def test_a_bad_key_is_the_apps_fault(project, provider, pauses, monkeypatch, key):
    """It isn't a connection error, as some clients say: no retry, nothing missing, and the key unsaid."""
    for name in provider.wire.environment(provider.url):
        if name.endswith("KEY"):
            monkeypatch.delenv(name) if key is None else monkeypatch.setenv(name, key)
    ran = project.run("--promptune-baseline", "--promptune-runs=1")
    assert ran.code == 1
    assert provider.asked == []
    assert pauses == []
    assert ran.json is None or ran.json["experiment"]["missing"] == 0
    assert "api key" in " ".join(ran.text.lower().replace("_", " ").split())
    assert "sk-unsaid" not in ran.text + json.dumps(ran.json)


@both
def test_an_answer_that_is_no_choice(project, provider, pauses, monkeypatch):
    """A model that answers beside the schema gives an errored sample that says what it answered."""
    answer = provider.wire.answer
    monkeypatch.setattr(
        provider.wire, "answer", lambda asked: json.loads(json.dumps(answer(asked)).replace("a payment", "?"))
    )
    ran = project.run("--promptune-baseline", "--promptune-runs=1")
    assert ran.json["experiment"]["errored"] == len(CASES), ran.text
    assert "which is none of a payment, a delivery" in " ".join(ran.text.split())


# --- what can't be used ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "module", "says"),
    [
        ("bedrock:some-model", "langchain_aws", "langchain-aws"),
        ("openai:gpt-4.1-mini", "langchain.chat_models", "pip install langchain"),
        ("nonsense:some-model", None, "model provider for"),
    ],
    ids=["package", "langchain", "provider"],
)
@pytest.mark.parametrize("wire", ["openai"], indirect=True)
def test_a_model_that_cannot_be_used(project, provider, monkeypatch, model, module, says):
    """A missing package or an unknown provider: the variable, what it says, and what to do."""
    if module:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("SUPPORT_BOT_MODEL", model)
    ran = project.run("--promptune-baseline", "--promptune-runs=1")
    assert ran.code == 1
    assert f"SUPPORT_BOT_MODEL={model}: " in ran.text
    assert says in ran.text
    assert provider.asked == []
