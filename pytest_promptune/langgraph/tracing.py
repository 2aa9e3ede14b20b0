"""What the model calls of one sample used: tokens and models, by node.

One callback handler per sample reaches every model call through a context variable that LangChain
asks for handlers, so the app passes nothing on; subgraphs, parallel nodes, retries and streams included.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook

from pytest_promptune.core.model import NodeRun, Usage

#: Node name of model calls outside a graph.
NO_NODE = "(no node)"


class Trace(BaseCallbackHandler):
    """Collects the model calls of one sample."""

    run_inline = True

    def __init__(self) -> None:
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
        self._calls[run_id] = _Call(metadata or {}, prompt)

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
        self._calls[run_id] = _Call(metadata or {}, prompt)

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
        """All calls together."""
        return sum((call.usage for call in list(self._calls.values())), Usage())

    def nodes(self) -> tuple[NodeRun, ...]:
        """Calls added up by node, in order of first call."""
        by_node: dict[str, list[_Call]] = {}
        for call in list(self._calls.values()):  # one that was left behind may still call models
            by_node.setdefault(call.node, []).append(call)
        return tuple(_add_up(node, calls) for node, calls in by_node.items())


class _Call:
    def __init__(self, metadata: Mapping[str, Any], prompt: tuple[tuple[str, str], ...]) -> None:
        self.node = _node_path(metadata)
        self._asked: object = metadata.get("ls_model_name")
        self.prompt = prompt
        self.began = time.perf_counter()
        self.latency_s: float | None = None
        self.usage = Usage()
        self.model: str | None = None
        self.failed = False

    def finish(self, response: LLMResult | None) -> None:
        self.latency_s = time.perf_counter() - self.began
        if response is None:
            self.failed = True
            return
        for generations in response.generations:
            for generation in generations[:1]:
                if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
                    self._take(generation.message)
        self._fill_in(response.llm_output or {})

    def _take(self, message: AIMessage) -> None:
        used = message.usage_metadata
        if used is not None:
            self.usage = self.usage + Usage(
                input_tokens=used["input_tokens"], output_tokens=used["output_tokens"]
            )
        model = message.response_metadata.get("model_name") or message.response_metadata.get("model")
        self.model = str(model) if model else self.model

    def _fill_in(self, output: Mapping[str, Any]) -> None:
        """What older models and completion models say beside their messages; else the model asked for."""
        used = output.get("token_usage") or output.get("usage")
        if self.usage == Usage() and isinstance(used, Mapping):
            self.usage = Usage(
                input_tokens=_tokens(used.get("prompt_tokens", used.get("input_tokens"))),
                output_tokens=_tokens(used.get("completion_tokens", used.get("output_tokens"))),
            )
        model = self.model or output.get("model_name") or output.get("model") or self._asked
        self.model = str(model) if model else None


def _tokens(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _add_up(node: str, calls: list[_Call]) -> NodeRun:
    times = [call.latency_s for call in calls if call.latency_s is not None]
    return NodeRun(
        node=node,
        calls=len(calls),
        latency_s=sum(times) if times else None,
        usage=sum((call.usage for call in calls), Usage()),
        models=tuple(dict.fromkeys(call.model for call in calls if call.model)),
        prompt=calls[-1].prompt,
        errors=sum(call.failed for call in calls),
    )


def _node_path(metadata: Mapping[str, Any]) -> str:
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
