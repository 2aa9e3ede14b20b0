"""What the nodes of one sample did and used: calls, time, tokens, money, retries and errors.

One callback handler per sample reaches every model call through a context variable that LangChain
asks for handlers, so the app passes nothing on; subgraphs, parallel nodes, retries and streams included.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers.context import register_configure_hook

from pytest_promptune.core.model import Answer, ModelCall, NodeRun, Prompt, Usage
from pytest_promptune.langgraph.answers import failed_tools
from pytest_promptune.langgraph.calls import Call, total, way_of
from pytest_promptune.langgraph.prices import PriceList
from pytest_promptune.langgraph.sites import call_site
from pytest_promptune.langgraph.spans import Span, Times, times

#: Node name of model calls outside a graph.
NO_NODE = "(no node)"

#: Different ways to call models that are kept of a node.
MOST_WAYS = 20
#: Of the first of these the prompt is kept, too.
MOST_PROMPTS = 5
#: Answers that are kept of a node.
MOST_ANSWERS = 10


class Trace(BaseCallbackHandler):
    """Collects what happens in one sample."""

    run_inline = True

    def __init__(self, prices: PriceList | None = None) -> None:
        """Without `prices`, calls have the published ones."""
        self._prices = prices or PriceList()
        self._calls: dict[UUID, Call] = {}
        #: Executions of nodes that began and did not end yet, and those that did.
        self._open: dict[UUID, tuple[str, float]] = {}
        self._spans: list[Span] = []
        #: Of executions of nodes: a second one of the same task is a retry.
        self._tasks: set[str] = set()
        #: Paths of nodes that ran, in that order.
        self._ran: dict[str, None] = {}
        #: Paths of the nodes in which something was tried again; nodes may run in threads.
        self._retries: list[str] = []
        #: Exceptions by the node in which they came up; from there they pass through what called.
        self._errors: list[tuple[str, BaseException]] = []
        #: Of everything else that was called: by what, from where, and in which node.
        self._callers: dict[UUID, tuple[UUID | None, str | None, str]] = {}

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model is called."""
        prompt = tuple((m.type, m.text if isinstance(m.text, str) else str(m.content)) for m in messages[0])
        call = self._start(run_id, prompt, serialized, metadata, tags, parent_run_id, kwargs)
        call.failed_tools = failed_tools(messages[0])

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A completion model is called."""
        prompt = tuple(("text", text) for text in prompts[:1])
        self._start(run_id, prompt, serialized, metadata, tags, parent_run_id, kwargs)

    def _start(
        self,
        run_id: UUID,
        prompt: Prompt,
        serialized: Mapping[str, Any] | None,
        metadata: Mapping[str, Any] | None,
        tags: Sequence[str] | None,
        parent: UUID | None,
        more: Mapping[str, Any],
    ) -> Call:
        metadata = metadata or {}
        call = self._calls[run_id] = Call(node_path(metadata), metadata, prompt, serialized, self._prices)
        self._note_retry(call.node, tags)
        asked = {**(more.get("options") or {}), **(more.get("invocation_params") or {})}
        call.way = way_of(metadata, asked, self._site(parent))
        return call

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """A model answered."""
        if (call := self._calls.get(run_id)) is not None:
            call.finish(response)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A model call failed; its usage is unknown."""
        if (call := self._calls.get(run_id)) is not None:
            call.finish(None)
            self._note_error(call.node, error)

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A node begins, or any other part of the app."""
        metadata = metadata or {}
        path = node_path(metadata)
        self._callers[run_id] = (parent_run_id, call_site(), path)
        self._note_retry(path, tags)
        is_node = kwargs.get("name") == metadata.get("langgraph_node")
        if not is_node or not any(tag.startswith("graph:step:") for tag in tags or ()):
            return
        self._callers[run_id] = (None, None, path)  # what runs the graph calls no model
        self._ran[path] = None
        task = str(metadata.get("langgraph_checkpoint_ns"))
        if task in self._tasks:
            self._retries.append(path)
        self._tasks.add(task)
        self._open[run_id] = (path, time.perf_counter())

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A node ends, or any other part of the app."""
        self._end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A node fails, or any other part of the app."""
        self._end(run_id)
        if run_id in self._callers and not _is_control_flow(error):
            self._note_error(self._callers[run_id][2], error)

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool is called, which may call models."""
        self._callers[run_id] = (parent_run_id, call_site(), node_path(metadata or {}))

    @property
    def usage(self) -> Usage:
        """All calls together. Costs are looked up when asked for, so that samples don't wait for that."""
        return total(list(self._calls.values()))  # one that was left behind may still call models

    def nodes(self) -> tuple[NodeRun, ...]:
        """Calls added up by node, in order of first call."""
        by_node: dict[str, list[Call]] = {}
        for call in list(self._calls.values()):
            by_node.setdefault(call.node, []).append(call)
        found = self._times(by_node)
        return tuple(self._add_up(node, calls, found.get(node)) for node, calls in by_node.items())

    @property
    def silent(self) -> tuple[str, ...]:
        """Nodes that ran without any call that was seen, in themselves or further inside."""
        called = [f"{call.node}/" for call in list(self._calls.values())]
        ran = (path for path in list(self._ran) if not any(each.startswith(f"{path}/") for each in called))
        return tuple(map(sys.intern, ran))

    def _times(self, by_node: Mapping[str, Sequence[Call]]) -> dict[str, Times]:
        """Seconds by node that calls models; where no execution ended, those of its calls."""
        spans = [span for span in list(self._spans) if span.node in by_node]
        seen = {span.node for span in spans}
        for node, calls in by_node.items():
            if node not in seen:
                ended = ((call.began, call.ended) for call in calls)
                spans += [Span(node=node, began=b, ended=e) for b, e in ended if e is not None]
        return times(spans)

    def _add_up(self, node: str, calls: Sequence[Call], spent: Times | None) -> NodeRun:
        seconds = (spent.total, spent.wall, spent.part) if spent is not None else (None, None, None)
        names = (call.model.names[0] for call in calls if call.answered and call.model.names)
        by_way = [(call, call.way) for call in calls]  # a call that ends by now may still change its own
        ways = tuple(dict.fromkeys(way for _, way in by_way))[:MOST_WAYS]
        return NodeRun(
            node=node,
            calls=len(calls),
            latency_s=seconds[0],
            usage=total(calls),
            models=tuple(dict.fromkeys(names)),
            prompt=calls[-1].prompt,
            errors=sum(call.failed for call in calls),
            wall_s=seconds[1],
            part_s=seconds[2],
            retries=self._retries.count(node),
            error_types=self._error_types(node),
            ways=ways,
            prompts=_prompts(by_way, ways),
            answers=_answers(by_way, ways),
        )

    def _error_types(self, node: str) -> dict[str, int]:
        here = (error for path, error in list(self._errors) if path == node)
        return dict(Counter(type(error).__qualname__ for error in here))

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Models that said what they used, but have no price."""
        calls = [call for call in list(self._calls.values()) if call.answered and call.tokens.is_billable]
        return tuple(dict.fromkeys(call.name for call in calls if not self._prices.knows(call.model)))

    # --- what happened ----------------------------------------------------------------------------

    def _end(self, run_id: UUID) -> None:
        """If it is the execution of a node, note its time."""
        path, began = self._open.pop(run_id, (None, 0.0))
        if path is not None:
            self._spans.append(Span(node=path, began=began, ended=time.perf_counter()))

    def _note_retry(self, path: str, tags: Sequence[str] | None) -> None:
        """LangChain's ``with_retry`` tags what it tries again."""
        if any(tag.startswith("retry:attempt:") for tag in tags or ()):
            self._retries.append(path)

    def _note_error(self, path: str, error: BaseException) -> None:
        """Count an exception where it comes up first, and not again in what it passes through."""
        if not any(each is error or each is error.__cause__ for _, each in list(self._errors)):
            self._errors.append((path, error))

    def _site(self, parent: UUID | None) -> str | None:
        """Where a call comes from: what stands on the stack, or the nearest caller that knows."""
        site = call_site()
        while site is None and parent is not None:
            parent, site, _ = self._callers.get(parent, (None, None, ""))
        return site


def _prompts(calls: Sequence[tuple[Call, ModelCall]], ways: Sequence[ModelCall]) -> tuple[Prompt, ...]:
    """The last prompt of each way; nothing for one alone."""
    last = {way: call.prompt for call, way in calls}
    return tuple(last[way] for way in ways[:MOST_PROMPTS]) if len(ways) > 1 else ()


def _answers(calls: Sequence[tuple[Call, ModelCall]], ways: Sequence[ModelCall]) -> tuple[Answer, ...]:
    """The first answers, each with the number of its way."""
    numbers = {way: number for number, way in enumerate(ways)}
    found = ((call.answer, numbers[way]) for call, way in calls if way in numbers)
    given = (replace(answer, way=number) for answer, number in found if answer is not None)
    return tuple(itertools.islice(given, MOST_ANSWERS))


def _is_control_flow(error: BaseException) -> bool:
    """Cancelled, or LangGraph's way to leave a node: interrupts and commands to the parent."""
    names = (f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__)
    return not isinstance(error, Exception) or "langgraph.errors.GraphBubbleUp" in names


def node_path(metadata: Mapping[str, Any]) -> str:
    """``supervisor/researcher`` from the checkpoint namespace ``supervisor:<id>|researcher:<id>``."""
    namespace = metadata.get("langgraph_checkpoint_ns") or metadata.get("checkpoint_ns")
    if namespace:
        # a subgraph that a node calls several times is counted: supervisor:<id>|2|researcher:<id>
        parts = (part for part in str(namespace).split("|") if not part.isdigit())
        return "/".join(part.partition(":")[0] for part in parts)
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
