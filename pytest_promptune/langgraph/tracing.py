"""What the model calls of one sample used: tokens, money and models, by node.

One callback handler per sample reaches every model call through a context variable that LangChain
asks for handlers, so the app passes nothing on; subgraphs, parallel nodes, retries and streams included.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cached_property
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook

from pytest_promptune.core.model import NodeRun, Usage
from pytest_promptune.core.prices import Tokens
from pytest_promptune.langgraph.prices import Model, PriceList

#: Node name of model calls outside a graph.
NO_NODE = "(no node)"


class Trace(BaseCallbackHandler):
    """Collects the model calls of one sample."""

    run_inline = True

    def __init__(self, prices: PriceList | None = None) -> None:
        """Without `prices`, calls have the published ones."""
        self._prices = prices or PriceList()
        self._calls: dict[UUID, _Call] = {}

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model is called."""
        prompt = tuple((m.type, m.text if isinstance(m.text, str) else str(m.content)) for m in messages[0])
        self._calls[run_id] = _Call(metadata or {}, prompt, _url(serialized), self._prices)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A completion model is called."""
        prompt = tuple(("text", text) for text in prompts[:1])
        self._calls[run_id] = _Call(metadata or {}, prompt, _url(serialized), self._prices)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """A model answered."""
        if (call := self._calls.get(run_id)) is not None:
            call.finish(response)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A model call failed; its usage is unknown."""
        if (call := self._calls.get(run_id)) is not None:
            call.finish(None)

    @property
    def usage(self) -> Usage:
        """All calls together. Costs are looked up when asked for, so that samples don't wait for that."""
        return _total(list(self._calls.values()))  # one that was left behind may still call models

    def nodes(self) -> tuple[NodeRun, ...]:
        """Calls added up by node, in order of first call."""
        by_node: dict[str, list[_Call]] = {}
        for call in list(self._calls.values()):
            by_node.setdefault(call.node, []).append(call)
        return tuple(_add_up(node, calls) for node, calls in by_node.items())

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Models that said what they used, but have no price."""
        calls = [call for call in list(self._calls.values()) if call.answered and call.tokens.is_billable]
        return tuple(dict.fromkeys(call.name for call in calls if not self._prices.knows(call.model)))


class _Call:
    def __init__(
        self,
        metadata: Mapping[str, Any],
        prompt: tuple[tuple[str, str], ...],
        url: str | None,
        prices: PriceList,
    ) -> None:
        self.node = node_path(metadata)
        self.prompt = prompt
        self.began = time.perf_counter()
        self.latency_s: float | None = None
        self.tokens = Tokens()
        self.model = Model(
            asked=_name(metadata.get("ls_model_name")), provider=_name(metadata.get("ls_provider")), url=url
        )
        self.answered = self.failed = False
        self._prices = prices

    @property
    def usage(self) -> Usage:
        """Tokens alone."""
        return Usage(input_tokens=self.tokens.input, output_tokens=self.tokens.output)

    @property
    def name(self) -> str:
        """Of the model that answered."""
        return next(iter(self.model.names), "a model without a name")

    @cached_property
    def cost_usd(self) -> float | None:
        """Of a call that was answered."""
        return self._prices.cost(self.tokens, self.model)

    def finish(self, response: LLMResult | None) -> None:
        self.latency_s = time.perf_counter() - self.began
        if response is None:
            self.failed = True
            return
        said: Mapping[str, Any] = {}
        for generation in response.generations[0][:1] if response.generations else ():
            if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
                said = generation.message.response_metadata
                self.tokens = _tokens(generation.message.usage_metadata or {})
        # older models and completion models say it beside their messages
        output = response.llm_output or {}
        used = output.get("token_usage") or output.get("usage")
        if self.tokens == Tokens() and isinstance(used, Mapping):
            self.tokens = Tokens(
                input=_count(used.get("prompt_tokens", used.get("input_tokens"))),
                output=_count(used.get("completion_tokens", used.get("output_tokens"))),
            )
        names = (place.get(key) for place in (said, output) for key in ("model_name", "model"))
        self.model = replace(
            self.model,
            answered=_name(next(filter(None, names), None)),
            provider=self.model.provider or _name(said.get("model_provider")),
            tier=_name(said.get("service_tier")),
        )
        self.answered = True


def _tokens(used: Mapping[str, Any]) -> Tokens:
    """LangChain's `usage_metadata`; in OpenAI's service tiers keys are like ``flex_cache_read``."""
    read: dict[str, Any] = used.get("input_token_details") or {}
    written: dict[str, Any] = used.get("output_token_details") or {}

    def part(details: dict[str, Any], *names: str) -> int:
        return sum(_count(value) or 0 for key, value in details.items() if key.endswith(names))

    return Tokens(
        input=_count(used.get("input_tokens")),
        output=_count(used.get("output_tokens")),
        cache_read=part(read, "cache_read"),
        cache_write=part(read, "cache_creation", "ephemeral_5m_input_tokens"),
        cache_write_1h=part(read, "ephemeral_1h_input_tokens"),
        input_audio=part(read, "audio"),
        output_audio=part(written, "audio"),
        reasoning=part(written, "reasoning"),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _name(value: object) -> str | None:
    return str(value) if value else None


def _url(serialized: Mapping[str, Any] | None) -> str | None:
    """Where a client for OpenAI was pointed at by its `base_url`."""
    url = ((serialized or {}).get("kwargs") or {}).get("openai_api_base")
    return url if isinstance(url, str) and url else None


def _total(calls: list[_Call]) -> Usage:
    """Tokens as far as they are known; the cost only where that of every answer is. Errors cost nothing."""
    costs = [call.cost_usd for call in calls if call.answered]
    known = [cost for cost in costs if cost is not None]
    total = sum((call.usage for call in calls), Usage())
    return replace(total, cost_usd=sum(known) if known and len(known) == len(costs) else None)


def _add_up(node: str, calls: list[_Call]) -> NodeRun:
    times = [call.latency_s for call in calls if call.latency_s is not None]
    names = (call.model.names[0] for call in calls if call.answered and call.model.names)
    return NodeRun(
        node=node,
        calls=len(calls),
        latency_s=sum(times) if times else None,
        usage=_total(calls),
        models=tuple(dict.fromkeys(names)),
        prompt=calls[-1].prompt,
        errors=sum(call.failed for call in calls),
    )


def node_path(metadata: Mapping[str, Any]) -> str:
    """``supervisor/researcher`` from the checkpoint namespace ``supervisor:<id>|researcher:<id>``."""
    namespace = metadata.get("langgraph_checkpoint_ns") or metadata.get("checkpoint_ns")
    if namespace:
        parts = (part.partition(":")[0] for part in str(namespace).split("|"))
        # a subgraph that a node calls several times is counted: supervisor:<id>|2|researcher:<id>
        return "/".join(part for part in parts if not part.isdigit())
    return str(metadata.get("langgraph_node") or NO_NODE)


_trace: ContextVar[Trace | None] = ContextVar("promptune_trace", default=None)
register_configure_hook(_trace, inheritable=True)


@contextmanager
def tracing(trace: Trace | None = None) -> Iterator[Trace]:
    """Trace all model calls made in this context, into a trace begun before if there is one."""
    trace = trace or Trace()
    token = _trace.set(trace)
    try:
        yield trace
    finally:
        _trace.reset(token)
