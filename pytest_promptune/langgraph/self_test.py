"""Whether the chat-model boundary works with the LangChain that is installed, told before any call costs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langsmith import tracing_context

from pytest_promptune.core.errors import OverrideError, VariantError
from pytest_promptune.core.model import Variant
from pytest_promptune.core.overrides import read_overrides
from pytest_promptune.langgraph.boundary import Attempt, install
from pytest_promptune.langgraph.tracing import NO_NODE

_PROBE = Variant(
    name="self-test",
    nodes={NO_NODE: {"template": "old {word}", "prompt": "new {word}", "params": {"promptune_probe": 1}}},
)


class _Echo(BaseChatModel):
    """Answers with what it is asked and how."""

    @property
    def _llm_type(self) -> str:
        return "promptune-self-test"

    def _answer(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> str:
        return json.dumps([[message.text for message in messages], kwargs.get("promptune_probe")])

    def _generate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self._answer(messages, kwargs)))])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> ChatResult:
        return self._generate(messages, **kwargs)

    def _stream(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content=self._answer(messages, kwargs)))

    async def _astream(
        self, messages: list[BaseMessage], *_: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, **kwargs):
            yield chunk


async def prepare() -> None:
    """Install the boundary and send a fake model's four kinds of calls through it.

    Raises:
        VariantError: when an override doesn't arrive.
    """
    install()
    model = _Echo(cache=False)
    attempt = Attempt(read_overrides(_PROBE), certain=frozenset())
    try:
        with tracing_context(enabled=False), attempt.whole():  # the user's LangSmith shall not see it
            answers = {
                "invoke": model.invoke("old x").text,
                "ainvoke": (await model.ainvoke("old x")).text,
                "stream": "".join([chunk.text for chunk in model.stream("old x")]),
                "astream": "".join([chunk.text async for chunk in model.astream("old x")]),
            }
    except OverrideError as error:
        raise VariantError(_refusal(str(error))) from error
    lost = [name for name, answer in answers.items() if answer != json.dumps([["new x"], 1])]
    if lost:
        raise VariantError(_refusal(f"{', '.join(lost)} of a test model did not get the change."))


def _refusal(reason: str) -> str:
    return (
        f"[nodes] can't be measured with langchain-core {version('langchain-core')}: {reason} Use another "
        "way for these variants (a Jinja2 template, [context], or a builder), or another langchain-core."
    )
