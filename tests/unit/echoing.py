"""A chat model that answers with what reached it, and apps called as the engine does."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from pytest_promptune.core.model import Case, Variant
from pytest_promptune.langgraph.prices import PriceList
from pytest_promptune.sampling.apps import BuiltApp
from pytest_promptune.sampling.execution import Execution
from pytest_promptune.store.log import SampleKey


class Echo(BaseChatModel):
    """Answers ``[[[role, text], …], {parameters}]`` after a moment that differs from call to call."""

    longest_s: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _answer(self, messages: list[BaseMessage], stop: Any, kwargs: dict[str, Any]) -> str:
        kwargs.pop("run_manager", None)
        asked = {**kwargs, **({"stop": stop} if stop else {})}
        return json.dumps([[[m.type, m.content] for m in messages], asked])

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        time.sleep(random.uniform(0, self.longest_s))
        answer = AIMessage(self._answer(messages, stop, kwargs))
        return ChatResult(generations=[ChatGeneration(message=answer)])

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        await asyncio.sleep(random.uniform(0, self.longest_s))
        answer = AIMessage(self._answer(messages, stop, kwargs))
        return ChatResult(generations=[ChatGeneration(message=answer)])


class Streaming(Echo):
    """The same, as a stream of two pieces."""

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        text = self._answer(messages, stop, kwargs)
        for piece in (text[:5], text[5:]):
            yield ChatGenerationChunk(message=AIMessageChunk(piece))

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop, **kwargs):
            await asyncio.sleep(0)
            yield chunk


def awaited(call: Callable[[], Awaitable[Any]]) -> Any:
    """What `call` gives, in a loop of its own."""

    async def wait() -> Any:
        return await call()

    return asyncio.run(wait())


def built(app: object) -> BuiltApp:
    """What an app fixture returned."""
    return BuiltApp("bot", app, awaited)


def execution(app: BuiltApp, variant: Variant, value: Any = None, *, run: int = 1) -> Execution:
    """One sample."""
    case = Case(id="c", input={"q": "Hi"} if value is None else value)
    key = SampleKey(app="bot", case_id="c", case_hash="", variant=variant.name, run=run)
    return Execution(app.under(variant), case, variant, key, PriceList())


def output(app: object, variant: Variant, value: Any = None) -> Any:
    """What the app gives under a variant."""
    made = app if isinstance(app, BuiltApp) else built(app)
    sample = execution(made, variant, value)
    called = sample.call()
    return awaited(lambda: called) if hasattr(called, "__await__") else called
