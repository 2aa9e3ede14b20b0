"""One model call: what was asked for, how long it took, what it used and what it costs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from pytest_promptune.core.limits import OUTPUT_LIMITS
from pytest_promptune.core.model import Answer, ModelCall, Prompt, Usage
from pytest_promptune.core.prices import Tokens
from pytest_promptune.langgraph.answers import answer_of
from pytest_promptune.langgraph.prices import Model, PriceList


class Call:
    """A model call, from its start on."""

    def __init__(
        self,
        node: str,
        metadata: Mapping[str, Any],
        prompt: Prompt,
        serialized: Mapping[str, Any] | None,
        prices: PriceList,
    ) -> None:
        self.node = node
        self.prompt = prompt
        #: Tools that failed right before it.
        self.failed_tools: frozenset[str] = frozenset()
        self.answer: Answer | None = None
        #: Seconds of `time.perf_counter`.
        self.began = time.perf_counter()
        self.ended: float | None = None
        self.tokens = Tokens()
        self.model = Model(
            asked=_name(metadata.get("ls_model_name")),
            provider=_name(metadata.get("ls_provider")),
            url=_url(serialized),
        )
        #: How it was called.
        self.way = ModelCall()
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
        """It was answered, or, without a response, failed."""
        self.ended = time.perf_counter()
        if response is None:
            self.failed = True
            return
        said: Mapping[str, Any] = {}
        for generation in response.generations[0][:1] if response.generations else ():
            if isinstance(generation, Generation):
                self.answer = answer_of(generation, self.failed_tools)
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
        if self.way.model is None:
            self.way = replace(self.way, model=self.model.answered)
        self.answered = True


def total(calls: Sequence[Call]) -> Usage:
    """Tokens as far as they are known; the cost only where that of every answer is. Errors cost nothing."""
    costs = [call.cost_usd for call in calls if call.answered]
    known = [cost for cost in costs if cost is not None]
    used = sum((call.usage for call in calls), Usage())
    return replace(used, cost_usd=sum(known) if known and len(known) == len(costs) else None)


def way_of(metadata: Mapping[str, Any], params: Mapping[str, Any], site: str | None) -> ModelCall:
    """How a model is called, from what LangChain tells when it is.

    Args:
        metadata: of the call, with LangChain's ``ls_…`` keys.
        params: its parameters, those bound to the model and given with the call, and LangChain's note
            of a structured output, which Anthropic's client asks for by a tool.
        site: where it is called.
    """
    limits = (params.get(name) for name in OUTPUT_LIMITS)
    limit = next((each for each in limits if each is not None), metadata.get("ls_max_tokens"))
    temperature = params.get("temperature")
    return ModelCall(
        model=_name(metadata.get("ls_model_name") or params.get("model") or params.get("model_name")),
        provider=_name(metadata.get("ls_provider")),
        temperature=_number(metadata.get("ls_temperature") if temperature is None else temperature),
        max_tokens=_count(limit),
        tools=_tools(params.get("tools") or params.get("functions")),
        is_structured=bool(params.get("response_format") or params.get("ls_structured_output_format")),
        site=site,
    )


def _tools(given: object) -> tuple[str, ...]:
    """Names in any provider's form: ``{"function": {"name": …}}`` or ``{"name": …}``."""
    if not isinstance(given, list | tuple):
        return ()
    tools = (tool.get("function", tool) for tool in given if isinstance(tool, Mapping))
    return tuple(str(tool["name"]) for tool in tools if isinstance(tool, Mapping) and "name" in tool)


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


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _name(value: object) -> str | None:
    return str(value) if value else None


def _url(serialized: Mapping[str, Any] | None) -> str | None:
    """Where a client for OpenAI was pointed at by its `base_url`."""
    url = ((serialized or {}).get("kwargs") or {}).get("openai_api_base")
    return url if isinstance(url, str) and url else None
